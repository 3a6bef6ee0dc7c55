package render

import (
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
		own, toProxy := s.Name+".network", ""
		if proxy, _, _, ok := Proxy(h); ok && proxy != s.Name {
			toProxy = proxy + ".network"
		}
		var published, routed bool
		options := ":"
		for _, c := range s.V.Containers {
			own, options = own+options+"alias="+c.Name, ","
			published = published || len(c.V.Ports) > 0
			if len(c.V.Routes) > 0 && toProxy != "" {
				toProxy += map[bool]string{false: ":", true: ","}[routed] + "alias=" + ContainerName(s.Name, c.Name)
				routed = true
			}
		}
		p.Add("Network", own, pos)
		if routed {
			p.Add("Network", toProxy, pos)
		}
		if published {
			deps.Add("Wants", sysctlUnit, pos)
			deps.Add("After", sysctlUnit, pos)
		}
		for _, c := range s.V.Containers {
			quadlet{h, s.V, c.V, c.Name}.publish(p)
		}
		u.Section("Install").Add("WantedBy", "multi-user.target", pos)
		files = append(files, &tree.File{Path: UnitPath(s.Name + ".pod"), Mode: "0644", Owner: "0:0", Unit: u, Pos: pos})
	}
	return files
}
