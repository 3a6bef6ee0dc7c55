package check

import (
	"net/netip"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
)

// told finds alerts that would reach nobody, or only through what they are
// about; and a host that watches others while nobody outside watches it.
func (w *watchChecker) told() {
	names, of := w.served(), map[string]bool{}
	for _, h := range w.fleet.Hosts {
		if h.Environment.V != w.place.Host.Environment.V {
			continue
		}
		for _, s := range h.Services {
			for _, t := range s.V.Tells {
				of[t.V.Of.V] = true
				if on := names[t.V.Through.V]; on != nil {
					w.find(finding.NobodyTold, at(t.V.Through.Pos, t.Pos, s.Pos), "%s: %s tells people through %s, which is on %s: nobody would hear that it is down", h.Name.V, s.Name, t.V.Through.V, on.Name.V).
						Hintf("name a server that is not one of the fleet's")
				}
			}
			if tellsAlerts(s.V) {
				w.receivers(h, s)
			}
		}
	}
	if of["alerts"] {
		w.sent()
	} else {
		w.find(finding.NobodyTold, at(w.place.Service.Pos), "%s: what %s sees, nobody is told", w.place.Host.Name.V, w.place.Service.Name).
			Hintf("run services: alertmanager: catalog.#Alertmanager & {receivers: phone: ntfy: \"ntfy.sh\"}")
	}
	if !of["life"] {
		w.find(finding.NobodyTold, at(w.place.Service.Pos), "%s: nobody outside would see that %s itself is down", w.place.Host.Name.V, w.place.Service.Name).
			Hintf("let somebody be pinged who misses it: alertmanager: deadman: \"hc-ping.com\"")
	}
}

// served are the names that lead to a host of the fleet, also by another name.
func (w *watchChecker) served() map[string]*fleet.Host {
	names := map[string]*fleet.Host{}
	for p, r := range w.fleet.AllRoutes() {
		names[r.Host.V] = p.Host
	}
	for more := true; more; {
		more = false
		for _, r := range w.fleet.AllRecords() {
			if on := names[strings.TrimSuffix(r.V.Data.V, ".")]; r.V.Type.V == "CNAME" && on != nil && names[r.Name] == nil {
				names[r.Name], more = on, true
			}
		}
	}
	return names
}

func tellsAlerts(s *fleet.Service) bool {
	return slices.ContainsFunc(s.Tells, func(t fleet.Entry[*fleet.Tell]) bool { return t.V.Of.V == "alerts" })
}

// documents are those in YAML of a service's containers.
func documents(s *fleet.Service) (all []*doc.Node) {
	for _, c := range s.Containers {
		for _, f := range c.V.Files {
			if f.V.YAML != nil {
				all = append(all, f.V.YAML)
			}
		}
	}
	return all
}

// under are the elements of the lists that a field of some nodes holds.
func under(nodes []*doc.Node, field string) (all []*doc.Node) {
	for _, n := range nodes {
		if n == nil {
			continue
		}
		if below := n.Get(field); below != nil {
			all = append(all, below.Items...)
		}
	}
	return all
}

// receivers finds an Alertmanager's routes that lead to nobody: to a receiver
// that there is not, or to one without any way to tell somebody what is
// critical, or what no other route takes.
func (w *watchChecker) receivers(h *fleet.Host, s fleet.Entry[*fleet.Service]) {
	for _, n := range documents(s.V) {
		tells, names := map[string]bool{}, []string{}
		for _, r := range under([]*doc.Node{n}, "receivers") {
			if name := r.Get("name"); name != nil {
				names = append(names, name.Scalar)
				tells[name.Scalar] = len(r.Fields) > 1
			}
		}
		root := n.Get("route")
		if root == nil || len(names) == 0 {
			continue
		}
		for _, r := range routes(root) {
			to := r.Get("receiver")
			if to == nil {
				continue // that of the route above
			}
			what := ""
			if r == root {
				what = "what no other route takes"
			} else if m := under([]*doc.Node{r}, "matchers"); len(m) == 1 && m[0].Scalar == `severity="critical"` {
				what = "what is critical"
			}
			switch {
			case !slices.Contains(names, to.Scalar):
				w.find(finding.NobodyTold, at(to.Pos, s.Pos), "%s: %s has no receiver %q", h.Name.V, s.Name, to.Scalar).
					Hintf("%s", finding.DidYouMean(to.Scalar, names, "its receivers are "+strings.Join(names, ", ")))
			case what != "" && !tells[to.Scalar]:
				w.find(finding.NobodyTold, at(to.Pos, s.Pos), "%s: %s tells nobody %s: the receiver %q has no way to", h.Name.V, s.Name, what, to.Scalar).
					Hintf("name a receiver with a mail, webhook or ntfy")
			}
		}
	}
}

// routes are a route and all below it.
func routes(n *doc.Node) []*doc.Node {
	all := []*doc.Node{n}
	for _, r := range under(all, "routes") {
		all = append(all, routes(r)...)
	}
	return all
}

// sent finds a Prometheus that sends its alerts to an address of the fleet where
// nobody takes them, or only to a host that it watches.
func (w *watchChecker) sent() {
	p := w.place
	for _, n := range documents(p.Service.V) {
		to := map[*fleet.Host]*doc.Node{} // nil for what is not the fleet's
		for _, target := range under(under(under([]*doc.Node{n.Get("alerting")}, "alertmanagers"), "static_configs"), "targets") {
			on, service := w.taker(target.Scalar)
			to[on] = target
			if on != nil && service == nil {
				w.find(finding.NobodyTold, at(target.Pos, p.Service.Pos), "%s: %s sends its alerts to %s, where nobody takes them", p.Host.Name.V, p.Service.Name, target.Scalar).
					Hintf("run an Alertmanager on %s, or name its address: prometheus: alertmanager: \"…\"", on.Name.V)
				return
			}
		}
		for on, target := range to {
			if len(to) == 1 && on != nil && on != p.Host {
				w.find(finding.NobodyTold, at(target.Pos, p.Service.Pos), "%s: %s sends its alerts to %s alone, which it watches: nobody would hear that it is down", p.Host.Name.V, p.Service.Name, on.Name.V).
					Hintf("run the Alertmanager on %s", p.Host.Name.V)
			}
		}
	}
}

// taker is the host of the fleet at an address with a port, and the service there
// that tells people of alerts.
func (w *watchChecker) taker(target string) (*fleet.Host, *fleet.Service) {
	at, err := netip.ParseAddrPort(target)
	if err != nil {
		return nil, nil
	}
	for _, h := range w.fleet.Hosts {
		for _, o := range w.ledger.On(h) {
			if o.Port == int(at.Port()) && o.Protocol == "tcp" && o.Address == at.Addr() {
				s, _ := h.Services.Get(o.Service)
				if s != nil && tellsAlerts(s) {
					return h, s
				}
				return h, nil
			}
		}
		if h.Mesh != nil && h.Mesh.Address.V == at.Addr().String() || h.Address.V == at.Addr().String() {
			return h, nil
		}
	}
	return nil, nil
}
