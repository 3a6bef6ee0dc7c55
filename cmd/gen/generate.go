package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/bundle"
	"gen.example/cmd/gen/internal/check"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/tree"
)

// compile is the pure middle: everything gen writes, by directory, or the
// findings that keep it from being written. Hosts are rendered and closed even
// if they are not asked for: a clash with another host is everybody's.
func compile(dir string) (*fleet.Fleet, map[string]bundle.Bundle, []*finding.Finding) {
	f, fs := load.Fleet(os.DirFS(dir))
	fs = append(fs, check.Fleet(f)...)
	fs = append(fs, load.CheckCopy(os.DirFS(dir))...)
	if len(fs) > 0 {
		return f, nil, finding.Sort(fs)
	}
	var trees []*tree.Tree
	for _, h := range f.Hosts {
		t := render.Host(f, h)
		fs = append(fs, t.Close()...)
		trees = append(trees, t)
	}
	if len(fs) > 0 {
		return f, nil, finding.Sort(fs)
	}
	out := map[string]bundle.Bundle{"fleet": bundle.Fleet(render.Fleet(f))}
	for _, t := range trees {
		out[t.Host] = bundle.Host(t)
	}
	return f, out, nil
}

func (c *command) compile() (map[string]bundle.Bundle, int) {
	info, err := os.Stat(c.dir)
	if err == nil && !info.IsDir() {
		err = errors.New(c.dir + " is not a directory")
	}
	if err != nil {
		return nil, c.misused("%v", err)
	}
	_, bundles, fs := compile(c.dir)
	return bundles, c.report(fs)
}

// report says what was found, in the form that was asked for.
func (c *command) report(fs []*finding.Finding) int {
	switch {
	case c.json:
		if err := finding.JSON(c.stdout, fs); err != nil {
			return c.failed(err)
		}
	case c.github:
		finding.GitHub(c.stdout, filepath.ToSlash(c.dir), fs)
	default:
		finding.Print(c.stderr, fs)
	}
	if len(fs) > 0 {
		return found
	}
	return ok
}

// check finds everything that is wrong and writes nothing.
func checkOnly(c *command) int {
	_, code := c.compile()
	return code
}

// generate writes the hosts asked for, or all of them and what belongs to none.
func generate(c *command) int {
	bundles, code := c.compile()
	if code != ok {
		return code
	}
	names, code := c.wanted(bundles)
	if code != ok {
		return code
	}
	for _, name := range names {
		if err := bundle.Ours(filepath.Join(c.out, name), name); err != nil {
			var foreign *bundle.Foreign
			if errors.As(err, &foreign) {
				return c.misused("%s holds files that gen did not make; name another directory with -o", foreign.Dir)
			}
			return c.failed(err)
		}
	}
	for _, name := range names {
		if err := bundles[name].Write(filepath.Join(c.out, name)); err != nil {
			return c.failed(err)
		}
	}
	if len(c.hosts) == 0 {
		return c.removeStale(names)
	}
	return ok
}

// wanted are the directories to write.
func (c *command) wanted(bundles map[string]bundle.Bundle) ([]string, int) {
	var all []string
	for name := range bundles {
		all = append(all, name)
	}
	slices.Sort(all)
	if len(c.hosts) == 0 {
		return all, ok
	}
	hosts := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == "fleet" })
	for _, name := range c.hosts {
		if !slices.Contains(hosts, name) {
			fmt.Fprintf(c.stderr, "gen: there is no host %q; there are %s\n", name, strings.Join(hosts, ", "))
			return nil, misused
		}
	}
	names := slices.Clone(c.hosts)
	slices.Sort(names)
	return slices.Compact(names), ok
}

func (c *command) removeStale(names []string) int {
	stale, err := bundle.Stale(c.out, names)
	if err != nil {
		return c.failed(err)
	}
	for _, dir := range stale {
		if err := bundle.Remove(dir); err != nil {
			return c.failed(err)
		}
		fmt.Fprintf(c.stderr, "gen: removed %s: the fleet has no such host\n", dir)
	}
	return ok
}
