package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gen.example/cmd/gen/internal/bundle"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/load"
)

// vendor writes what the binary serves to where editors and plain cue look for
// it. The copy is theirs alone: gen reads its own, and says if they differ.
func vendor(c *command) int {
	if info, err := os.Stat(filepath.Join(c.dir, "hosts")); err != nil || !info.IsDir() {
		return c.misused("there is no fleet in %s: it has no hosts/", c.dir)
	}
	module, findings := load.OwnModule(os.DirFS(c.dir))
	switch {
	case len(findings) > 0:
		finding.Print(c.stderr, finding.Sort(findings))
		return found
	case module == load.Module:
		return c.misused("this repository is %s itself: editors and cue read its own schema/ and services/", module)
	}
	if err := c.makeModule(); err != nil {
		return c.failed(err)
	}
	files := bundle.Bundle{}
	for name, body := range load.Copy() {
		files[name] = bundle.File{Mode: 0o644, Body: body}
	}
	if err := files.Write(filepath.Join(c.dir, filepath.FromSlash(load.CopyDir))); err != nil {
		return c.failed(err)
	}
	return ok
}

// makeModule gives the repository a name if it has none: cue imports nothing
// into a directory that is no module.
func (c *command) makeModule() error {
	const name = "cue.mod/module.cue"
	at := filepath.Join(c.dir, filepath.FromSlash(name))
	if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := starter.ReadFile("init/" + name)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "gen: made %s, without which cue reads no copy\n", at)
	return errors.Join(os.MkdirAll(filepath.Dir(at), 0o777), os.WriteFile(at, text, 0o666))
}
