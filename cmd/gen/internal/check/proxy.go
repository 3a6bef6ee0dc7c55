package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/render"
)

// proxy checks that routes have one proxy to go through.
func (c *hostChecker) proxy() {
	var proxies []string
	var first token.Pos
	for _, s := range c.host.Services {
		for _, cont := range s.V.Containers {
			for _, d := range cont.V.Derived {
				if d.V.V != "routes" {
					continue
				}
				name := fleet.ContainerName(s.Name, cont.Name)
				if len(proxies) > 0 {
					c.find(finding.Proxy, at(d.Pos, s.Pos), "%s and %s both want to be the proxy", proxies[0], name).And(first).
						Hintf("keep one of them on this host")
				}
				proxies, first = append(proxies, name), d.Pos
				if cont.V.HostNetwork.V {
					c.find(finding.Proxy, at(cont.V.HostNetwork.Pos, s.Pos), "the proxy %s is on the host's network, where it cannot reach containers by name", name).
						Hintf("leave out hostNetwork, and publish its ports")
				}
			}
		}
	}
	var routed []string
	var where []token.Pos
	for _, s := range c.host.Services {
		for _, cont := range s.V.Containers {
			for _, r := range cont.V.Routes {
				if !slices.Contains(routed, s.Name) {
					routed, where = append(routed, s.Name), append(where, r.Pos, s.Pos)
				}
				if cont.V.HostNetwork.V {
					c.find(finding.Proxy, at(cont.V.HostNetwork.Pos, r.Pos, s.Pos), "%s has a route and is on the host's network, which the proxy does not share", fleet.ContainerName(s.Name, cont.Name)).
						Hintf("leave out hostNetwork, or the route")
				}
			}
		}
	}
	if len(proxies) == 0 && len(routed) > 0 {
		has := "has a route"
		if len(routed) > 1 {
			has = "have routes"
		}
		c.find(finding.Proxy, where[:2], "%s %s, and the host has no proxy", strings.Join(routed, ", "), has).
			Hintf("add services: traefik: catalog.#Traefik & {acme: email: …}")
	}
	if len(proxies) > 0 {
		c.entryPoints(proxies[0])
	}
}

// entryPoints checks that the proxy has the entry points that lead to routes,
// and that nobody comes by them whom a route is not for. What the proxy lacks
// for all routes alike is said once.
func (c *hostChecker) entryPoints(proxy string) {
	ports := render.ProxyPorts(c.host)
	said := map[string]bool{}
	for _, s := range c.host.Services {
		for _, cont := range s.V.Containers {
			for _, r := range cont.V.Routes {
				for i, e := range render.EntryPoints(r.V) {
					if own := i == 0; !own || !said[e.V] {
						found := c.entryPoint(entry{e, own, r, fleet.ContainerName(s.Name, cont.Name), at(e.Pos, r.Pos, s.Pos)}, proxy, ports)
						said[e.V] = said[e.V] || found && own
					}
				}
			}
		}
	}
	if p, ok := ports.Get("metrics"); ok && p.Audience.V == "internet" {
		c.find(finding.EntryPoint, at(p.Audience.Pos), "%s publishes metrics on the internet, and they are for the mesh", proxy).
			Hintf("say audience: \"mesh\", or call the port otherwise")
	}
}

// An entry point as a route has it: the one of its audience, or one that it names.
type entry struct {
	name  fleet.Val[string]
	own   bool
	route fleet.Entry[*fleet.Route]
	what  string // the route's container
	where []token.Pos
}

// entryPoint reports whether there is something wrong with one.
func (c *hostChecker) entryPoint(e entry, proxy string, ports fleet.Map[*fleet.PublishedPort]) bool {
	what := fmt.Sprintf("%s's route %s", e.what, e.route.Name)
	port, published := ports.Get(e.name.V)
	switch {
	case !published && e.name.V == "mesh" && c.host.Mesh == nil:
		c.find(finding.EntryPoint, e.where, "%s is to be served in the mesh, and the host is in none", what).
			Hintf("say mesh: address: … for the host, or leave the route to the internet")
	case !published:
		f := c.find(finding.EntryPoint, e.where, "%s is on the entry point %s, and the proxy %s publishes no port of that name", what, e.name.V, proxy)
		f.Hint = finding.DidYouMean(e.name.V, ports.Names(), "its ports are "+strings.Join(ports.Names(), ", "))
		if e.own {
			f.Hintf("give the proxy ports: %s: …, which is where routes for the %s are", e.name.V, e.route.V.Audience.V)
		}
	case c.notConfigured(e.name.V):
		c.find(finding.EntryPoint, e.where, "%s is on the entry point %s, and the configuration of %s has none of that name", what, e.name.V, proxy).And(port.Host.Pos).
			Hintf("a port that the proxy publishes is an entry point of the same name: give it both")
	case e.route.V.Audience.V == "mesh" && port.Audience.V == "internet":
		c.find(finding.EntryPoint, e.where, "%s is for the mesh alone, and the entry point %s is open to the internet", what, e.name.V).And(port.Audience.Pos).
			Hintf("leave %s out, or say audience: \"internet\"", e.name.V)
	case port.Audience.V == "internet" && !port.TLS.V:
		f := c.find(finding.NoTLS, e.where, "%s would be served to the internet without TLS, on the entry point %s", e.route.V.Host.V, e.name.V).And(port.Host.Pos)
		f.Hintf("leave %s out of its entryPoints", e.name.V)
		if e.own {
			f.Hintf("let %s end TLS on its port %s, and say tls: true there", proxy, e.name.V)
		}
	default:
		return false
	}
	return true
}

// notConfigured reports whether an entry point is not in what gen writes for the proxy to read.
func (c *hostChecker) notConfigured(name string) bool {
	all := render.ProxyConfigured(c.host)
	return all != nil && all.Get(name) == nil
}

// metricNames finds two containers of a service whose metrics have one name,
// which is all that tells them apart on the proxy and in Prometheus.
func (c *hostChecker) metricNames(s fleet.Entry[*fleet.Service]) {
	type owner struct {
		container string
		pos       token.Pos
	}
	taken := map[string]owner{}
	for _, cont := range s.V.Containers {
		for _, m := range cont.V.Metrics {
			if o, ok := taken[m.Name]; ok {
				c.find(finding.MetricName, at(m.Pos, cont.Pos, s.Pos), "%s: the containers %s and %s both have metrics called %s", s.Name, o.container, cont.Name, m.Name).And(o.pos).
					Hintf("give one of them another name: they are served as %s", render.MetricsPath(s.Name, m.Name))
			}
			taken[m.Name] = owner{cont.Name, m.Pos}
		}
	}
}

// exposed checks that a container listens where others are led to.
func (k *containerChecker) exposed() {
	c := k.container
	if c.Expose == nil {
		return
	}
	check := func(port fleet.Val[int], protocol, what string, near token.Pos) {
		number := strconv.Itoa(port.V)
		if slices.ContainsFunc(c.Expose, func(e fleet.Val[string]) bool {
			return e.V == number+"/"+protocol || e.V == number && protocol == "tcp"
		}) {
			return
		}
		f := k.find(finding.NotExposed, k.at(port.Pos, near), "%s: %s leads to port %s/%s, where it does not listen", k.what, what, number, protocol)
		if len(c.Expose) > 0 {
			f.And(c.Expose[0].Pos)
		}
		f.Hintf("by its expose: it listens on %s; correct one of the two", orNothing(c.Expose))
	}
	for _, p := range c.Ports {
		check(p.V.Container, p.V.Protocol.V, "the published port "+p.Name, p.Pos)
	}
	if slices.ContainsFunc(c.Derived, func(d fleet.Entry[fleet.Val[string]]) bool { return d.V.V == "routes" }) {
		return // what the proxy leads to in itself is on its own loopback
	}
	for _, r := range c.Routes {
		check(r.V.Port, "tcp", "the route "+r.Name, r.Pos)
	}
	for _, m := range c.Metrics {
		check(m.V.Port, "tcp", "the metrics "+m.Name, m.Pos)
	}
}

func orNothing(ports []fleet.Val[string]) string {
	if len(ports) == 0 {
		return "nothing"
	}
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.V
	}
	return strings.Join(names, ", ")
}
