package render

import (
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// images are units that pull an image before the containers start that use it.
// Podman's own would ask the registry at every boot, and keep the containers
// from starting when it does not answer: an image that is there is left alone.
func images(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for _, s := range h.Services {
		for _, i := range s.V.Images {
			u := &unit.File{Comment: madeBy("services." + s.Name + ".images." + i.Name)}
			u.Section("Unit").Add("Description", unit.Text(titled(s.V)+": image "+i.Name), s.V.Title.Pos)
			u.Section("Image").Add("Image", i.V.Image.V, i.V.Image.Pos)
			u.Section("Service").Add("ExecCondition", "/bin/sh -c \"! podman image exists "+i.V.Image.V+"\"", i.Pos)
			merge(u, i.V.Unit)
			files = append(files, &tree.File{
				Path: UnitPath(s.Name + "-" + i.Name + ".image"), Mode: "0644", Owner: "0:0",
				Unit: u, Want: "hold", Pos: i.Pos,
			})
		}
	}
	return files
}
