package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/load"
	"gen.example/schema"
	"gen.example/services"
)

var firstLine = regexp.MustCompile(`^(\S+): (GEN\d+): (.*)$`)

// A told finding is one as it is printed.
type told struct{ at, code, what, help string }

// toldIn reads what gen says.
func toldIn(t *testing.T, said string) (all []told) {
	t.Helper()
	for line := range strings.Lines(said) {
		if help, ok := strings.CutPrefix(line, "    "); ok && len(all) > 0 {
			all[len(all)-1].help += help
			continue
		}
		g := firstLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if g == nil {
			t.Fatalf("this is no finding: %q", line)
		}
		all = append(all, told{at: g[1], code: g[2], what: g[3]})
	}
	return all
}

// jargon are words of Go's and CUE's that say nothing to people who only want to
// run their services.
var jargon = regexp.MustCompile(`\b(` + strings.Join([]string{
	"nil", "panic", "interface", "goroutine", "slice", "pointer", "structs?", "reflect", "unmarshal", "decode", "runtime", "syscall", "errno", "EOF", "uint",
	"bool", "int", "float", "string", "strconv", "disjunctions?", "conjuncts?", "bottom", "concrete", "non-concrete", "incomplete", "unify", "unification", "interpolation",
	"out of bound", "mismatched", "conflicting", "embed(s|ded|ding)?", "closed struct", "not allowed", "comprehension", "builtin", "literal", "operands?", "IDENT",
	"label", "lexical", "ellipsis", "incompatible", "selector", "vertex", "optional field", "failed to", "invalid",
}, "|") + `)\b|%!|=~|_\|_|map\[|\*\w+\.|\bfs\.`)

// quoted are a user's own words.
var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"|'[^']*'|\{[^}]*\}`)

// TestFindingsHelp: every finding has a place, a hint, and a first line in words
// that need no knowledge of Go or CUE.
func TestFindingsHelp(t *testing.T) {
	for _, name := range caseNames(t) {
		said, err := os.ReadFile(filepath.Join(cases, name, "err"))
		if err != nil {
			continue
		}
		for _, f := range toldIn(t, string(said)) {
			if f.at == "-" {
				t.Errorf("%s: no place: %s", name, f.what)
			}
			if f.code != string(finding.Golden) && !strings.Contains(f.help, "hint: ") { // of many files the last has it
				t.Errorf("%s: no hint: %s", name, f.what)
			}
			if word := jargon.FindString(quoted.ReplaceAllString(f.what, "")); word != "" {
				t.Errorf("%s: %q says nothing to a user: %s", name, word, f.what)
			}
		}
	}
}

// TestFindingsForPrograms: -json and -github say what the text says.
func TestFindingsForPrograms(t *testing.T) {
	dir := filepath.Join(cases, "two-values")
	text, _ := gen(t, "check", "-C", dir)
	want := toldIn(t, text)

	printed, code := gen(t, "check", "-json", "-C", dir)
	var objects []struct {
		File, Code, Message, Hint string
		Line, Column              int
		Also                      []struct{ File string }
	}
	if err := json.Unmarshal([]byte(printed), &objects); err != nil || code != found || len(objects) != len(want) {
		t.Fatalf("exit %d, %d of %d findings, %v", code, len(objects), len(want), err)
	}
	for i, o := range objects {
		if !strings.HasPrefix(want[i].at, o.File+":") || o.Line == 0 || o.Column == 0 || o.Code != want[i].code ||
			o.Message != want[i].what || o.Hint == "" || len(o.Also) != strings.Count(want[i].help, "also at") {
			t.Errorf("%+v is not %+v", o, want[i])
		}
	}
	if printed, code := gen(t, "check", "-json", "-C", repository); printed != "[]\n" || code != ok {
		t.Errorf("exit %d, and without findings it prints %q", code, printed)
	}

	printed, code = gen(t, "check", "-github", "-C", dir)
	lines := strings.Split(strings.TrimSuffix(printed, "\n"), "\n")
	if code != found || len(lines) != len(want) {
		t.Fatalf("exit %d, and %d lines for %d findings: %s", code, len(lines), len(want), printed)
	}
	command := regexp.MustCompile(`^::error file=[^,:]+,line=\d+,col=\d+,title=GEN\d+::.+%0Ahint: .+$`)
	for _, l := range lines {
		if !command.MatchString(l) {
			t.Errorf("this is no workflow command: %s", l)
		}
	}
}

// TestGitHubCommandsCannotBeBroken: a value of the user's ends neither a command nor a field of one.
func TestGitHubCommandsCannotBeBroken(t *testing.T) {
	var b strings.Builder
	finding.GitHub(&b, "a,b:c", []*finding.Finding{finding.New(finding.Value, load.FilePos("hosts/x.cue"), "100%% of\r\n::error::this").Hintf("one\ntwo")})
	const want = "::error file=a%2Cb%3Ac/hosts/x.cue,line=1,col=1,title=GEN112::100%25 of��::error::this%0Ahint: one%0Atwo\n"
	if b.String() != want {
		t.Errorf("it is\n%swant\n%s", b.String(), want)
	}
}

// TestCUEVetRefusesNoMore: what cue vet -c refuses, gen refuses; and the codes
// that gen alone raises are those that say so.
func TestCUEVetRefusesNoMore(t *testing.T) {
	t.Parallel()
	cue := tool(t, "cue")
	alone, also := map[finding.Code]bool{}, map[finding.Code]bool{}
	for _, name := range caseNames(t) {
		said, err := os.ReadFile(filepath.Join(cases, name, "err"))
		refused, why := vet(t, cue, filepath.Join(cases, name))
		if err != nil {
			if refused {
				t.Errorf("%s: cue refuses what gen accepts:\n%s", name, why)
			}
			continue
		}
		var codes, cues []finding.Code
		for _, f := range toldIn(t, string(said)) {
			codes = append(codes, finding.Code(f.code))
			if slices.Contains(finding.AlsoCUE, finding.Code(f.code)) {
				cues = append(cues, finding.Code(f.code))
			}
		}
		switch {
		case refused && len(cues) == 0:
			t.Errorf("%s: cue refuses it too, and gen says it alone does: %v\n%s", name, codes, why)
		case !refused && len(cues) > 0:
			t.Errorf("%s: cue accepts it, and gen says %v is cue's too", name, cues)
		case refused:
			if slices.Sort(cues); len(slices.Compact(cues)) == 1 {
				also[cues[0]] = true
			}
		default:
			for _, c := range codes {
				alone[c] = true
			}
		}
	}
	for _, m := range finding.Meanings {
		if isCUEs := slices.Contains(finding.AlsoCUE, m.Code); isCUEs && !also[m.Code] || !isCUEs && !alone[m.Code] {
			t.Errorf("no case shows whether cue refuses %s too", m.Code)
		}
	}
}

// vet gives a case to plain cue, with the copy of schema and catalogue that gen
// vendor makes, and the two lines that tie hosts/ to the schema.
func vet(t *testing.T, cue, dir string) (refused bool, why string) {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(filepath.Join(to, "cue.mod/pkg"))
	if _, err := os.Stat(filepath.Join(to, "cue.mod")); err != nil {
		write(t, filepath.Join(to, "cue.mod/module.cue"), "module: \"vet.example\"\nlanguage: version: \"v0.17.0\"\n")
	}
	for name, files := range map[string]fs.FS{"schema": schema.Files, "services": services.Files} {
		if err := os.CopyFS(filepath.Join(to, "cue.mod/pkg/gen.example", name), files); err != nil {
			t.Fatal(err)
		}
	}
	pkg := "hosts"
	if first, _ := filepath.Glob(filepath.Join(to, "hosts/*.cue")); len(first) > 0 {
		b, _ := os.ReadFile(first[0])
		if g := regexp.MustCompile(`(?m)^package (\w+)`).FindSubmatch(b); g != nil {
			pkg = string(g[1])
		}
	}
	write(t, filepath.Join(to, "hosts/tie.cue"), "package "+pkg+`

import gen_schema "gen.example/schema"

fleet: gen_schema.#Fleet
hosts: [Name=string]: gen_schema.#Host & {name: Name, #fleet: fleet}
`)
	c := exec.Command(cue, "vet", "-c", "./hosts")
	c.Dir = to
	said, err := c.CombinedOutput()
	return err != nil, string(said)
}
