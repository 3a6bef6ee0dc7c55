package render

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

const (
	firewallFile = "/etc/nftables.d/gen.nft"
	firewallUnit = "gen-firewall.service"
)

// firewall is a table of ours, loaded by a unit of ours early at boot and
// replaced as a whole. Debian's unit is masked by an empty file: it flushes all
// tables, podman's too.
func firewall(f *fleet.Fleet, h *fleet.Host, ledger *exposure.Ledger) []*tree.File {
	u := &unit.File{Comment: madeBy("hosts." + h.Name.V)}
	s := u.Section("Unit")
	s.Add("Description", "Firewall", h.Pos)
	s.Add("DefaultDependencies", "no", h.Pos)
	s.Add("After", "local-fs.target", h.Pos)
	s.Add("Wants", "network-pre.target", h.Pos)
	s.Add("Before", "network-pre.target", h.Pos)
	s.Add("Before", "shutdown.target", h.Pos)
	s.Add("Conflicts", "shutdown.target", h.Pos)
	run := u.Section("Service")
	run.Add("Type", "oneshot", h.Pos)
	run.Add("RemainAfterExit", "yes", h.Pos)
	run.Add("ExecStart", "/usr/sbin/nft -f "+firewallFile, h.Pos)
	run.Add("ExecReload", "/usr/sbin/nft -f "+firewallFile, h.Pos)
	boots := unit.Line{Value: "sysinit.target", Pos: h.Pos}
	u.Section("Install").Add("WantedBy", boots.Value, h.Pos)
	return []*tree.File{
		{Path: firewallFile, Mode: "0644", Owner: "0:0", Body: []byte(ruleset(f, h, ledger)), On: "reload", Pos: h.Pos},
		{Path: UnitPath(firewallUnit), Mode: "0644", Owner: "0:0", Unit: u, Pos: h.Pos},
		{Path: UnitPath("nftables.service"), Mode: "0644", Owner: "0:0", Pos: h.Pos},
		boot(firewallUnit, boots, "Wants", "hosts."+h.Name.V),
	}
}

// sshd is where it listens, if that is not where it does by itself.
func sshd(f *fleet.Fleet, h *fleet.Host) []*tree.File {
	const port = 22
	if h.SSH.Port.V == port {
		return nil
	}
	body := fmt.Sprintf("# %s\nPort %d\n", madeBy("hosts."+h.Name.V+".ssh"), h.SSH.Port.V)
	return []*tree.File{{Path: "/etc/ssh/sshd_config.d/50-gen.conf", Mode: "0644", Owner: "0:0",
		Body: []byte(body), On: "reload", Units: []string{"ssh.service"}, Pos: h.SSH.Port.Pos}}
}

// A table is nftables' text on its way.
type table struct {
	strings.Builder
	fleet   *fleet.Fleet
	host    *fleet.Host
	sockets []*exposure.Socket
	calls   []call
}

// A call is a socket in the mesh that the containers of a service may reach.
type call struct {
	service string
	to      *exposure.Socket
}

func ruleset(f *fleet.Fleet, h *fleet.Host, ledger *exposure.Ledger) string {
	t := &table{fleet: f, host: h, sockets: ledger.On(h)}
	for _, s := range h.Services {
		for _, to := range ledger.Calls(h, s.V) {
			t.calls = append(t.calls, call{s.Name, to})
		}
	}
	t.line(0, "# %s", madeBy("hosts."+h.Name.V))
	t.line(0, "# Who reaches what is in fleet/exposure.md. Loading this file replaces both tables at once.")
	t.WriteByte('\n')
	for _, name := range []string{"inet gen", "bridge gen"} {
		t.line(0, "table %s", name)
		t.line(0, "delete table %s", name)
	}
	t.line(0, "\ntable inet gen {")
	t.before()
	t.input()
	t.forward()
	t.line(0, "}")
	t.bridge()
	return t.String()
}

func (t *table) line(depth int, format string, args ...any) {
	t.WriteString(strings.Repeat("\t", depth))
	fmt.Fprintf(t, format+"\n", args...)
}

// chain begins a chain, with what it is about; at a hook or to be jumped to.
func (t *table) chain(about, name, hook, priority, policy string) {
	if !strings.HasSuffix(t.String(), " {\n") {
		t.WriteByte('\n')
	}
	if about != "" {
		t.line(1, "%s", about)
	}
	t.line(1, "chain %s {", name)
	if hook != "" {
		t.line(2, "type filter hook %s priority %s; policy %s;", hook, priority, policy)
	}
}

func (t *table) end() { t.line(1, "}") }

// containers match what comes from any bridge of podman's.
const containersIn = `iifname { "pm-*", "podman*" }`

// before looks at packets before podman's DNAT changes where they go. Everything
// that is not the loopback, the mesh or a bridge is the internet's side, whatever
// the card is called.
func (t *table) before() {
	t.chain("# Before podman leads a packet to a container.", "before", "prerouting", "mangle", "accept")
	t.line(2, `iifname "lo" accept`)
	t.line(2, "ct state { established, related } accept")
	t.line(2, containersIn+" jump from-containers-before")
	t.line(2, containersIn+" accept")
	if mesh := t.mesh(); mesh != "" {
		t.line(2, "iifname %s accept", mesh)
		t.line(2, "# The mesh is reached through its tunnel alone.")
		for _, network := range t.meshNetworks() {
			t.line(2, "%s daddr %s drop", family(network.Addr()), network)
			t.line(2, "%s saddr %s drop", family(network.Addr()), network)
		}
	}
	t.end()
	t.chain("# Containers see neither the provider's metadata nor, but for their calls, the mesh.", "from-containers-before", "", "", "")
	t.line(2, "ip daddr { 169.254.0.0/16, 100.100.100.200 } drop")
	t.line(2, "ip6 daddr fd00:ec2::254 drop")
	t.callers(anySocket, "iifname . %s daddr . meta l4proto . th dport")
	for _, network := range t.meshNetworks() {
		t.line(2, "%s daddr %s drop", family(network.Addr()), network)
	}
	t.end()
}

// callers accept what services may reach in the mesh, as it was addressed.
func (t *table) callers(which func(*exposure.Socket) bool, key string) {
	for _, six := range []bool{false, true} {
		var elements []string
		for _, c := range t.calls {
			if which(c.to) && c.to.Address.Is6() == six {
				elements = append(elements, fmt.Sprintf("%q . %s . %s . %d", fleet.Interface(c.service), c.to.Address, c.to.Protocol, c.to.Port))
			}
		}
		t.set(2, fmt.Sprintf(key, ip(six)), elements, "accept")
	}
}

func anySocket(*exposure.Socket) bool { return true }

// atHost reports whether a packet for a socket ends at the host, and does not go through it.
func (t *table) atHost(s *exposure.Socket) bool {
	return s.Host == t.host && s.Kind != exposure.Published
}

// set is a rule that matches any of some elements, if there are any.
func (t *table) set(depth int, key string, elements []string, verdict string) {
	elements = slices.Compact(slices.Sorted(slices.Values(elements)))
	switch len(elements) {
	case 0:
	case 1:
		t.line(depth, "%s { %s } %s", key, elements[0], verdict)
	default:
		t.line(depth, "%s {", key)
		for _, e := range elements {
			t.line(depth+1, "%s,", e)
		}
		t.line(depth, "} %s", verdict)
	}
}

func (t *table) input() {
	t.chain("# To the host itself.", "input", "input", "filter", "drop")
	t.line(2, `iifname "lo" accept`)
	t.line(2, "ct state vmap { established : accept, related : accept, invalid : drop }")
	t.line(2, "icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request } accept")
	t.line(2, "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request } accept")
	t.line(2, "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept")
	t.line(2, "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } accept")
	t.line(2, "%s jump from-containers", containersIn)
	if mesh := t.mesh(); mesh != "" {
		t.line(2, "iifname %s jump from-mesh", mesh)
	}
	t.line(2, "jump from-internet")
	t.end()

	t.chain("# Containers: podman's DNS on their own bridge, and what their service calls.", "from-containers", "", "", "")
	t.line(2, "fib daddr . iif type local meta l4proto { tcp, udp } th dport 53 accept")
	t.callers(t.atHost, "iifname . %s daddr . meta l4proto . th dport")
	t.line(2, "drop")
	t.end()

	if t.mesh() != "" {
		t.chain("# Peers in the mesh: programs on the host's own network, at its address in the mesh.", "from-mesh", "", "", "")
		for _, v := range []fleet.Val[string]{t.host.Mesh.Address, t.host.Mesh.Address6} {
			if a, err := netip.ParseAddr(v.V); err == nil {
				t.line(2, "%s daddr != %s drop", family(a), a)
			}
		}
		t.fromMesh(t.atHost, "%s daddr . meta l4proto . th dport", "meta l4proto . th dport")
		t.line(2, "drop")
		t.end()
	}

	t.chain("# The internet: programs on the host's own network.", "from-internet", "", "", "")
	t.line(2, "udp sport 67 udp dport 68 accept")
	t.line(2, "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept")
	t.fromInternet(t.atHost)
	t.end()
}

// fromMesh accepts what peers may reach: on one address by the key one, on any
// of the host's by any. Sockets that the same peers reach stand together.
func (t *table) fromMesh(which func(*exposure.Socket) bool, one, any string) {
	for _, six := range []bool{false, true} {
		type group struct{ here, everywhere []string }
		groups := map[string]*group{} // by the peers' addresses
		for _, s := range t.sockets {
			if !which(s) || s.Address.Is6() != six || !s.Address.IsValid() {
				continue
			}
			var from []string
			for _, peer := range s.Mesh {
				if a := t.peer(peer, six); a.IsValid() {
					from = append(from, a.String())
				}
			}
			if len(from) == 0 {
				continue
			}
			key := strings.Join(from, ", ")
			if groups[key] == nil {
				groups[key] = &group{}
			}
			if g := groups[key]; s.Address.IsUnspecified() {
				g.everywhere = append(g.everywhere, fmt.Sprintf("%s . %d", s.Protocol, s.Port))
			} else {
				g.here = append(g.here, fmt.Sprintf("%s . %s . %d", s.Address, s.Protocol, s.Port))
			}
		}
		for _, from := range slices.Sorted(maps.Keys(groups)) {
			t.set(2, fmt.Sprintf("%s saddr { %s } %s", ip(six), from, fmt.Sprintf(one, ip(six))), groups[from].here, "accept")
			if any != "" {
				t.set(2, fmt.Sprintf("%s saddr { %s } %s", ip(six), from, any), groups[from].everywhere, "accept")
			}
		}
	}
}

// fromInternet accepts what the internet may reach of the host's own programs.
func (t *table) fromInternet(which func(*exposure.Socket) bool) {
	for _, six := range []bool{false, true} {
		var all, here []string
		some := map[string][]string{} // sources by protocol and port
		for _, s := range t.sockets {
			if !which(s) || s.Address.Is6() != six || !s.Address.IsValid() {
				continue
			}
			for _, from := range s.Internet {
				switch {
				case from.Bits() > 0:
					key := fmt.Sprintf("%s dport %d", s.Protocol, s.Port)
					some[key] = append(some[key], from.String())
				case s.Address.IsUnspecified():
					all = append(all, fmt.Sprintf("%s . %d", s.Protocol, s.Port))
				default:
					here = append(here, fmt.Sprintf("%s . %s . %d", s.Address, s.Protocol, s.Port))
				}
			}
		}
		t.set(2, "meta nfproto "+map[bool]string{false: "ipv4", true: "ipv6"}[six]+" meta l4proto . th dport", all, "accept")
		t.set(2, ip(six)+" daddr . meta l4proto . th dport", here, "accept")
		for _, key := range slices.Sorted(maps.Keys(some)) {
			t.line(2, "%s saddr { %s } %s accept", ip(six), strings.Join(slices.Sorted(slices.Values(some[key])), ", "), key)
		}
	}
}

// forward is how published ports really travel: podman has changed where they
// go, and conntrack knows how they were addressed.
func (t *table) forward() {
	t.chain("# Through the host: to published ports, by the address they were sent to, and from containers out.", "forward", "forward", "filter", "drop")
	if mesh := t.mesh(); mesh != "" {
		t.line(2, "oifname %s tcp flags syn tcp option maxseg size set rt mtu", mesh)
	}
	t.line(2, "ct state vmap { established : accept, related : accept, invalid : drop }")
	t.line(2, "%s jump forward-from-containers", containersIn)
	t.line(2, "ct status & dnat == 0 drop")
	if mesh := t.mesh(); mesh != "" {
		t.line(2, "iifname %s jump forward-from-mesh", mesh)
	}
	t.published("")
	t.end()

	t.chain("# Containers: out to the internet, in to what is published for it, and what their service calls.", "forward-from-containers", "", "", "")
	t.callers(func(s *exposure.Socket) bool { return !t.atHost(s) }, "iifname . ct original %s daddr . meta l4proto . ct original proto-dst")
	t.published("ct status dnat ")
	t.line(2, `oifname { "pm-*", "podman*" } drop`)
	if mesh := t.mesh(); mesh != "" {
		t.line(2, "oifname %s drop", mesh)
	}
	t.line(2, "accept")
	t.end()

	if t.mesh() != "" {
		t.chain("# Peers in the mesh: ports published for it.", "forward-from-mesh", "", "", "")
		t.fromMesh(func(s *exposure.Socket) bool { return !t.atHost(s) },
			"ct original %s daddr . meta l4proto . ct original proto-dst", "")
		t.line(2, "drop")
		t.end()
	}
}

// published accepts what is published for the internet.
func (t *table) published(condition string) {
	for _, six := range []bool{false, true} {
		var elements []string
		for _, s := range t.sockets {
			if s.Kind == exposure.Published && len(s.Internet) > 0 && s.Address.Is6() == six {
				elements = append(elements, fmt.Sprintf("%s . %s . %d", s.Address, s.Protocol, s.Port))
			}
		}
		t.set(2, condition+"ct original "+ip(six)+" daddr . meta l4proto . ct original proto-dst", elements, "accept")
	}
}

// bridge keeps containers on the proxy's network from each other: IP rules do
// not see what stays inside a bridge. It knows them by their subnet, and answers
// by their flags, because few kernels follow connections there.
func (t *table) bridge() {
	service, container, _, ok := t.host.ProxyContainer()
	if !ok {
		return
	}
	s, _ := t.host.Services.Get(service)
	c, _ := s.Containers.Get(container)
	t.line(0, "\n# Inside the proxy's network: only to and from the proxy.")
	t.line(0, "table bridge gen {")
	t.chain("", "forward", "forward", "filter", "accept")
	for _, n := range []struct{ subnet, address fleet.Val[string] }{{s.Network.Subnet, c.Address}, {s.Network.Subnet6, c.Address6}} {
		if n.subnet.Set && n.address.Set {
			six := netip.MustParseAddr(n.address.V).Is6()
			t.line(2, "%s saddr %s %s daddr %s jump %s", ip(six), n.subnet.V, ip(six), n.subnet.V, "proxy-"+ip(six))
		}
	}
	if s.Network.Subnet6.Set {
		t.line(2, "# A container has an address of its own making in every network.")
		t.line(2, "ip6 saddr fe80::/10 meta l4proto { tcp, udp } drop")
		t.line(2, "ip6 daddr fe80::/10 meta l4proto { tcp, udp } drop")
	}
	t.end()
	for _, n := range []struct{ subnet, address fleet.Val[string] }{{s.Network.Subnet, c.Address}, {s.Network.Subnet6, c.Address6}} {
		if n.subnet.Set && n.address.Set {
			t.inProxyNetwork(c, netip.MustParseAddr(n.address.V))
		}
	}
	t.line(0, "}")
}

func (t *table) inProxyNetwork(c *fleet.Container, proxy netip.Addr) {
	v := ip(proxy.Is6())
	t.chain("", "proxy-"+v, "", "", "")
	t.line(2, "%s saddr %s accept", v, proxy)
	var open []string
	for _, p := range c.Ports {
		if p.V.Audience.V == "internet" {
			open = append(open, fmt.Sprintf("%s . %d", p.V.Protocol.V, p.V.Container.V))
		}
	}
	t.set(2, fmt.Sprintf("%s daddr %s meta l4proto . th dport", v, proxy), open, "accept")
	t.line(2, "# Answers, and what goes wrong on the way.")
	t.line(2, "%s daddr %s tcp flags & (syn | ack) != syn accept", v, proxy)
	t.line(2, "%s daddr %s meta l4proto %s accept", v, proxy, map[bool]string{false: "icmp", true: "icmpv6"}[proxy.Is6()])
	if proxy.Is6() {
		t.line(2, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept")
	}
	t.line(2, "drop")
	t.end()
}

// mesh is the mesh's interface in quotes, "" on a host outside it.
func (t *table) mesh() string {
	if t.host.Mesh == nil || t.fleet.Mesh == nil {
		return ""
	}
	return fmt.Sprintf("%q", t.fleet.Mesh.Interface.V)
}

func (t *table) meshNetworks() (all []netip.Prefix) {
	if t.fleet.Mesh == nil {
		return nil
	}
	for _, v := range []fleet.Val[string]{t.fleet.Mesh.Network, t.fleet.Mesh.Network6} {
		if v.Set {
			all = append(all, netip.MustParsePrefix(v.V).Masked())
		}
	}
	return all
}

// peer is the address of a peer in the mesh.
func (t *table) peer(name string, six bool) (a netip.Addr) {
	four, v6 := t.fleet.PeerAddresses(name)
	if six {
		four = v6
	}
	a, _ = netip.ParseAddr(four.V)
	return a
}

func ip(six bool) string {
	if six {
		return "ip6"
	}
	return "ip"
}

func family(a netip.Addr) string { return ip(a.Is6()) }
