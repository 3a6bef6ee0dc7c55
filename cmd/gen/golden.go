package main

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"gen.example/cmd/gen/internal/bundle"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/load"
)

// checkOnly finds everything that is wrong and writes nothing. With -golden it
// also finds where a directory is not what gen -o would make of it.
func checkOnly(c *command) int {
	if !c.given["golden"] {
		if _, code := c.compile(); code != ok {
			return code
		}
		return c.report(nil)
	}
	c.out = c.golden
	dirs, code := c.targets("-golden")
	if code != ok {
		return code
	}
	fs, err := c.outdated(dirs)
	if err != nil {
		return c.failed(err)
	}
	if fs = finding.Sort(fs); len(fs) > 0 {
		fs[len(fs)-1].Hintf("gen -o %s writes it; gen diff -o %[1]s shows the difference", c.out)
	}
	return c.report(fs)
}

// outdated is where the directories are not what gen writes.
func (c *command) outdated(dirs []target) (fs []*finding.Finding, err error) {
	for i, d := range dirs {
		c.progress.say("comparing %s, %d of %d", d.name, i+1, len(dirs))
		changes, err := d.bundle.Compare(d.dir)
		if err != nil {
			return nil, err
		}
		shown := d.dir
		if rel, err := filepath.Rel(c.dir, d.dir); err == nil && filepath.IsLocal(rel) { // as all findings name files
			shown = rel
		}
		fs = append(fs, d.outdated(filepath.ToSlash(shown), changes)...)
	}
	return fs, nil
}

// outdated is a finding a file, or one for a directory that is missing or left over.
func (d target) outdated(shown string, changes []bundle.Change) (fs []*finding.Finding) {
	at := func(at, format string, args ...any) {
		fs = append(fs, finding.New(finding.Golden, load.FilePos(at), format, args...))
	}
	if d.stale {
		at(shown, "is left over: the fleet has no such host")
		return fs
	}
	missing := 0
	for _, ch := range changes {
		if ch.New != nil && ch.Old == nil {
			missing++
		}
	}
	if missing == len(d.bundle) {
		at(shown, "is missing")
		return fs
	}
	for _, ch := range changes {
		if what := outdated(ch); what != "" {
			at(path.Join(shown, ch.Path), "%s", what)
		}
	}
	return fs
}

// outdated is what is wrong with a file, as far as git would know: it keeps no
// directories, and of a mode only whether a file can be run.
func outdated(ch bundle.Change) string {
	const executable = 0o111
	switch {
	case ch.New == nil && ch.Old.IsDir():
		return ""
	case ch.New == nil:
		return "is left over: gen writes no such file"
	case ch.Old == nil:
		return "is missing"
	case ch.Same && ch.Old.Mode()&executable == fs.FileMode(ch.New.Mode)&executable:
		return ""
	case ch.Same:
		return fmt.Sprintf("has mode %04o, and gen writes it with %04o", ch.Old.Mode().Perm(), ch.New.Mode)
	}
	return "is not what gen writes"
}
