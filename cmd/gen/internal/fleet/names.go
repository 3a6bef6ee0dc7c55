package fleet

import (
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"
)

// ContainerName is podman's name of a service's container, and the stem of its unit.
func ContainerName(service, container string) string { return service + "-" + container }

// BackupUnit is the stem of the unit that backs a service up, which is activating while it does, and of its timer.
func BackupUnit(service string) string { return "gen-backup-" + service }

// Interface is the name of a service's bridge.
func Interface(service string) string { return "pm-" + service }

// Tunnels reports whether gen makes a host's tunnel: without a key something
// else gives it its address in the mesh.
func (f *Fleet) Tunnels(h *Host) bool {
	return f.Mesh != nil && h.Mesh != nil && h.Mesh.PublicKey.Set
}

// TunnelUnit is the unit of the mesh's interface.
func (f *Fleet) TunnelUnit() string { return "wg-quick@" + f.Mesh.Interface.V + ".service" }

// ProxyContainer is the service and container whose directory of routes gen fills, and
// that directory; ok is false on a host without one.
func (h *Host) ProxyContainer() (service, container, dir string, ok bool) {
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			for _, d := range c.V.Derived {
				if d.V.V == "routes" {
					return s.Name, c.Name, d.Name, true
				}
			}
		}
	}
	return "", "", "", false
}

// Bind is the address of a family that a port for the internet binds.
func (h *Host) Bind(six bool) Val[string] {
	if six {
		return h.Bind6()
	}
	return h.Listen
}

// Bridged reports whether a service has a container on its own network.
func (s *Service) Bridged() bool {
	for _, c := range s.Containers {
		if !c.V.HostNetwork.V {
			return true
		}
	}
	return false
}

// ServesMetrics reports whether the host's proxy serves the metrics of
// containers behind it: it publishes an entry point for them.
func (h *Host) ServesMetrics() bool {
	service, container, _, ok := h.ProxyContainer()
	if !ok {
		return false
	}
	s, _ := h.Services.Get(service)
	c, _ := s.Containers.Get(container)
	_, ok = c.Ports.Get("metrics")
	return ok
}

// Proxied reports whether the host's proxy leads to a container, which is on its
// network then.
func (h *Host) Proxied(c *Container) bool {
	return !c.HostNetwork.V && (len(c.Routes) > 0 || len(c.Metrics) > 0 && h.ServesMetrics())
}

// A Listen is a port that a container listens on.
type Listen struct {
	Port     int
	Protocol string
	Pos      token.Pos
}

// Listens are the ports of a container, each once: those it exposes or, where it
// does not say, those that something leads to.
func (c *Container) Listens() (all []Listen) {
	seen := map[Listen]bool{}
	add := func(port int, protocol string, pos token.Pos) {
		if key := (Listen{Port: port, Protocol: protocol}); !seen[key] {
			seen[key] = true
			all = append(all, Listen{port, protocol, pos})
		}
	}
	if c.Expose != nil {
		for _, e := range c.Expose {
			number, protocol, found := strings.Cut(e.V, "/")
			if !found {
				protocol = "tcp"
			}
			port, _ := strconv.Atoi(number)
			add(port, protocol, e.Pos)
		}
		return all
	}
	for _, p := range c.Ports {
		add(p.V.Container.V, p.V.Protocol.V, p.V.Container.Pos)
	}
	for _, r := range c.Routes {
		add(r.V.Port.V, "tcp", r.V.Port.Pos)
	}
	for _, m := range c.Metrics {
		add(m.V.Port.V, "tcp", m.V.Port.Pos)
	}
	return all
}

// PeerAddresses are those of a host or another peer in the mesh.
func (f *Fleet) PeerAddresses(name string) (four, six Val[string]) {
	for _, h := range f.Hosts {
		if h.Name.V == name && h.Mesh != nil {
			return h.Mesh.Address, h.Mesh.Address6
		}
	}
	if f.Mesh != nil {
		if p, ok := f.Mesh.Peers.Get(name); ok {
			return p.Address, p.Address6
		}
	}
	return four, six
}

// BareKey is a public ssh key without its comment.
func BareKey(line string) string {
	words := strings.SplitN(line, " ", 3)
	return strings.Join(words[:min(2, len(words))], " ")
}
