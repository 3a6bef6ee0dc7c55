package render

import (
	"math/big"
	"net/netip"
	"slices"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// networks are one bridge a service, for services with a container on it.
//
// Podman makes a network with --ignore, so a changed one would stay as it was.
// Stopping the unit removes it instead, after the containers that require it
// have stopped, and a restart makes it anew. -f also ends containers that
// somebody ran on it by hand: with them the old network would stay.
func networks(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for _, s := range h.Services {
		if !s.V.Bridged() {
			continue
		}
		n, pos := s.V.Network, s.V.Pos
		u := &unit.File{Comment: madeBy("services." + s.Name + ".network")}
		u.Section("Unit").Add("Description", unit.Text(titled(s.V)+": network"), s.V.Title.Pos)
		net := u.Section("Network")
		net.Add("NetworkName", s.Name, pos)
		if n.Subnet.Set {
			net.Add("Subnet", n.Subnet.V, n.Subnet.Pos)
		}
		if n.Subnet6.Set {
			net.Add("IPv6", "true", n.Subnet6.Pos)
			net.Add("Subnet", n.Subnet6.V, n.Subnet6.Pos)
		}
		// InterfaceName= came with podman 5.6.
		net.Add("PodmanArgs", "--interface-name="+fleet.Interface(s.Name), pos)
		u.Section("Service").Add("ExecStop", "/usr/bin/podman network rm -f "+s.Name, pos)
		merge(u, n.Unit)
		if taken := written(s.V); len(taken) > 0 && u.Value("Network", "IPRange") == "" {
			ranges(net, n, taken)
		}
		files = append(files, &tree.File{Path: UnitPath(s.Name + ".network"), Mode: "0644", Owner: "0:0", Unit: u, Pos: pos})
	}
	return files
}

// written are the addresses that containers of a service have.
func written(s *fleet.Service) (taken []netip.Addr) {
	for _, c := range s.Containers {
		for _, a := range []fleet.Val[string]{c.V.Address, c.V.Address6} {
			if a.Set {
				taken = append(taken, netip.MustParseAddr(a.V))
			}
		}
	}
	return taken
}

// ranges keep podman from giving a written address to another container, which
// may start first. Podman pairs them with the subnets by their order.
func ranges(net *unit.Section, n fleet.Network, taken []netip.Addr) {
	for _, subnet := range []fleet.Val[string]{n.Subnet, n.Subnet6} {
		if subnet.Set {
			first, last := widest(netip.MustParsePrefix(subnet.V), taken)
			net.Add("IPRange", first.String()+"-"+last.String(), subnet.Pos)
		}
	}
}

// widest is the largest part of a subnet without any of the addresses.
func widest(subnet netip.Prefix, taken []netip.Addr) (first, last netip.Addr) {
	end := subnet.Addr().AsSlice()
	for i := subnet.Bits(); i < len(end)*8; i++ {
		end[i/8] |= 0x80 >> (i % 8)
	}
	to, _ := netip.AddrFromSlice(end)
	edges := slices.DeleteFunc(slices.Clone(taken), func(a netip.Addr) bool { return !subnet.Contains(a) })
	edges = append(edges, subnet.Addr(), to)
	slices.SortFunc(edges, netip.Addr.Compare)
	size := new(big.Int)
	for i, edge := range edges[1:] {
		a, b := new(big.Int).SetBytes(edges[i].AsSlice()), new(big.Int).SetBytes(edge.AsSlice())
		if b.Sub(b, a); b.Cmp(size) > 0 {
			size, first, last = b, edges[i].Next(), edge.Prev()
		}
	}
	return first, last
}

// pool tells podman where networks without a written subnet get theirs from.
func pool(f *fleet.Fleet, h *fleet.Host) []*tree.File {
	var readers []string
	for _, s := range h.Services {
		if s.V.Bridged() && !s.V.Network.Subnet.Set {
			readers = append(readers, s.Name+"-network.service")
		}
	}
	if len(readers) == 0 {
		return nil
	}
	body := "# " + madeBy("hosts."+h.Name.V+".pool") + "\n" +
		"[network]\n" +
		"default_subnet_pools = [{\"base\" = \"" + h.Pool.V + "\", \"size\" = 24}]\n"
	return []*tree.File{{
		Path: "/etc/containers/containers.conf.d/50-gen.conf", Mode: "0644", Owner: "0:0",
		Body: []byte(body), On: "restart", Units: readers, Pos: h.Pool.Pos,
	}}
}
