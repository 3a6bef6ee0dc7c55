// Command write makes a synthetic fleet on disk: write [-jsonnet] DIR HOSTS.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"gen.example/cmd/gen/internal/synthetic"
	"gen.example/schema"
	"gen.example/services"
)

func main() {
	dir := os.Args[1]
	n, err := strconv.Atoi(os.Args[2])
	check(err)
	for p, text := range synthetic.CUE(n) {
		put(filepath.Join(dir, p), []byte(text))
	}
	for name, files := range map[string]fs.FS{"schema": schema.Files, "services": services.Files} {
		names, err := fs.Glob(files, "*.cue")
		check(err)
		for _, f := range names {
			text, err := fs.ReadFile(files, f)
			check(err)
			put(filepath.Join(dir, "cue.mod/pkg/gen.example", name, f), text)
		}
	}
	for p, text := range synthetic.Jsonnet(n) {
		put(filepath.Join(dir, "jsonnet", p), []byte(text))
	}
}

func put(path string, text []byte) {
	check(os.MkdirAll(filepath.Dir(path), 0o755))
	check(os.WriteFile(path, text, 0o644))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
		os.Exit(1)
	}
}
