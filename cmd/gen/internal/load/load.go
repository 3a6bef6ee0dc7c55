// Package load turns a repository into the model: it reads CUE from an fs.FS,
// resolves imports without a registry, evaluates each host by itself and
// decodes it. What it finds wrong is the user's to mend, at a place in the user's files.
//
// A host is evaluated from the package with the other hosts' declarations cut
// out of the syntax tree. So memory does not grow with the fleet, hosts are
// evaluated side by side, and a reference from one host to another is a finding by itself.
// Where processors are left, parts of a host are evaluated side by side too; of the
// binary's catalogue only the files are read that somebody takes something from.
package load

import (
	"cmp"
	"io/fs"
	"runtime"
	"slices"
	"sync/atomic"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/parallel"
)

// Fleet reads the repository at root. The fleet holds every host that could be
// read; the findings say what kept others out. Findings are neither sorted nor printed.
// A step is told how many hosts are read, from any goroutine.
func Fleet(root fs.FS, step ...func(done, total int)) (*fleet.Fleet, []*finding.Finding) {
	r := &repository{root: root}
	r.readModule()
	r.readHosts()
	f := &fleet.Fleet{}
	r.readSecrets(f)
	if r.unread = !r.complete(); len(r.files) > 0 {
		r.evaluate(f, step)
	}
	r.findings = slices.DeleteFunc(r.findings, r.isUnseen)
	r.findings = slices.DeleteFunc(slices.Clone(r.findings), r.isMeant)
	f.Partial = len(r.findings) > 0
	return f, r.findings
}

// isUnseen reports whether a finding comes from a character on its line that nobody sees.
func (r *repository) isUnseen(f *finding.Finding) bool {
	return f.Code != finding.BadText && slices.ContainsFunc(r.findings, func(g *finding.Finding) bool {
		return g.Code == finding.BadText && lineAt(g.Pos) == lineAt(f.Pos)
	})
}

// evaluate fills in the fleet's own part and the hosts, side by side. Findings
// stay in the order of the hosts' names whichever is done first.
func (r *repository) evaluate(f *fleet.Fleet, step []func(done, total int)) {
	r.readImports()
	jobs := append(r.hostNames(), "") // last, the fleet's own part: what hosts say of a shared value says more
	parts := runtime.GOMAXPROCS(0) / max(1, len(jobs)-1)
	found := make([][]*finding.Finding, len(jobs))
	hosts := make([]*fleet.Host, len(jobs))

	var done atomic.Int64
	parallel.Each(len(jobs), func(i int) {
		e := &evaluation{r, jobs[i], parts}
		if jobs[i] == "" {
			found[i] = e.read(f, "fleet")
			return
		}
		if hosts[i], found[i] = e.readHost(); hosts[i] != nil {
			defaults(hosts[i])
		}
		for _, s := range step {
			s(int(done.Add(1)), len(jobs)-1)
		}
	})

	for i := range jobs {
		r.findings = merge(r.findings, found[i])
		if hosts[i] != nil && !r.unread {
			if f.Tunnels(hosts[i]) {
				f.AskForTunnelKey(hosts[i])
			}
			f.Hosts = append(f.Hosts, hosts[i])
		}
	}
	r.findings = slices.DeleteFunc(r.findings, r.isUnknown)
	slices.SortFunc(f.Hosts, func(a, b *fleet.Host) int { return cmp.Compare(a.Name.V, b.Name.V) })
	f.AskForBackupKeys()
}

// merge adds what was found in another evaluation. A mistake that several hosts
// share is told once; a name that is nowhere to be found, once a file.
func merge(all, more []*finding.Finding) []*finding.Finding {
	for _, f := range more {
		i := slices.IndexFunc(all, func(g *finding.Finding) bool {
			samePlace := finding.Place(f.Pos) == finding.Place(g.Pos) && f.Hint == g.Hint
			sameName := f.Code == finding.Reference && f.What == g.What && f.Pos.Filename() == g.Pos.Filename()
			return f.Code == g.Code && (samePlace || sameName)
		})
		if i < 0 {
			all = append(all, f)
		} else {
			all[i].And(f.Pos)
		}
	}
	return all
}

// isUnknown reports whether a finding is that a field hides an import, and the
// field is in no definition: then it goes, and the import is there again.
func (r *repository) isUnknown(f *finding.Finding) bool {
	i := slices.IndexFunc(r.hiding, func(h hiding) bool { return h.found == f })
	return i >= 0 && slices.ContainsFunc(r.findings, func(g *finding.Finding) bool {
		return g.Code == finding.UnknownField && finding.Place(g.Pos) == r.hiding[i].field
	})
}

// read decodes what stands at a path of the package into dst, unless there are findings.
func (e *evaluation) read(dst any, path ...string) []*finding.Finding {
	inst, found := e.instance(e.host)
	if inst == nil {
		return found
	}
	pkg := cuecontext.New().BuildInstance(inst)
	if err := pkg.Validate(cue.All(), cue.Concrete(true)); err != nil {
		return e.explain(pkg, err)
	}
	e.decode(pkg.LookupPath(selectors(pkg, path)), dst, path)
	return nil
}

// readHost reads the host. CUE evaluates a package whole, but of one that is
// imported no more than is asked for; so the host is looked at from outside
// first, by several who ask for a part each if there are processors for them,
// and without the names of the user's own that others use. Those are the
// fleet's part. Only if something is wrong is the package read whole, in which
// mistakes are told better.
func (e *evaluation) readHost() (*fleet.Host, []*finding.Finding) {
	if h := e.readOutside(); h != nil {
		return h, nil
	}
	h := new(fleet.Host)
	found := e.read(h, "hosts", e.host)
	if !h.Name.Set {
		return nil, found
	}
	return h, found
}

// An evaluation is one host (or, with no name, what the hosts share) in a context of its own.
type evaluation struct {
	*repository
	host  string
	parts int // of which it is read side by side
}

func (r *repository) find(code finding.Code, pos token.Pos, format string, args ...any) *finding.Finding {
	f := finding.New(code, pos, format, args...)
	r.findings = append(r.findings, f)
	return f
}

// FilePos is the place of a file of the repository as a whole.
func FilePos(name string) token.Pos {
	return token.NewFile(name, -1, 1).Pos(0, token.NoRelPos)
}
