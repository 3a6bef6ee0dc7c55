// Package render spells a checked fleet as files. Each backend is a total
// function of the fleet and a host: it returns files and can neither fail nor
// look at anything else. What could be wrong was found by check.
package render

import (
	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// backends are the parts of what gen writes for a host.
var backends = []func(*fleet.Fleet, *fleet.Host) []*tree.File{
	containers,
	pods,
	images,
	networks,
	routes,
	volumes,
	named,
	updates,
	firewall,
	sshd,
	tunnel,
	sysctl,
	pool,
	hostFiles,
	hostUnits,
}

// Host is everything gen writes for a host.
func Host(f *fleet.Fleet, h *fleet.Host) *tree.Tree {
	t := &tree.Tree{Host: h.Name.V}
	for _, backend := range backends {
		t.Add(backend(f, h)...)
	}
	t.Secrets = secrets(f, h)
	t.Lines = lines(h)
	t.UserData = func(sums string) []byte { return UserData(f, h, sums) }
	if key := f.Keys[h.Name.V].Private; key != nil {
		t.Identity = key.Bytes
	}
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			t.Images = append(t.Images, c.V.Image.V)
		}
	}
	t.Sort()
	return t
}

// madeBy is the comment that generated text begins with. It names the
// definition and nothing that changes by itself, such as a date or a line.
func madeBy(definition string) string { return "Made by gen from " + definition + "." }

// Fleet is what belongs to no single host.
func Fleet(f *fleet.Fleet) *tree.Tree {
	t := &tree.Tree{Host: "fleet"}
	t.Add(dnsZone(f), dnsTable(f), releases(f), catalogue(f))
	t.Add(exposed(f)...)
	return t
}

// exposed is the ledger, for people and for programs.
func exposed(f *fleet.Fleet) []*tree.File {
	ledger := exposure.Of(f)
	return []*tree.File{
		{Path: "/exposure.md", Mode: "0644", Owner: "0:0", Body: ledger.Markdown(f)},
		{Path: "/exposure.json", Mode: "0644", Owner: "0:0", Body: ledger.JSON()},
	}
}
