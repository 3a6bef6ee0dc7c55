package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// temp begins the names of files that are not finished. Readers ignore
// dotfiles, and so does the search for files that do not belong.
const temp = ".gen-"

// A Foreign directory is one that gen did not make and will not write into.
type Foreign struct{ Dir string }

func (f *Foreign) Error() string { return f.Dir + " is not gen's" }

// Ours reports whether dir may be written as the directory of name: it is
// absent or empty, or holds a HOST that says so.
func Ours(dir, name string) error {
	host, err := os.ReadFile(filepath.Join(dir, "HOST"))
	if err == nil && string(host) == name+"\n" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), temp) })
	if len(entries) > 0 {
		return &Foreign{dir}
	}
	return nil
}

// Write makes dir hold exactly the bundle, dotfiles aside. A file that is right
// is left untouched, any other replaced by a rename, so that a reader never sees
// half of one; HOST is written first and SHA256SUMS last.
func (b Bundle) Write(dir string) error {
	if err := mkdirs(dir, 0); err != nil {
		return err
	}
	for _, name := range b.Names() {
		if err := b[name].put(dir, name); err != nil {
			return err
		}
	}
	return b.sweep(dir)
}

func (f File) put(dir, name string) error {
	to := filepath.Join(dir, filepath.FromSlash(name))
	if f.right(to) {
		return nil
	}
	if err := mkdirs(filepath.Dir(to), strings.Count(name, "/")); err != nil {
		return err
	}
	if info, err := os.Lstat(to); err == nil && info.IsDir() {
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	t, err := os.CreateTemp(filepath.Dir(to), temp+"*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name()) // nothing there after a success
	_, err = t.Write(f.Body)
	if err := errors.Join(err, t.Chmod(fs.FileMode(f.Mode)), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), to)
}

// right reports whether the file at a path is already what it should be.
func (f File) right(at string) bool {
	info, err := os.Lstat(at)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != fs.FileMode(f.Mode) || info.Size() != int64(len(f.Body)) {
		return false
	}
	have, err := os.ReadFile(at)
	return err == nil && bytes.Equal(have, f.Body)
}

// mkdirs makes a directory and those above it, with their modes set: a umask
// does not change what gen writes. A file of ours where one goes is removed.
func mkdirs(dir string, ours int) error {
	info, err := os.Lstat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err == nil && info.Mode().IsRegular() && ours > 0 {
		if err := os.Remove(dir); err != nil {
			return err
		}
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := mkdirs(parent, ours-1); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	return os.Chmod(dir, 0o755)
}

// sweep removes what the bundle does not have, and directories left empty.
func (b Bundle) sweep(dir string) error {
	keep := map[string]bool{".": true}
	for name := range b {
		for p := name; p != "."; p = path.Dir(p) {
			keep[p] = true
		}
	}
	var gone []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		switch name := e.Name(); {
		case keep[filepath.ToSlash(rel)]:
			return nil
		case strings.HasPrefix(name, ".") && !strings.HasPrefix(name, temp):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			gone = append(gone, p)
			return nil
		}
		return os.Remove(p)
	})
	if err != nil {
		return err
	}
	for _, p := range slices.Backward(gone) {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrExist) && !strings.Contains(err.Error(), "not empty") {
			return err
		}
	}
	return nil
}

// Remove takes away the directory of a host that is gone, dotfiles aside. Its
// HOST goes last, so that an interrupted run can be repeated.
func Remove(dir string) error {
	if err := (Bundle{"HOST": {}}).sweep(dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "HOST")); err != nil {
		return err
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return err
	}
	return os.Remove(dir)
}

// Stale are the directories in out that gen made for hosts that are no longer
// in the fleet: those that hold a HOST naming them.
func Stale(out string, names []string) (stale []string, err error) {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		host, err := os.ReadFile(filepath.Join(out, e.Name(), "HOST"))
		if err == nil && string(host) == e.Name()+"\n" && !slices.Contains(names, e.Name()) && e.IsDir() {
			stale = append(stale, filepath.Join(out, e.Name()))
		}
	}
	return stale, err
}
