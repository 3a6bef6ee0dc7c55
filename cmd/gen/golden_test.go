package main

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "accept what gen writes now as golden")

const (
	repository = "../.."
	cases      = "../../golden/cases"
	accept     = "to accept it, after reading it: go test ./cmd/gen -update"
)

// TestGoldenFleet pins what this repository's own fleet compiles to, byte for byte.
func TestGoldenFleet(t *testing.T) {
	const golden = "../../golden/fleet"
	if *update {
		if out, code := gen(t, "-C", repository, "-o", golden); code != ok {
			t.Fatal(out)
		}
	}
	got := t.TempDir()
	if out, code := gen(t, "-C", repository, "-o", got); code != ok || out != "" {
		t.Fatalf("exit %d, and it says %q", code, out)
	}
	if diff := cmp.Diff(readTree(t, golden), readTree(t, got)); diff != "" {
		t.Errorf("golden/fleet (-) is not what gen writes (+); %s\n%s", accept, diff)
	}
}

// TestGoldenCases compiles small fleets, one idea each. A case holds want/, the
// trees of its hosts (and fleet/ where that is the idea), or err, what gen says.
func TestGoldenCases(t *testing.T) {
	for _, name := range caseNames(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, out := filepath.Join(cases, name), t.TempDir()
			said, code := genCase(t, dir, out)
			if *update {
				updateCase(t, dir, out, said, code)
			}
			want, err := os.ReadFile(filepath.Join(dir, "err"))
			if err == nil {
				if code != found {
					t.Errorf("exit %d, want %d", code, found)
				}
				if diff := cmp.Diff(string(want), said); diff != "" {
					t.Errorf("it says (+) other than err (-); %s\n%s", accept, diff)
				}
				if left := readTree(t, out); len(left) > 0 {
					t.Errorf("files were written although there are findings: %v", left)
				}
				return
			}
			if code != ok || said != "" {
				t.Fatalf("exit %d, and it says %q", code, said)
			}
			if diff := cmp.Diff(readTree(t, filepath.Join(dir, "want")), wanted(t, dir, readTree(t, out))); diff != "" {
				t.Errorf("want (-) is not what gen writes (+); %s\n%s", accept, diff)
			}
		})
	}
}

// genCase compiles a case. One that has golden/ is compared with that.
func genCase(t *testing.T, dir, out string) (said string, code int) {
	t.Helper()
	golden := filepath.Join(dir, "golden")
	if _, err := os.Stat(golden); err != nil {
		return gen(t, "-C", dir, "-o", out)
	}
	said, code = gen(t, "check", "-C", dir, "-golden", golden)
	return strings.ReplaceAll(said, golden, "golden"), code
}

// TestCasesSayWhatTheyShow keeps the first line of every case a sentence.
func TestCasesSayWhatTheyShow(t *testing.T) {
	for _, name := range caseNames(t) {
		for _, file := range []string{"fleet.cue", "broken.cue"} {
			b, err := os.ReadFile(filepath.Join(cases, name, "hosts", file))
			if err != nil {
				continue
			}
			first, _, _ := strings.Cut(string(b), "\n")
			if !strings.HasPrefix(first, "// ") || !strings.HasSuffix(first, ".") {
				t.Errorf("%s: hosts/%s begins with %q, not with a sentence", name, file, first)
			}
		}
	}
}

func caseNames(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(cases)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// gen runs the program and returns all it says.
func gen(t *testing.T, args ...string) (said string, code int) {
	t.Helper()
	var b bytes.Buffer
	code = run(args, &b, &b)
	return b.String(), code
}

// readTree reads the files below a directory, by path. A directory that is not there is empty.
func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		files[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files
}

// wanted leaves out what is the same for every host; and, unless the case shows
// them, what belongs to none, and runbooks.
func wanted(t *testing.T, dir string, files map[string]string) map[string]string {
	t.Helper()
	_, err := os.Stat(filepath.Join(dir, "want/fleet"))
	sums := map[string]string{}
	for p, body := range files {
		if host, file, _ := strings.Cut(p, "/"); file == "SHA256SUMS" {
			sums[host] = body
		}
	}
	for p := range files {
		host, file, _ := strings.Cut(p, "/")
		_, unshown := os.Stat(filepath.Join(dir, "want", host, "RUNBOOK.md"))
		if host == "fleet" && err != nil || file == "RUNBOOK.md" && unshown != nil || slices.Contains([]string{"install", "push", "SHA256SUMS"}, file) {
			delete(files, p)
		}
		if file == "user-data" { // one that names a hash would follow every change of install
			sums := fmt.Sprintf("%x", sha256.Sum256([]byte(sums[host])))
			files[p] = strings.ReplaceAll(files[p], sums, "SHA256-OF-SHA256SUMS")
		}
	}
	return files
}

func updateCase(t *testing.T, dir, out, said string, code int) {
	t.Helper()
	want, errFile := filepath.Join(dir, "want"), filepath.Join(dir, "err")
	files := wanted(t, dir, readTree(t, out))
	for _, old := range []string{want, errFile} {
		if err := os.RemoveAll(old); err != nil {
			t.Fatal(err)
		}
	}
	if code != ok {
		if err := os.WriteFile(errFile, []byte(said), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for p, body := range files {
		to := filepath.Join(want, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
