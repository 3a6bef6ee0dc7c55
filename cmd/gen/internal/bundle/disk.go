package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"gen.example/cmd/gen/internal/parallel"
)

// A Failure is the machine's: it did not let us read, write or remove a path.
type Failure struct {
	Do   string
	Path string
	Err  error
}

// Error leaves out what package os says of its own calls and of unfinished files.
func (f *Failure) Error() string {
	err := f.Err
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return fmt.Sprintf("cannot %s %s: %v", f.Do, f.Path, err)
}

func (f *Failure) Unwrap() error { return f.Err }

// Hint says what to do about it, if we know.
func (f *Failure) Hint() string {
	switch {
	case errors.Is(f.Err, syscall.ENOSPC), errors.Is(f.Err, syscall.EDQUOT):
		return "make room and run gen again; every file that is there is whole"
	case errors.Is(f.Err, syscall.EROFS), errors.Is(f.Err, fs.ErrPermission):
		return "name a directory that you may write with -o"
	}
	return ""
}

// fail is a Failure for an error, nil for none.
func fail(do, path string, err error) error {
	if err == nil {
		return nil
	}
	return &Failure{do, path, err}
}

// Write makes dir hold exactly the bundle, dotfiles at its top aside. A file
// that is right is left untouched, any other replaced by a rename, so that a
// reader never sees half of one. It does not wait for the disk: after a power
// cut the next run finds by their contents the files that did not get there,
// and until then SHA256SUMS gives them away to push.
func (b Bundle) Write(dir string) error { return b.WriteUntil(context.Background(), dir) }

// WriteUntil is Write, and stops between two files when the context ends.
func (b Bundle) WriteUntil(ctx context.Context, dir string) error {
	out, name := split(dir)
	if err := mkdirs(out); err != nil {
		return fail("make", out, err)
	}
	parent, err := os.OpenRoot(out)
	if err != nil {
		return fail("read", out, err)
	}
	defer parent.Close()
	unlock, err := lock(ctx, parent)
	if err != nil {
		return err
	}
	defer unlock()
	root, err := enter(parent, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := mkdirIn(parent, name); err != nil {
			return fail("make", dir, err)
		}
		root, err = enter(parent, name)
	}
	if err != nil {
		return fail("write", dir, err)
	}
	d := newDisk(dir, root)
	defer d.close()
	changes, err := b.compare(d)
	if err != nil {
		return err
	}
	return d.apply(ctx, changes)
}

// Compare is what Write would change in dir.
func (b Bundle) Compare(dir string) ([]Change, error) {
	out, name := split(dir)
	parent, err := os.OpenRoot(out)
	if errors.Is(err, fs.ErrNotExist) {
		return b.compare(&disk{})
	}
	if err != nil {
		return nil, fail("read", out, err)
	}
	defer parent.Close()
	root, err := enter(parent, name)
	if errors.Is(err, fs.ErrNotExist) {
		return b.compare(&disk{})
	}
	if err != nil {
		return nil, fail("read", dir, err)
	}
	d := newDisk(dir, root)
	defer d.close()
	return b.compare(d)
}

// Remove takes away the directory of a host that is gone, dotfiles aside.
func Remove(ctx context.Context, dir string) error {
	if err := (Bundle{}).WriteUntil(ctx, dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) == 0 {
		err = os.Remove(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another run did it
	}
	return fail("remove", dir, err)
}

// split is the directory above, and the name in it.
func split(dir string) (out, name string) {
	return filepath.Dir(filepath.Clean(dir)), filepath.Base(dir)
}

// enter opens a directory in another one, which is no link out of it or to
// another host's.
func enter(parent *os.Root, name string) (*os.Root, error) {
	info, err := parent.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, syscall.ENOTDIR
	}
	return parent.OpenRoot(name)
}

// mkdirs makes a directory and those above it.
func mkdirs(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := mkdirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
		return otherwise(os.Stat(dir))
	} else if err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// otherwise is why something that is there cannot serve as a directory. Another
// run may have made one in the meantime.
func otherwise(info fs.FileInfo, err error) error {
	if err == nil && !info.IsDir() {
		return syscall.ENOTDIR
	}
	return err
}

// mkdirIn makes a directory with its mode set: a umask does not change what gen writes.
func mkdirIn(root *os.Root, name string) error {
	if err := root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return root.Chmod(name, 0o755)
}

// A disk is a directory of ours. Nothing in it leads out of it: an os.Root
// refuses links that do, and compare follows no others.
type disk struct {
	dir string  // as the user calls it
	way []level // those that are open, each in the one before; none if there is no directory

	number int // of those that write side by side
}

// A level is an open directory, and its path below that of the disk: "" for itself.
type level struct {
	path string
	root *os.Root
}

func newDisk(dir string, root *os.Root) *disk { return &disk{dir: dir, way: []level{{"", root}}} }

func (d *disk) close() { closeAll(d.way) }

func closeAll(way []level) {
	for _, l := range way {
		l.root.Close()
	}
}

// in is a directory below that of the disk. The way there stays open for the next file.
func (d *disk) in(dir string) (*os.Root, error) { return d.open(dir, false) }

func (d *disk) open(dir string, create bool) (*os.Root, error) {
	dir = strings.TrimPrefix(dir+"/", "./") // so that a level's path and a slash begin it
	last := len(d.way) - 1
	for ; last > 0 && !strings.HasPrefix(dir, d.way[last].path+"/"); last-- {
		d.way[last].root.Close()
	}
	d.way = d.way[:last+1]
	top := d.way[last]
	for rest := strings.TrimPrefix(strings.TrimPrefix(dir, top.path), "/"); rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		next, err := top.root.OpenRoot(name)
		if create && errors.Is(err, fs.ErrNotExist) {
			next, err = makeIn(top.root, name)
		}
		if err != nil {
			return nil, err
		}
		top = level{path.Join(top.path, name), next}
		d.way = append(d.way, top)
	}
	return top.root, nil
}

// path is a path as the user would write it.
func (d *disk) path(p string) string { return filepath.Join(d.dir, filepath.FromSlash(p)) }

func (d *disk) list(dir string) ([]fs.FileInfo, error) {
	if len(d.way) == 0 {
		return nil, nil
	}
	infos, err := d.infos(dir)
	slices.SortFunc(infos, func(a, b fs.FileInfo) int {
		if a.IsDir() != b.IsDir() {
			return map[bool]int{false: -1, true: 1}[a.IsDir()]
		}
		return cmp.Compare(a.Name(), b.Name())
	})
	return infos, fail("read", d.path(dir), err)
}

func (d *disk) infos(dir string) (infos []fs.FileInfo, err error) {
	root, err := d.in(dir)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(".", quick, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	for _, name := range names {
		info, gone := root.Lstat(name)
		if gone == nil {
			infos = append(infos, info)
		}
	}
	return infos, err
}

func (d *disk) read(p string, size int) ([]byte, error) {
	root, err := d.in(path.Dir(p))
	if err != nil || size == 0 {
		return nil, err
	}
	f, err := root.OpenFile(path.Base(p), quick, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body := make([]byte, size)
	_, err = io.ReadFull(f, body)
	return body, err
}

// quick is how files are opened. Package os then leaves out five calls that try
// whether it could wait for them; and nobody waits for a pipe.
const quick = syscall.O_NONBLOCK

// apply makes the changes. Between two of them it may stop.
func (d *disk) apply(ctx context.Context, changes []Change) error {
	gone, put := inOrder(changes)
	for _, c := range gone {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := d.remove(c.Path); err != nil {
			return fail("remove", d.path(c.Path), err)
		}
	}
	// HOST is whole before anything else begins, and all else before SHA256SUMS.
	from, to := 0, len(put)
	if from < to && put[from].Path == "HOST" {
		from++
	}
	if from < to && put[to-1].Path == sums {
		to--
	}
	if err := d.write(ctx, put[:from]); err != nil {
		return err
	}
	if err := d.writeSideBySide(ctx, put[from:to]); err != nil {
		return err
	}
	return d.write(ctx, put[to:])
}

// writeSideBySide writes as many parts of the files at a time as there are
// processors. Making a file takes the kernel longer than us.
func (d *disk) writeSideBySide(ctx context.Context, files []Change) error {
	parts := slices.Collect(slices.Chunk(files, max(1, (len(files)+1)/runtime.GOMAXPROCS(0))))
	failed := make([]error, len(parts))
	parallel.Each(len(parts), func(i int) {
		side := &disk{dir: d.dir, way: d.way[:1:1], number: i}
		failed[i] = side.write(ctx, parts[i])
		closeAll(side.way[1:])
	})
	return cmp.Or(failed...)
}

func (d *disk) write(ctx context.Context, files []Change) error {
	for _, c := range files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := d.put(c.Path, c.New); err != nil {
			return fail("write", d.path(c.Path), err)
		}
	}
	return nil
}

func (d *disk) remove(p string) error {
	root, err := d.in(path.Dir(p))
	if err != nil {
		return err
	}
	return root.Remove(path.Base(p))
}

func (d *disk) put(p string, f *File) error {
	root, err := d.open(path.Dir(p), true)
	if err != nil {
		return err
	}
	return f.put(root, path.Base(p), d.number)
}

// makeIn makes a directory, if another run has not, and opens it.
func makeIn(root *os.Root, name string) (*os.Root, error) {
	if err := mkdirIn(root, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return root.OpenRoot(name)
}

// put writes a file beside its place and renames it. Others that write at the
// same time have other numbers.
func (f *File) put(dir *os.Root, name string, number int) error {
	unfinished := fmt.Sprint(temp, os.Getpid(), "-", number)
	mode := fs.FileMode(f.Mode)
	t, err := dir.OpenFile(unfinished, quick|os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = t.Write(f.Body)
	err = cmp.Or(err, t.Chmod(mode), t.Close())
	if err == nil {
		err = dir.Rename(unfinished, name)
	}
	if err != nil {
		dir.Remove(unfinished)
	}
	return err
}
