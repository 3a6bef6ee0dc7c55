// Package exposure is the ledger of a fleet: every socket that is listened on,
// who can reach it, and what asked for it. Firewall, proxy, tunnels and
// documents come from it, so that they cannot disagree.
package exposure

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/fleet"
)

// A Kind is what a socket belongs to.
type Kind int

const (
	Login     Kind = iota // sshd
	Tunnel                // WireGuard
	Opening               // a program outside containers
	Published             // a port of a container on an address of the host
	Bound                 // a container on the host's network binds it by itself
	Inside                // a container's own, on its networks
	Names                 // podman's DNS, on the bridge of a network
)

// A Socket is listened on at a host.
type Socket struct {
	Host     *fleet.Host
	Kind     Kind
	Address  netip.Addr // unspecified for all of the host's; invalid for a container's own and a bridge's
	Bridge   string     // the interface of a bridge whose own addresses it is on
	Port     int
	Protocol string

	Unit      string
	Service   string
	Container string // of the host's, "" for a program outside
	What      string
	Asked     string // the definition that asked for it
	Pos       []token.Pos

	InMesh     bool           // it is on an address of the mesh
	Internet   []netip.Prefix // the sources outside that reach it
	Mesh       []string       // the peers that do, sorted
	Self       bool           // the host's own processes do
	Containers []string       // the containers that do: their names, or host/name on another host; sorted
}

// A Container is reached on any port at its own addresses, which podman
// chooses, by rule and not by socket.
type Container struct {
	Host       *fleet.Host
	Name       string
	Networks   []string
	Containers []string // those that reach it, sorted; the host itself always does
}

// A Ledger is sorted by host.
type Ledger struct {
	Sockets    []*Socket
	Containers []*Container

	on   map[*fleet.Host][]*Socket
	mesh []*Socket // those that services may call
}

// Of is the ledger of a fleet whose addresses are well-formed; others are left out.
func Of(f *fleet.Fleet) *Ledger {
	l := &Ledger{on: map[*fleet.Host][]*Socket{}}
	builders := make([]*builder, len(f.Hosts))
	for i, h := range f.Hosts {
		b := newBuilder(f, h, l)
		b.programs()
		for _, s := range h.Services {
			for _, c := range s.V.Containers {
				b.container(s, c)
			}
		}
		b.names()
		builders[i] = b
	}
	for _, s := range l.Sockets {
		if s.InMesh {
			l.mesh = append(l.mesh, s)
		}
	}
	for _, b := range builders {
		b.callers()
	}
	for _, s := range l.Sockets {
		slices.Sort(s.Containers)
		s.Containers = slices.Compact(s.Containers)
	}
	slices.SortStableFunc(l.Sockets, compare)
	for _, s := range l.Sockets {
		l.on[s.Host] = append(l.on[s.Host], s)
	}
	return l
}

// On are the sockets of a host.
func (l *Ledger) On(h *fleet.Host) []*Socket { return l.on[h] }

// A builder enters what one host listens on.
type builder struct {
	fleet *fleet.Fleet
	host  *fleet.Host
	all   *Ledger

	proxy, proxies string   // the proxy's service and container, if the host has one
	everybody      []string // in the mesh, who reaches what is not for some of them
}

func newBuilder(f *fleet.Fleet, h *fleet.Host, l *Ledger) *builder {
	b := &builder{fleet: f, host: h, all: l}
	b.proxy, b.proxies, _, _ = h.ProxyContainer()
	return b
}

func (b *builder) add(s Socket) *Socket {
	s.Host, s.Self = b.host, true
	b.all.Sockets = append(b.all.Sockets, &s)
	return &s
}

var (
	everywhere4 = netip.MustParsePrefix("0.0.0.0/0")
	everywhere6 = netip.MustParsePrefix("::/0")
)

// programs are sshd, WireGuard and what the host opens by itself.
func (b *builder) programs() {
	h := b.host
	definition := "hosts." + h.Name.V
	families := []netip.Addr{netip.IPv4Unspecified()}
	if h.Bind6().Set || h.Mesh != nil && h.Mesh.Address6.Set {
		families = append(families, netip.IPv6Unspecified())
	}
	for _, all := range families {
		ssh := b.add(Socket{Kind: Login, Address: all, Port: h.SSH.Port.V, Protocol: "tcp", Unit: "ssh.service",
			What: "SSH", Asked: definition + ".ssh", Pos: places(h.SSH.Port.Pos, h.SSH.Audience.Pos, h.Pos)})
		ssh.Internet = login(h, all)
		if h.Mesh != nil {
			ssh.Mesh = b.peers(nil)
		}
		if b.fleet.Tunnels(h) && h.Bind(all.Is6()).Set {
			b.add(Socket{Kind: Tunnel, Address: all, Port: b.fleet.Mesh.Port.V, Protocol: "udp", Unit: b.fleet.TunnelUnit(),
				What: "WireGuard", Asked: definition + ".mesh", Pos: places(h.Mesh.Address.Pos, h.Pos), Internet: []netip.Prefix{everywhere(all)}})
		}
		for _, o := range h.Openings {
			s := b.add(Socket{Kind: Opening, Address: all, Port: o.V.Port.V, Protocol: o.V.Protocol.V, Unit: o.V.Unit.V,
				What: o.Name, Asked: definition + ".openings." + o.Name, Pos: places(o.Pos, h.Pos)})
			if h.Mesh != nil {
				s.Mesh = b.peers(nil)
			}
			if o.V.Audience.V == "internet" && h.Bind(all.Is6()).Set {
				s.Internet = []netip.Prefix{everywhere(all)}
			}
		}
	}
}

// login are the networks outside that may log in.
func login(h *fleet.Host, family netip.Addr) (from []netip.Prefix) {
	if !h.Bind(family.Is6()).Set {
		return nil
	}
	for _, v := range h.SSH.From {
		if p, err := netip.ParsePrefix(v.V); err == nil && p.Addr().Is6() == family.Is6() {
			from = append(from, p)
		}
	}
	if len(h.SSH.From) == 0 && h.SSH.Audience.V == "internet" {
		return []netip.Prefix{everywhere(family)}
	}
	return from
}

func everywhere(family netip.Addr) netip.Prefix {
	if family.Is6() {
		return everywhere6
	}
	return everywhere4
}

// peers are those in the mesh that reach what the host has for it: the named
// ones, or by default all; but a staging host reaches nothing of production.
func (b *builder) peers(named []fleet.Val[string]) (names []string) {
	if named != nil {
		for _, n := range named {
			names = append(names, n.V)
		}
		slices.Sort(names)
		return names
	}
	if b.everybody != nil {
		return b.everybody
	}
	for _, o := range b.fleet.Hosts {
		if o != b.host && o.Mesh != nil && (o.Environment.V == "production" || b.host.Environment.V != "production") {
			names = append(names, o.Name.V)
		}
	}
	if b.fleet.Mesh != nil {
		names = append(names, b.fleet.Mesh.Peers.Names()...)
	}
	slices.Sort(names)
	b.everybody = names
	return names
}

// container enters the ports of a container: those on the host, and its own.
func (b *builder) container(s fleet.Entry[*fleet.Service], c fleet.Entry[*fleet.Container]) {
	definition := "services." + s.Name + ".containers." + c.Name
	at := Socket{Service: s.Name, Container: fleet.ContainerName(s.Name, c.Name), Unit: fleet.ContainerName(s.Name, c.Name) + ".service"}
	for _, p := range c.V.Ports {
		for _, address := range b.addresses(s.V, c.V, p.V.Audience.V) {
			e := at
			e.Kind, e.Address, e.Port, e.Protocol = Published, address, p.V.Host.V, p.V.Protocol.V
			e.What, e.Asked, e.Pos = s.Name+": "+p.Name, definition+".ports."+p.Name, places(p.V.Host.Pos, p.Pos, s.Pos)
			if c.V.HostNetwork.V {
				e.Kind, e.Port = Bound, p.V.Container.V
			}
			b.serve(b.add(e), p.V.Audience.V, p.V.From)
		}
	}
	if c.V.HostNetwork.V {
		b.bound(s, c, at)
		return
	}
	for _, l := range c.V.Listens() {
		e := at
		e.Kind, e.Port, e.Protocol = Inside, l.Port, l.Protocol
		e.What, e.Asked, e.Pos = s.Name+": "+c.Name, definition, places(l.Pos, c.Pos, s.Pos)
		b.add(e).Containers = b.neighbours(s, c, &l)
	}
	b.all.Containers = append(b.all.Containers, &Container{b.host, at.Container, b.networks(s, c.V), b.neighbours(s, c, nil)})
}

// bound are the metrics of a container on the host's network: it listens on the
// loopback and in the mesh.
func (b *builder) bound(s fleet.Entry[*fleet.Service], c fleet.Entry[*fleet.Container], at Socket) {
	for _, m := range c.V.Metrics {
		for audience, addresses := range map[string][]netip.Addr{"host": {netip.AddrFrom4([4]byte{127, 0, 0, 1})}, "mesh": b.addresses(s.V, c.V, "mesh")} {
			for _, address := range addresses {
				e := at
				e.Kind, e.Address, e.Port, e.Protocol = Bound, address, m.V.Port.V, "tcp"
				e.What, e.Asked, e.Pos = s.Name+": "+m.Name, "services."+s.Name+".containers."+c.Name+".metrics."+m.Name, places(m.V.Port.Pos, m.Pos, s.Pos)
				b.serve(b.add(e), audience, nil)
			}
		}
	}
}

// serve says who reaches a port for an audience. The host's own containers are
// a part of the internet: they may ask its proxy like anybody.
func (b *builder) serve(s *Socket, audience string, from []fleet.Val[string]) {
	switch audience {
	case "internet":
		s.Internet = []netip.Prefix{everywhere(s.Address)}
		if s.Kind != Published {
			return
		}
		for _, o := range b.host.Services {
			for _, c := range o.V.Containers {
				if !c.V.HostNetwork.V && (s.Address.Is4() || b.hasIPv6(o, c.V)) {
					s.Containers = append(s.Containers, fleet.ContainerName(o.Name, c.Name))
				}
			}
		}
	case "mesh":
		s.InMesh, s.Mesh = true, b.peers(from)
	}
}

// addresses are what a port for an audience binds.
func (b *builder) addresses(s *fleet.Service, c *fleet.Container, audience string) (all []netip.Addr) {
	four, six := fleet.Val[string]{V: "127.0.0.1"}, fleet.Val[string]{V: "::1", Set: true}
	switch audience {
	case "internet":
		four, six = b.host.Listen, b.host.Bind6()
	case "mesh":
		if b.host.Mesh == nil {
			return nil
		}
		four, six = b.host.Mesh.Address, b.host.Mesh.Address6
	}
	if a, err := netip.ParseAddr(four.V); err == nil {
		all = append(all, a)
	}
	if a, err := netip.ParseAddr(six.V); err == nil && six.Set && (s.Network.Subnet6.Set || c.HostNetwork.V) {
		all = append(all, a)
	}
	return all
}

// networks are those that a container is on.
func (b *builder) networks(s fleet.Entry[*fleet.Service], c *fleet.Container) []string {
	on := []string{s.Name}
	if b.proxy != "" && b.proxy != s.Name && b.joins(s.V, c) {
		on = append(on, b.proxy)
	}
	return on
}

// hasIPv6 reports whether one of a container's networks has it.
func (b *builder) hasIPv6(s fleet.Entry[*fleet.Service], c *fleet.Container) bool {
	return slices.ContainsFunc(b.networks(s, c), func(name string) bool {
		on, _ := b.host.Services.Get(name)
		return on.Network.Subnet6.Set
	})
}

// joins reports whether a container is on the proxy's network: a pod is if one
// of its containers has to be.
func (b *builder) joins(s *fleet.Service, c *fleet.Container) bool {
	if !s.Pod.V {
		return b.host.Proxied(c)
	}
	return slices.ContainsFunc(s.Containers, func(c fleet.Entry[*fleet.Container]) bool { return b.host.Proxied(c.V) })
}

// neighbours are the containers that reach a container at its own addresses:
// those of its service, and the proxy if it leads here. The proxy's own ports
// for the internet are reached by all on its network, and others by nobody
// there: a port is given, nil stands for any.
func (b *builder) neighbours(s fleet.Entry[*fleet.Service], c fleet.Entry[*fleet.Container], port *fleet.Listen) (names []string) {
	if b.proxy == s.Name {
		if b.proxies == c.Name && port != nil && b.forAll(c.V, *port) {
			return b.proxied()
		}
		if b.proxies != c.Name {
			return []string{fleet.ContainerName(b.proxy, b.proxies)}
		}
		return nil
	}
	for _, o := range s.V.Containers {
		if o.Name != c.Name && !o.V.HostNetwork.V {
			names = append(names, fleet.ContainerName(s.Name, o.Name))
		}
	}
	if b.proxy != "" && b.joins(s.V, c.V) {
		names = append(names, fleet.ContainerName(b.proxy, b.proxies))
	}
	slices.Sort(names)
	return names
}

// forAll reports whether a port of the proxy is an entry point for the internet.
func (b *builder) forAll(c *fleet.Container, port fleet.Listen) bool {
	return slices.ContainsFunc(c.Ports, func(p fleet.Entry[*fleet.PublishedPort]) bool {
		return p.V.Audience.V == "internet" && p.V.Container.V == port.Port && p.V.Protocol.V == port.Protocol
	})
}

// proxied are the containers on the proxy's network besides the proxy.
func (b *builder) proxied() (names []string) {
	for _, s := range b.host.Services {
		for _, c := range s.V.Containers {
			if !c.V.HostNetwork.V && (s.Name == b.proxy && c.Name != b.proxies || s.Name != b.proxy && b.joins(s.V, c.V)) {
				names = append(names, fleet.ContainerName(s.Name, c.Name))
			}
		}
	}
	return names
}

// names is podman's DNS, which listens on the bridge of every network.
func (b *builder) names() {
	on := map[string][]string{} // containers by network
	for _, s := range b.host.Services {
		for _, c := range s.V.Containers {
			if !c.V.HostNetwork.V {
				for _, network := range b.networks(s, c.V) {
					on[network] = append(on[network], fleet.ContainerName(s.Name, c.Name))
				}
			}
		}
	}
	for _, s := range b.host.Services {
		if len(on[s.Name]) == 0 || !s.V.Bridged() {
			continue
		}
		for _, protocol := range []string{"tcp", "udp"} {
			b.add(Socket{Kind: Names, Bridge: fleet.Interface(s.Name), Port: 53, Protocol: protocol, Unit: s.Name + "-network.service", Service: s.Name,
				What: s.Name + ": names of its containers", Asked: "services." + s.Name + ".network", Pos: places(s.Pos), Containers: slices.Clone(on[s.Name])})
		}
	}
}

// callers enters the containers of services that call others, into what those
// have for the mesh. A container counts as its host there.
func (b *builder) callers() {
	for _, s := range b.host.Services {
		for _, to := range b.all.Calls(b.host, s.V) {
			for _, c := range s.V.Containers {
				name := fleet.ContainerName(s.Name, c.Name)
				switch {
				case c.V.HostNetwork.V, to.Address.Is6() && !b.hasIPv6(s, c.V):
					continue
				case to.Host != b.host:
					name = b.host.Name.V + "/" + name
				}
				to.Containers = append(to.Containers, name)
			}
		}
	}
}

// Calls are the sockets in the mesh that containers of a service may reach.
func (l *Ledger) Calls(h *fleet.Host, s *fleet.Service) (to []*Socket) {
	if h.Mesh == nil || len(s.Calls) == 0 {
		return nil
	}
	for _, o := range l.mesh {
		if o.Host != h && !slices.Contains(o.Mesh, h.Name.V) {
			continue
		}
		for _, name := range s.Calls {
			if name.V == "*" || name.V == o.Service && o.Host.Environment.V == h.Environment.V {
				to = append(to, o)
				break
			}
		}
	}
	return to
}

// At is a socket as people write it.
func (s *Socket) At() string {
	where := s.Address.String()
	switch {
	case s.Bridge != "":
		where = s.Bridge
	case !s.Address.IsValid():
		where = s.Container
	case s.Address.Is6():
		where = "[" + where + "]"
	}
	return where + ":" + strconv.Itoa(s.Port) + "/" + s.Protocol
}

// Meets reports whether two sockets of a host cannot both be had.
func (s *Socket) Meets(o *Socket) bool {
	return s.Host == o.Host && s.Port == o.Port && s.Protocol == o.Protocol && s.Address.IsValid() && o.Address.IsValid() &&
		s.Address.Is6() == o.Address.Is6() && (s.Address == o.Address || s.Address.IsUnspecified() || o.Address.IsUnspecified())
}

// places are those that are known.
func places(at ...token.Pos) []token.Pos {
	return slices.DeleteFunc(at, func(p token.Pos) bool { return !p.IsValid() })
}

// compare orders sockets by host, kind, container, address and port.
func compare(a, b *Socket) int {
	return cmp.Or(cmp.Compare(a.Host.Name.V, b.Host.Name.V), cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Container, b.Container),
		a.Address.Compare(b.Address), strings.Compare(a.Bridge, b.Bridge), cmp.Compare(a.Port, b.Port), strings.Compare(a.Protocol, b.Protocol))
}
