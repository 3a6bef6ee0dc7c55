package main

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	ledger "gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/mermaid"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/synthetic"
)

// trickyFleet has names and titles that a picture could stumble over.
const trickyFleet = `package hosts

import catalog "gen.example/services"

fleet: {
	domain: "example.org"
	mesh: {
		network:  "10.44.0.0/24"
		network6: "fd44::/64"
		peers: {
			mesh: {address: "10.44.0.100", publicKey: "dWMA4vdQPjHHpHFFQhMDKY+muBLHi2VRrb5B0+qYgwE="}
			internet: {address: "10.44.0.101", publicKey: "t1toxqo7Pm5OPsqcOUmUH9XAqPNPJN3kx5mfbm/8z00="}
		}
	}
}

_app: {image: "registry.example.net/app:1", health: none: "it is a test", expose: [80], ...}

hosts: end: {
	os: "debian-13", address: "203.0.113.1", mesh: address: "10.44.0.1"
	services: {
		traefik: catalog.#Traefik & {acme: email: "ada@example.org", containers: app: {
			ports: mesh: {container: 8080, host: 80, audience: "mesh"}
			routes: own: {host: "traefik.example.org", audience: "mesh", port: 8082}
		}}
		end: {title: #"a "quoted" [title] (of) {the} |end|"#, containers: app: _app & {routes: web: {host: "www.example.org", port: 80}}}
		graph: {title: "%%{init: 1}%% <script>alert(1)</script> & #quot; #35;", containers: app: _app & {routes: {
			web: {host: "graph.example.org", port: 80, entryPoints: ["mesh"]}
			some: {host: "www.example.org", port: 80, paths: ["/graph"]}
		}}}
		list: {title: "1. Straße ﬂ°°38¶ß 日本語 👩‍👧 e\u0301", containers: app: _app & {routes: web: {host: "list.example.org", audience: "mesh", port: 80}}}
		dash: {title: "- - www.example.org a@example.org https://x.example.org", containers: app: _app & {routes: web: {host: "dash.example.org", port: 80}}}
		marks: {title: "*b* _i_ ~~s~~ ` + "\\u0060code\\u0060" + ` $$x$$ fa:fa-user :::c \\ <br> \u202e", containers: app: _app & {routes: web: {host: "marks.example.org", port: 80}}}
		"a-b": containers: app: _app & {ports: web: {container: 80, host: 8001, audience: "internet"}}
	}
	openings: {
		end: {port: 8002, audience: "internet", unit: "end.service"}
		list: {port: 8003, audience: "mesh", unit: "end.service"}
	}
}
hosts: a: {
	os: "debian-13", address: "203.0.113.2", mesh: {address: "10.44.0.2", address6: "fd44::2"}
	services: "b-c": {calls: ["*"], containers: app: _app & {ports: {
		web: {container: 80, host: 8000, audience: "mesh"}
		some: {container: 80, host: 8001, audience: "mesh", from: ["internet", "o"]}
		none: {container: 80, host: 8002, audience: "mesh", from: []}
	}}}
}
hosts: "a-b": {
	os: "debian-13", address: "203.0.113.3", mesh: address: "10.44.0.3"
	ssh: {audience: "mesh", recovery: "the | screen"}
	services: c: {calls: ["b-c"], containers: app: _app & {ports: udp: {container: 80, host: 53, protocol: "udp", audience: "mesh"}}}
}
hosts: o: {
	os: "debian-13", address: "203.0.113.4", mesh: address: "10.44.0.4"
	environment: "staging", domain: "o.example.org"
	services: subgraph: {calls: ["*"], containers: app: _app & {ports: {
		for p in [7000, 7001, 7002, 7005, 7006] {"p\(p)": {container: 80, host: p, audience: "mesh"}}
	}}}
}
hosts: x: {os: "debian-13", address: "203.0.113.5", address6: "2001:db8::5", ssh: from: ["198.51.100.0/24", "2001:db8:1::/48"]}
`

// pictured are fleets to draw: this repository's own, the cases, a large one,
// and one with names that could be taken for something else.
func pictured(t *testing.T) map[string]*fleet.Fleet {
	t.Helper()
	large := fstest.MapFS{}
	for p, text := range synthetic.CUE(10) {
		large[p] = &fstest.MapFile{Data: []byte(text)}
	}
	all := map[string]*fleet.Fleet{}
	add := func(name string, f *fleet.Fleet, findings int) {
		if findings > 0 {
			t.Fatalf("%s cannot be loaded", name)
		}
		all[name] = f
	}
	f, fs := load.Fleet(large)
	add("large", f, len(fs))
	if f, fs = load.Fleet(fstest.MapFS{"hosts/fleet.cue": {Data: []byte(trickyFleet)}}); len(fs) > 0 {
		t.Fatal(fs)
	}
	add("tricky", f, 0)
	f, fs = load.Fleet(os.DirFS(repository))
	add("fleet", f, len(fs))
	for _, name := range []string{"environments", "everything", "exposure", "pod", "small", "zones"} {
		f, fs = load.Fleet(os.DirFS(filepath.Join(cases, name)))
		add(name, f, len(fs))
	}
	return all
}

func topologyOf(t *testing.T, f *fleet.Fleet) string {
	t.Helper()
	for _, file := range render.Fleet(f).Files {
		if file.Path == "/topology.md" {
			return string(file.Body)
		}
	}
	t.Fatal("there is no topology.md")
	return ""
}

// A picture as somebody reads it, whose labels are what is seen.
type picture struct {
	Nodes  []pictureNode
	Groups []pictureGroup
	Arrows []pictureArrow
}

type pictureNode struct{ ID, Label string }

type pictureGroup struct {
	ID, Label string
	Nodes     []string
}

type pictureArrow struct{ From, To, Label, Head, Stroke string }

var (
	pictureLines = map[string]*regexp.Regexp{
		"node":  regexp.MustCompile(`^([A-Z]\w*)(\[|\(\[|\(\(|\{\{)"([^"\[\](){}|<>` + "`" + `]*(?:<br>[^"\[\](){}|<>` + "`" + `]*)*)"(\]|\]\)|\)\)|\}\})$`),
		"group": regexp.MustCompile(`^subgraph ([A-Z]\w*)\["([\pL\d -]+)"\]$`),
		"arrow": regexp.MustCompile(`^([A-Z]\w*) (-->|---|~~~)(?:\|"([^"|]*)"\|)? ([A-Z]\w*)$`),
		"style": regexp.MustCompile(`^class(Def dashed stroke-width:2px,stroke-dasharray:6| [A-Z]\w*(,[A-Z]\w*)* dashed)$`),
	}
	closes = map[string]string{"[": "]", "([": "])", "((": "))", "{{": "}}"}
	heads  = map[string][2]string{"-->": {"arrow_point", "normal"}, "---": {"arrow_open", "normal"}, "~~~": {"arrow_open", "invisible"}}
)

// pictures reads the pictures of a page by the small grammar that gen writes.
func pictures(t *testing.T, page string) (all []*picture) {
	t.Helper()
	blocks := strings.Split(page, "```mermaid\n")[1:]
	for _, block := range blocks {
		body, _, closed := strings.Cut(block, "```\n")
		rest, begins := strings.CutPrefix(body, "flowchart LR\n")
		if !closed || !begins {
			t.Fatalf("a block is no chart:\n%s", body)
		}
		all = append(all, readPicture(t, rest))
	}
	return all
}

func readPicture(t *testing.T, body string) *picture {
	t.Helper()
	p, group := &picture{}, (*pictureGroup)(nil)
	ids := map[string]bool{}
	fresh := func(id string) {
		if ids[id] {
			t.Errorf("two things are called %s", id)
		}
		ids[id] = true
	}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if g := pictureLines["group"].FindStringSubmatch(line); g != nil && group == nil {
			fresh(g[1])
			group = &pictureGroup{ID: g[1], Label: g[2]}
		} else if g := pictureLines["node"].FindStringSubmatch(line); g != nil && closes[g[2]] == g[4] {
			fresh(g[1])
			p.Nodes = append(p.Nodes, pictureNode{g[1], shown(g[3])})
			if group != nil {
				group.Nodes = append(group.Nodes, g[1])
			}
		} else if line == "end" && group != nil {
			slices.Sort(group.Nodes)
			p.Groups, group = append(p.Groups, *group), nil
		} else if g := pictureLines["arrow"].FindStringSubmatch(line); g != nil && ids[g[1]] && ids[g[4]] {
			p.Arrows = append(p.Arrows, pictureArrow{g[1], g[4], shown(g[3]), heads[g[2]][0], heads[g[2]][1]})
		} else if !pictureLines["style"].MatchString(line) {
			t.Errorf("not in the grammar: %q", line)
		}
	}
	return p
}

// shown is a label as it is shown. Mermaid's own reader has other signs for the # and ; of a number.
func shown(label string) string {
	return html.UnescapeString(regexp.MustCompile(`(?:#|ﬂ°°)(\d+)(?:;|¶ß)`).ReplaceAllString(label, "&#$1;"))
}

// TestTopologyIsMermaid: Mermaid's own parser reads in every picture what our
// small grammar does. It takes npm, so only .ci/long requires it.
func TestTopologyIsMermaid(t *testing.T) {
	if os.Getenv("GEN_LONG") == "" {
		t.Setenv("GEN_REQUIRE", "")
	}
	reader := tool(t, "mermaid-read")
	dir, pages := t.TempDir(), map[string]string{}
	for name, f := range pictured(t) {
		file := filepath.Join(dir, name+".md")
		pages[file] = topologyOf(t, f)
		write(t, file, pages[file])
	}
	files := slices.Sorted(maps.Keys(pages))
	c := exec.Command(reader, files...)
	c.Stderr = os.Stderr
	said, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var read map[string][]*picture
	if err := json.Unmarshal(said, &read); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, p := range read[file] {
			for i := range p.Nodes {
				p.Nodes[i].Label = shown(p.Nodes[i].Label)
			}
			for i := range p.Arrows {
				p.Arrows[i].Label = shown(p.Arrows[i].Label)
			}
		}
		byID := func(p *picture) *picture {
			slices.SortFunc(p.Nodes, func(a, b pictureNode) int { return strings.Compare(a.ID, b.ID) })
			slices.SortFunc(p.Groups, func(a, b pictureGroup) int { return strings.Compare(a.ID, b.ID) })
			return p
		}
		want := pictures(t, pages[file])
		for _, p := range append(slices.Clone(want), read[file]...) {
			byID(p)
		}
		if diff := cmp.Diff(want, read[file]); diff != "" {
			t.Errorf("%s: Mermaid reads (+) other than is meant (-):\n%s", filepath.Base(file), diff)
		}
	}
}

// TestTopologySaysWhatTheLedgerSays: what the internet and peers reach, where
// names lead and what calls reach is in the pictures, and nothing else is.
func TestTopologySaysWhatTheLedgerSays(t *testing.T) {
	for name, f := range pictured(t) {
		t.Run(name, func(t *testing.T) {
			page := topologyOf(t, f)
			got := []string{}
			for _, p := range pictures(t, page) {
				got = append(got, p.facts(t, f)...)
			}
			slices.Sort(got)
			want := factsOf(f)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the pictures say (+) other than the ledger (-):\n%s", diff)
			}
			for _, h := range f.Hosts {
				open := slices.ContainsFunc(ledger.Of(f).On(h), func(s *ledger.Socket) bool { return s.Kind == ledger.Login && len(s.Internet) > 0 })
				if said := strings.Contains(page, "Nobody on the internet can log in to "+h.Name.V+"."); said == open {
					t.Errorf("%s can be logged in to from the internet: %v; and the page says that nobody can: %v", h.Name.V, open, said)
				}
			}
		})
	}
}

// factsOf are what the pictures of a fleet must say, sorted, each once.
func factsOf(f *fleet.Fleet) []string {
	facts := map[string]bool{}
	say := func(format string, args ...any) { facts[fmt.Sprintf(format, args...)] = true }
	l := ledger.Of(f)
	for _, s := range l.Sockets {
		what := s.Host.Name.V + ": " + s.Service
		if s.Service == "" {
			what += s.What + "()"
		}
		for _, from := range s.Internet {
			say("internet: %s %d/%s", what, s.Port, s.Protocol)
			if from.Bits() > 0 {
				say("internet: %s from %s", what, from)
			}
		}
		for _, peer := range s.Mesh {
			say("mesh: %s to %s %d/%s", peer, what, s.Port, s.Protocol)
		}
	}
	for _, h := range f.Hosts {
		for _, s := range h.Services {
			say("%s has %s", h.Name.V, s.Name)
			for _, to := range l.Calls(h, s.V) {
				say("mesh: %s on %s to %s: %s %d/%s", s.Name, h.Name.V, to.Host.Name.V, to.Service, to.Port, to.Protocol)
			}
		}
	}
	for p, r := range f.AllRoutes() {
		host := r.Host.V
		if len(r.Paths) > 0 {
			host += "/…"
		}
		ways := map[string]bool{r.Audience.V: true}
		proxy, container, _, _ := p.Host.ProxyContainer()
		s, _ := p.Host.Services.Get(proxy)
		c, _ := s.Containers.Get(container)
		for _, e := range r.EntryPoints {
			port, _ := c.Ports.Get(e.V)
			ways[port.Audience.V] = true
		}
		for way := range ways {
			say("%s: %s through %s to %s: %s", way, host, proxy, p.Host.Name.V, p.Service.Name)
		}
	}
	return slices.Sorted(maps.Keys(facts))
}

// facts are what one picture says.
func (p *picture) facts(t *testing.T, f *fleet.Fleet) (facts []string) {
	t.Helper()
	say := func(format string, args ...any) { facts = append(facts, fmt.Sprintf(format, args...)) }
	nodes, hostOf, groups := map[string][]string{}, map[string]*fleet.Host{}, map[string]pictureGroup{}
	for _, n := range p.Nodes {
		nodes[n.ID] = strings.Split(n.Label, "<br>")
	}
	for _, g := range p.Groups {
		groups[g.ID] = g
		for _, h := range f.Hosts {
			if g.Label == h.Environment.V+" host "+h.Name.V {
				for _, id := range append(g.Nodes, g.ID) {
					hostOf[id] = h
				}
			}
		}
	}
	internet := nodes["Internet"] != nil
	for _, g := range p.Groups {
		for _, id := range g.Nodes {
			if internet {
				facts = append(facts, p.services(t, hostOf[id], nodes[id])...)
			}
		}
	}
	for _, a := range p.Arrows {
		to, h := nodes[a.To], hostOf[a.To]
		switch {
		case a.Stroke == "invisible", a.Head == "arrow_open":
		case a.From == "Internet":
			what := h.Name.V + ": " + to[0]
			if s, _ := h.Services.Get(to[0]); s == nil || len(to) == 2 && strings.HasSuffix(to[1], ".service") {
				what += "()"
			}
			for _, line := range strings.Split(a.Label, "<br>") {
				for _, port := range portsOf(line) {
					say("internet: %s %s", what, port)
				}
			}
		case a.Label != "":
			way := map[bool]string{true: "internet", false: "mesh"}[internet]
			for _, name := range strings.Split(a.Label, "<br>") {
				proxy, _, _ := strings.Cut(nodes[a.From][0], " ") // its ports follow in the mesh
				say("%s: %s through %s to %s: %s", way, name, proxy, h.Name.V, to[0])
			}
		default:
			boxes := []string{a.To}
			if g, ok := groups[a.To]; ok {
				boxes = slices.DeleteFunc(slices.Clone(g.Nodes), func(id string) bool { return !regexp.MustCompile(`_M\d+$`).MatchString(id) })
			}
			for _, box := range boxes {
				for _, socket := range inBox(t, nodes[box]) {
					for _, from := range who(f, h, nodes[a.From]) {
						say("mesh: %s to %s: %s", from, h.Name.V, socket)
					}
				}
			}
		}
	}
	return facts
}

// services are those that a node of a host stands for.
func (p *picture) services(t *testing.T, h *fleet.Host, label []string) (facts []string) {
	t.Helper()
	if label[0] == "not from the internet" || label[0] == "nothing for the internet" {
		for _, name := range label[1:] {
			facts = append(facts, h.Name.V+" has "+name)
		}
		return facts
	}
	s, ok := h.Services.Get(label[0])
	if !ok || len(label) == 2 && strings.HasSuffix(label[1], ".service") {
		return nil
	}
	title := strings.NewReplacer("$", "$ ", "ﬂ°", "ﬂ °", "¶ß", "¶ ß").Replace(strings.Join(strings.Fields(s.Title.V), " ")) // Mermaid's own signs are parted
	if len(label) == 2 && label[1] != title || len(label) == 1 && !strings.EqualFold(title, label[0]) {
		t.Errorf("the title of %s is %q, and the picture has %q", label[0], title, label)
	}
	return []string{h.Name.V + " has " + label[0]}
}

// inBox are the sockets in a box of the mesh.
func inBox(t *testing.T, lines []string) (sockets []string) {
	t.Helper()
	for _, line := range lines {
		g := regexp.MustCompile(`^(SSH|[a-z0-9-]+)(, \S+)? (\d.*)$`).FindStringSubmatch(line)
		if g == nil {
			t.Fatalf("what is %q?", line)
		}
		what := g[1]
		if what == "SSH" || g[2] != "" {
			what += "()"
		}
		for _, port := range portsOf(g[3]) {
			sockets = append(sockets, what+" "+port)
		}
	}
	return sockets
}

// who stand behind the beginning of an arrow in the mesh.
func who(f *fleet.Fleet, to *fleet.Host, label []string) (names []string) {
	if label[0] != "everybody" {
		return []string{strings.Join(label, " ")}
	}
	for _, h := range f.Hosts {
		if h != to && h.Mesh != nil && (h.Environment.V == "production" || to.Environment.V == "staging") {
			names = append(names, h.Name.V)
		}
	}
	return append(names, f.Mesh.Peers.Names()...)
}

// portsOf reads ports such as "80, 443/tcp, 7000-7002/udp" each by itself, and
// the line that says where they may be asked from.
func portsOf(line string) (all []string) {
	if strings.HasPrefix(line, "from ") {
		return []string{line}
	}
	for _, part := range regexp.MustCompile(`[\d, -]+/(tcp|udp)`).FindAllString(line, -1) {
		numbers, protocol, _ := strings.Cut(part, "/")
		for _, n := range strings.Split(strings.Trim(numbers, ", "), ", ") {
			first, last, found := strings.Cut(n, "-")
			if !found {
				last = first
			}
			from, _ := strconv.Atoi(first)
			to, _ := strconv.Atoi(last)
			for ; from <= to; from++ {
				all = append(all, fmt.Sprintf("%d/%s", from, protocol))
			}
		}
	}
	return all
}

// TestTopologyIDs: names that differ by where a hyphen stands have other IDs.
func TestTopologyIDs(t *testing.T) {
	seen := map[string][]string{}
	for _, kinds := range [][]string{{"H", "a", "S", "b-c"}, {"H", "a-b", "S", "c"}, {"H", "a-s", "S", "c"}, {"H", "a-s-c"}, {"H", "a-l"}, {"H", "a", "L"}, {"C", "a", "S", "b-c"}, {"P", "a"}} {
		id := mermaid.ID(kinds...)
		if other := seen[id]; other != nil {
			t.Errorf("%v and %v are both %s", other, kinds, id)
		}
		seen[id] = kinds
	}
}
