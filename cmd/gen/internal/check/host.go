package check

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/podman"
)

// addresses finds two hosts that bind one address of the internet. Behind a NAT
// they say which they bind: listen.
func (c *checker) addresses() {
	taken := map[string]*fleet.Host{}
	for _, h := range c.fleet.Hosts {
		for _, v := range []fleet.Val[string]{h.Address, h.Address6} {
			if v.V == "" || v.V != h.Listen.V && v.V != h.Bind6().V {
				continue
			}
			if first := taken[v.V]; first != nil && first != h {
				c.find(finding.Address, at(v.Pos, h.Pos), "%s and %s both have the address %s", first.Name.V, h.Name.V, v.V).And(first.Address.Pos).
					Hintf("give each host its own; behind a NAT each says what it binds itself: listen: \"192.168.0.2\"")
			}
			taken[v.V] = h
		}
	}
}

// mesh checks the private network and each host's place in it.
func (c *checker) mesh() {
	m := c.fleet.Mesh
	var four, six netip.Prefix
	if m != nil {
		four = c.prefix(m.Network, "the mesh's network", false)
		if m.Network6.Set {
			six = c.prefix(m.Network6, "the mesh's network6", true)
		}
	}
	taken := map[netip.Addr]member{}
	for _, h := range c.fleet.Hosts {
		if h.Mesh == nil {
			continue
		}
		if m == nil {
			c.find(finding.Address, at(h.Mesh.Address.Pos, h.Pos), "%s is in a mesh, and the fleet has none", h.Name.V).
				Hintf("say fleet: mesh: network: \"10.44.0.0/24\"")
			continue
		}
		c.meshAddress(member{h.Name.V, h.Mesh.Address.Pos}, h.Mesh.Address, h.Pos, four, false, taken)
		if h.Mesh.Address6.Set {
			c.meshAddress(member{h.Name.V, h.Mesh.Address6.Pos}, h.Mesh.Address6, h.Pos, six, true, taken)
		}
	}
	if m == nil {
		return
	}
	c.hostsIn("the mesh", nil, four, m.Network.Pos)
	c.hostsIn("the mesh", nil, six, m.Network6.Pos)
	for _, p := range m.Peers {
		c.meshAddress(member{p.Name, p.V.Address.Pos}, p.V.Address, p.Pos, four, false, taken)
		if p.V.Address6.Set {
			c.meshAddress(member{p.Name, p.V.Address6.Pos}, p.V.Address6, p.Pos, six, true, taken)
		}
	}
}

// A member has an address in the mesh.
type member struct {
	name string
	pos  token.Pos
}

func (c *checker) meshAddress(who member, v fleet.Val[string], near token.Pos, network netip.Prefix, six bool, taken map[netip.Addr]member) {
	a := c.address(v, near, who.name+"'s mesh address", six)
	if !a.IsValid() {
		return
	}
	if !network.IsValid() && six && !c.fleet.Mesh.Network6.Set {
		c.find(finding.Address, at(v.Pos, near), "%s's mesh address %s has no network: the mesh has no IPv6", who.name, a).
			Hintf("say fleet: mesh: network6: \"fd44::/64\"")
	}
	if network.IsValid() && !network.Contains(a) {
		c.find(finding.Address, at(v.Pos, near), "%s's mesh address %s is not in the mesh %s", who.name, a, network).
			Hintf("give it one of the mesh's, or widen fleet: mesh: network:")
	}
	if other, ok := taken[a]; ok {
		c.find(finding.Address, at(v.Pos, near), "%s and %s both have the mesh address %s", other.name, who.name, a).And(other.pos).
			Hintf("give each host and peer an address of its own")
	}
	taken[a] = who
}

// address reads an IP address, without a zone.
func (c *checker) address(v fleet.Val[string], near token.Pos, what string, six bool) netip.Addr {
	a, err := netip.ParseAddr(v.V)
	if err != nil || a.Is4() == six || a.Zone() != "" || a.Is4In6() {
		c.find(finding.Address, at(v.Pos, near), "%s is %q, which is no %s address", what, v.V, family(six)).Hintf("such as %s", map[bool]string{false: "203.0.113.10", true: "2001:db8::10"}[six])
		return netip.Addr{}
	}
	return a
}

// prefix reads a network, which must be written by its first address.
func (c *checker) prefix(v fleet.Val[string], what string, six bool) netip.Prefix {
	p, err := netip.ParsePrefix(v.V)
	if err != nil || p.Addr().Is4() == six {
		c.find(finding.Address, at(v.Pos), "%s is %q, which is no %s network", what, v.V, family(six)).
			Hintf("a network is an address and a length, such as %s", map[bool]string{false: "10.44.0.0/24", true: "fd44::/64"}[six])
		return netip.Prefix{}
	}
	if p != p.Masked() {
		c.find(finding.Address, at(v.Pos), "%s %s has bits set below its length", what, p).Hintf("did you mean %s?", p.Masked())
	}
	return p.Masked()
}

func family(six bool) string {
	if six {
		return "IPv6"
	}
	return "IPv4"
}

// identity checks what a host says of itself.
func (c *hostChecker) identity() {
	h := c.host
	if h.Name.V == "fleet" {
		c.find(finding.HostName, at(h.Pos), "a host cannot be called fleet").Hintf("OUT/fleet is for what belongs to no single host")
	}
	switch s, ok := podman.Systems[h.OS.V]; {
	case !ok:
		f := c.find(finding.System, at(h.OS.Pos, h.Pos), "gen does not know the system %q", h.OS.V)
		f.Hint = finding.DidYouMean(h.OS.V, podman.SystemNames(), "it knows "+strings.Join(podman.SystemNames(), ", "))
	case s.Refused != "":
		c.find(finding.System, at(h.OS.Pos, h.Pos), "%s cannot be a host: %s", h.OS.V, s.Refused).
			Hintf("use %s", strings.Join(podman.SystemNames(), " or "))
	}
	c.address(h.Address, h.Pos, "address", false)
	if h.Listen.V != h.Address.V {
		c.address(h.Listen, h.Pos, "listen", false)
	}
	if h.Address6.Set {
		c.address(h.Address6, h.Pos, "address6", true)
	}
	if h.Listen6.Set {
		c.address(h.Listen6, h.Pos, "listen6", true)
	}
}

func (c *hostChecker) address(v fleet.Val[string], near token.Pos, what string, six bool) netip.Addr {
	return c.checker.address(v, near, c.host.Name.V+"'s "+what, six)
}

func (c *hostChecker) prefix(v fleet.Val[string], what string, six bool) netip.Prefix {
	return c.checker.prefix(v, c.host.Name.V+"'s "+what, six)
}

// networks finds ranges that overlap: a packet to such an address goes to one of them.
func (c *hostChecker) networks() {
	type taken struct {
		what string
		p    netip.Prefix
		pos  token.Pos
	}
	var all []taken
	add := func(what string, v fleet.Val[string], six bool, near token.Pos) netip.Prefix {
		p := c.prefix(v, what, six)
		for _, o := range all {
			if p.IsValid() && o.p.IsValid() && p.Overlaps(o.p) {
				c.find(finding.Overlap, at(v.Pos, near), "the %s %s and %s %s overlap", what, p, o.what, o.p).And(o.pos).
					Hintf("give one of them another range")
			}
		}
		all = append(all, taken{"the " + what, p, v.Pos})
		c.hostsIn(c.host.Name.V+"'s "+what, c.host, p, v.Pos)
		return p
	}
	if m := c.fleet.Mesh; m != nil {
		if p, err := netip.ParsePrefix(m.Network.V); err == nil {
			all = append(all, taken{"the mesh", p, m.Network.Pos})
		}
		if p, err := netip.ParsePrefix(m.Network6.V); err == nil {
			all = append(all, taken{"the mesh", p, m.Network6.Pos})
		}
	}
	h := c.host
	if pool := add("pool", h.Pool, false, h.Pos); pool.IsValid() && pool.Bits() > 24 {
		c.find(finding.Address, at(h.Pool.Pos, h.Pos), "the pool %s is smaller than one network (/24)", pool).
			Hintf("podman takes a /24 of it for each service: give it a /16")
	}
	c.within(h.Proxy.Address, c.prefix(h.Proxy.Subnet, "proxy subnet", false), "the proxy's address", false)
	c.within(h.Proxy.Address6, c.prefix(h.Proxy.Subnet6, "proxy subnet6", true), "the proxy's address6", true)
	for _, s := range h.Services {
		var four, six netip.Prefix
		if n := s.V.Network; n.Subnet.Set {
			four = add("subnet of "+s.Name, n.Subnet, false, s.Pos)
		}
		if n := s.V.Network; n.Subnet6.Set {
			six = add("subnet6 of "+s.Name, n.Subnet6, true, s.Pos)
		}
		for _, cont := range s.V.Containers {
			what := fleet.ContainerName(s.Name, cont.Name)
			if a := cont.V.Address; a.Set {
				c.within(a, four, what+"'s address", false)
			}
			if a := cont.V.Address6; a.Set {
				c.within(a, six, what+"'s address6", true)
			}
		}
	}
}

// within checks an address that must lie in a written network.
func (c *hostChecker) within(v fleet.Val[string], network netip.Prefix, what string, six bool) {
	a := c.address(v, c.host.Pos, what, six)
	switch {
	case !a.IsValid():
	case !network.IsValid():
		c.find(finding.Address, at(v.Pos, c.host.Pos), "%s %s needs a written %s subnet", what, a, family(six)).
			Hintf("write the subnet that it lies in, or leave the address out")
	case !network.Contains(a):
		c.find(finding.Address, at(v.Pos, c.host.Pos), "%s %s is not in %s", what, a, network).
			Hintf("give an address of that network")
	}
}

// sockets finds two on one socket of the host, and ports that nobody could
// reach as they are meant.
func (c *hostChecker) sockets() {
	for _, s := range c.host.Services {
		for _, cont := range s.V.Containers {
			for _, p := range cont.V.Ports {
				if p.V.Audience.V == "mesh" && c.host.Mesh == nil {
					c.find(finding.Address, at(p.V.Audience.Pos, p.Pos, s.Pos), "%s publishes %s in the mesh, and the host is in none", s.Name, p.Name).
						Hintf("say mesh: address: … for the host")
					continue
				}
				if six := c.sixFor(p.V.Audience.V); six != "" && !s.V.Network.Subnet6.Set && !cont.V.HostNetwork.V {
					c.find(finding.NoIPv6, at(p.Pos, s.Pos), "%s publishes %s, and cannot be reached on %s: its network has no IPv6", s.Name, p.Name, six).
						Hintf("give the service network: subnet6: …")
				}
			}
		}
	}
	sockets := c.ledger.On(c.host)
	for i, s := range sockets {
		for _, o := range sockets[:i] {
			if !s.Meets(o) || s.Address.Is6() && slices.ContainsFunc(sockets, func(four *exposure.Socket) bool {
				return four.Address.Is4() && four.What == s.What && four.Port == s.Port && four.Protocol == s.Protocol
			}) {
				continue // it is told of IPv4
			}
			c.twoOnOne(o, s)
		}
	}
}

func (c *hostChecker) twoOnOne(o, s *exposure.Socket) {
	name := func(s *exposure.Socket) string {
		if s.Service != "" {
			return s.Service
		}
		return s.What
	}
	both := fmt.Sprintf("%s and %s both listen on %s", name(o), name(s), s.At())
	switch published := o.Kind == exposure.Published && s.Kind == exposure.Published; {
	case published && name(o) == name(s):
		both = fmt.Sprintf("%s publishes %s twice", name(s), s.At())
	case published:
		both = fmt.Sprintf("%s and %s both publish %s", name(o), name(s), s.At())
	}
	f := c.find(finding.Socket, s.Pos, "%s", both)
	if o.Kind == exposure.Login {
		f.Hintf("give %s another port on the host, or move the host's own sshd: ssh: port: 2222", name(s))
		return
	}
	f.And(o.Pos[0]).Hintf("give one of them another port on the host")
}

// sixFor is the IPv6 address that an audience expects to be served on.
func (c *hostChecker) sixFor(audience string) string {
	switch {
	case audience == "internet":
		return c.host.Bind6().V
	case audience == "mesh":
		return c.host.Mesh.Address6.V
	}
	return ""
}

var parameter = regexp.MustCompile(`^[a-z0-9_]+([./][A-Za-z0-9_*-]+)+$`)

func (c *hostChecker) sysctl() {
	for _, p := range c.host.Sysctl {
		if !parameter.MatchString(p.Name) {
			c.find(finding.BadText, at(p.Pos), "%q is no kernel parameter", p.Name).
				Hintf("it is written as sysctl prints it: net.ipv4.ip_forward")
		}
		c.line(p.V.V, "the kernel parameter "+p.Name, at(p.V.Pos, p.Pos))
	}
}
