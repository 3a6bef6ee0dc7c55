package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/bundle"
)

// TestDiff: what gen diff prints is what gen does, and it does nothing itself.
func TestDiff(t *testing.T) {
	before, after := tinyFleets(t)
	out, patched := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "patched")
	if said, code := gen(t, "diff", "-C", before, "-o", out); code != found || strings.Count(said, "new file mode") != strings.Count(said, "diff --git") {
		t.Errorf("exit %d for a directory that is not there:\n%s", code, said)
	}
	if _, err := os.Lstat(out); err == nil {
		t.Fatal("gen diff made a directory")
	}
	mustGen(t, "-C", before, "-o", out)
	if said, code := gen(t, "diff", "-C", before, "-o", out); code != ok || said != "" {
		t.Errorf("exit %d where nothing is to do: %s", code, said)
	}
	mustGen(t, "-C", before, "-o", patched)

	was := stats(t, out)
	diff, code := gen(t, "diff", "-C", after, "-o", out)
	if code != found {
		t.Fatalf("exit %d: %s", code, diff)
	}
	if changed := cmp.Diff(was, stats(t, out)); changed != "" {
		t.Errorf("gen diff touched files:\n%s", changed)
	}
	for _, want := range []string{
		"\n-Image=docker.io/library/demo:1\n+Image=docker.io/library/demo:2\n",
		"diff --git a/gone/HOST b/gone/HOST\ndeleted file mode 100644\n--- a/gone/HOST\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-gone\n",
		"diff --git a/new/LINES b/new/LINES\nnew file mode 100644\ndiff --git",
		"\n+without a newline\n\\ No newline at end of file\n",
	} {
		if !strings.Contains(diff, want) {
			t.Errorf("gen diff does not print\n%s\nbut\n%s", want, diff)
		}
	}
	mustGen(t, "-C", after, "-o", out, "-host", "one")
	if said, code := gen(t, "diff", "-C", after, "-o", out, "-host", "one"); code != ok || said != "" {
		t.Errorf("exit %d after gen -host one: %s", code, said)
	}
	run(strings.Fields("-C "+after+" -o "+out), &bytes.Buffer{}, &bytes.Buffer{})
	for _, judge := range judges {
		judge := judge
		t.Run(judge.name, func(t *testing.T) {
			got := filepath.Join(t.TempDir(), "patched")
			if err := os.CopyFS(got, os.DirFS(patched)); err != nil {
				t.Fatal(err)
			}
			judge.apply(t, got, diff)
			if changed := cmp.Diff(withModes(t, out), withModes(t, got)); changed != "" {
				t.Errorf("the patch makes another tree (+) than gen (-):\n%s", changed)
			}
		})
	}
}

// A judge applies patches.
type judge struct {
	name string
	args []string
}

var judges = []judge{
	{"git", []string{"apply", "--whitespace=nowarn"}},
	{"patch", []string{"-p1", "--force", "--no-backup-if-mismatch"}},
}

func (j judge) apply(t *testing.T, dir, diff string) {
	t.Helper()
	at, err := exec.LookPath(j.name)
	if err != nil {
		without(t, j.name)
	}
	c := exec.Command(at, j.args...)
	c.Dir, c.Stdin = dir, strings.NewReader(diff)
	c.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s\nthe patch:\n%s", j.name, err, said, diff)
	}
}

// withModes are the files below a directory, with their modes.
func withModes(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := readTree(t, dir)
	for p := range all {
		info, err := os.Lstat(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		all[p] = info.Mode().String() + " " + all[p]
	}
	return all
}

// TestDiffsOfGoldenApply: from every golden host to the next, git apply and
// patch make of the one what gen makes of it.
func TestDiffsOfGoldenApply(t *testing.T) {
	hosts := goldenHosts(t)
	old := goldenBundle(t, hosts[len(hosts)-1])
	for _, host := range hosts {
		now := goldenBundle(t, host)
		t.Run(strings.TrimPrefix(host, "../../golden/"), func(t *testing.T) {
			for _, judge := range judges {
				applies(t, judge, old, now)
			}
		})
		old = now
	}
}

func goldenBundle(t *testing.T, dir string) bundle.Bundle {
	t.Helper()
	b := bundle.Bundle{"install": {Mode: 0o755, Body: []byte("#!/bin/sh\n")}}
	for p, body := range readTree(t, dir) {
		b[p] = bundle.File{Mode: 0o644, Body: []byte(body)}
	}
	return b
}

// textual leaves out ciphertexts, which no patch brings.
func textual(all map[string]string) map[string]string {
	maps.DeleteFunc(all, func(p, _ string) bool { return strings.HasSuffix(p, ".age") })
	return all
}

// applies writes one bundle, and has the diff to another applied to it.
func applies(t *testing.T, j judge, old, now bundle.Bundle) {
	t.Helper()
	out := t.TempDir()
	d := target{name: "h", dir: filepath.Join(out, "h"), bundle: now}
	var diff bytes.Buffer
	p := &patch{to: &diff, paint: func(_, text string) string { return text }}
	if err := old.Write(d.dir); err != nil {
		t.Fatal(err)
	}
	if err := p.directory(d); err != nil {
		t.Fatal(err)
	}
	if p.records > 0 {
		j.apply(t, out, diff.String())
	}
	for p, body := range readTree(t, d.dir) {
		if strings.HasSuffix(p, ".age") && body != string(old[p].Body) {
			t.Errorf("%s touches the ciphertext %s", j.name, p)
		}
	}
	got := textual(withModes(t, d.dir))
	if err := now.Write(d.dir); err != nil {
		t.Fatal(err)
	}
	if changed := cmp.Diff(textual(withModes(t, d.dir)), got); changed != "" {
		t.Errorf("%s makes another tree (+) than gen (-):\n%s\nthe patch:\n%s", j.name, changed, diff.String())
	}
}

// TestDiffsApply: many changes of all kinds at once, with names, line ends and
// lines that a patch could be misread by.
func TestDiffsApply(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, judge := range judges {
		old := bundle.Bundle{}
		for range 40 {
			now := anyText(random, old)
			applies(t, judge, old, now)
			old = now
		}
	}
}

var (
	oddNames = []string{"plain", "with blank", `quo"te`, `back\slash`, "tab\tin it", "ümlaut", "-dash", "a/b/c", "a/d", "z.d/x", "b c/d e"}
	oddLines = []string{"", " ", "a", "b", "-- a/x", "++ b/x", "@@ -1 +1 @@", "diff --git a/x b/x", "\\ No newline at end of file",
		"\tindented", "trailing ", "carriage return\r", "ä – 🙂", "}", "}", "[Unit]"}
)

// anyText is a bundle of text that has something to do with another one.
func anyText(random *rand.Rand, old bundle.Bundle) bundle.Bundle {
	b := bundle.Bundle{}
	for _, name := range oddNames {
		was, there := old[name]
		switch {
		case random.IntN(4) == 0:
			continue
		case there && random.IntN(3) == 0:
			b[name] = was
			continue
		}
		lines := strings.SplitAfter(string(was.Body), "\n")
		for range random.IntN(20) {
			at, line := random.IntN(len(lines)+1), oddLines[random.IntN(len(oddLines))]+"\n"
			if random.IntN(3) == 0 && at < len(lines) {
				lines = slices.Delete(lines, at, at+1)
			} else if at < len(lines) || strings.HasSuffix(strings.Join(lines, ""), "\n") || len(lines) == 0 {
				lines = slices.Insert(lines, at, line)
			}
		}
		body := strings.Join(lines, "")
		if random.IntN(4) == 0 {
			body = strings.TrimSuffix(body, "\n")
		}
		b[name] = bundle.File{Mode: []uint32{0o644, 0o755}[random.IntN(2)], Body: []byte(body)}
	}
	for _, name := range []string{"a/secret.age", "zz.age"} {
		if random.IntN(3) > 0 {
			b[name] = bundle.File{Mode: 0o644, Body: []byte{0, byte(random.IntN(2))}}
		}
	}
	return b
}

// FuzzDiff: whatever two texts are, the patch makes the one of the other.
func FuzzDiff(f *testing.F) {
	f.Add("a\nb\nc\n", "a\nc\nd")
	f.Add("", "x")
	f.Add("a\n\na\n\na\n", "a\n\na\n")
	f.Add("}\n}\n", "}\r\n}\n}")
	f.Add("\n0\n\n\n\n\n\n", "0\n\n\n\n\n\n0") // two hunks
	f.Fuzz(func(t *testing.T, old, now string) {
		if strings.Contains(old+now, "\x00") || !utf8.ValidString(old) || !utf8.ValidString(now) {
			t.Skip("no text")
		}
		var diff bytes.Buffer
		p := &patch{to: &diff, paint: func(_, text string) string { return text }}
		if old != now {
			p.hunks([]byte(old), []byte(now))
		}
		if got := patched(t, old, diff.String()); got != now {
			t.Errorf("%q becomes %q, not %q, by\n%s", old, got, now, diff.String())
		}
	})
}

// patched applies hunks as their definition has it.
func patched(t *testing.T, old, hunks string) string {
	t.Helper()
	lines := strings.SplitAfter(old, "\n")
	var out strings.Builder
	at := 0
	for _, hunk := range strings.Split("\n"+hunks, "\n@@ ")[1:] {
		head, body, _ := strings.Cut(hunk, "\n")
		var from, n, to, m int
		if _, err := fmt.Sscanf(head, "-%d,%d +%d,%d @@", &from, &n, &to, &m); err != nil {
			t.Fatalf("%s: %v", head, err)
		}
		for ; at < from-min(n, 1); at++ {
			out.WriteString(lines[at])
		}
		body = strings.TrimSuffix(body, "\n") + "\n" // the split took it from all but the last
		body = strings.ReplaceAll(body, "\n\\ No newline at end of file\n", "\x00\n")
		for line := range strings.Lines(body) {
			text, whole := line[1:], !strings.HasSuffix(line, "\x00\n")
			if !whole {
				text = strings.TrimSuffix(text, "\x00\n")
			}
			if line[0] != '+' {
				if lines[at] != text {
					t.Fatalf("line %d is %q, not %q", at+1, lines[at], text)
				}
				at++
			}
			if line[0] != '-' {
				out.WriteString(text)
			}
		}
	}
	return out.String() + strings.Join(lines[min(at, len(lines)):], "")
}

// TestDiffOfOddities: what is no text, and what is no file.
func TestDiffOfOddities(t *testing.T) {
	out := t.TempDir()
	d := target{name: "h", dir: filepath.Join(out, "h"), bundle: bundle.Bundle{
		"HOST": {Mode: 0o644, Body: []byte("h\n")}, "a.age": {Mode: 0o644, Body: []byte("new\x00")}, "b.age": {Mode: 0o644, Body: []byte("\xff")},
		"dir": {Mode: 0o644, Body: []byte("now a file\n")}, "file/x": {Mode: 0o644, Body: []byte("below\n")}, "link": {Mode: 0o755, Body: []byte("x\n")},
	}}
	write(t, filepath.Join(d.dir, "HOST"), "h\n")
	write(t, filepath.Join(d.dir, "a.age"), "old\x00")
	write(t, filepath.Join(d.dir, "c.age"), "\xfe")
	write(t, filepath.Join(d.dir, "dir/x"), "x\n")
	write(t, filepath.Join(d.dir, "file"), "now a directory\n")
	write(t, filepath.Join(d.dir, "empty"), "")
	write(t, filepath.Join(d.dir, ".keep"), "not gen's")
	if err := os.Symlink("HOST", filepath.Join(d.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(d.dir, "nothing/in it"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(d.dir, "HOST"), 0o600); err != nil {
		t.Fatal(err)
	}
	var diff bytes.Buffer
	p := &patch{to: &diff, paint: func(_, text string) string { return text }}
	if err := p.directory(d); err != nil {
		t.Fatal(err)
	}
	const want = `diff --git a/h/HOST b/h/HOST
old mode 100600
new mode 100644

Binary files a/h/a.age and b/h/a.age differ

Binary files /dev/null and b/h/b.age differ

Binary files a/h/c.age and /dev/null differ
diff --git a/h/dir/x b/h/dir/x
deleted file mode 100644
--- a/h/dir/x
+++ /dev/null
@@ -1,1 +0,0 @@
-x
diff --git a/h/dir b/h/dir
new file mode 100644
--- /dev/null
+++ b/h/dir
@@ -0,0 +1,1 @@
+now a file
diff --git a/h/empty b/h/empty
deleted file mode 100644
diff --git a/h/file b/h/file
deleted file mode 100644
--- a/h/file
+++ /dev/null
@@ -1,1 +0,0 @@
-now a directory
diff --git a/h/file/x b/h/file/x
new file mode 100644
--- /dev/null
+++ b/h/file/x
@@ -0,0 +1,1 @@
+below
diff --git a/h/link b/h/link
deleted file mode 120000
--- a/h/link
+++ /dev/null
@@ -1,1 +0,0 @@
-HOST
\ No newline at end of file
diff --git a/h/link b/h/link
new file mode 100755
--- /dev/null
+++ b/h/link
@@ -0,0 +1,1 @@
+x
`
	if changed := cmp.Diff(want, diff.String()); changed != "" {
		t.Errorf("gen diff prints (+) other than expected (-):\n%s", changed)
	}
}

// tinyFleets are a small fleet before and after some changes: a version, files
// that come, go and grow, a host that comes and one that goes.
func tinyFleets(t *testing.T) (before, after string) {
	t.Helper()
	const fleet = `package hosts

import "gen.example/schema"

fleet: domain: "example.org"
hosts: one: {
	os:      "debian-13"
	address: "203.0.113.1"
	services: demo: schema.#Service & {containers: app: {
		image: "docker.io/library/demo:VERSION"
		health: command: ["demo", "ping"]
		files: "/etc/demo/CHANGING.conf": text: "a\nb\nc\n"
		files: "/etc/demo/bare.txt": text: TEXT
	}}
	files: "/etc/motd": text: "Welcome.\n"
}
hosts: HOST: {
	os:      "debian-13"
	address: "203.0.113.2"
}
`
	make := func(version, file, text, host string) string {
		dir := filepath.Join(t.TempDir(), "fleet")
		write(t, filepath.Join(dir, "hosts/fleet.cue"), strings.NewReplacer("VERSION", version, "CHANGING", file, "TEXT", text, "HOST", host).Replace(fleet))
		return dir
	}
	return make("1", "old", `"with a newline\n"`, "gone"), make("2", "new", `"without a newline"`, "new")
}

// TestGolden: what CI asks. It writes nothing, and does not mind what git does not keep.
func TestGolden(t *testing.T) {
	before, after := tinyFleets(t)
	golden := filepath.Join(t.TempDir(), "golden")
	mustGen(t, "-C", before, "-o", golden)
	err := filepath.WalkDir(golden, func(p string, e fs.DirEntry, err error) error { // as a checkout with another umask
		info, _ := e.Info()
		return errors.Join(err, os.Chmod(p, info.Mode()|0o020))
	})
	if err := errors.Join(err, os.MkdirAll(golden+"/one/rootfs/empty", 0o755)); err != nil {
		t.Fatal(err)
	}
	was := everything(t, golden)
	mustGen(t, "check", "-C", before, "-golden", golden)

	said, code := gen(t, "check", "-C", after, "-golden", golden)
	rel, err := filepath.Rel(after, golden) // places are below the repository
	if err != nil {
		t.Fatal(err)
	}
	said = strings.NewReplacer(golden, "GOLDEN", rel, "GOLDEN").Replace(said)
	for _, line := range []string{
		"GOLDEN/gone:1:1: GEN701: is left over: the fleet has no such host\n", "GOLDEN/new:1:1: GEN701: is missing\n",
		"GOLDEN/one/UNITS:1:1: GEN701: is not what gen writes\n", "GOLDEN/one/rootfs/usr/local/etc/demo/app/etc/demo/new.conf:1:1: GEN701: is missing\n",
		"GOLDEN/one/rootfs/usr/local/etc/demo/app/etc/demo/old.conf:1:1: GEN701: is left over: gen writes no such file\n",
		"/IMAGES:1:1: GEN701: is not what gen writes\n    hint: gen diff -o GOLDEN shows the difference, and gen -o GOLDEN accepts it\n",
	} {
		if code != found || strings.Count(said, line) != 1 {
			t.Errorf("exit %d, and it does not say %q once:\n%s", code, line, said)
		}
	}
	if diff := cmp.Diff(was, everything(t, golden)); diff != "" {
		t.Errorf("it has touched something:\n%s", diff)
	}
	if err := os.Chmod(golden+"/one/install", 0o664); err != nil {
		t.Fatal(err)
	}
	if said, code := gen(t, "check", "-C", before, "-golden", golden); code != found || !strings.Contains(said, "one/install:1:1: GEN701: has mode 0664, and gen writes it with 0755\n") {
		t.Errorf("exit %d for a script that cannot be run: %s", code, said)
	}
}

// everything below a directory: its kind, identity, time and contents.
func everything(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all[p] = fmt.Sprint(info.Mode(), info.ModTime().UnixNano(), info.Sys().(*syscall.Stat_t).Ino)
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			all[p] += string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
