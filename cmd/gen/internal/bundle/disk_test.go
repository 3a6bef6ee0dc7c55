package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// example has as many files, and of such sizes, as a host with twenty services.
func example() Bundle {
	b := Bundle{"HOST": {0o644, []byte("vps1\n")}, "install": {0o755, make([]byte, 20_000)}, sums: {0o644, make([]byte, 20_000)}}
	for i := range 200 {
		name := fmt.Sprintf("rootfs/usr/local/etc/service%d/app/etc/file%d.conf", i/10, i)
		b[name] = File{0o644, fmt.Appendf(nil, "# %d\n%0700d\n", i, i)}
	}
	return b
}

func BenchmarkWriteFresh(b *testing.B) {
	files, dir := example(), b.TempDir()
	for i := 0; b.Loop(); i++ {
		if err := files.Write(filepath.Join(dir, fmt.Sprint(i))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteUnchanged(b *testing.B) {
	benchmarkAgain(b, func(Bundle, int) {})
}

func BenchmarkWriteOneChanged(b *testing.B) {
	benchmarkAgain(b, func(files Bundle, i int) { files["UNITS"] = File{0o644, fmt.Appendln(nil, i)} })
}

// BenchmarkWriteAllChanged replaces every file, which a file system may flush one by one.
func BenchmarkWriteAllChanged(b *testing.B) {
	benchmarkAgain(b, func(files Bundle, i int) {
		for name, f := range files {
			f.Body = fmt.Appendf(f.Body[:len(f.Body):len(f.Body)], "%d\n", i)
			files[name] = f
		}
	})
}

func benchmarkAgain(b *testing.B, change func(files Bundle, i int)) {
	files, dir := example(), filepath.Join(b.TempDir(), "vps1")
	if err := files.Write(dir); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		change(files, i)
		if err := files.Write(dir); err != nil {
			b.Fatal(err)
		}
	}
}

// TestFailureLeavesNoSums: what is not whole must not look whole.
func TestFailureLeavesNoSums(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vps1")
	b := Bundle{"HOST": {0o644, []byte("vps1\n")}, sums: {0o644, []byte("all of it\n")}}
	for _, name := range []string{"a", "b", "c", "d", strings.Repeat("too long", 40)} {
		b["rootfs/"+name] = File{0o644, []byte(name)}
	}
	err := b.Write(dir)
	var failure *Failure
	if !errors.As(err, &failure) || failure.Do != "write" {
		t.Fatalf("it says %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "HOST")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, sums)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", sums, err)
	}
}
