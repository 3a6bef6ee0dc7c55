// Command writer writes the files of a tar archive to a directory, those that
// are not there yet or differ: the least that a program can do which writes them.
package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
)

func main() {
	archive, err := os.ReadFile(os.Args[1])
	must(err)
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		must(err)
		path := filepath.Join(os.Args[2], h.Name)
		if h.Typeflag == tar.TypeDir {
			must(os.MkdirAll(path, 0o755))
			continue
		}
		text, err := io.ReadAll(r)
		must(err)
		if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
			continue
		}
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, text, h.FileInfo().Mode()))
	}
}

func must(err error) {
	if err != nil {
		os.Stderr.WriteString("writer: " + err.Error() + "\n")
		os.Exit(1)
	}
}
