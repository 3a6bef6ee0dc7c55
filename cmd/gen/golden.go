package main

import (
	"fmt"
	"io/fs"
	"path/filepath"

	"gen.example/cmd/gen/internal/bundle"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/load"
)

// checkOnly finds everything that is wrong and writes nothing. With -golden it
// also finds where a directory is not what gen -o would make of it.
func checkOnly(c *command) int {
	if c.json && c.github {
		return c.misused("findings are told as -json or as -github, not as both")
	}
	bundles, found, code := c.read()
	if code != ok {
		return code
	}
	if c.given["golden"] && len(found) == 0 {
		if found, code = c.outdated(bundles); code != ok {
			return code
		}
	}
	return c.report(found)
}

// outdated is where the golden directory is not what gen writes.
func (c *command) outdated(bundles map[string]bundle.Bundle) ([]*finding.Finding, int) {
	c.out = c.golden
	dirs, code := c.targets(bundles, "-golden")
	if code != ok {
		return nil, code
	}
	var found []*finding.Finding
	for i, d := range dirs {
		c.progress.say("comparing %s, %d of %d", d.name, i+1, len(dirs))
		changes, err := d.bundle.Compare(d.dir)
		if err != nil {
			return nil, c.failed(err)
		}
		for _, o := range d.outdated(changes) {
			found = append(found, finding.New(finding.Golden, load.FilePos(c.inRepository(o.path)), "%s", o.what).
				Hintf(o.hint, c.golden))
		}
	}
	return finding.Sort(found), ok
}

// inRepository is a path as findings write it: below the repository.
func (c *command) inRepository(path string) string {
	root, err := filepath.Abs(c.dir)
	if abs, bad := filepath.Abs(path); err == nil && bad == nil {
		if rel, err := filepath.Rel(root, abs); err == nil && filepath.IsLocal(rel) {
			path = rel
		}
	}
	return filepath.ToSlash(path)
}

// An outdated file, or directory of a host. The hint names the golden directory.
type outdated struct{ path, what, hint string }

const (
	toWrite  = "gen -o %s writes it"
	toRemove = "gen -o %s removes it"
	toShow   = "gen diff -o %s shows the difference, and gen -o %[1]s accepts it"
)

// outdated is all of that in a directory: one if the whole of it is missing or left over.
func (d target) outdated(changes []bundle.Change) (all []outdated) {
	missing := 0
	for _, ch := range changes {
		if ch.Old == nil {
			missing++
		}
	}
	switch {
	case d.stale:
		return []outdated{{d.dir, "is left over: the fleet has no such host", toRemove}}
	case missing == len(d.bundle):
		return []outdated{{d.dir, "is missing", toWrite}}
	}
	for _, ch := range changes {
		if o := outdatedFile(ch); o.what != "" {
			o.path = filepath.Join(d.dir, filepath.FromSlash(ch.Path))
			all = append(all, o)
		}
	}
	return all
}

// outdatedFile is what is wrong with a file, as far as git would know: it keeps
// no directories, and of a mode only whether a file can be run.
func outdatedFile(ch bundle.Change) outdated {
	const executable = 0o111
	switch {
	case ch.New == nil && ch.Old.IsDir():
		return outdated{}
	case ch.New == nil:
		return outdated{what: "is left over: gen writes no such file", hint: toRemove}
	case ch.Old == nil:
		return outdated{what: "is missing", hint: toWrite}
	case ch.Same && ch.Old.Mode()&executable == fs.FileMode(ch.New.Mode)&executable:
		return outdated{}
	case ch.Same:
		return outdated{what: fmt.Sprintf("has mode %04o, and gen writes it with %04o", ch.Old.Mode().Perm(), ch.New.Mode), hint: toWrite}
	}
	return outdated{what: "is not what gen writes", hint: toShow}
}
