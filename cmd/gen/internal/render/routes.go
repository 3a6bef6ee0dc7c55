package render

import (
	"fmt"
	"regexp"
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
		routers, services, middlewares := doc.Obj(), doc.Obj(), doc.Obj()
		for _, c := range s.V.Containers {
			for _, r := range c.V.Routes {
				name := s.Name + "_" + c.Name + "_" + r.Name // no name holds an underscore
				used := middleware(middlewares, name, r.V)
				routers.Set(name, router(name, r.V, used))
				url := fmt.Sprintf("http://%s:%d", ContainerName(s.Name, c.Name), r.V.Port.V)
				services.Set(name, doc.Obj("loadBalancer", doc.Obj("servers",
					&doc.Node{Kind: doc.List, Items: []*doc.Node{doc.Obj("url", doc.Str(url, r.V.Port.Pos))}})))
			}
		}
		if len(routers.Fields) == 0 {
			continue
		}
		d := doc.Obj("http", doc.Obj("routers", routers))
		if len(middlewares.Fields) > 0 {
			d.Fields[0].Value.Set("middlewares", middlewares)
		}
		d.Fields[0].Value.Set("services", services)
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

func router(name string, r *fleet.Route, middlewares []string) *doc.Node {
	rule := Rule(r)
	d := doc.Obj("entryPoints", doc.Strs("websecure"), "rule", doc.Str(rule, r.Host.Pos))
	if len(middlewares) > 0 {
		d.Set("middlewares", doc.Strs(middlewares...))
	}
	d.Set("service", doc.Str(name, r.Port.Pos))
	return d
}

// Rule is what a request must be to go a route. Of several rules that it fits,
// Traefik takes the longest.
func Rule(r *fleet.Route) string {
	rule := "Host(`" + r.Host.V + "`)"
	if len(r.Paths) > 0 {
		rule += " && (" + prefixes(r.Paths) + ")"
	}
	if len(r.Except) > 0 {
		rule += " && !(" + prefixes(r.Except) + ")"
	}
	return rule
}

// prefixes match a path and what lies below it: to Traefik /status is a prefix
// of /statuses too.
func prefixes(paths []fleet.Val[string]) string {
	var out []string
	for _, p := range paths {
		dir := strings.TrimSuffix(p.V, "/")
		if p.V == dir {
			out = append(out, "Path(`"+dir+"`)")
		}
		out = append(out, "PathPrefix(`"+dir+"/`)")
	}
	return strings.Join(out, " || ")
}

// middleware adds what a route does besides leading somewhere, and names it in
// the order in which a request passes it.
func middleware(all *doc.Node, route string, r *fleet.Route) (names []string) {
	add := func(kind string, d *doc.Node) {
		names = append(names, route+"_"+kind)
		all.Set(route+"_"+kind, d)
	}
	if len(r.Headers) > 0 {
		headers := doc.Obj()
		for _, h := range r.Headers {
			headers.Set(h.Name, doc.Str(h.V.V, h.V.Pos))
		}
		add("headers", doc.Obj("headers", doc.Obj("customResponseHeaders", headers)))
	}
	for i, p := range r.Redirects {
		add(fmt.Sprintf("redirect%d", i+1), doc.Obj("redirectRegex", redirect(p)))
	}
	return names
}

// redirect matches the whole address of a request: the path with or without a
// slash at its end, and keeps the query.
func redirect(p fleet.Entry[fleet.Val[string]]) *doc.Node {
	to := strings.ReplaceAll(p.V.V, "$", "$$")
	if strings.HasPrefix(to, "/") {
		to = "${1}" + to
	}
	return doc.Obj(
		"regex", doc.Str(`^(https?://[^/?]+)`+regexp.QuoteMeta(p.Name)+`/?(\?.*)?$`, p.Pos),
		"replacement", doc.Str(to+"${2}", p.V.Pos),
		"permanent", &doc.Node{Kind: doc.Bool, Scalar: "true", Pos: p.Pos})
}
