package render

import (
	"fmt"
	"strings"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// routes are Traefik's dynamic configuration: one file a service in the
// directory that the proxy watches, so that a change of routes restarts nothing.
func routes(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	proxy, container, dir, ok := Proxy(h)
	if !ok {
		return nil
	}
	files = append(files, tlsOptions(FilePath(proxy, container, dir)+"/_tls.yml", h))
	for _, s := range h.Services {
		routers, services := doc.Obj(), doc.Obj()
		for _, c := range s.V.Containers {
			for _, r := range c.V.Routes {
				name := s.Name + "_" + c.Name + "_" + r.Name // no name holds an underscore
				routers.Set(name, router(name, r.V))
				url := fmt.Sprintf("http://%s:%d", ContainerName(s.Name, c.Name), r.V.Port.V)
				services.Set(name, doc.Obj("loadBalancer", doc.Obj("servers",
					&doc.Node{Kind: doc.List, Items: []*doc.Node{doc.Obj("url", doc.Str(url, r.V.Port.Pos))}})))
			}
		}
		if len(routers.Fields) == 0 {
			continue
		}
		d := doc.Obj("http", doc.Obj("routers", routers, "services", services))
		files = append(files, &tree.File{
			Path: FilePath(proxy, container, dir+"/"+s.Name+".yml"), Mode: "0644", Owner: "0:0",
			Body: d.YAML(madeBy("services." + s.Name)), Doc: d, On: "watch", Pos: s.V.Pos,
		})
	}
	return files
}

// tlsOptions hold for every route. The file also keeps the directory there on a
// host without routes: one made anew would be invisible through the old mount.
// Its name begins as no service's does.
func tlsOptions(path string, h *fleet.Host) *tree.File {
	d := doc.Obj("tls", doc.Obj("options", doc.Obj("default", doc.Obj("minVersion", doc.Str("VersionTLS12", h.Pos)))))
	return &tree.File{Path: path, Mode: "0644", Owner: "0:0",
		Body: d.YAML(madeBy("hosts." + h.Name.V)), Doc: d, On: "watch", Pos: h.Pos}
}

func router(name string, r *fleet.Route) *doc.Node {
	rule := "Host(`" + r.Host.V + "`)"
	if len(r.Paths) > 0 {
		var prefixes []string
		for _, p := range r.Paths {
			prefixes = append(prefixes, "PathPrefix(`"+p.V+"`)")
		}
		rule += " && (" + strings.Join(prefixes, " || ") + ")"
	}
	return doc.Obj("entryPoints", doc.Strs("websecure"), "rule", doc.Str(rule, r.Host.Pos), "service", doc.Str(name, r.Port.Pos))
}
