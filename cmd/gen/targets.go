package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/bundle"
)

// A target is a directory in OUT.
type target struct {
	name, dir string
	bundle    bundle.Bundle // what it is to hold: nothing if it is stale
	stale     bool          // the fleet has no such host
}

// compileTargets compiles for OUT, as -o names it.
func (c *command) compileTargets() ([]target, int) {
	bundles, code := c.compile()
	if code != ok {
		return nil, code
	}
	return c.targets(bundles, "-o")
}

// targets are the directories that a run is about, in the order of their names.
// OUT was named with an option.
func (c *command) targets(bundles map[string]bundle.Bundle, option string) ([]target, int) {
	if c.out == "" {
		return nil, c.misused("%s needs a directory", option)
	}
	names, code := c.wanted(bundles)
	if code != ok {
		return nil, code
	}
	var foreign *bundle.Foreign
	switch err := bundle.Claim(c.out, names); {
	case errors.As(err, &foreign):
		return nil, c.misused("%v; name another directory with %s", foreign, option)
	case err != nil:
		return nil, c.failed(err)
	}
	var dirs []target
	for _, name := range names {
		dirs = append(dirs, target{name: name, bundle: bundles[name]})
	}
	if len(c.hosts) == 0 {
		stale, err := bundle.Stale(c.out, names)
		if err != nil {
			return nil, c.failed(err)
		}
		for _, name := range stale {
			dirs = append(dirs, target{name: name, stale: true})
		}
	}
	for i := range dirs {
		dirs[i].dir = filepath.Join(c.out, dirs[i].name)
	}
	slices.SortFunc(dirs, func(a, b target) int { return cmp.Compare(a.name, b.name) })
	return dirs, ok
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
