package render

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// A record of the DNS that something in the fleet needs.
type record struct {
	zone, name, kind, data string
	mesh                   bool // whether it leads into the mesh
	by                     []fleet.Place
}

// records are all that the fleet needs, each once, in the order of a zone file:
// by zone, by name as RFC 4034 orders them (a domain before what lies below
// it), by type and data.
func records(f *fleet.Fleet) (all []record) {
	there := map[[3]string]int{}
	add := func(p fleet.Place, r record) {
		key := [3]string{r.name, r.kind, r.data}
		i, ok := there[key]
		if !ok {
			i = len(all)
			there[key] = i
			r.zone, _ = f.Zone(r.name)
			all = append(all, r)
		}
		if by := &all[i].by; !slices.Contains(*by, p) {
			*by = append(*by, p)
		}
	}
	for p, r := range addresses(f) {
		add(p, r)
	}
	for p, r := range f.AllRecords() {
		add(p, record{name: r.Name, kind: r.V.Type.V, data: r.V.Data.V})
	}
	zones := f.AllZones()
	slices.SortFunc(all, func(a, b record) int {
		return cmp.Or(cmp.Compare(slices.Index(zones, a.zone), slices.Index(zones, b.zone)), compareNames(a.name, b.name),
			cmp.Compare(a.kind, b.kind), cmp.Compare(a.data, b.data))
	})
	return all
}

// addresses are the records that routes need: the address that the world
// dials, or that in the mesh. A name that one service has for both audiences
// has the address for the world, for the DNS has one answer.
func addresses(f *fleet.Fleet) func(func(fleet.Place, record) bool) {
	world := map[string]bool{}
	for _, r := range f.AllRoutes() {
		if r.Audience.V != "mesh" {
			world[r.Host.V] = true
		}
	}
	return func(yield func(fleet.Place, record) bool) {
		for p, r := range f.AllRoutes() {
			four, six, mesh := p.Host.Address, p.Host.Address6, !world[r.Host.V]
			if mesh {
				four, six = p.Host.Mesh.Address, p.Host.Mesh.Address6
			}
			if !yield(p, record{name: r.Host.V, kind: "A", data: canonical(four.V), mesh: mesh}) {
				return
			}
			if six.Set && proxySix(p.Host) && !yield(p, record{name: r.Host.V, kind: "AAAA", data: canonical(six.V), mesh: mesh}) {
				return
			}
		}
	}
}

// canonical is an address in the one spelling that all programs write.
func canonical(address string) string { return netip.MustParseAddr(address).String() }

// proxySix reports whether the proxy of a host is reached by IPv6. Where its
// network has none, clients that are told of an IPv6 address would wait for
// nothing.
func proxySix(h *fleet.Host) bool {
	proxy, _, _, ok := h.ProxyContainer()
	s, _ := h.Services.Get(proxy)
	return ok && s.Network.Subnet6.Set
}

// compareNames orders names by their labels from the last to the first.
func compareNames(a, b string) int {
	la, lb := strings.Split(a, "."), strings.Split(b, ".")
	slices.Reverse(la)
	slices.Reverse(lb)
	return slices.Compare(la, lb)
}

// The names of a zone are aligned by steps, so that a new one seldom moves all
// others, and not for one that is longer than most lines.
const column, widestName = 8, 32

// dnsZone are the records that the fleet needs as zone files (RFC 1035), one
// after the other. Above the names stands who needs them.
func dnsZone(f *fleet.Fleet) *tree.File {
	var b strings.Builder
	fmt.Fprintf(&b, "; %s\n; Whoever serves a zone adds its SOA, its NS and a TTL.\n", madeBy("the routes and records of all services"))
	all := records(f)
	for _, zone := range f.AllZones() {
		fmt.Fprintf(&b, "\n$ORIGIN %s.\n", zone)
		in := inZone(all, zone)
		width, above := 0, ""
		for _, r := range in {
			if n := len(relative(r.name, zone)); n < widestName {
				width = max(width, (n/column+1)*column)
			}
		}
		for i, r := range in {
			name := relative(r.name, zone)
			if i == 0 || in[i-1].name != r.name {
				if by := definitions(in[i:], r.name); by != above {
					fmt.Fprintf(&b, "\n; %s\n", by)
					above = by
				}
			}
			fmt.Fprintf(&b, "%-*s IN %-5s %s\n", width-1, name, r.kind, r.data)
		}
	}
	return &tree.File{Path: "/dns.zone", Mode: "0644", Owner: "0:0", Body: []byte(b.String())}
}

// definitions are what needs the records of a name, the first ones given.
func definitions(rs []record, name string) string {
	var out []string
	for _, r := range rs {
		if r.name != name {
			break
		}
		for _, p := range r.by {
			out = append(out, "hosts."+p.Host.Name.V+".services."+p.Service.Name)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

func inZone(all []record, zone string) (in []record) {
	for _, r := range all {
		if r.zone == zone {
			in = append(in, r)
		}
	}
	return in
}

// relative is a name as a zone file of its zone writes it.
func relative(name, zone string) string {
	if name == zone {
		return "@"
	}
	return strings.TrimSuffix(name, "."+zone)
}

// dnsTable is the same for people who type records into a provider's form.
func dnsTable(f *fleet.Fleet) *tree.File {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- %s -->\n\n# The names of %s\n\n", madeBy("the routes and records of all services"), f.Domain.V)
	b.WriteString("All records that the fleet needs, for whoever types them in; `dns.zone` has the same for a program.\n" +
		"A name is written within its zone, and `@` is the zone itself. The SOA and the NS are up to whoever serves it.\n")
	all := records(f)
	if slices.ContainsFunc(all, func(r record) bool { return r.mesh }) {
		b.WriteString("\nAddresses in the mesh are private. A router that protects from DNS rebinding keeps them from those\n" +
			"behind it, until it is told to trust the zone.\n")
	}
	for _, zone := range f.AllZones() {
		fmt.Fprintf(&b, "\n## %s\n\n", zone)
		in := inZone(all, zone)
		if len(in) == 0 {
			b.WriteString("Nothing in it needs a record.\n")
			continue
		}
		b.WriteString("| zone | name | type | data | needed by |\n|---|---|---|---|---|\n")
		for _, r := range in {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", zone, code(relative(r.name, zone)), r.kind, code(r.data), needed(r))
		}
	}
	return &tree.File{Path: "/dns.md", Mode: "0644", Owner: "0:0", Body: []byte(b.String())}
}

func needed(r record) string {
	var out []string
	for _, p := range r.by {
		out = append(out, p.Service.Name+" on "+p.Host.Name.V)
	}
	who := strings.Join(out, ", ")
	if r.mesh {
		who += ", in the mesh"
	}
	return who
}
