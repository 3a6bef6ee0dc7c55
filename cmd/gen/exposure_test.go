package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// exposure is the ledger as gen writes it: who may reach what.
type exposure struct {
	Sockets    []exposed
	Containers []neighbours
}

// exposed is a listening socket. An empty address is a container's own, on every
// network of it; 0.0.0.0 and :: are every address of the host, and an interface's
// name stands for the addresses it has.
type exposed struct {
	Host, Address   string
	Port            int
	Protocol        string
	Unit, Container string
	What, Asked     string
	Internet        []netip.Prefix
	Mesh            []string
	Self            bool
	Containers      []string // of another host as "host/container"
}

func (e *exposed) String() string {
	return fmt.Sprintf("the ledger has %s %s:%d/%s %s (%s) for internet %v, mesh %v, self %v, %s, by %s", e.Host, e.Address, e.Port, e.Protocol,
		e.Container, e.What, e.Internet, e.Mesh, e.Self, some(e.Containers), e.Asked)
}

func some(containers []string) string {
	if len(containers) > 5 {
		return fmt.Sprintf("containers %v and %d more", containers[:5], len(containers)-5)
	}
	return fmt.Sprintf("containers %v", containers)
}

// at says whether it can be asked at an address of its host.
func (e *exposed) at(c card) bool {
	own, err := netip.ParseAddr(e.Address)
	return e.Address == c.dev || err == nil && (own.IsUnspecified() || own == c.Addr())
}

// of says whether it is a socket of a container at its own addresses.
func (e *exposed) of(p *place, s socket) bool {
	return e.Address == "" && e.Host == p.host && e.is(s) && slices.Contains(p.containers, e.Container)
}

func (e *exposed) is(s socket) bool { return e.Port == s.port && e.Protocol == s.protocol }

// tunnel is where WireGuard listens, which answers nobody without a key.
func (e *exposed) tunnel() bool { return strings.HasPrefix(e.Unit, "wg-quick@") }

// neighbours are who reaches a container at its own addresses, at any port.
type neighbours struct {
	Host, Name string
	Networks   []string
	Self       bool
	Containers []string
}

func readExposure(t *testing.T, path string) *exposure {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	x := &exposure{}
	if err := json.Unmarshal(b, x); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return x
}

// A place is a network of its own: a host's, a container's, a pod's, or that of
// a peer, which has no host.
type place struct {
	host       string
	containers []string // all of a pod; for a host those that share its network
	inside     bool     // it is a container's
	peer       string   // what the mesh calls it
	near       bool     // it is no peer, and routes whatever address of a host to that host
	pid        string
	cards      []card
	sockets    []socket
	held       map[string]bool // "ADDRESS PORT PROTOCOL" of other programs
}

// A card is an address and the interface that has it.
type card struct {
	dev string
	netip.Prefix
}

type socket struct {
	port     int
	protocol string
}

func (s socket) String() string { return fmt.Sprintf("%d/%s", s.port, s.protocol) }

func (p *place) String() string {
	switch {
	case p.inside:
		return p.host + "/" + strings.Join(p.containers, "+")
	case p.host != "":
		return p.host
	}
	return p.peer
}

// holds says whether another program has a socket there of a protocol.
func (p *place) holds(protocol string) bool {
	for k := range p.held {
		if strings.HasSuffix(k, " "+protocol) {
			return true
		}
	}
	return false
}

// named says whether one of the names is a container's that is asking here.
func (p *place) named(names []string, prefix string) bool {
	return slices.ContainsFunc(p.containers, func(c string) bool { return slices.Contains(names, prefix+c) })
}

// A world is all places of a fleet, and the interface of its mesh.
type world struct {
	places []*place
	mesh   string
}

func (w *world) host(name string) *place {
	return w.find(func(p *place) bool { return p.host == name && !p.inside })
}

func (w *world) container(host, name string) *place {
	return w.find(func(p *place) bool { return p.host == host && slices.Contains(p.containers, name) })
}

func (w *world) find(is func(*place) bool) *place {
	if i := slices.IndexFunc(w.places, is); i >= 0 {
		return w.places[i]
	}
	return nil
}

// An aim is an address of a place.
type aim struct {
	card
	of *place
}

// aims are all addresses that a place can try. Where two hosts gave their
// containers the same one, a host and its containers mean their own. Nobody but
// the place itself gets to its loopback.
func (w *world) aims(from *place) (out []aim) {
	near := slices.Clone(w.places)
	slices.SortStableFunc(near, func(a, b *place) int { return cmp.Compare(away(a, from), away(b, from)) })
	seen := map[netip.Addr]bool{}
	for _, p := range near {
		for _, c := range p.cards {
			if p.host == "" || seen[c.Addr()] || c.Addr().IsLoopback() && p != from {
				continue
			}
			seen[c.Addr()] = true
			out = append(out, aim{c, p})
		}
	}
	return out
}

func away(p, from *place) int {
	if p.host == from.host {
		return 0
	}
	return 1
}

// outside is by what address others see a place when it asks for a public one.
func (w *world) outside(from *place, to netip.Addr) netip.Addr {
	if from.inside {
		if !from.speaks(to) {
			return netip.Addr{}
		}
		from = w.host(from.host) // which masquerades
	}
	var out netip.Addr
	for _, c := range from.cards {
		switch {
		case c.Addr().Is4() != to.Is4() || !w.public(c):
		case c.Contains(to):
			return c.Addr()
		case !out.IsValid():
			out = c.Addr()
		}
	}
	return out
}

// public says whether an address of a host or peer is one that the world dials.
func (w *world) public(c card) bool {
	return c.dev != w.mesh && c.dev != "lo" && !strings.HasPrefix(c.dev, "pm-") && !strings.HasPrefix(c.dev, "podman")
}

// speaks says whether a place has an address of the family to ask from.
func (p *place) speaks(to netip.Addr) bool {
	return slices.ContainsFunc(p.cards, func(c card) bool { return c.dev != "lo" && c.Addr().Is4() == to.Is4() })
}

// wanted says who must answer, nil for nobody, and by what row or rule.
func (w *world) wanted(x *exposure, from *place, to aim, s socket) (who *place, why string) {
	if to.of.inside {
		return w.atContainer(x, from, to, s)
	}
	for i := range x.Sockets {
		e := &x.Sockets[i]
		if e.Host != to.of.host || !e.is(s) || !e.at(to.card) || !w.reaches(e, from, to) {
			continue
		}
		if e.Container == "" {
			return to.of, e.String()
		}
		return w.container(e.Host, e.Container), e.String()
	}
	if from == to.of {
		return from, "a host reaches itself"
	}
	return nil, ""
}

// allowed says whether a row lets a place of the same host at an address of a
// container. On the network of a service, its own containers reach each other; on
// the proxy's, others reach and are reached by the proxy alone, and by TCP alone:
// what passes there is known by nothing but the packet, and in UDP an answer
// looks like a question.
func (w *world) allowed(from *place, to aim, s socket, self bool, containers []string) bool {
	if !from.inside {
		return self
	}
	if !from.named(containers, "") || !slices.ContainsFunc(from.cards, func(c card) bool { return c.Masked() == to.Masked() }) {
		return false
	}
	bridges := w.host(from.host).cards
	i := slices.IndexFunc(bridges, func(c card) bool { return c.Masked() == to.Masked() })
	if i < 0 {
		return false
	}
	service := strings.TrimPrefix(bridges[i].dev, "pm-") + "-"
	own := func(p *place) bool {
		return slices.ContainsFunc(p.containers, func(c string) bool { return strings.HasPrefix(c, service) })
	}
	return own(from) && own(to.of) || s.protocol == "tcp" && (own(from) || own(to.of))
}

// atContainer: containers reach each other over a network they share, their
// host over any, and nobody else has a way there.
func (w *world) atContainer(x *exposure, from *place, to aim, s socket) (*place, string) {
	if from == to.of {
		return from, "a container reaches itself"
	}
	if from.host != to.of.host {
		return nil, ""
	}
	for _, e := range x.Sockets {
		if e.of(to.of, s) && w.allowed(from, to, s, e.Self, e.Containers) {
			return to.of, e.String()
		}
	}
	for _, n := range x.Containers {
		if n.Host != to.of.host || !slices.Contains(to.of.containers, n.Name) {
			continue
		}
		if w.allowed(from, to, s, n.Self, n.Containers) {
			return to.of, fmt.Sprintf("the ledger has %s %s for self %v, %s, on networks %v", n.Host, n.Name, n.Self, some(n.Containers), n.Networks)
		}
	}
	return nil, ""
}

// reaches says whether a socket of a host is for somebody who asks at one of
// the host's addresses.
func (w *world) reaches(e *exposed, from *place, to aim) bool {
	switch {
	case from == to.of:
		return e.Self
	case from.host == to.of.host:
		return from.speaks(to.Addr()) && from.named(e.Containers, "")
	case to.dev == w.mesh && from.inside:
		return from.named(e.Containers, from.host+"/")
	case to.dev == w.mesh:
		return slices.Contains(e.Mesh, from.peer)
	case w.public(to.card):
		return w.open(e, from, to.Addr())
	}
	return false
}

// open says whether a socket is for somebody on the internet, or a peer.
func (w *world) open(e *exposed, from *place, to netip.Addr) bool {
	source := w.outside(from, to)
	return slices.ContainsFunc(e.Internet, func(p netip.Prefix) bool { return p.Contains(source) })
}

// unjudged says whether no echo can stand where a packet of a probe ends, or
// it ends at a bridge of a host whose very socket is open to who asks anyway.
func (w *world) unjudged(x *exposure, from *place, to aim, s socket) bool {
	if s.protocol == "udp" && s.port != 53 && to.of.held[fmt.Sprintf("%s %d udp", to.Addr(), s.port)] {
		return true
	}
	return !to.of.inside && slices.ContainsFunc(x.Sockets, func(e exposed) bool {
		if e.Host != to.of.host || !e.is(s) {
			return false
		}
		return e.tunnel() || from.host == "" && w.bridge(to.card) && e.at(to.card) && (w.open(&e, from, to.Addr()) || slices.Contains(e.Mesh, from.peer))
	})
}

func (w *world) bridge(c card) bool { return c.dev != w.mesh && c.dev != "lo" && !w.public(c) }

// An edge is one that is not as the ledger says.
type edge struct {
	from *place
	to   aim
	socket
	want     *place
	why, got string
}

func (e edge) line() string { return fmt.Sprintf("%s %d %s", e.to.Addr(), e.port, e.protocol) }

// wrong compares what happened to what a place tried with the ledger; got has a
// line as packets prints them for each that was answered.
func (w *world) wrong(x *exposure, from *place, aims []aim, sockets []socket, got map[string]string) (out []edge) {
	for _, to := range aims {
		for _, s := range sockets {
			if w.unjudged(x, from, to, s) {
				continue
			}
			e := edge{from: from, to: to, socket: s}
			e.want, e.why = w.wanted(x, from, to, s)
			e.got = got[e.line()]
			if !e.right() {
				out = append(out, e)
			}
		}
	}
	return out
}

func (e edge) right() bool {
	switch {
	case e.want == nil:
		return !e.connected()
	case e.got == "connected "+e.want.String():
		return true
	case e.got == "connected ?":
		return e.want.holds(e.protocol)
	}
	// a port of the host's that leads to one on which a real program sits, which knows no echo
	return e.got == "" && e.protocol == "udp" && e.want != e.to.of && e.want.holds("udp")
}

func (e edge) connected() bool { return strings.HasPrefix(e.got, "connected ") || e.got == "mute" }

// tell says what is wrong, in one line for all ports that are wrong in the same way.
func tell(wrong []edge) []string {
	ports := map[[2]string][]string{}
	for _, e := range wrong {
		what := "missing"
		if e.want == nil {
			what = "surplus"
		}
		way := fmt.Sprintf("%s: %s -> %s %s of %s, port", what, e.from, e.to.Addr(), e.to.dev, e.to.of)
		ports[[2]string{way, e.says()}] = append(ports[[2]string{way, e.says()}], e.socket.String())
	}
	var out []string
	for k, p := range ports {
		out = append(out, k[0]+" "+strings.Join(p, " ")+": "+k[1])
	}
	slices.Sort(out)
	slices.Reverse(out) // what is open matters more
	return out
}

func (e edge) says() string {
	got := strings.TrimPrefix(cmp.Or(e.got, "silent"), "connected ")
	switch {
	case e.want == nil:
		return "answered by " + got + ", and no row allows it"
	case e.connected():
		return fmt.Sprintf("answered by %s instead of %s; %s", got, e.want, e.why)
	}
	return got + "; " + e.why
}
