package check

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/podman"
	"gen.example/cmd/gen/internal/render"
)

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
	taken := map[netip.Addr]*fleet.Host{}
	for _, h := range c.fleet.Hosts {
		if h.Mesh == nil {
			continue
		}
		if m == nil {
			c.find(finding.Address, at(h.Mesh.Address.Pos, h.Pos), "%s is in a mesh, and the fleet has none", h.Name.V).
				Hintf("say fleet: mesh: network: \"10.44.0.0/24\"")
			continue
		}
		c.meshAddress(h, h.Mesh.Address, four, false, taken)
		if h.Mesh.Address6.Set {
			c.meshAddress(h, h.Mesh.Address6, six, true, taken)
		}
	}
}

func (c *checker) meshAddress(h *fleet.Host, v fleet.Val[string], network netip.Prefix, six bool, taken map[netip.Addr]*fleet.Host) {
	a := c.address(v, h.Pos, h.Name.V+"'s mesh address", six)
	if !a.IsValid() {
		return
	}
	if network.IsValid() && !network.Contains(a) {
		c.find(finding.Address, at(v.Pos, h.Pos), "%s's mesh address %s is not in the mesh %s", h.Name.V, a, network).
			Hintf("give it one of the mesh's, or widen fleet: mesh: network:")
	}
	if other := taken[a]; other != nil {
		c.find(finding.Address, at(v.Pos, h.Pos), "%s and %s both have the mesh address %s", other.Name.V, h.Name.V, a).And(other.Mesh.Address.Pos).
			Hintf("give each host an address of its own")
	}
	taken[a] = h
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

// publicNames finds names that lead to two places.
func (c *checker) publicNames() {
	type owner struct {
		host  *fleet.Host
		what  string
		route *fleet.Route
	}
	byName := map[string][]owner{}
	for _, h := range c.fleet.Hosts {
		for _, s := range h.Services {
			for _, cont := range s.V.Containers {
				for _, r := range cont.V.Routes {
					for _, o := range byName[r.V.Host.V] {
						if o.host != h {
							c.find(finding.PublicName, at(r.V.Host.Pos, s.Pos), "%s leads to %s on %s and to %s on %s", r.V.Host.V, o.what, o.host.Name.V, s.Name, h.Name.V).
								And(o.route.Host.Pos).Hintf("a name can point to one host; give one of them another domain")
							break
						}
						if samePaths(o.route, r.V) {
							c.find(finding.PublicName, at(r.V.Host.Pos, s.Pos), "%s: %s leads to %s and to %s", h.Name.V, r.V.Host.V, o.what, s.Name).
								And(o.route.Host.Pos).Hintf("give one of them another domain")
							break
						}
					}
					byName[r.V.Host.V] = append(byName[r.V.Host.V], owner{h, s.Name, r.V})
				}
			}
		}
	}
}

func samePaths(a, b *fleet.Route) bool {
	paths := func(r *fleet.Route) (out []string) {
		for _, p := range r.Paths {
			out = append(out, p.V)
		}
		slices.Sort(out)
		return out
	}
	pa, pb := paths(a), paths(b)
	if len(pa) == 0 || len(pb) == 0 {
		return len(pa) == len(pb)
	}
	return slices.ContainsFunc(pa, func(p string) bool { return slices.Contains(pb, p) })
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
			what := render.ContainerName(s.Name, cont.Name)
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

// sockets finds two containers on one socket of the host, and ports that
// nobody could reach as they are meant.
func (c *hostChecker) sockets() {
	type owner struct {
		what string
		pos  token.Pos
	}
	taken := map[string]owner{}
	for _, s := range c.host.Services {
		for _, cont := range s.V.Containers {
			for _, p := range cont.V.Ports {
				if p.V.Audience.V == "mesh" && c.host.Mesh == nil {
					c.find(finding.Address, at(p.V.Audience.Pos, p.Pos, s.Pos), "%s publishes %s in the mesh, and the host is in none", s.Name, p.Name).
						Hintf("say mesh: address: … for the host")
					continue
				}
				if six := c.sixFor(p.V.Audience.V); six != "" && !s.V.Network.Subnet6.Set {
					c.find(finding.NoIPv6, at(p.Pos, s.Pos), "%s publishes %s, and cannot be reached on %s: its network has no IPv6", s.Name, p.Name, six).
						Hintf("give the service network: subnet6: …")
				}
				socket := fmt.Sprintf("%s:%d/%s", c.boundBy(p.V.Audience.V), p.V.Host.V, p.V.Protocol.V)
				if o, ok := taken[socket]; ok {
					both := fmt.Sprintf("%s and %s both publish %s", o.what, s.Name, socket)
					if o.what == s.Name {
						both = fmt.Sprintf("%s publishes %s twice", s.Name, socket)
					}
					c.find(finding.Socket, at(p.V.Host.Pos, p.Pos, s.Pos), "%s", both).And(o.pos).Hintf("give one of them another port on the host")
				}
				taken[socket] = owner{s.Name, p.V.Host.Pos}
			}
		}
	}
}

func (c *hostChecker) boundBy(audience string) string {
	switch audience {
	case "internet":
		return c.host.Listen.V
	case "mesh":
		return c.host.Mesh.Address.V
	}
	return "127.0.0.1"
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
