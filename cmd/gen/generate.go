package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"gen.example/cmd/gen/internal/bundle"
	"gen.example/cmd/gen/internal/check"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/parallel"
	"gen.example/cmd/gen/internal/render"
)

// compile is the pure middle: everything gen writes, by directory, or the
// findings that keep it from being written. Hosts are rendered and closed even
// if they are not asked for: a clash with another host is everybody's.
func compile(dir string, step ...func(done, total int)) (*fleet.Fleet, map[string]bundle.Bundle, []*finding.Finding) {
	f, fs := load.Fleet(os.DirFS(dir), step...)
	fs = append(fs, check.Fleet(f)...)
	fs = append(fs, load.CheckCopy(os.DirFS(dir))...)
	if len(fs) > 0 {
		return f, nil, finding.Sort(fs)
	}
	r := render.New(f)
	bundles := make([]bundle.Bundle, len(f.Hosts)+1)
	open := make([][]*finding.Finding, len(f.Hosts))
	// The fleet's comes first: it takes the most memory, while there is the least else.
	parallel.Each(len(bundles), func(i int) {
		if i == 0 {
			bundles[0] = bundle.Fleet(r.Fleet())
			return
		}
		h := f.Hosts[i-1]
		t := r.Host(h)
		parallel.Each(2, func(part int) {
			if part == 0 {
				open[i-1] = t.Close()
			} else {
				t.Runbook = r.Runbook(h)
			}
		})
		if len(open[i-1]) == 0 {
			bundles[i] = bundle.Host(t)
		}
	})
	if fs = slices.Concat(open...); len(fs) > 0 {
		return f, nil, finding.Sort(fs)
	}
	out := map[string]bundle.Bundle{"fleet": bundles[0]}
	for i, h := range f.Hosts {
		out[h.Name.V] = bundles[i+1]
	}
	return f, out, nil
}

// read compiles the repository.
func (c *command) read() (map[string]bundle.Bundle, []*finding.Finding, int) {
	if code := c.enter(); code != ok {
		return nil, nil, code
	}
	_, bundles, fs := compile(c.dir, c.readHost)
	return bundles, fs, ok
}

// readFleet reads and checks the repository, and renders nothing.
func (c *command) readFleet() (*fleet.Fleet, []*finding.Finding, int) {
	if code := c.enter(); code != ok {
		return nil, nil, code
	}
	f, fs := load.Fleet(os.DirFS(c.dir), c.readHost)
	return f, finding.Sort(append(fs, check.Fleet(f)...)), ok
}

func (c *command) enter() int {
	info, err := os.Stat(c.dir)
	if err == nil && !info.IsDir() {
		err = errors.New(c.dir + " is not a directory")
	}
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = fmt.Errorf("%s: %w", c.dir, p.Err)
		}
		return c.misused("%v", err)
	}
	c.progress.say("reading")
	return ok
}

// readHost is told of each host that is read.
func (c *command) readHost(done, total int) {
	allow(room(total))
	c.progress.say("reading host %d of %d", done, total)
}

// compile reads the repository and says what is wrong with it.
func (c *command) compile() (map[string]bundle.Bundle, int) {
	bundles, fs, code := c.read()
	if code != ok {
		return nil, code
	}
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
		style(c.stderr).Print(c.stderr, fs)
	}
	if len(fs) > 0 {
		return found
	}
	return ok
}

// generate writes the hosts asked for, or all of them and what belongs to none.
func generate(c *command) int {
	dirs, code := c.compileTargets()
	if code != ok {
		return code
	}
	c.progress.catch()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for i, d := range dirs {
		c.progress.say("writing %s, %d of %d", d.name, i+1, len(dirs))
		if err := c.writeTarget(ctx, d); err != nil {
			return c.failed(err)
		}
	}
	return ok
}

func (c *command) writeTarget(ctx context.Context, d target) error {
	var err error
	if d.stale {
		err = bundle.Remove(ctx, d.dir)
	} else {
		err = d.bundle.WriteUntil(ctx, d.dir)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted: %s may not be whole; run gen again", c.out)
	case err == nil && d.stale:
		fmt.Fprintf(c.stderr, "gen: removed %s: the fleet has no such host\n", d.dir)
	}
	return err
}
