package render

import (
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/watch"
)

// alarms is a section for each alert that leads to this page: what it means and
// what to do. Several services that share one share its section.
func (r *runbook) alarms() {
	var prometheus []watch.Place
	for _, p := range watch.Prometheis(r.fleet) {
		if p.Sees(r.host) {
			prometheus = append(prometheus, p)
		}
	}
	if len(prometheus) == 0 {
		return
	}
	type told struct {
		alert    fleet.Entry[*fleet.Alert]
		services []string
	}
	var all []*told
	for _, s := range r.host.Services {
		for _, a := range s.V.Alerts {
			of := s.Name
			i := slices.IndexFunc(all, func(t *told) bool { return t.alert.Name == a.Name })
			if i < 0 {
				all = append(all, &told{a, []string{of}})
			} else if !slices.Contains(all[i].services, of) {
				all[i].services = append(all[i].services, of)
			}
		}
	}
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b *told) int { return strings.Compare(a.alert.Name, b.alert.Name) })
	r.title(2, "When an alert comes")
	r.say("\nEach names its section here. %s on %s evaluates them.", prometheus[0].Service.Name, prometheus[0].Host.Name.V)
	for _, t := range all {
		a := t.alert.V
		r.title(3, "%s", t.alert.Name)
		of := "Of " + strings.Join(t.services, ", ") + "."
		if a.Fleet.V {
			of = "Of any host; its labels say which."
		}
		r.say("\n%s Severity: %s. What is wrong: %s.\nWhat to do: %s.", of, a.Severity.V, prose(a.Summary.V), prose(a.Description.V))
		if a.Threshold.Set {
			r.say("Its threshold is %s; the service's `alerts: %s: threshold:` is another.", a.Threshold.V, t.alert.Name)
		}
	}
}

// prose is text outside a table.
func prose(s string) string { return strings.ReplaceAll(plain(s), `\|`, "|") }
