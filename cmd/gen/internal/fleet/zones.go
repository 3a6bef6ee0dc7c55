package fleet

import (
	"iter"
	"slices"
	"strings"
)

// AllZones are the fleet's domain and then its further zones, sorted.
func (f *Fleet) AllZones() []string {
	var further []string
	for _, z := range f.Zones {
		further = append(further, z.V)
	}
	slices.Sort(further)
	return append([]string{f.Domain.V}, further...)
}

// Zone is the longest of the fleet's zones that holds a name; ok is false for
// a name outside all of them.
func (f *Fleet) Zone(name string) (zone string, ok bool) {
	for _, z := range f.AllZones() {
		if Within(name, z) && len(z) > len(zone) {
			zone, ok = z, true
		}
	}
	return zone, ok
}

// Within reports whether a name is a domain or lies below it.
func Within(name, domain string) bool {
	return name == domain || strings.HasSuffix(name, "."+domain)
}

// A Place is a service and the host that runs it.
type Place struct {
	Host    *Host
	Service Entry[*Service]
}

// AllRoutes are the routes of all hosts, each with the place it comes from.
func (f *Fleet) AllRoutes() iter.Seq2[Place, *Route] {
	return func(yield func(Place, *Route) bool) {
		for p := range f.places() {
			for _, c := range p.Service.V.Containers {
				for _, r := range c.V.Routes {
					if !yield(p, r.V) {
						return
					}
				}
			}
		}
	}
}

// AllRecords are the records of all services by owner name, likewise.
func (f *Fleet) AllRecords() iter.Seq2[Place, Entry[*Record]] {
	return func(yield func(Place, Entry[*Record]) bool) {
		for p := range f.places() {
			for _, owner := range p.Service.V.Records {
				for _, r := range owner.V {
					if !yield(p, Entry[*Record]{owner.Name, owner.Pos, r}) {
						return
					}
				}
			}
		}
	}
}

func (f *Fleet) places() iter.Seq[Place] {
	return func(yield func(Place) bool) {
		for _, h := range f.Hosts {
			for _, s := range h.Services {
				if !yield(Place{h, s}) {
					return
				}
			}
		}
	}
}
