package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/watch"
)

// watched checks that each Prometheus reaches what it asks, that its alerts can
// fire, and that somebody is told who does not depend on what they are about.
func (c *checker) watched() {
	for _, p := range watch.Prometheis(c.fleet) {
		w := &watchChecker{checker: c, place: p, targets: watch.Targets(c.fleet, c.ledger, p), probes: watch.Probes(c.fleet, c.ledger, p)}
		w.reached()
		w.told()
		for _, h := range c.fleet.Hosts {
			if !p.Sees(h) {
				continue
			}
			for _, s := range h.Services {
				w.alerts(h, s)
				w.service(h, s)
			}
		}
		w.backups()
	}
}

// A watchChecker looks at what one Prometheus sees.
type watchChecker struct {
	*checker
	place   watch.Place
	targets []*watch.Target
	probes  []*watch.Probe
}

// unreached is the finding that targets on one host cannot be asked, for one reason.
func (w *watchChecker) unreached(ts ...*watch.Target) {
	var names []string
	where := at(ts[0].Host.Pos)
	for _, t := range ts {
		names = append(names, t.Job+" of "+t.Service)
	}
	if len(ts) == 1 {
		where = at(ts[0].Pos, ts[0].Host.Pos)
	}
	why, hint := ts[0].Blocked(w.ledger, w.place)
	w.find(finding.NotScraped, where, "%s: %s cannot ask the metrics %s: %s", ts[0].Host.Name.V, w.place.Service.Name, strings.Join(names, ", "), why).
		Hintf("%s", hint)
}

// reached finds targets that cannot be asked, and public names that nobody
// looks at from another host.
func (w *watchChecker) reached() {
	apart := map[*fleet.Host][]*watch.Target{} // what cannot be asked because of the host
	for _, t := range w.targets {
		if why, _ := t.Blocked(w.ledger, w.place); why == "" {
			continue
		}
		if t.Host.ServesMetrics() {
			w.unreached(t)
		} else {
			apart[t.Host] = append(apart[t.Host], t)
		}
	}
	for _, h := range w.fleet.Hosts {
		if len(apart[h]) > 0 {
			w.unreached(apart[h]...)
		}
	}
	said := map[*fleet.Host]bool{}
	for _, e := range w.probes {
		if e.By == nil && !said[e.Host] {
			said[e.Host] = true
			w.find(finding.NotProbed, at(e.Host.Pos, e.Pos), "%s: nobody looks at %s from another host", e.Host.Name.V, e.URL).And(e.Pos).
				Hintf("run services: blackbox: catalog.#BlackboxExporter on another host of the mesh, where %s may call it", w.place.Service.Name)
		}
	}
}

// alerts finds those that could never fire, or that a missed scrape fires or silences.
func (w *watchChecker) alerts(h *fleet.Host, s fleet.Entry[*fleet.Service]) {
	interval := scrapeInterval(w.place)
	self := fmt.Sprintf("service=%q", s.Name)
	for _, a := range render.Alerts(w.place, h, s) {
		where := at(a.V.Expr.Pos, a.Pos, s.Pos)
		if !a.V.Fleet.V && len(watch.Names(a.V.Expr.V)) > 0 && !strings.Contains(a.V.Expr.V, self) {
			w.find(finding.AlertOthers, where, "%s: %s of %s asks for metrics of all services, and says of each that it is %s", h.Name.V, a.Name, s.Name, s.Name).
				Hintf(`ask for its own, such as up{\(my.#self)}, or let it say whose they are: fleet: true`)
		}
		asked := watch.Asked(w.targets, h.Name.V, s.Name, a.V.Fleet.V)
		for _, name := range watch.Names(a.V.Expr.V) {
			if !slices.ContainsFunc(watch.Always, func(p string) bool { return strings.HasPrefix(name, p) }) && !watch.Exported(name, asked) {
				w.find(finding.NoMetric, where, "%s: %s of %s asks for %s, and no exporter that it can ask says that it has it", h.Name.V, a.Name, s.Name, name).
					Hintf("an exporter says so by metrics: NAME: names: [\"%s_\"], and an alert about other services by fleet: true", strings.SplitN(name, "_", 2)[0])
			}
		}
		if a.V.For.V > 0 && a.V.For.V < 2*interval {
			w.find(finding.AlertFor, at(a.V.For.Pos, a.Pos, s.Pos), "%s: %s of %s fires after %s, which one missed scrape is enough for: they are %s apart",
				h.Name.V, a.Name, s.Name, spelled(a.V.For.V), spelled(interval)).
				Hintf("give it for: \"%s\" or more, or \"0s\" where one look tells", spelled(2*interval))
		}
		for _, r := range watch.Ranges(a.V.Expr.V) {
			if r.Span < scrapes*interval {
				w.find(finding.AlertRange, where, "%s: %s of %s looks back %s, in which a missed scrape leaves too little: they are %s apart", h.Name.V, a.Name, s.Name, r.Text, spelled(interval)).
					Hintf("let it look back %s or more", spelled(scrapes*interval))
			}
		}
		if strings.TrimSpace(a.V.Description.V) == "" {
			w.find(finding.AlertFor, at(a.Pos, s.Pos), "%s: %s of %s does not say what to do", h.Name.V, a.Name, s.Name).
				Hintf("say it for the night: description: \"…\"")
		}
	}
}

// scrapes are those that an expression must look back at least: a rate needs two, one
// may be missed, and they need not fall on the ends.
const scrapes = 4

// spelled is a span of time as people write it.
func spelled(s fleet.Seconds) string { return (time.Duration(s) * time.Second).String() }

// scrapeInterval is the time between two looks: a minute where Prometheus'
// configuration does not say.
func scrapeInterval(p watch.Place) fleet.Seconds {
	for _, f := range p.Container.V.Files {
		if f.V.YAML == nil {
			continue
		}
		if n := f.V.YAML.Get("global", "scrape_interval"); n != nil {
			if d, err := time.ParseDuration(n.Scalar); err == nil {
				return fleet.Seconds(d / time.Second)
			}
		}
	}
	return 60
}

// service finds one of which nobody would see that it is down, or that it fails
// those who use it.
func (w *watchChecker) service(h *fleet.Host, s fleet.Entry[*fleet.Service]) {
	if len(s.V.Containers) == 0 || s.V.Without.Alerts.Set {
		return
	}
	own := watch.Asked(w.targets, h.Name.V, s.Name, false)
	probed := slices.ContainsFunc(w.probes, func(e *watch.Probe) bool { return e.Host == h && e.Service == s.Name })
	units := slices.ContainsFunc(w.targets, func(t *watch.Target) bool {
		return t.Host == h && watch.Exported("node_systemd_unit_state", []*watch.Target{t})
	})
	if len(own) == 0 && !probed && !units {
		w.find(finding.Unwatched, at(s.Pos), "%s: nobody would see that %s is down", h.Name.V, s.Name).
			Hintf("run node_exporter on %s, give %s metrics: or probes:, or say why there is nothing to see: without: alerts: \"…\"", h.Name.V, s.Name)
	}
	symptom := slices.ContainsFunc(s.V.Alerts, func(a fleet.Entry[*fleet.Alert]) bool { return a.V.Symptom.V })
	if !symptom && !probed && !s.V.Without.Probes.Set {
		w.find(finding.Unwatched, at(s.Pos), "%s: nobody would see that %s fails those who use it", h.Name.V, s.Name).
			Hintf("give it an alert with symptom: true, or probes:; or say why nobody looks from outside: without: probes: \"…\"")
	}
}

// backups finds a Prometheus with none of the alerts that miss a backup.
func (w *watchChecker) backups() {
	asked := map[string]bool{}
	for _, a := range w.place.Service.V.Alerts {
		for _, name := range watch.Names(a.V.Expr.V) {
			asked[name] = true
		}
	}
	for _, h := range w.fleet.Hosts {
		if !w.place.Sees(h) {
			continue
		}
		told := len(watch.Asked(w.targets, h.Name.V, "", true)) > 0 && slices.ContainsFunc(w.targets, func(t *watch.Target) bool {
			return t.Host == h && watch.Exported("gen_backup_last_success_timestamp_seconds", []*watch.Target{t})
		})
		for _, s := range h.Services {
			if w.fleet.BacksUp(h, s.V) && (!told || !asked["gen_expected_backup"] || !asked["gen_backup_last_success_timestamp_seconds"]) {
				w.find(finding.BackupUnwatched, at(s.Pos), "%s: nobody would see that the backups of %s have stopped", h.Name.V, s.Name).
					Hintf("run node_exporter on %s, which tells when the last one was, and leave %s its alerts", h.Name.V, w.place.Service.Name)
				break // one is missing for all of the host's
			}
		}
		if drills := w.fleet.Drills(h); len(drills) > 0 && (!told || !asked["gen_expected_drill"]) {
			w.find(finding.BackupUnwatched, at(drills[0].Pos), "%s: nobody would see that it tries the backups of %s no more", h.Name.V, drills[0].Host.Name.V).
				Hintf("run node_exporter on %s, which tells when it last did, and leave %s its alerts", h.Name.V, w.place.Service.Name)
		}
	}
}
