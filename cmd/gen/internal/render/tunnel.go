package render

import (
	"fmt"
	"net/netip"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// tunnel is the host's end of the mesh, as wg-quick(8) reads it, and its unit in
// the place of the template's. A reload adds and removes peers and leaves all
// others alone; the key stands in a file of its own, which syncconf must be
// given, or it would take the key away. What a reload does not change, addresses
// and the size of packets, stands in the unit, so that it restarts.
func tunnel(f *fleet.Fleet, h *fleet.Host) []*tree.File {
	if !f.Tunnels(h) {
		return nil
	}
	name, definition := f.Mesh.Interface.V, "hosts."+h.Name.V+".mesh"
	conf, key := "/etc/wireguard/"+name+".conf", f.TunnelKey()
	u := &unit.File{Comment: madeBy(definition)}
	s := u.Section("Unit")
	s.Add("Description", "WireGuard: the mesh, "+strings.Join(meshAddresses(f, h), " and "), h.Mesh.Address.Pos)
	s.Add("After", "network.target", h.Pos)
	s.Add("After", "nss-lookup.target", h.Pos)
	run := u.Section("Service")
	run.Add("Type", "oneshot", h.Pos)
	run.Add("RemainAfterExit", "yes", h.Pos)
	run.Add("ExecStart", "/usr/bin/wg-quick up "+name, h.Pos)
	run.Add("ExecStartPost", fmt.Sprintf("/usr/sbin/ip link set dev %s mtu %d", name, f.Mesh.MTU.V), f.Mesh.MTU.Pos)
	run.Add("ExecStop", "/usr/bin/wg-quick down "+name, h.Pos)
	run.Add("ExecReload", fmt.Sprintf(
		`/bin/sh -c '{ wg-quick strip %s && echo "[Interface]" && echo "PrivateKey = $$(cat %s)"; } | wg syncconf %[1]s /dev/stdin'`, name, key), h.Pos)
	u.Section("Install").Add("WantedBy", "multi-user.target", h.Pos)
	boots := unit.Line{Value: "multi-user.target", Pos: h.Pos}
	return []*tree.File{
		{Path: conf, Mode: "0600", Owner: "0:0", Body: []byte(tunnelConf(f, h)), On: "reload", Units: []string{f.TunnelUnit()}, Pos: h.Mesh.Address.Pos},
		{Path: UnitPath(f.TunnelUnit()), Mode: "0644", Owner: "0:0", Unit: u, Pos: h.Mesh.Address.Pos},
		boot(f.TunnelUnit(), boots, "Wants", definition),
	}
}

// meshAddresses are a host's own in the mesh, with the lengths of its networks.
func meshAddresses(f *fleet.Fleet, h *fleet.Host) (all []string) {
	for _, v := range [][2]fleet.Val[string]{{h.Mesh.Address, f.Mesh.Network}, {h.Mesh.Address6, f.Mesh.Network6}} {
		if v[0].Set && v[1].Set {
			all = append(all, netip.PrefixFrom(netip.MustParseAddr(v[0].V), netip.MustParsePrefix(v[1].V).Bits()).String())
		}
	}
	return all
}

func tunnelConf(f *fleet.Fleet, h *fleet.Host) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n[Interface]\nAddress = %s\nListenPort = %d\n", madeBy("hosts."+h.Name.V+".mesh"), strings.Join(meshAddresses(f, h), ", "), f.Mesh.Port.V)
	fmt.Fprintf(&b, "PostUp = wg set %%i private-key %s\n", f.TunnelKey())
	for _, o := range f.Hosts {
		if o == h || !f.Tunnels(o) {
			continue
		}
		fmt.Fprintf(&b, "\n# %s\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\nEndpoint = %s\n", o.Name.V, o.Mesh.PublicKey.V, allowed(o.Mesh.Address, o.Mesh.Address6), endpoint(f, o))
		if h.Mesh.Keepalive.Set {
			fmt.Fprintf(&b, "PersistentKeepalive = %d\n", h.Mesh.Keepalive.V)
		}
	}
	for _, p := range f.Mesh.Peers {
		fmt.Fprintf(&b, "\n# %s\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\n", p.Name, p.V.PublicKey.V, allowed(p.V.Address, p.V.Address6))
	}
	return b.String()
}

// allowed is what a peer may send from, and what is sent to it.
func allowed(four, six fleet.Val[string]) string {
	all := four.V + "/32"
	if six.Set {
		all += ", " + six.V + "/128"
	}
	return all
}

// endpoint is what a peer dials to reach a host.
func endpoint(f *fleet.Fleet, to *fleet.Host) string {
	if to.Mesh.Endpoint.Set {
		return to.Mesh.Endpoint.V
	}
	return fmt.Sprintf("%s:%d", to.Address.V, f.Mesh.Port.V)
}

// Peer is the configuration of a peer that is no host, as wg-quick(8) reads it.
// Without a key it names the file that holds it.
func Peer(f *fleet.Fleet, name, key string) string {
	p, _ := f.Mesh.Peers.Get(name)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, as gen mesh %s prints it.\n[Interface]\nAddress = %s\n", name, name, allowed(p.Address, p.Address6))
	if key == "" {
		b.WriteString("PostUp = wg set %i private-key /etc/wireguard/%i.key\n")
	} else {
		fmt.Fprintf(&b, "PrivateKey = %s\n", key)
	}
	fmt.Fprintf(&b, "MTU = %d\n", f.Mesh.MTU.V)
	for _, h := range f.Hosts {
		if f.Tunnels(h) {
			fmt.Fprintf(&b, "\n# %s\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\nEndpoint = %s\nPersistentKeepalive = 25\n",
				h.Name.V, h.Mesh.PublicKey.V, allowed(h.Mesh.Address, h.Mesh.Address6), endpoint(f, h))
		}
	}
	return b.String()
}
