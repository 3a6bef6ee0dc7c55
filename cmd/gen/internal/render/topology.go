package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/mermaid"
	"gen.example/cmd/gen/internal/tree"
)

// topology is the fleet as two pictures, drawn from the ledger and the routes:
// what the internet sees, and who talks to whom in the mesh. What a picture
// cannot show stands below them.
func topology(f *fleet.Fleet, l *exposure.Ledger) *tree.File {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- %s -->\n\n# The fleet of %s\n", madeBy("all hosts and services"), f.Domain.V)
	b.WriteString("\nA frame is a host, and a dashed one a staging host. `exposure.md` has every socket behind an arrow.\n")
	b.WriteString("\n## What the internet sees\n\nA name leads through the proxy, which is a hexagon; one with /… by some of its paths alone.\n")
	b.WriteString(fromInternet(f, l))
	if mesh := inMesh(f, l); len(mesh.arrows) > 0 {
		b.WriteString("\n## Who talks to whom in the mesh\n\nAn arrow to a frame leads to all that is in it. A box on the left is a service, and reaches what it calls.\n\n")
		b.WriteString(mesh.String())
	}
	b.WriteString("\n## What no picture shows\n\n")
	for _, line := range unseen(f, l) {
		b.WriteString("- " + line + "\n")
	}
	return &tree.File{Path: "/topology.md", Mode: "0644", Owner: "0:0", Body: []byte(b.String())}
}

// A sketch is a chart on its way. Between two nodes it has one arrow.
type sketch struct {
	outside []mermaid.Node
	frames  []*mermaid.Group
	arrows  []*arrow
}

// An arrow on its way: its ports come to the first lines of its label.
type arrow struct {
	mermaid.Arrow
	ports []port
}

// frame is that of a host, empty at first.
func (s *sketch) frame(h *fleet.Host) *frame {
	g := &mermaid.Group{ID: mermaid.ID("H", h.Name.V), Title: h.Environment.V + " host " + h.Name.V, Dashed: h.Environment.V == "staging"}
	s.frames = append(s.frames, g)
	return &frame{g, h}
}

// beside draws a node outside of all frames.
func (s *sketch) beside(id string, shape mermaid.Shape, lines ...string) string {
	s.outside = draw(s.outside, mermaid.Node{ID: id, Shape: shape, Lines: lines})
	return id
}

func draw(in []mermaid.Node, n mermaid.Node) []mermaid.Node {
	if slices.ContainsFunc(in, func(o mermaid.Node) bool { return o.ID == n.ID }) {
		return in
	}
	return append(in, n)
}

func (s *sketch) arrow(from, to string) *arrow {
	for _, a := range s.arrows {
		if a.From == from && a.To == to {
			return a
		}
	}
	a := &arrow{Arrow: mermaid.Arrow{From: from, To: to}}
	s.arrows = append(s.arrows, a)
	return a
}

func (a *arrow) add(line string) {
	if !slices.Contains(a.Lines, line) {
		a.Lines = append(a.Lines, line)
	}
}

// String is the chart. Empty frames are left out.
func (s *sketch) String() string {
	c := &mermaid.Chart{Nodes: s.outside}
	for _, g := range s.frames {
		if len(g.Nodes) > 0 {
			c.Groups = append(c.Groups, *g)
		}
	}
	for _, a := range s.arrows {
		a.Lines = append(portLines(a.ports), a.Lines...)
		c.Arrows = append(c.Arrows, a.Arrow)
	}
	return c.String()
}

// A frame is a host in a sketch.
type frame struct {
	*mermaid.Group
	host *fleet.Host
}

func (fr *frame) node(shape mermaid.Shape, lines []string, kindsAndNames ...string) string {
	id := mermaid.ID(append([]string{fr.ID}, kindsAndNames...)...)
	fr.Nodes = draw(fr.Nodes, mermaid.Node{ID: id, Shape: shape, Lines: lines})
	return id
}

// service is the node of a service; that of the proxy has a shape of its own.
func (fr *frame) service(name string) string {
	shape, lines := mermaid.Box, []string{name}
	if proxy, _, _, ok := fr.host.ProxyContainer(); ok && proxy == name {
		shape = mermaid.Hexagon
	}
	if s, _ := fr.host.Services.Get(name); !strings.EqualFold(s.Title.V, name) {
		lines = append(lines, s.Title.V)
	}
	return fr.node(shape, lines, "S", name)
}

// socket is the node of what listens.
func (fr *frame) socket(s *exposure.Socket) string {
	switch s.Kind {
	case exposure.Login, exposure.Tunnel:
		return fr.node(mermaid.Round, []string{s.What}, map[exposure.Kind]string{exposure.Login: "L", exposure.Tunnel: "T"}[s.Kind])
	case exposure.Opening:
		return fr.node(mermaid.Round, []string{s.What, s.Unit}, "O", s.What)
	default:
		return fr.service(s.Service)
	}
}

// fromInternet draws what the internet reaches, and where names lead from there.
// Hosts have nothing to do with each other here: of a large fleet, each has a
// picture of its own.
func fromInternet(f *fleet.Fleet, l *exposure.Ledger) string {
	const most = 60 // arrows in a picture
	all, n := "", 0
	together := &sketch{}
	for _, h := range f.Hosts {
		alone := &sketch{}
		for _, s := range []*sketch{together, alone} {
			s.internet(h, l)
		}
		n += len(alone.arrows)
		all += "\n### " + h.Name.V + "\n\n" + alone.String()
	}
	if n > most {
		return all
	}
	return "\n" + together.String()
}

func (s *sketch) internet(h *fleet.Host, l *exposure.Ledger) {
	internet := s.beside("Internet", mermaid.Circle, "the internet")
	fr := s.frame(h)
	for _, socket := range l.On(h) {
		if len(socket.Internet) == 0 {
			continue
		}
		a := s.arrow(internet, fr.socket(socket))
		a.ports = append(a.ports, port{socket.Port, socket.Protocol})
		for _, from := range socket.Internet {
			if from.Bits() > 0 {
				a.add("from " + from.String())
			}
		}
	}
	if proxy, _, _, ok := h.ProxyContainer(); ok {
		s.names(fr, "internet", func() string { return fr.service(proxy) })
	}
	rest := append([]string{"not from the internet"}, fr.rest()...)
	if len(fr.Nodes) == 0 && len(rest) == 1 {
		rest[0] = "nothing for the internet"
	}
	if len(fr.Nodes) == 0 || len(rest) > 1 {
		id := fr.node(mermaid.Box, rest, "R")
		if len(fr.Nodes) == 1 { // else it would stand to the left, among the arrows
			s.arrow(internet, id).Kind = mermaid.Hidden
		}
	}
}

// rest are the services of a host without a node in its frame.
func (fr *frame) rest() (names []string) {
	for _, s := range fr.host.Services {
		id := mermaid.ID(fr.ID, "S", s.Name)
		if !slices.ContainsFunc(fr.Nodes, func(n mermaid.Node) bool { return n.ID == id }) {
			names = append(names, s.Name)
		}
	}
	return names
}

// names draws the names that lead through the proxy of a host for an audience.
func (s *sketch) names(fr *frame, audience string, proxyNode func() string) {
	proxy, container, _, _ := fr.host.ProxyContainer()
	p, _ := fr.host.Services.Get(proxy)
	c, _ := p.Containers.Get(container)
	for _, to := range fr.host.Services {
		for _, target := range to.V.Containers {
			for _, r := range target.V.Routes {
				if slices.Contains(served(r.V, c), audience) {
					s.arrow(proxyNode(), fr.service(to.Name)).add(nameLine(r.V))
				}
			}
		}
	}
}

// served are the audiences of a route: its own, and those of further entry
// points, which have the names of the proxy's ports.
func served(r *fleet.Route, proxy *fleet.Container) []string {
	all := []string{r.Audience.V}
	for _, e := range EntryPoints(r) {
		if p, ok := proxy.Ports.Get(e.V); ok {
			all = append(all, p.Audience.V)
		}
	}
	return all
}

// nameLine is a name, with a sign if only some paths of it lead there.
func nameLine(r *fleet.Route) string {
	if len(r.Paths) > 0 {
		return r.Host.V + "/…"
	}
	return r.Host.V
}

// inMesh draws who reaches what in the mesh, from the left to the right: those
// who do, and what they reach on every host. What the same ones reach is one box.
func inMesh(f *fleet.Fleet, l *exposure.Ledger) *sketch {
	s := &sketch{}
	if f.Mesh == nil {
		return s
	}
	for _, p := range f.Mesh.Peers {
		s.arrow(s.beside(mermaid.ID("P", p.Name), mermaid.Round, p.Name), meshID).Kind = mermaid.Line
	}
	s.beside(meshID, mermaid.Circle, "everybody", "in the mesh")
	callers := s.callers(f, l)
	for _, h := range f.Hosts {
		s.reached(s.frame(h), l, callers)
	}
	return s
}

const meshID = "Mesh"

// reached draws what is reached on a host.
func (s *sketch) reached(fr *frame, l *exposure.Ledger, callers map[*exposure.Socket][]string) {
	var everybody []string // whoever is in the mesh reaches sshd
	var boxes []*box
	proxy, _, _, proxied := fr.host.ProxyContainer()
	for _, socket := range l.On(fr.host) {
		if socket.Kind == exposure.Login {
			everybody = socket.Mesh
		}
		var from []string
		if len(socket.Mesh) > 0 && slices.Equal(socket.Mesh, everybody) {
			from = append(from, meshID)
		} else {
			for _, name := range socket.Mesh {
				from = append(from, s.beside(mermaid.ID("P", name), mermaid.Round, name))
			}
		}
		if from = append(from, callers[socket]...); len(from) > 0 {
			boxes = put(boxes, from, socket, proxied && socket.Service == proxy)
		}
	}
	for i, b := range boxes {
		shape := mermaid.Box
		if b.proxy {
			shape = mermaid.Hexagon
		}
		b.id = fr.node(shape, b.lines(), "M"+strconv.Itoa(i+1))
	}
	whole := true // whether all that is in the frame is a box or reached through one
	if proxied {
		s.names(fr, "mesh", func() string {
			id, ok := entry(fr, proxy, boxes)
			whole = whole && ok
			return id
		})
	}
	for _, b := range boxes {
		for _, from := range b.from {
			to := b.id
			if whole && reachesAll(boxes, from) {
				to = fr.ID
			}
			s.arrow(from, to)
		}
	}
}

// entry is the node of the proxy's port for the mesh; ok is false for a proxy without one.
func entry(fr *frame, proxy string, boxes []*box) (id string, ok bool) {
	for _, b := range boxes {
		if b.proxy && slices.ContainsFunc(b.sockets, func(s *exposure.Socket) bool { return s.What == proxy+": mesh" }) {
			return b.id, true
		}
	}
	return fr.service(proxy), false
}

// callers are the nodes of services that call, by the sockets they reach.
func (s *sketch) callers(f *fleet.Fleet, l *exposure.Ledger) map[*exposure.Socket][]string {
	all := map[*exposure.Socket][]string{}
	for _, h := range f.Hosts {
		for _, service := range h.Services {
			for _, to := range l.Calls(h, service.V) {
				id := s.beside(mermaid.ID("C", h.Name.V, "S", service.Name), mermaid.Box, service.Name, "on "+h.Name.V)
				all[to] = append(all[to], id)
			}
		}
	}
	return all
}

// A box is what the same ones reach at a host, in the order of the ledger. The
// proxy's ports are in boxes of their own.
type box struct {
	id      string
	from    []string
	proxy   bool
	sockets []*exposure.Socket
}

func put(boxes []*box, from []string, s *exposure.Socket, proxy bool) []*box {
	for _, b := range boxes {
		if b.proxy == proxy && slices.Equal(b.from, from) {
			b.sockets = append(b.sockets, s)
			return boxes
		}
	}
	return append(boxes, &box{from: from, proxy: proxy, sockets: []*exposure.Socket{s}})
}

// reachesAll reports whether one reaches all boxes of a host: a single arrow to
// the frame says so.
func reachesAll(boxes []*box, from string) bool {
	return !slices.ContainsFunc(boxes, func(b *box) bool { return !slices.Contains(b.from, from) })
}

func (b *box) lines() (lines []string) {
	type owner struct{ service, program string }
	ports := map[owner][]port{}
	var order []owner
	for _, s := range b.sockets {
		o := owner{service: s.Service}
		switch s.Kind {
		case exposure.Login:
			o.program = s.What
		case exposure.Opening:
			o.program = s.What + ", " + s.Unit
		}
		if ports[o] == nil {
			order = append(order, o)
		}
		ports[o] = append(ports[o], port{s.Port, s.Protocol})
	}
	for _, o := range order {
		lines = append(lines, o.service+o.program+" "+strings.Join(portLines(ports[o]), ", "))
	}
	return lines
}

// unseen is what no picture shows, in sentences.
func unseen(f *fleet.Fleet, l *exposure.Ledger) (lines []string) {
	for _, h := range f.Hosts {
		if line := loginLine(h, l); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		lines = append(lines, "Anybody on the internet may try to log in to every host.")
	}
	lines = append(lines, meshLines(f, l)...)
	return append(lines,
		"Containers of a service reach each other, and its databases are inside it. A container asks whom it likes on the internet, the names of its own host among them.",
		"What only the host itself reaches is in no picture.")
}

// loginLine says who on the internet cannot log in to a host, and what helps then.
func loginLine(h *fleet.Host, l *exposure.Ledger) string {
	var some []string
	for _, s := range l.On(h) {
		if s.Kind != exposure.Login {
			continue
		}
		for _, from := range s.Internet {
			if from.Bits() == 0 {
				return ""
			}
			some = append(some, from.String())
		}
	}
	line := "Nobody on the internet can log in to " + h.Name.V + "."
	if len(some) > 0 {
		line = "Only " + strings.Join(some, " and ") + " can log in to " + h.Name.V + " from the internet."
	}
	if h.SSH.Recovery.Set {
		line += " While the mesh is down, the way in is: " + plain(h.SSH.Recovery.V) + "."
	}
	return line
}

func meshLines(f *fleet.Fleet, l *exposure.Ledger) (lines []string) {
	var in, out []string
	environments := map[string]bool{}
	for _, h := range f.Hosts {
		if h.Mesh == nil {
			out = append(out, h.Name.V)
			continue
		}
		in = append(in, h.Name.V)
		environments[h.Environment.V] = true
	}
	if len(in) == 0 {
		return nil
	}
	lines = append(lines, "In the mesh are "+strings.Join(append(in, f.Mesh.Peers.Names()...), ", ")+".")
	if len(out) > 0 {
		lines = append(lines, "Not in the mesh: "+strings.Join(out, ", ")+".")
	}
	if len(environments) > 1 {
		lines = append(lines, "To a production host, everybody in the mesh is all but the staging hosts.")
	}
	if slices.ContainsFunc(l.Sockets, func(s *exposure.Socket) bool { return s.Kind == exposure.Tunnel }) {
		lines = append(lines, "WireGuard answers nobody whose key it does not know.")
	}
	if slices.ContainsFunc(f.Hosts, (*fleet.Host).ServesMetrics) {
		lines = append(lines, "A proxy's port for metrics leads to those of the containers on its host, and to nothing else.")
	}
	return lines
}

type port struct {
	number   int
	protocol string
}

// portLines are ports by protocol, such as "80, 443/tcp". Three in a row are a range.
func portLines(ports []port) (lines []string) {
	for _, protocol := range []string{"tcp", "udp"} {
		var numbers []int
		for _, p := range ports {
			if p.protocol == protocol {
				numbers = append(numbers, p.number)
			}
		}
		if len(numbers) > 0 {
			slices.Sort(numbers)
			lines = append(lines, strings.Join(runs(slices.Compact(numbers)), ", ")+"/"+protocol)
		}
	}
	return lines
}

func runs(numbers []int) (out []string) {
	for len(numbers) > 0 {
		n := 1
		for n < len(numbers) && numbers[n] == numbers[0]+n {
			n++
		}
		text := strconv.Itoa(numbers[0])
		if n < 3 {
			n = 1
		} else {
			text += "-" + strconv.Itoa(numbers[n-1])
		}
		out, numbers = append(out, text), numbers[n:]
	}
	return out
}
