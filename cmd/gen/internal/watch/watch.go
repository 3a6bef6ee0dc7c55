// Package watch is what each Prometheus of a fleet asks for: the metrics of
// every container that says something of itself, and what a blackbox exporter
// sees of every public name. Scrapes, rules, dashboards and checks come from
// it, so that they cannot disagree.
package watch

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
)

// A Place is a container with a directory that gen fills.
type Place struct {
	Host      *fleet.Host
	Service   fleet.Entry[*fleet.Service]
	Container fleet.Entry[*fleet.Container]
	Dir       string
	Pos       token.Pos
}

// Places are the containers of a host with a directory of that kind.
func Places(h *fleet.Host, kind string) (all []Place) {
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			for _, d := range c.V.Derived {
				if d.V.V == kind {
					all = append(all, Place{h, s, c, d.Name, d.Pos})
				}
			}
		}
	}
	return all
}

// Prometheis are the containers whose rules gen writes.
func Prometheis(f *fleet.Fleet) (all []Place) {
	for _, h := range f.Hosts {
		all = append(all, Places(h, "rules")...)
	}
	return all
}

// Sees reports whether a host's Prometheus looks at another host: one on a
// staging host knows nothing of production.
func (p Place) Sees(h *fleet.Host) bool {
	return p.Host == h || p.Host.Environment.V == "production" || h.Environment.V != "production"
}

// A Target is what one container says of itself, as a Prometheus reaches it.
type Target struct {
	Host      *fleet.Host
	Service   string
	Container string
	Job       string
	Address   string
	Path      string
	Proxy     string           // the service that leads there, "" for none
	Socket    *exposure.Socket // what is dialled; nil for Prometheus itself, or if there is none
	Metrics   *fleet.Metrics
	Pos       token.Pos
}

// Targets are all that a Prometheus asks, in the order of hosts and services.
func Targets(f *fleet.Fleet, l *exposure.Ledger, p Place) (all []*Target) {
	for _, h := range f.Hosts {
		if !p.Sees(h) {
			continue
		}
		for _, s := range h.Services {
			for _, c := range s.V.Containers {
				for _, m := range c.V.Metrics {
					t := &Target{Host: h, Service: s.Name, Container: c.Name, Job: m.Name, Path: m.V.Path.V, Metrics: m.V, Pos: m.Pos}
					t.reach(l, p, s, c)
					all = append(all, t)
				}
			}
		}
	}
	return all
}

// reach finds the way to a target: itself on its loopback, what it publishes in
// the mesh, or else the one port on which the host's proxy serves metrics.
func (t *Target) reach(l *exposure.Ledger, p Place, s fleet.Entry[*fleet.Service], c fleet.Entry[*fleet.Container]) {
	port := t.Metrics.Port.V
	if p.Host == t.Host && p.Service.Name == s.Name && p.Container.Name == c.Name {
		t.Address = HostPort("127.0.0.1", strconv.Itoa(port))
		return
	}
	name := fleet.ContainerName(s.Name, c.Name)
	for _, published := range c.V.Ports {
		if published.V.Container.V == port && published.V.Protocol.V == "tcp" && published.V.Audience.V == "mesh" {
			t.dial(meshSocket(l, t.Host, name, published.V.Host.V))
		}
	}
	if c.V.HostNetwork.V {
		t.dial(meshSocket(l, t.Host, name, port))
	}
	proxy, container, _, ok := t.Host.ProxyContainer()
	if t.Socket != nil || !ok || !t.Host.ServesMetrics() {
		return
	}
	entry, _ := t.Host.Services.Get(proxy)
	leads, _ := entry.Containers.Get(container)
	at, _ := leads.Ports.Get("metrics")
	t.dial(meshSocket(l, t.Host, fleet.ContainerName(proxy, container), at.Host.V))
	t.Proxy, t.Path = proxy, MetricsPath(s.Name, t.Job)
}

func (t *Target) dial(s *exposure.Socket) {
	if s != nil && t.Socket == nil {
		t.Socket, t.Address = s, HostPort(s.Address.String(), strconv.Itoa(s.Port))
	}
}

// MetricsPath is where on the proxy's entry point a container's metrics are.
func MetricsPath(service, name string) string { return "/" + service + "/" + name }

// meshSocket is what a container has in the mesh on a port, and nil if nothing.
func meshSocket(l *exposure.Ledger, h *fleet.Host, container string, port int) *exposure.Socket {
	for _, s := range l.On(h) {
		if s.InMesh && s.Container == container && s.Port == port && s.Protocol == "tcp" {
			return s
		}
	}
	return nil
}

// Blocked says at which hop a target cannot be reached and what to do, and "" if
// it can. That a container listens on the port behind the proxy is seen elsewhere.
func (t *Target) Blocked(l *exposure.Ledger, p Place) (why, hint string) {
	switch {
	case t.Address == "":
		return "it has no port in the mesh, and its host no proxy that serves metrics there",
			`put its host into the mesh with a proxy, or publish the port with audience: "mesh"; or leave out metrics:`
	case t.Socket != nil && !slices.Contains(l.Calls(p.Host, p.Service.V), t.Socket): // nil for Prometheus itself
		return p.Service.Name + " on " + p.Host.Name.V + " may not call " + t.Socket.At(),
			"add " + p.Host.Name.V + " to from: of the port, and " + strconv.Quote(t.Socket.Service) + " to calls: of " + p.Service.Name
	}
	return "", ""
}

// A Probe is a look at a public name from outside.
type Probe struct {
	Host    *fleet.Host // that serves it
	Service string
	Name    string
	URL     string
	Module  string
	Body    string // that the answer must match, "" for any
	By      *Place // the blackbox exporter that looks, nil without one
	From    *exposure.Socket
	Pos     token.Pos
}

// Probes are what is looked at for a Prometheus: what services say of
// themselves, and the certificate of every other public name and entry point.
func Probes(f *fleet.Fleet, l *exposure.Ledger, p Place) (all []*Probe) {
	for _, h := range f.Hosts {
		if !p.Sees(h) {
			continue
		}
		by, from := prober(f, l, p, h)
		seen := map[string]bool{}
		add := func(e *Probe) {
			e.Host, e.By, e.From = h, by, from
			if h.Environment.V != "production" {
				e.Module += "_staging"
			}
			all = append(all, e)
		}
		for _, s := range h.Services {
			for _, e := range s.V.Probes {
				seen[authority(e.V.URL.V)] = true
				module := "http"
				if strings.HasPrefix(e.V.URL.V, "http:") {
					module = "http_plain"
				}
				add(&Probe{Service: s.Name, Name: e.Name, URL: e.V.URL.V, Module: module, Body: e.V.Body.V, Pos: e.Pos})
			}
		}
		for _, name := range publicNames(h) {
			if !seen[name.at] {
				seen[name.at] = true
				add(&Probe{Service: name.service, URL: name.at, Module: "tls", Pos: name.pos})
			}
		}
	}
	return all
}

// authority is the host and port that a URL is asked at.
func authority(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return HostPort(u.Hostname(), port)
}

// A publicName is a name and port that the internet reaches through the proxy.
type publicName struct {
	at, service string
	pos         token.Pos
}

func publicNames(h *fleet.Host) (names []publicName) {
	service, container, _, ok := h.ProxyContainer()
	if !ok {
		return nil
	}
	s, _ := h.Services.Get(service)
	proxy, _ := s.Containers.Get(container)
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			for _, r := range c.V.Routes {
				points := r.V.EntryPoints
				if r.V.Audience.V == "internet" {
					points = append([]fleet.Val[string]{{V: "websecure"}}, points...)
				}
				for _, point := range points {
					if port, ok := proxy.Ports.Get(point.V); ok && port.Audience.V == "internet" && port.TLS.V {
						names = append(names, publicName{HostPort(r.V.Host.V, strconv.Itoa(port.Host.V)), s.Name, r.Pos})
					}
				}
			}
		}
	}
	return names
}

// prober is the blackbox exporter that looks at a host: one on another host, or
// where there is only one host, its own.
func prober(f *fleet.Fleet, l *exposure.Ledger, p Place, h *fleet.Host) (*Place, *exposure.Socket) {
	for _, from := range f.Hosts {
		if from == h && len(f.Hosts) > 1 {
			continue
		}
		for _, b := range Places(from, "modules") {
			for _, port := range b.Container.V.Ports {
				if s := meshSocket(l, from, fleet.ContainerName(b.Service.Name, b.Container.Name), port.V.Host.V); s != nil && slices.Contains(l.Calls(p.Host, p.Service.V), s) {
					return &b, s
				}
			}
		}
	}
	return nil, nil
}

// HostPort is a name or an address with a port, an IPv6 address in brackets. Package
// net has it too, and can do more than what is pure may import.
func HostPort(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}
