package bundle

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// small is a bundle with something of everything.
func small() Bundle {
	return Bundle{
		"HOST": {0o644, []byte("vps1\n")}, "install": {0o755, []byte("#!/bin/sh\n")}, "LINES": {0o644, nil},
		"rootfs/etc/motd": {0o644, []byte("hello\n")}, "rootfs/etc/app/.hidden": {0o644, []byte("x")},
		"secrets/a.age": {0o644, []byte("\x00\xff")}, sums: {0o644, []byte("sums\n")},
	}
}

// TestWriteRepairs: whatever lies in the directory, after a run it holds the
// bundle and nothing else, nothing outside has changed, and there is no more to do.
func TestWriteRepairs(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"nothing": func(string) error { return nil },
		"absent":  os.RemoveAll,
		"damaged": func(dir string) error { return os.WriteFile(dir+"/rootfs/etc/motd", []byte("hallo\n"), 0o644) },
		"cut":     func(dir string) error { return os.Truncate(dir+"/install", 0) },
		"removed": func(dir string) error { return os.RemoveAll(dir + "/rootfs") },
		"mode":    func(dir string) error { return os.Chmod(dir+"/rootfs/etc/motd", 0o600) },
		"setuid":  func(dir string) error { return os.Chmod(dir+"/install", 0o755|fs.ModeSetuid) },
		"left":    func(dir string) error { return os.WriteFile(dir+"/rootfs/etc/old", nil, 0o644) },
		"hidden":  func(dir string) error { return os.WriteFile(dir+"/rootfs/etc/.old", nil, 0o644) },
		"empty":   func(dir string) error { return os.MkdirAll(dir+"/rootfs/srv/a/b", 0o755) },
		"killed": func(dir string) error {
			return first(os.WriteFile(dir+"/.gen-1", nil, 0o600), os.WriteFile(dir+"/rootfs/etc/.gen-99", nil, 0o600))
		},
		"a directory for a file": func(dir string) error {
			return first(os.Remove(dir+"/rootfs/etc/motd"), os.MkdirAll(dir+"/rootfs/etc/motd/.a/b", 0o755), os.WriteFile(dir+"/rootfs/etc/motd/.a/c", nil, 0o644))
		},
		"a file for a directory": func(dir string) error {
			return first(os.RemoveAll(dir+"/rootfs"), os.WriteFile(dir+"/rootfs", []byte("x"), 0o644))
		},
		"a link for a file": func(dir string) error {
			return first(os.Remove(dir+"/rootfs/etc/motd"), os.Symlink("../../../outside/file", dir+"/rootfs/etc/motd"))
		},
		"a link for a directory": func(dir string) error {
			return first(os.RemoveAll(dir+"/rootfs"), os.Symlink("../outside", dir+"/rootfs"))
		},
		"an absolute link": func(dir string) error {
			return first(os.RemoveAll(dir+"/rootfs/etc"), os.Symlink(filepath.Dir(dir)+"/outside", dir+"/rootfs/etc"))
		},
		"a link inside": func(dir string) error {
			return first(os.RemoveAll(dir+"/rootfs/etc"), os.Symlink("../secrets", dir+"/rootfs/etc"))
		},
		"a link left over": func(dir string) error { return os.Symlink("../../outside", dir+"/rootfs/old") },
		"a circle":         func(dir string) error { return os.Symlink(".", dir+"/rootfs/etc/etc") },
		"a pipe": func(dir string) error {
			return first(os.Remove(dir+"/install"), syscall.Mkfifo(dir+"/install", 0o755), syscall.Mkfifo(dir+"/rootfs/pipe", 0o644))
		},
		"another name for a file": func(dir string) error {
			return first(os.Remove(dir+"/rootfs/etc/motd"), os.Link(filepath.Dir(dir)+"/outside/file", dir+"/rootfs/etc/motd"))
		},
		"odd names": func(dir string) error { return os.WriteFile(dir+"/rootfs/a \n\"\xff", nil, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			dir, outside := filepath.Join(out, "vps1"), filepath.Join(out, "outside")
			err := first(os.MkdirAll(outside+"/app", 0o755), os.WriteFile(outside+"/file", []byte("mine\n"), 0o640), small().Write(dir),
				os.WriteFile(dir+"/.keep", nil, 0o600))
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if err := small().Write(dir); err != nil {
				t.Fatal(err)
			}
			want := small().listing()
			if name != "absent" {
				want[".keep"] = "-rw------- "
			}
			if diff := cmp.Diff(want, listing(t, dir)); diff != "" {
				t.Errorf("the directory (+) is not the bundle (-):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"file": "-rw-r----- mine\n", "app": "drwxr-xr-x"}, listing(t, outside)); diff != "" {
				t.Errorf("outside was changed:\n%s", diff)
			}
			if changes, err := small().Compare(dir); err != nil || len(changes) > 0 {
				t.Errorf("after a run there is still to do: %v %v", changes, err)
			}
		})
	}
}

// TestWriteRefusesLinks: a directory that is a link is nobody's to write into.
func TestWriteRefusesLinks(t *testing.T) {
	out := t.TempDir()
	if err := first(os.Mkdir(out+"/elsewhere", 0o755), os.Symlink("elsewhere", out+"/vps1"), os.Symlink("nowhere", out+"/vps2")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vps1", "vps2"} {
		if err := small().Write(filepath.Join(out, name)); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	want := map[string]string{"elsewhere": "drwxr-xr-x", "vps1": "Lrwxrwxrwx elsewhere", "vps2": "Lrwxrwxrwx nowhere"}
	if diff := cmp.Diff(want, listing(t, out)); diff != "" {
		t.Errorf("something was written:\n%s", diff)
	}
}

// TestAnyToAny goes from one random tree to another: names clash as files and
// directories, bodies grow and shrink, modes change.
func TestAnyToAny(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	dir := filepath.Join(t.TempDir(), "vps1")
	for i := range 200 {
		b := anyBundle(random)
		if err := b.Write(dir); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if diff := cmp.Diff(b.listing(), listing(t, dir)); diff != "" {
			t.Fatalf("%d: the directory (+) is not the bundle (-):\n%s", i, diff)
		}
		if changes, err := b.Compare(dir); err != nil || len(changes) > 0 {
			t.Fatalf("%d: there is still to do: %v %v", i, changes, err)
		}
	}
}

func anyBundle(random *rand.Rand) Bundle {
	b := Bundle{"HOST": {0o644, []byte("vps1\n")}}
	for range random.IntN(12) {
		name := "f"
		for range 1 + random.IntN(3) {
			name += "/" + string("abc"[random.IntN(3)])
		}
		b[name] = File{[]uint32{0o644, 0o755}[random.IntN(2)], []byte(strings.Repeat("x\n", random.IntN(4)))}
	}
	folders := b.folders()
	for name := range b {
		if folders[name] {
			delete(b, name)
		}
	}
	return b
}

// TestOrder: an interrupted run must be told and repaired.
func TestOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vps1")
	old := small()
	for _, name := range []string{"A", "rootfs/a/b/c", "zzz"} {
		old[name] = File{0o644, nil}
	}
	if err := old.Write(dir); err != nil {
		t.Fatal(err)
	}
	paths := func(changes []Change) string {
		var names []string
		for _, c := range changes {
			names = append(names, c.Path)
		}
		return strings.Join(names, " ")
	}
	changes, err := Bundle{"HOST": {0o644, []byte("new")}, "A/b": {0o644, nil}, "Z": {0o644, nil}, sums: {0o644, nil}}.Compare(dir)
	gone, put := inOrder(changes)
	if err != nil || paths(put) != "HOST A/b Z SHA256SUMS" {
		t.Errorf("it writes %s", paths(put))
	}
	if !strings.HasPrefix(paths(gone), "zzz secrets/a.age secrets rootfs/etc/motd ") || !strings.HasSuffix(paths(gone), " A") {
		t.Errorf("it removes %s", paths(gone))
	}
	changes, err = Bundle{}.Compare(dir)
	if gone, put = inOrder(changes); err != nil || len(put) > 0 || !strings.HasSuffix(paths(gone), " A HOST") {
		t.Errorf("where all goes, it removes %s", paths(gone))
	}
	if !slices.IsSortedFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) }) {
		t.Errorf("changes are not sorted: %s", paths(changes))
	}
}

// listing is what a directory with the bundle holds.
func (b Bundle) listing() map[string]string {
	all := map[string]string{}
	for name, f := range b {
		all[name] = fmt.Sprintf("%v %s", fs.FileMode(f.Mode), f.Body)
	}
	for folder := range b.folders() {
		all[folder] = "drwxr-xr-x"
	}
	return all
}

// listing is everything below a directory.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		all[rel] = info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			body, err := os.ReadFile(p)
			all[rel] += " " + string(body)
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			all[rel] += " " + to
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// first is the first error; all of it has happened by then.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
