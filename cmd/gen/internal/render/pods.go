package render

import (
	"strings"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// pods are the services whose containers share one network. What a container
// has of its own on a bridge, the pod has for all: networks, names and ports.
// Its unit ends after those of its containers, which end in their own time.
func pods(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for _, s := range h.Services {
		if !s.V.Pod.V || len(s.V.Containers) == 0 {
			continue
		}
		pos := s.V.Pod.Pos
		u := &unit.File{Comment: madeBy("services." + s.Name)}
		deps := u.Section("Unit")
		deps.Add("Description", unit.Text(titled(s.V)+": pod"), s.V.Title.Pos)
		p := u.Section("Pod")
		p.Add("PodName", s.Name, pos)
		all, routed := aliases(h, s.V)
		p.Add("Network", s.Name+".network:"+all, pos)
		if proxy, _, _, ok := h.ProxyContainer(); ok && routed != "" && proxy != s.Name {
			p.Add("Network", proxy+".network:"+routed, pos)
		}
		for _, c := range s.V.Containers {
			quadlet{host: h, service: s.V, container: c.V, name: c.Name}.publish(p)
		}
		if len(u.Values("Pod", "PublishPort")) > 0 {
			deps.Add("Wants", sysctlUnit, pos)
			deps.Add("After", sysctlUnit, pos)
		}
		u.Section("Install").Add("WantedBy", "multi-user.target", pos)
		files = append(files, &tree.File{Path: UnitPath(s.Name + ".pod"), Mode: "0644", Owner: "0:0", Unit: u, Pos: pos})
	}
	return files
}

// aliases are the options of a network that give a pod the names of its
// containers: all of them on its own, and on the proxy's those it leads to.
func aliases(h *fleet.Host, s *fleet.Service) (all, routed string) {
	var short, long []string
	for _, c := range s.Containers {
		short = append(short, "alias="+c.Name)
		if h.Proxied(c.V) {
			long = append(long, "alias="+fleet.ContainerName(s.Name.V, c.Name))
		}
	}
	return strings.Join(short, ","), strings.Join(long, ",")
}
