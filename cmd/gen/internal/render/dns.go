package render

import (
	"fmt"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// dns are the address records that the fleet's public names need, as a zone
// file of the fleet's domain (RFC 1035). Names elsewhere are written in full.
func dns(f *fleet.Fleet) *tree.File {
	var records []string
	for _, h := range f.Hosts {
		for _, s := range h.Services {
			for _, c := range s.V.Containers {
				for _, r := range c.V.Routes {
					name := relative(r.V.Host.V, f.Domain.V)
					records = append(records, name+" IN A "+h.Address.V)
					if h.Address6.Set {
						records = append(records, name+" IN AAAA "+h.Address6.V)
					}
				}
			}
		}
	}
	slices.Sort(records)
	head := fmt.Sprintf("; %s\n$ORIGIN %s.\n", madeBy("the routes of all hosts"), f.Domain.V)
	body := strings.Join(append(slices.Compact(records), ""), "\n")
	return &tree.File{Path: "/dns.zone", Mode: "0644", Owner: "0:0", Body: []byte(head + body)}
}

// relative is a name as a zone file of the domain writes it.
func relative(name, domain string) string {
	if name == domain {
		return "@"
	}
	if inside, ok := strings.CutSuffix(name, "."+domain); ok {
		return inside
	}
	return name + "."
}
