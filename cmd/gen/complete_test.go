package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// TestCompletionForgetsNothing: every verb, and every option with a value, has
// an answer, also if it is that the shell can say nothing.
func TestCompletionForgetsNothing(t *testing.T) {
	for _, v := range verbs() {
		if v.words != 0 && wordsOf[v.name] == nil {
			t.Errorf("wordsOf does not say what can follow %s", v)
		}
	}
	for name, v := range secretVerbs {
		if v.names != 0 && namesOf[name] == nil {
			t.Errorf("namesOf does not say what can follow gen secret %s", name)
		}
		if !slices.Contains(secretVerbNames(), name) {
			t.Errorf("secretVerbNames has no %s", name)
		}
	}
	(&command{}).options().VisitAll(func(f *pflag.Flag) {
		if takesValue(f) && valuesOf[f.Name] == nil {
			t.Errorf("valuesOf does not say what can be the value of -%s", f.Name)
		}
	})
	for _, shell := range shells(nil) {
		if said, code := gen(t, "completion", shell); code != ok || said == "" {
			t.Errorf("gen completion %s: exit %d: %s", shell, code, said)
		}
	}
	for args, says := range map[string]string{"completion": "say for which shell: bash, fish, zsh", "completion bsh": `did you mean "bash"?`} {
		if said, code := gen(t, strings.Fields(args)...); code != misused || !strings.Contains(said, says) {
			t.Errorf("gen %s: exit %d: %s", args, code, said)
		}
	}
	if files, err := scripts.ReadDir("completion"); err != nil || len(files) != len(shells(nil)) {
		t.Errorf("there are scripts for %v (%v), and shells are %v", files, err, shells(nil))
	}
}

// TestComplete: what could stand where the cursor is.
func TestComplete(t *testing.T) {
	secrets := "-C " + cases + "/vaultwarden secret "
	for _, c := range []struct{ line, want string }{
		{"", strings.Join(slices.Sorted(slices.Values(slices.DeleteFunc(verbNames(), isForShells))), " ")},
		{"ch", "check"},
		{"-", "-C -help -host -o -version"},
		{"--h", "--host"},
		{"check ", ""},
		{"nonsense ", ""},
		{"-nonsense ", strings.Join(slices.Sorted(slices.Values(slices.DeleteFunc(verbNames(), isForShells))), " ")},
		{"-C ", ":directories"},
		{"-o o", ":directories"},
		{"-C=..", ":directories"},
		{"-C ../.. -host ", "staging vps1 vps2"},
		{"-C ../.. -host vps1 --host ", "staging vps2"},
		{"-C ../.. -host=v", "-host=vps1 -host=vps2"},
		{"-C ../.. -host =", "-host=staging -host=vps1 -host=vps2"},
		{"-C ../.. -host = v", "-host=vps1 -host=vps2"},
		{"-C = ../.. --host=s", "--host=staging"},
		{`-C '../..' -host s`, "staging"},
		{"-C /nonexistent -host ", ""},
		{"-C ../../golden/cases/syntax-error -host ", ""},
		{"init ", ":directories"},
		{"-C " + cases + "/mesh-keys mesh ", "laptop phone tablet two"},
		{"-C " + cases + "/mesh-keys mesh laptop ", ""},
		{"-C ../.. mesh laptop -key ", ":files"},
		{"mesh ", ""},
		{"completion ", "bash fish zsh"},
		{"secret ", strings.Join(slices.Sorted(slices.Values(secretVerbNames())), " ")},
		{"secret show -", "-C -help -i -passphrase"},
		{"secret list -", "-C -help"},
		{"secret list ", ""},
		{"secret nonsense ", ""},
		{"secret new x -alphabet ", "digits easy hex letters"},
		{"secret new x -length ", ""},
		{"secret show x -i ", ":files"},
		{"-C ../.. secret identity v", "vps1 vps2"},
		{secrets + "show ", "production.vault.admin-token"},
		{secrets + "show vault", "vault.admin-token"},
		{secrets + "show production.vault.admin-token ", ""},
		{secrets + "rekey production.vault.admin-token ", ""},
		{secrets + "new ", ""},
		{"secret -C " + cases + "/missing-secret new ", "production.demo.password"},
		{"-- che", "check"},
	} {
		words := strings.Fields(c.line)
		if c.line == "" || strings.HasSuffix(c.line, " ") {
			words = append(words, "")
		}
		said, code := gen(t, append([]string{"complete", "--"}, words...)...)
		if got := strings.Join(strings.Fields(said), " "); code != ok || got != c.want {
			t.Errorf("gen %s: exit %d, and it offers %q, want %q", c.line, code, got, c.want)
		}
	}
}

// TestCompletionIsSilent: whatever is wrong with a repository or a line, a
// shell is not told.
func TestCompletionIsSilent(t *testing.T) {
	for _, name := range caseNames(t) {
		if _, err := os.Stat(filepath.Join(cases, name, "err")); err != nil {
			continue
		}
		for _, words := range []string{"-host ", "secret new ", "secret show ", "secret rekey x "} {
			said, code := gen(t, append([]string{"complete", "--", "-C", filepath.Join(cases, name)}, strings.Split(words, " ")...)...)
			if code != ok || strings.Contains(said, "GEN") {
				t.Errorf("%s: %s: exit %d: %s", name, words, code, said)
			}
		}
	}
}

// TestShellsComplete has real shells complete a line at a terminal, which they
// then run: the hosts that were meant are written.
func TestShellsComplete(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts shells")
	}
	script := tool(t, "script") // gives a program a terminal
	home := t.TempDir()
	write(t, filepath.Join(home, "bin/gen"), fmt.Sprintf("#!/bin/sh\nGEN_TEST_AS_GEN=1 exec %s \"$@\"\n", executable(t)))
	if err := os.Chmod(filepath.Join(home, "bin/gen"), 0o755); err != nil {
		t.Fatal(err)
	}
	for shell, start := range map[string]string{
		"bash": "bash --norc --noprofile -i",
		"zsh":  "zsh -f -i",
	} {
		t.Run(shell, func(t *testing.T) {
			tool(t, shell)
			dir := t.TempDir()
			if err := os.CopyFS(filepath.Join(dir, "a repository/hosts"), os.DirFS(cases+"/small/hosts")); err != nil {
				t.Fatal(err)
			}
			c := exec.Command(script, "-qec", start, "/dev/null")
			c.Dir, c.Env = dir, append(os.Environ(), "HOME="+home, "PATH="+home+"/bin:"+os.Getenv("PATH"), "TERM=dumb")
			typed, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var shown strings.Builder
			c.Stdout, c.Stderr = &shown, &shown
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(time.Minute, func() { c.Process.Kill() })
			prepare := map[string]string{"bash": "", "zsh": "autoload -Uz compinit && compinit -u -D\n"}[shell]
			io.WriteString(typed, prepare+"source <(gen completion "+shell+")\n")
			// An own directory with a blank, a host by its second word and by an equals sign.
			io.WriteString(typed, "gen -C a\t -o spaced -ho\tvps2\t\n")
			io.WriteString(typed, "gen -C a\\ repository -o equals -host=vps1\t\n")
			io.WriteString(typed, "gen comple\tba\t >script\n")
			io.WriteString(typed, "exit\n")
			if err := c.Wait(); err != nil {
				t.Logf("%s: %v", shell, err)
			}
			var wrote []string
			for p := range readTree(t, dir) {
				if name := filepath.ToSlash(p); strings.HasSuffix(name, "/HOST") || name == "script" {
					wrote = append(wrote, name)
				}
			}
			slices.Sort(wrote)
			if diff := cmp.Diff([]string{"equals/vps1/HOST", "script", "spaced/vps2/HOST"}, wrote); diff != "" {
				t.Errorf("it wrote other files (+) than were meant (-):\n%s\n%s", diff, shown.String())
			}
		})
	}
	t.Run("fish", func(t *testing.T) { fishCompletes(t, tool(t, "fish"), home) })
}

// fishCompletes asks fish itself: it can say what it would offer.
func fishCompletes(t *testing.T, fish, home string) {
	for line, want := range map[string]string{
		"gen ch":                              "check",
		"gen -ho":                             "-host",
		"gen -C ../.. -host ":                 "staging vps1 vps2",
		"gen -C ../.. -host=v":                "-host=vps1 -host=vps2",
		"gen completion b":                    "bash",
		"gen -C ../../hos":                    "../../hosts/",
		"gen -C ../.. secret identity vps1 -": "-C -help -i -passphrase",
	} {
		c := exec.Command(fish, "--no-config", "-c", "gen completion fish | source; complete -C "+"'"+line+"'")
		c.Env = append(os.Environ(), "HOME="+home, "PATH="+home+"/bin:"+os.Getenv("PATH"))
		b, err := c.Output()
		var words []string
		for l := range strings.Lines(string(b)) {
			word, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
			words = append(words, word)
		}
		if got := strings.Join(words, " "); err != nil || got != want {
			t.Errorf("%s: %v, and it offers %q, want %q", line, err, got, want)
		}
	}
}
