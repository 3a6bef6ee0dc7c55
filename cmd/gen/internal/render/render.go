// Package render spells a checked fleet as files. Each backend is a total
// function of the fleet and a host: it returns files and can neither fail nor
// look at anything else. What could be wrong was found by check.
package render

import (
	"slices"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/parallel"
	"gen.example/cmd/gen/internal/tree"
)

// backends are the parts of what gen writes for a host.
var backends = []func(*fleet.Fleet, *fleet.Host) []*tree.File{
	containers,
	pods,
	images,
	networks,
	routes,
	clients,
	volumes,
	named,
	updates,
	sshd,
	tunnel,
	sysctl,
	pool,
	hostFiles,
	hostUnits,
}

// A Renderer spells one fleet. What it derives from all hosts it derives once.
type Renderer struct {
	fleet   *fleet.Fleet
	ledger  *exposure.Ledger
	records []record
	telling map[string][]int // of an address
	wanted  []*fleet.Wanted
}

// New is the renderer of a fleet.
func New(f *fleet.Fleet) *Renderer {
	all := records(f)
	return &Renderer{f, exposure.Of(f), all, telling(all), f.Wanted()}
}

// Host is everything gen writes for a host of a fleet.
func Host(f *fleet.Fleet, h *fleet.Host) *tree.Tree { return New(f).Host(h) }

// Fleet is what belongs to no single host of a fleet.
func Fleet(f *fleet.Fleet) *tree.Tree { return New(f).Fleet() }

// Host is everything gen writes for a host.
func (r *Renderer) Host(h *fleet.Host) *tree.Tree {
	t := &tree.Tree{Host: h.Name.V}
	made := make([][]*tree.File, len(backends))
	parallel.Each(len(backends), func(i int) { made[i] = backends[i](r.fleet, h) })
	t.Add(slices.Concat(made...)...)
	t.Add(firewall(r.fleet, h, r.ledger)...)
	t.Add(watching(r.fleet, h, r.ledger)...)
	t.Add(modules(r.fleet, r.ledger, h)...)
	book := r.book(h)
	t.Add(book.backups()...)
	t.Add(book.drills()...)
	t.Logins = book.logins()
	t.Images = pulled(r.fleet, h)
	t.Secrets = secrets(r.fleet, h)
	t.Lines = lines(h)
	t.UserData = func(sums string) []byte { return UserData(r.fleet, h, sums) }
	if key := r.fleet.Keys[h.Name.V].Private; key != nil {
		t.Identity = key.Bytes
	}
	t.Sort()
	return t
}

// pulled are the images of all that a host runs, sorted.
func pulled(f *fleet.Fleet, h *fleet.Host) []string {
	all := backupImages(f, h)
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			all = append(all, c.V.Image.V)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// madeBy is the comment that generated text begins with. It names the
// definition and nothing that changes by itself, such as a date or a line.
func madeBy(definition string) string { return "Made by gen from " + definition + "." }

// Fleet is what belongs to no single host.
func (r *Renderer) Fleet() *tree.Tree {
	f, t := r.fleet, &tree.Tree{Host: "fleet"}
	t.Add(dnsZone(f), dnsTable(f), releases(f), catalogue(f), topology(f, r.ledger))
	t.Add(exposed(f, r.ledger)...)
	t.Add(alertTests(f)...)
	t.Add(objectStore(f)...)
	return t
}

// exposed is the ledger, for people and for programs.
func exposed(f *fleet.Fleet, ledger *exposure.Ledger) []*tree.File {
	return []*tree.File{
		{Path: "/exposure.md", Mode: "0644", Owner: "0:0", Body: ledger.Markdown(f)},
		{Path: "/exposure.json", Mode: "0644", Owner: "0:0", Body: ledger.JSON()},
	}
}
