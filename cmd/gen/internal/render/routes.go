package render

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// routes are Traefik's dynamic configuration: one file a service in the
// directory that the proxy watches, so that a change of routes restarts nothing.
func routes(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	proxy, container, dir, ok := h.ProxyContainer()
	if !ok {
		return nil
	}
	files = append(files, tlsOptions(FilePath(proxy, container, dir)+"/_tls.yml", h))
	shared, metrics := sharedMiddlewares(h), h.ServesMetrics()
	for _, s := range h.Services {
		d := &dynamic{doc.Obj(), doc.Obj(), doc.Obj()}
		for _, c := range s.V.Containers {
			at := fleet.ContainerName(s.Name, c.Name)
			if s.Name == proxy && c.Name == container {
				at = "127.0.0.1" // what it says of itself it says to nobody else
			}
			for _, r := range c.V.Routes {
				d.route(s.Name+"_"+c.Name+"_"+r.Name, at, r.V, shared) // no name holds an underscore
			}
			if metrics && !c.V.HostNetwork.V {
				for _, m := range c.V.Metrics {
					d.metrics(s.Name+"_"+c.Name+"_metrics_"+m.Name, at, MetricsPath(s.Name, m.Name), m)
				}
			}
		}
		if len(d.routers.Fields) == 0 {
			continue
		}
		whole := d.document()
		files = append(files, &tree.File{
			Path: FilePath(proxy, container, dir+"/"+s.Name+".yml"), Mode: "0644", Owner: "0:0",
			Body: whole.YAML(madeBy("services." + s.Name)), Doc: whole, On: "watch", Pos: s.V.Pos,
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

// sharedMiddlewares are the names of the middlewares that the proxy's own files
// in the directory of routes define. Every route passes the one that is called
// like its audience.
func sharedMiddlewares(h *fleet.Host) (names []string) {
	c, dir := proxyContainer(h)
	for _, f := range c.Files {
		if f.V.YAML == nil || path.Dir(f.Name) != dir {
			continue
		}
		if all := f.V.YAML.Get("http", "middlewares"); all != nil {
			for _, m := range all.Fields {
				names = append(names, m.Name)
			}
		}
	}
	return names
}

// dynamic is the part of Traefik's configuration that one service brings.
type dynamic struct{ routers, middlewares, services *doc.Node }

func (d *dynamic) document() *doc.Node {
	http := doc.Obj("routers", d.routers)
	if len(d.middlewares.Fields) > 0 {
		http.Set("middlewares", d.middlewares)
	}
	http.Set("services", d.services)
	return doc.Obj("http", http)
}

// to is the service of that name: the one address that it leads to.
func (d *dynamic) to(name, at string, port fleet.Val[int]) {
	url := doc.Str(fmt.Sprintf("http://%s:%d", at, port.V), port.Pos)
	servers := &doc.Node{Kind: doc.List, Items: []*doc.Node{doc.Obj("url", url)}}
	d.services.Set(name, doc.Obj("loadBalancer", doc.Obj("servers", servers)))
}

// route leads a name to a container.
func (d *dynamic) route(name, at string, r *fleet.Route, shared []string) {
	used := middleware(d.middlewares, name, r, shared)
	points := &doc.Node{Kind: doc.List}
	for _, p := range EntryPoints(r) {
		points.Items = append(points.Items, doc.Str(p.V, p.Pos))
	}
	d.router(name, points, doc.Str(Rule(r), r.Host.Pos), used, r.Port.Pos)
	d.to(name, at, r.Port)
}

// metrics lead exactly one path of the entry point metrics to those of a
// container, and to nothing else that it has.
func (d *dynamic) metrics(name, at, public string, m fleet.Entry[*fleet.Metrics]) {
	replace := name + "_path"
	d.middlewares.Set(replace, doc.Obj("replacePath", doc.Obj("path", doc.Str(m.V.Path.V, m.V.Path.Pos))))
	d.router(name, doc.Strs("metrics"), doc.Str("Path(`"+public+"`)", m.Pos), []string{replace}, m.V.Port.Pos)
	d.to(name, at, m.V.Port)
}

func (d *dynamic) router(name string, points, rule *doc.Node, middlewares []string, pos token.Pos) {
	r := doc.Obj("entryPoints", points, "rule", rule)
	if len(middlewares) > 0 {
		r.Set("middlewares", doc.Strs(middlewares...))
	}
	r.Set("service", doc.Str(name, pos))
	d.routers.Set(name, r)
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
// the order in which a request passes it. An answer passes it the other way, so
// the headers of the route are set after the shared ones, and win; and a
// redirect has both.
func middleware(all *doc.Node, route string, r *fleet.Route, shared []string) (names []string) {
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
	if slices.Contains(shared, r.Audience.V) {
		names = append(names, r.Audience.V)
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
