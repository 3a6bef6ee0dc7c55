package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/finding"
)

// starter is the repository that gen init makes.
//
//go:embed all:init
var starter embed.FS

// workflow is the one file of it that depends on the binary: on its version.
const workflow = ".github/workflows/gen.yml"

// initialize makes a repository of one's own, whole or not at all: it is put
// together in a directory beside its place, and compiled there.
func initialize(c *command) int {
	if len(c.args) == 0 {
		return c.misused("say where: gen init DIR")
	}
	dir := c.args[0]
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(c.dir, dir)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return c.misused("%s is not a directory", dir)
	}
	switch there, err := inTheWay(dir); {
	case err != nil:
		return c.failed(err)
	case len(there) > 0:
		return c.misused("%s is not empty: it holds %s; name a directory that is, or that is not there yet", dir, strings.Join(there, ", "))
	}
	if err := c.start(dir); err != nil {
		return c.failed(err)
	}
	fmt.Fprintf(c.stderr, "gen: made a repository in %s; its README.md says how to go on\n", dir)
	return ok
}

// inTheWay names what a directory holds, besides git's own.
func inTheWay(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	const most = 5
	for _, e := range entries {
		switch {
		case e.Name() == ".git":
		case len(names) == most:
			return append(names, "…"), err
		default:
			names = append(names, e.Name())
		}
	}
	return names, err
}

// start fills an empty directory, which it makes if need be.
func (c *command) start(dir string) (err error) {
	_, absent := os.Stat(dir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	whole, err := os.MkdirTemp(dir, ".gen-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.RemoveAll(whole))
		if err != nil && absent != nil {
			os.Remove(dir)
		}
	}()
	if err := c.fill(whole); err != nil {
		return err
	}
	return move(whole, dir)
}

// fill writes the repository with its golden files, so that the checks of its
// workflow succeed before anything was changed.
func (c *command) fill(dir string) error {
	files, err := fs.Sub(starter, "init")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return err
	}
	at := filepath.Join(dir, filepath.FromSlash(workflow))
	text, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	if err := os.WriteFile(at, bytes.Replace(text, []byte("VERSION"), []byte(pinned(programVersion())), 1), 0o666); err != nil {
		return err
	}
	_, bundles, findings := compile(dir)
	if len(findings) > 0 {
		finding.Print(c.stderr, findings)
		panic("init: what is in cmd/gen/init does not compile")
	}
	for name, b := range bundles {
		if err := b.Write(filepath.Join(dir, "golden", name)); err != nil {
			return err
		}
	}
	return nil
}

// pinned is what names a version of gen to the go command: itself, or the
// branch that a gen without one comes from.
func pinned(version string) string {
	if strings.HasPrefix(version, "v") && !strings.Contains(version, "+") {
		return version
	}
	return "main"
}

// move brings everything in a directory into another one, or nothing.
func move(from, to string) (err error) {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	var done []string
	for _, e := range entries {
		at := filepath.Join(to, e.Name())
		if err = os.Rename(filepath.Join(from, e.Name()), at); err != nil {
			break
		}
		done = append(done, at)
	}
	if err != nil {
		for _, at := range slices.Backward(done) {
			err = errors.Join(err, os.RemoveAll(at))
		}
	}
	return err
}
