package bundle

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A Foreign directory is one that gen will not write into.
type Foreign struct{ Dir, Why string }

func (f *Foreign) Error() string { return f.Dir + " " + f.Why }

// besides are what may lie in an empty OUT: a repository keeps it so.
var besides = []string{".git", ".gitattributes", ".gitignore", ".gitkeep"}

// Claim refuses, with a Foreign, to write the directories of these names in
// out: each must be absent, or hold nothing but dotfiles, or a HOST that says
// its name; and out must not be full of other things, such as somebody's home.
func Claim(out string, names []string) error {
	info, err := os.Stat(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return &Foreign{out, "is below a file"}
	case err != nil:
		return fail("read", out, err)
	case !info.IsDir():
		return &Foreign{out, "is not a directory"}
	case hostOf(out) != "":
		return &Foreign{out, "is the directory of " + hostOf(out) + " itself"}
	}
	for _, name := range names {
		if err := claim(out, name); err != nil {
			return err
		}
	}
	return claimOut(out)
}

// claim looks at the directory of one name.
func claim(out, name string) error {
	dir := filepath.Join(out, name)
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fail("read", dir, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return &Foreign{dir, "is a symbolic link, and gen follows none"}
	case !info.IsDir():
		return &Foreign{dir, "is not a directory"}
	}
	switch host := hostOf(dir); host {
	case name:
		return nil
	case "":
		return claimEmpty(dir)
	default:
		return &Foreign{dir, "is the directory of " + host}
	}
}

func claimEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another run has just removed it
	}
	if err != nil {
		return fail("read", dir, err)
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), ".") }) {
		return &Foreign{dir, "holds files that gen did not make"}
	}
	return nil
}

// claimOut looks at all of out: something in it is gen's already, or there is
// nothing in it but directories that an interrupted run may have left.
func claimOut(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil {
		return fail("read", out, err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return slices.Contains(besides, e.Name()) })
	strange := false
	for _, e := range entries {
		dir := filepath.Join(out, e.Name())
		switch {
		case e.IsDir() && hostOf(dir) == e.Name():
			return nil
		case !e.IsDir(), strings.HasPrefix(e.Name(), "."), claimEmpty(dir) != nil:
			strange = true
		}
	}
	if strange {
		return &Foreign{out, "holds files that gen did not make"}
	}
	return nil
}

// hostOf is whose directory this is, as its HOST says; "" if it is no host's.
func hostOf(dir string) string {
	at := filepath.Join(dir, "HOST")
	const longest = 256
	if info, err := os.Lstat(at); err != nil || !info.Mode().IsRegular() || info.Size() > longest {
		return ""
	}
	b, err := os.ReadFile(at)
	name, whole := strings.CutSuffix(string(b), "\n")
	if err != nil || !whole || name == "" || strings.ContainsAny(name, "/\n ") {
		return ""
	}
	return name
}

// Stale are the names of directories in out that gen made for hosts which are
// no longer in the fleet: those that hold a HOST naming them.
func Stale(out string, names []string) (stale []string, err error) {
	entries, err := os.ReadDir(out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(names, e.Name()) && hostOf(filepath.Join(out, e.Name())) == e.Name() {
			stale = append(stale, e.Name())
		}
	}
	return stale, fail("read", out, err)
}
