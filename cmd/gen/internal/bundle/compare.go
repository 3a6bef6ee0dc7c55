package bundle

import (
	"bytes"
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// A Change is what a run does at one path of a directory. Write, diff and the
// comparison with golden files all work from the same changes, so that none of
// them can tell another story.
type Change struct {
	Path string
	Old  fs.FileInfo // what is there, not followed if it is a link; nil for nothing
	New  *File       // what comes there; nil for nothing
	Same bool        // in what it holds: only the mode changes
}

// temp begins the names of files that are not finished.
const temp = ".gen-"

// A folder is what compare reads, by paths with slashes below it. It follows no
// links, and lists directories after files.
type folder interface {
	list(dir string) ([]fs.FileInfo, error)
	read(path string, size int) ([]byte, error)
}

// compare is what has to change for a folder to hold exactly the bundle, sorted
// by path. Dotfiles at its top are somebody else's, and push leaves them here;
// further down everything is gen's, for install refuses what it does not know.
func (b Bundle) compare(f folder) ([]Change, error) {
	at := map[string]*Change{}
	for name := range b {
		file := b[name]
		at[name] = &Change{Path: name, New: &file}
	}
	if err := b.visit(f, ".", b.folders(), at); err != nil {
		return nil, err
	}
	var changes []Change
	for _, c := range at {
		changes = append(changes, *c)
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return changes, nil
}

// visit adds to the changes what is in dir, and takes out of them what is right.
func (b Bundle) visit(f folder, dir string, folders map[string]bool, at map[string]*Change) error {
	entries, err := f.list(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		if dir == "." && theirs(p) {
			continue
		}
		if e.IsDir() {
			if err := b.visit(f, p, folders, at); err != nil {
				return err
			}
			if folders[p] {
				continue
			}
		}
		switch c := at[p]; {
		case c == nil:
			at[p] = &Change{Path: p, Old: e}
		default:
			c.Old, c.Same = e, c.New.same(f, p, e)
			if c.Same && e.Mode() == fs.FileMode(c.New.Mode) {
				delete(at, p)
			}
		}
	}
	return nil
}

// theirs are the dotfiles that gen leaves alone.
func theirs(name string) bool {
	return strings.HasPrefix(name, ".") && !strings.HasPrefix(name, temp)
}

// same reports whether a file holds what it should. One that cannot be read does not.
func (f *File) same(in folder, path string, there fs.FileInfo) bool {
	if !there.Mode().IsRegular() || there.Size() != int64(len(f.Body)) {
		return false
	}
	body, err := in.read(path, len(f.Body))
	return err == nil && bytes.Equal(body, f.Body)
}

// folders are the directories that the bundle has.
func (b Bundle) folders() map[string]bool {
	folders := map[string]bool{}
	for name := range b {
		for p := path.Dir(name); p != "."; p = path.Dir(p) {
			folders[p] = true
		}
	}
	return folders
}

// inOrder is how changes are made, so that an interrupted run can be told and
// repaired: first what goes, and a directory after what is in it; then HOST, by
// which the next run knows the directory for gen's; the files; and SHA256SUMS,
// which fits nothing but the whole. Where everything goes, SHA256SUMS goes first and HOST last.
func inOrder(changes []Change) (gone, put []Change) {
	for _, c := range changes {
		if c.Old != nil && (c.New == nil || c.Old.IsDir()) { // a rename replaces anything but a directory
			gone = append(gone, c)
		}
		if c.New != nil {
			put = append(put, c)
		}
	}
	slices.Reverse(gone)
	sortBy(gone, map[string]int{sums: -1, "HOST": 1})
	sortBy(put, map[string]int{"HOST": -1, sums: 1})
	return gone, put
}

func sortBy(changes []Change, rank map[string]int) {
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Compare(rank[a.Path], rank[b.Path]) })
}
