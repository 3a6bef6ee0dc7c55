package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// minimal is a fleet of one host.
const minimal = `package hosts

fleet: domain: "example.org"
hosts: one: {os: "debian-13", address: "203.0.113.1"}
`

// TestHazards: whatever lies in a repository is told at its own name, once, with
// nothing written and nothing waited for.
func TestHazards(t *testing.T) {
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		make func(dir string) // besides a fleet of one host
		says string
	}{
		"no hosts/":        {func(d string) { must(os.RemoveAll(d + "/hosts")) }, "hosts:1:1: GEN107: there is no fleet here"},
		"an empty hosts/":  {func(d string) { must(os.Remove(d + "/hosts/fleet.cue")) }, "hosts:1:1: GEN107: there is no fleet here"},
		"hosts is a file":  {func(d string) { must(os.RemoveAll(d + "/hosts")); write(t, d+"/hosts", minimal) }, "hosts:1:1: GEN102: the file cannot be read: not a directory"},
		"an empty file":    {func(d string) { write(t, d+"/hosts/x.cue", "") }, "hosts/x.cue"},
		"a link in circle": {func(d string) { must(os.Symlink("x.cue", d+"/hosts/x.cue")) }, "hosts/x.cue:1:1: GEN102: the file cannot be read: too many levels of symbolic links"},
		"a dangling link":  {func(d string) { must(os.Symlink("nowhere", d+"/hosts/x.cue")) }, "hosts/x.cue:1:1: GEN102: the file cannot be read: no such file or directory"},
		"a directory":      {func(d string) { must(os.Mkdir(d+"/hosts/x.cue", 0o755)) }, "hosts/x.cue:1:1: GEN102: the file cannot be read: it is a directory"},
		"a pipe":           {func(d string) { must(syscall.Mkfifo(d+"/hosts/x.cue", 0o644)) }, "hosts/x.cue:1:1: GEN102: the file cannot be read: it is no file"},
		"an endless file":  {func(d string) { must(os.Symlink("/dev/zero", d+"/hosts/x.cue")) }, "hosts/x.cue:1:1: GEN102: the file cannot be read: it is no file"},
		"100 MB": {func(d string) {
			write(t, d+"/hosts/x.cue", "package hosts\n")
			must(os.Truncate(d+"/hosts/x.cue", 100_000_000))
		}, "hosts/x.cue:1:1: GEN102: the file cannot be read: it has 95 MiB"},
		"not UTF-8":          {func(d string) { write(t, d+"/hosts/x.cue", "package hosts\n\n// caf\xe9\n") }, "hosts/x.cue:1:1: GEN102: the file is not UTF-8"},
		"a zero byte":        {func(d string) { write(t, d+"/hosts/x.cue", "package hosts\n_x: \"a\x00b\"\n") }, "hosts/x.cue:2:"},
		"a million brackets": {func(d string) { write(t, d+"/hosts/x.cue", "package hosts\n_x: "+strings.Repeat("[", 1_000_000)) }, "hosts/x.cue:1:1: GEN102: the file has more than 1000 brackets"},
		"a 100 MB secret": {func(d string) {
			write(t, d+"/hosts/secrets/x.age", "")
			must(os.Truncate(d+"/hosts/secrets/x.age", 100_000_000))
		}, "hosts/secrets/x.age:1:1: GEN102"},
		"a secret in a circle": {func(d string) {
			write(t, d+"/hosts/secrets/y.age", "")
			must(os.Remove(d + "/hosts/secrets/y.age"))
			must(os.Symlink("y.age", d+"/hosts/secrets/y.age"))
		}, "hosts/secrets/y.age:1:1: GEN102"},
		"a module's pipe": {func(d string) {
			must(os.Mkdir(d+"/cue.mod", 0o755))
			must(syscall.Mkfifo(d+"/cue.mod/module.cue", 0o644))
		}, "cue.mod/module.cue:1:1: GEN102"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir+"/hosts/fleet.cue", minimal)
			c.make(dir)
			said, code := gen(t, "-C", dir, "-o", filepath.Join(dir, "out"))
			all := toldIn(t, said)
			if code != found || len(all) != 1 || !strings.HasPrefix(said, c.says) || !strings.Contains(said, "hint: ") {
				t.Errorf("exit %d, and %d findings, want one that begins with %s:\n%s", code, len(all), c.says, said)
			}
			if _, err := os.Stat(filepath.Join(dir, "out")); err == nil {
				t.Error("it wrote something")
			}
		})
	}
}

// TestUnreadable: a file that the user may not read, which root may.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/hosts/fleet.cue", minimal)
	write(t, dir+"/hosts/x.cue", "package hosts\n")
	if err := os.Chmod(dir+"/hosts/x.cue", 0); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(os.Args[0], "check", "-C", ".")
	c.Dir, c.Env = dir, append(os.Environ(), "GEN_TEST_AS_GEN=1")
	if os.Getuid() == 0 { // gen runs as nobody, from a copy that nobody can reach
		program := filepath.Join(dir, "gen")
		b, err := os.ReadFile(os.Args[0])
		if err != nil || os.WriteFile(program, b, 0o755) != nil {
			t.Fatal(err)
		}
		for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		c.Path = program
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	_ = c.Run()
	const says = "hosts/x.cue:1:1: GEN102: the file cannot be read: permission denied\n    hint: let the user who runs gen read it\n"
	if c.ProcessState.ExitCode() != found || stderr.String() != says {
		t.Errorf("exit %d: %s", c.ProcessState.ExitCode(), stderr.String())
	}
}
