package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// decoys are ports that no ledger has. Everybody listens on them, as on all others.
var decoys = []int{4919, 7001, 21000}

// A matrix tries, with real packets, every address from every place with every
// port, and compares what was answered with the ledger.
type matrix struct {
	*lab
	hosts  []string
	peers  []string // who has a place in the mesh and no host
	near   []string // who is on the internet side and routes any address to its host; "" is the operator
	mesh   string   // the mesh's interface
	binary string   // packets
}

// newMatrix brings the program that asks and answers to the hosts.
func (l *lab) newMatrix(hosts, peers, near []string) *matrix {
	l.Helper()
	m := &matrix{lab: l, hosts: hosts, peers: peers, near: near, mesh: "wg0", binary: filepath.Join(l.TempDir(), "packets")}
	build := exec.Command("go", "build", "-C", "../../.ci/host/packets", "-trimpath", "-buildvcs=false", "-o", m.binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if said, err := build.CombinedOutput(); err != nil {
		l.Fatalf("go build: %v\n%s", err, said)
	}
	b, err := os.ReadFile(m.binary)
	if err != nil {
		l.Fatal(err)
	}
	for _, h := range hosts {
		cmd := exec.Command("../../.ci/host/lab", "sh", l.dir, h, "sh", "-c", "cat >/run/packets; chmod 0755 /run/packets")
		cmd.Stdin = bytes.NewReader(b)
		if said, err := cmd.CombinedOutput(); err != nil {
			l.Fatalf("%s: %v\n%s", h, err, said)
		}
	}
	return m
}

// equals checks that exactly what the ledger says passes.
func (m *matrix) equals(x *exposure) {
	m.Helper()
	lines := tell(m.compare(x))
	if len(lines) > 100 {
		lines = append(lines[:100], fmt.Sprintf("and %d more", len(lines)-100))
	}
	if len(lines) > 0 {
		m.Errorf("packets pass otherwise than the ledger says:\n%s", strings.Join(lines, "\n"))
	}
}

// compare is what does not pass as the ledger says, twice: on a busy machine an
// answer may be late, and a packet from a port used before may pass as an answer.
func (m *matrix) compare(x *exposure) (wrong []edge) {
	m.Helper()
	start := time.Now()
	w := m.look()
	sockets := w.sockets(x)
	defer m.listen(w, sockets)()
	tried := 0
	judge := func(aims func(from *place) []aim) {
		found := map[*place][]edge{}
		var mu sync.Mutex
		w.each(func(from *place) {
			todo := lines(aims(from), sockets)
			edges := w.wrong(x, from, aims(from), sockets, m.probe(from, todo))
			mu.Lock()
			defer mu.Unlock()
			tried += len(todo)
			found[from] = edges
		})
		w.each(func(from *place) { // now that few ask
			got := m.probe(from, edgeLines(found[from]))
			for _, e := range found[from] {
				if e.got = got[e.line()]; !e.right() {
					mu.Lock()
					wrong = append(wrong, e)
					mu.Unlock()
				}
			}
		})
	}
	for _, host := range m.hosts {
		back := m.routes(w, host)
		judge(func(from *place) []aim {
			return slices.DeleteFunc(w.aims(from), func(to aim) bool {
				return from.host != "" || to.of.host != host || !from.near && !m.ofNobodyElse(w, to)
			})
		})
		back()
	}
	judge(func(from *place) []aim {
		if from.near {
			return nil
		}
		return w.aims(from)
	})
	m.Logf("%d places tried %d edges in %v", len(w.places), tried, time.Since(start).Round(time.Second/10))
	return wrong
}

// each does something in all places at once.
func (w *world) each(do func(*place)) {
	var all sync.WaitGroup
	for _, p := range w.places {
		all.Go(func() { do(p) })
	}
	all.Wait()
}

// sockets are all ports of the ledger, of what listens in any place, and decoys, with either protocol.
func (w *world) sockets(x *exposure) (out []socket) {
	ports := map[int]bool{}
	for _, port := range decoys {
		ports[port] = true
	}
	for _, e := range x.Sockets {
		ports[e.Port] = true
	}
	for _, p := range w.places {
		for _, s := range p.sockets {
			ports[s.port] = true
		}
	}
	for _, port := range slices.Sorted(maps.Keys(ports)) {
		out = append(out, socket{port, "tcp"}, socket{port, "udp"})
	}
	return out
}

func lines(aims []aim, sockets []socket) (out []string) {
	for _, to := range aims {
		for _, s := range sockets {
			out = append(out, edge{to: to, socket: s}.line())
		}
	}
	return out
}

func edgeLines(edges []edge) (out []string) {
	for _, e := range edges {
		out = append(out, e.line())
	}
	return out
}

// look finds all places: their addresses, and what listens there.
func (m *matrix) look() *world {
	m.Helper()
	w := &world{mesh: m.mesh}
	for _, h := range m.hosts {
		w.read(m.T, h, m.on(h, "sh", "-ec", seeHost))
	}
	for _, name := range append(slices.Clone(m.peers), m.near...) {
		p := &place{peer: name, near: slices.Contains(m.near, name)}
		w.places = append(w.places, p)
		w.read(m.T, "", m.run(m.at(p, "ip", "-o", "address")...))
	}
	return w
}

// seeHost tells of each network namespace its process, what it is of, its addresses and its sockets.
const seeHost = `
see() {
	echo "place $1 $(readlink "/proc/$1/ns/net") $2"
	nsenter -t "$1" -n ip -o address
	nsenter -t "$1" -n ss -Hltun
}
see 1
podman ps -q | xargs -r podman inspect -f '{{.State.Pid}} {{.Name}}' | while read -r pid name; do
	see "$pid" "$name"
done
`

// read takes up what seeHost, or ip alone, says.
func (w *world) read(t *testing.T, host, said string) {
	t.Helper()
	spaces := map[string]*place{}
	p := &place{}
	if len(w.places) > 0 {
		p = w.places[len(w.places)-1]
	}
	for line := range strings.Lines(said) {
		f := strings.Fields(line)
		switch f[0] {
		case "place":
			if p = spaces[f[2]]; p == nil {
				p = &place{host: host, pid: f[1], inside: len(f) > 3}
				w.places, spaces[f[2]] = append(w.places, p), p
			}
			if p.containers = append(p.containers, f[3:]...); !p.inside {
				p.peer = host
			}
		case "tcp", "udp":
			port, err := strconv.Atoi(f[4][strings.LastIndex(f[4], ":")+1:])
			if err != nil {
				t.Fatalf("%s: ss says %q", host, line)
			}
			if f[0] == "tcp" || port < 32768 { // one from which a client asked looks as if it listened
				p.sockets = append(p.sockets, socket{port, f[0]})
			}
		default:
			prefix, err := netip.ParsePrefix(f[3])
			if err != nil {
				t.Fatalf("%s: ip says %q", host, line)
			}
			if c := (card{f[1], prefix}); !prefix.Addr().IsLinkLocalUnicast() && !slices.Contains(p.cards, c) {
				p.cards = append(p.cards, c) // once, though a pod tells of them for each container
			}
		}
	}
}

// at is how the lab runs a command in a place.
func (m *matrix) at(p *place, command ...string) []string {
	switch {
	case p.inside:
		return append([]string{"sh", m.dir, p.host, "nsenter", "-t", p.pid, "-n"}, command...)
	case p.host != "":
		return append([]string{"sh", m.dir, p.host}, command...)
	case p.peer == "operator":
		return append([]string{"net", m.dir}, command...)
	}
	return append([]string{"at", m.dir, p.peer}, command...)
}

// packets is the program in a place.
func (m *matrix) packets(p *place, args ...string) *exec.Cmd {
	binary := m.binary
	if p.host != "" {
		binary = "/run/packets"
	}
	return exec.Command("../../.ci/host/lab", m.at(p, append([]string{binary}, args...)...)...)
}

// listen has every place of a host answer on all ports, until done is called.
// It notes which of them other programs have.
func (m *matrix) listen(w *world, sockets []socket) (done func()) {
	m.Helper()
	var ends []func()
	var all sync.WaitGroup
	for _, p := range w.places {
		if p.host == "" {
			continue
		}
		args := []string{"listen", p.String()}
		for _, s := range sockets {
			args = append(args, s.String())
		}
		cmd := m.packets(p, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := cmd.Start(); err1 != nil || err2 != nil || err != nil {
			m.Fatal(err1, err2, err)
		}
		ends = append(ends, func() { in.Close(); cmd.Wait() })
		all.Go(func() {
			if !p.hears(out) {
				m.Errorf("%s does not listen: %s", p, &stderr)
			}
		})
	}
	all.Wait()
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// hears waits until a place listens.
func (p *place) hears(out io.Reader) bool {
	p.held = map[string]bool{}
	said := bufio.NewScanner(out)
	for said.Scan() {
		if said.Text() == "ready" {
			return true
		}
		p.held[strings.TrimPrefix(said.Text(), "held ")] = true
	}
	return false
}

// probe tries what the lines say; the answer has what happened by line.
func (m *matrix) probe(from *place, lines []string) map[string]string {
	got := map[string]string{}
	if len(lines) == 0 {
		return got
	}
	cmd := m.packets(from, "probe")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		m.Errorf("%s cannot ask: %v\n%s", from, err, &stderr)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		got[strings.Join(f[:3], " ")] = f[3]
	}
	return got
}

// ofNobodyElse says whether an address is a host's own affair: a bridge's or a container's.
func (m *matrix) ofNobodyElse(w *world, to aim) bool {
	return !to.Addr().IsLoopback() && (to.of.inside || w.bridge(to.card))
}

// routes has those who are near send what is for any address of a host to it,
// and the peers what is for its bridges and containers through the tunnel: that
// an address is private protects nothing. It says how to undo it.
func (m *matrix) routes(w *world, host string) (back func()) {
	m.Helper()
	h := w.host(host)
	var near, inner []string
	for _, to := range w.aims(h) {
		i := slices.IndexFunc(h.cards, func(via card) bool { return w.public(via) && via.Addr().Is4() == to.Addr().Is4() })
		if to.of.host != host || i < 0 || to.Addr().IsLoopback() || !to.of.inside && w.public(to.card) {
			continue
		}
		near = append(near, fmt.Sprintf("ip route replace %s via %s proto 99", to.Addr(), h.cards[i].Addr()))
		if m.ofNobodyElse(w, to) {
			inner = append(inner, to.Addr().String())
		}
	}
	const flush = "ip route flush proto 99; ip -6 route flush proto 99"
	m.operator("sh", "-ec", strings.Join(near, "\n"))
	undo := []func(){func() { m.operator("sh", "-ec", flush) }}
	i := slices.IndexFunc(h.cards, func(c card) bool { return c.dev == w.mesh })
	for _, name := range m.peers {
		if i < 0 || len(inner) == 0 {
			continue
		}
		// What wg has for the host is "KEY ADDRESS/BITS...".
		said := m.run("at", m.dir, name, "wg", "show", w.mesh, "allowed-ips")
		for line := range strings.Lines(said) {
			f := strings.Fields(line)
			if !slices.Contains(f, netip.PrefixFrom(h.cards[i].Addr(), h.cards[i].Addr().BitLen()).String()) {
				continue
			}
			set := []string{"at", m.dir, name, "wg", "set", w.mesh, "peer", f[0], "allowed-ips"}
			m.run(append(set, strings.Join(append(f[1:], inner...), ","))...)
			m.run(append([]string{"at", m.dir, name, "sh", "-ec", "for a; do ip route replace $a dev " + w.mesh + " proto 99; done", "sh"}, inner...)...)
			undo = append(undo, func() {
				m.run(append(set, strings.Join(f[1:], ","))...)
				m.run("at", m.dir, name, "sh", "-ec", flush)
			})
		}
	}
	return func() {
		for _, u := range undo {
			u()
		}
	}
}

// holds checks the ledger against real packets, and again after each of those
// who write rules or make interfaces did so anew.
func (m *matrix) holds(x *exposure) {
	m.Run("from the start", func(t *testing.T) { m.with(t).equals(x) })
	for what, restart := range map[string]string{
		"the firewall": "systemctl restart gen-firewall.service",
		"the networks": "systemctl restart '*-network.service'",
		"the mesh":     "systemctl restart wg-quick@" + m.mesh + ".service",
	} {
		m.Run(what+" anew", func(t *testing.T) {
			m := m.with(t)
			for _, h := range m.hosts {
				m.on(h, "sh", "-ec", restart+`
					for i in $(seq 3000); do
						[ -n "$(systemctl list-jobs --no-legend; systemctl list-units --no-legend --state=activating,deactivating)" ] || exit 0
						sleep 0.1
					done
					systemctl list-jobs; systemctl list-units --state=activating,deactivating; exit 1`)
			}
			m.settles()
			m.equals(x)
		})
	}
}

// settles waits until everybody in the mesh hears every host: WireGuard uses a
// session that the other end has forgotten for 15 seconds until it makes another.
func (m *matrix) settles() {
	m.Helper()
	const hear = `for i in $(seq 60); do ! busybox ping -c 1 -W 1 "$1" >/dev/null || exit 0; done; exit 1`
	w := m.look()
	w.each(func(from *place) {
		if from.near || from.inside {
			return
		}
		for _, to := range w.aims(from) {
			if to.dev != m.mesh || to.of == from {
				continue
			}
			if said, err := m.try(m.at(from, "sh", "-c", hear, "sh", to.Addr().String())...); err != nil {
				m.Errorf("%s does not hear %s after a minute: %v\n%s", from, to, err, said)
			}
		}
	})
}

func (m *matrix) with(t *testing.T) *matrix {
	with := *m
	with.lab = &lab{t, m.dir}
	return &with
}

// hidesMetadata has the operator answer at the address where providers tell a
// machine of itself: the host hears it, a container does not.
func (m *matrix) hidesMetadata(host, container string) {
	m.Helper()
	const address = "169.254.169.254"
	m.operator("ip", "address", "add", address+"/32", "dev", "lan")
	defer m.operator("ip", "address", "delete", address+"/32", "dev", "lan")
	m.operator("busybox", "httpd", "-p", address+":80", "-h", m.TempDir())
	defer m.operator("pkill", "-f", "^busybox httpd -p "+address)
	m.on(host, "curl", "-sS", "-m", "5", "-o", "/dev/null", "http://"+address+"/")
	pid := strings.TrimSpace(m.on(host, "podman", "inspect", "-f", "{{.State.Pid}}", container))
	if said, err := m.try("sh", m.dir, host, "nsenter", "-t", pid, "-n", "curl", "-sS", "-m", "3", "http://"+address+"/"); err == nil || !strings.Contains(said, "timed out") {
		m.Errorf("%s hears %q, %v", container, said, err)
	}
}

// sweep checks that of all TCP ports of the hosts' public addresses exactly those
// of the ledger answer somebody on the internet. It takes a minute.
func (m *matrix) sweep(x *exposure, from string) {
	m.Helper()
	w := m.look()
	defer m.listen(w, w.sockets(x))()
	asks := w.find(func(p *place) bool { return p.peer == from })
	var all sync.WaitGroup
	for _, to := range w.aims(asks) {
		if to.of.inside || !w.public(to.card) || !w.outside(asks, to.Addr()).IsValid() {
			continue
		}
		all.Go(func() {
			var every []socket
			for port := 1; port <= 65535; port++ {
				every = append(every, socket{port, "tcp"})
			}
			got := m.probe(asks, []string{to.Addr().String() + " 1-65535 tcp"})
			for _, line := range tell(w.wrong(x, asks, []aim{to}, every, got)) {
				m.Error(line)
			}
		})
	}
	all.Wait()
}

// handMade is a fleet of two hosts that gen did not make, on which the judge is
// judged: a proxy, an application with its database, one that only shares the
// proxy's network, and on the other host one at the same addresses.
var handMade = map[string]string{
	"vps1": `
net web --subnet 10.90.0.0/24 --ipv6 --subnet fd90::/64
net app --subnet 10.90.1.0/24 --opt metric=200
net other --subnet 10.90.2.0/24
run web-proxy --network web:ip=10.90.0.2,ip6=fd90::2 -p 203.0.113.10:443:4430 -p 10.44.0.1:9101:9101
run app-app --network web:ip=10.90.0.3,ip6=fd90::3 --network app
run app-db --network app
run other-app --network web:ip=10.90.0.4,ip6=fd90::4 --network other
`,
	"vps2": `
net lone --subnet 10.90.0.0/24
run lone-app --network lone:ip=10.90.0.3
`,
}

const handMadeVerbs = `
net() { n=$1; shift; podman network create --disable-dns --interface-name "pm-$n" "$@" "$n"; }
run() { n=$1; shift; podman run -d --name "$n" --stop-timeout 0 --entrypoint '["/bin/busybox", "sleep", "100000"]' "$@" quay.io/prometheus/node-exporter:v1; }
`

const handMadeLedger = `{"sockets": [
	{"host": "vps1", "address": "0.0.0.0", "port": 22, "protocol": "tcp", "what": "sshd", "internet": ["0.0.0.0/0", "::/0"], "mesh": ["laptop", "vps2"], "self": true},
	{"host": "vps2", "address": "0.0.0.0", "port": 22, "protocol": "tcp", "what": "sshd", "internet": ["0.0.0.0/0", "::/0"], "mesh": ["laptop", "vps1"], "self": true},
	{"host": "vps1", "address": "0.0.0.0", "port": 51820, "protocol": "udp", "unit": "wg-quick@wg0.service", "internet": ["0.0.0.0/0"]},
	{"host": "vps2", "address": "0.0.0.0", "port": 51820, "protocol": "udp", "unit": "wg-quick@wg0.service", "internet": ["0.0.0.0/0"]},
	{"host": "vps1", "address": "203.0.113.10", "port": 443, "protocol": "tcp", "container": "web-proxy", "internet": ["203.0.113.0/24"], "self": true, "containers": ["app-app"]},
	{"host": "vps1", "address": "10.44.0.1", "port": 9101, "protocol": "tcp", "container": "web-proxy", "mesh": ["vps2"], "self": true},
	{"host": "vps1", "address": "", "port": 4430, "protocol": "tcp", "container": "web-proxy", "self": true, "containers": ["app-app", "other-app"]},
	{"host": "vps1", "address": "", "port": 5432, "protocol": "tcp", "container": "app-db", "self": true, "containers": ["app-app"]}
], "containers": [
	{"host": "vps1", "name": "web-proxy", "networks": ["web"], "self": true, "containers": ["app-app", "other-app"]},
	{"host": "vps1", "name": "app-app", "networks": ["app", "web"], "self": true, "containers": ["app-db", "web-proxy"]},
	{"host": "vps1", "name": "app-db", "networks": ["app"], "self": true, "containers": ["app-app"]},
	{"host": "vps1", "name": "other-app", "networks": ["other", "web"], "self": true, "containers": ["web-proxy"]},
	{"host": "vps2", "name": "lone-app", "networks": ["lone"], "self": true, "containers": []}
]}`

const handMadeRules = `
table inet hand
delete table inet hand
table bridge hand
delete table bridge hand
table inet hand {
	chain before {
		type filter hook prerouting priority dstnat - 10
		iifname "eth0" ip daddr { 10.44.0.0/24, 10.90.0.0/16 } drop
		iifname "eth0" ip6 daddr fd90::/64 drop
	}
	chain input {
		type filter hook input priority filter - 10; policy drop
		ct state established,related accept
		iifname "lo" accept
		meta l4proto { icmp, icmpv6 } accept
		iifname "eth0" udp dport 51820 accept
		iifname { "eth0", "wg0" } tcp dport 22 accept
	}
	chain forward {
		type filter hook forward priority filter - 10; policy drop
		ct state established,related accept
		iifname "eth0" ip saddr 203.0.113.0/24 ct status dnat ct original ip daddr 203.0.113.10 ct original proto-dst 443 accept
		iifname "wg0" ip saddr 10.44.0.2 ct status dnat ct original ip daddr 10.44.0.1 ct original proto-dst 9101 accept comment "metrics"
		iifname "pm-web" ip saddr 10.90.0.3 ct status dnat ct original ip daddr 203.0.113.10 ct original proto-dst 443 accept
		iifname "pm-*" oifname "eth0" accept
	}
}
table bridge hand {
	chain forward {
		type filter hook forward priority filter
		ip saddr 10.90.0.0/24 ip daddr 10.90.0.0/24 meta l4proto udp drop
		ip saddr 10.90.0.0/24 ip daddr 10.90.0.0/24 ip saddr != 10.90.0.2 ip daddr != 10.90.0.2 drop
		ip6 saddr fd90::/64 ip6 daddr fd90::/64 meta l4proto udp drop
		ip6 saddr fd90::/64 ip6 daddr fd90::/64 ip6 saddr != fd90::2 ip6 daddr != fd90::2 drop
	}
}
`

// TestMatrix judges the judge: it sees what passes too much, and what too little.
func TestMatrix(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots machines")
	}
	onlyInCI(t)
	t.Parallel()
	l := newLab(t)
	l.meshByHand()
	for host, script := range handMade {
		l.on(host, "sh", "-ec", handMadeVerbs+script)
	}
	l.run("peer", l.dir, "far", "198.51.100.7/24", "2001:db8:1::7/64")
	ledger := filepath.Join(t.TempDir(), "exposure.json")
	write(t, ledger, handMadeLedger)
	x := readExposure(t, ledger)
	m := l.newMatrix([]string{"vps1", "vps2"}, []string{"laptop"}, []string{"operator", "far"})
	rules := func(host, script string) {
		l.on(host, "sh", "-ec", "printf %s \"$1\" >/run/hand.nft; nft -f /run/hand.nft", "sh", script)
	}
	says := func(t *testing.T, want ...string) {
		t.Helper()
		said := strings.Join(tell(m.with(t).compare(x)), "\n")
		for _, s := range want {
			if !strings.Contains(said, s) {
				t.Errorf("it does not see %q, but\n%s", s, said)
			}
		}
		if got := strings.Count(said, "\n") + 1; len(want) < 5 && got != len(want) {
			t.Errorf("it sees\n%s", said)
		}
	}

	t.Run("without a firewall", func(t *testing.T) {
		says(t, "surplus: far -> 203.0.113.10 eth0 of vps1, port", "surplus: operator -> 10.44.0.1 wg0 of vps1, port",
			"surplus: vps1/other-app -> 10.90.0.3 eth", "surplus: vps1/other-app -> fd90::3 eth",
			"surplus: vps1/app-db -> 10.90.0.2 eth", "surplus: laptop -> 10.44.0.2 wg0 of vps2, port",
			"surplus: operator -> 10.90.1.2 eth", "surplus: laptop -> 10.90.1.2 eth", "surplus: vps2/lone-app -> 10.44.0.1 wg0 of vps1, port")
	})
	t.Run("with the right rules", func(t *testing.T) {
		rules("vps1", handMadeRules)
		rules("vps2", handMadeRules)
		m.with(t).equals(x)
	})
	t.Run("without one that is needed", func(t *testing.T) {
		rules("vps1", strings.Replace(handMadeRules, "ct original proto-dst 9101 accept", "ct original proto-dst 9101 drop", 1))
		says(t, "missing: vps2 -> 10.44.0.1 wg0 of vps1, port 9101/tcp: silent; the ledger has vps1 10.44.0.1:9101/tcp web-proxy (")
	})
	t.Run("with a decoy open", func(t *testing.T) {
		rules("vps1", strings.Replace(handMadeRules, `tcp dport 22 accept`, `tcp dport 22 accept; iifname "wg0" ip daddr 10.44.0.1 udp dport 7001 accept`, 1))
		says(t, "surplus: laptop -> 10.44.0.1 wg0 of vps1, port 7001/udp: answered by vps1, and no row allows it",
			"surplus: vps2 -> 10.44.0.1 wg0 of vps1, port 7001/udp: answered by vps1, and no row allows it")
	})
	rules("vps1", handMadeRules)
	t.Run("all ports", func(t *testing.T) {
		if os.Getenv("GEN_LONG") == "" {
			t.Skip("it is a part of .ci/long")
		}
		m.with(t).sweep(x, "operator")
	})
}

// TestExposure: on fresh machines exactly that passes which the example fleet's
// ledger says, also after a restart of whatever has a hand in it.
func TestExposure(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots machines")
	}
	onlyInCI(t)
	t.Parallel()
	l := newLab(t)
	repo := l.TempDir()
	if err := os.CopyFS(filepath.Join(repo, "hosts"), os.DirFS(filepath.Join(repository, "hosts"))); err != nil {
		t.Fatal(err)
	}
	l.run("peer", l.dir, "laptop", "203.0.113.99/24", "2001:db8::99/64")
	l.run("peer", l.dir, "far", "198.51.100.7/24", "2001:db8:1::7/64")
	l.run("at", l.dir, "laptop", "wg-quick", "up", l.join(repo, "laptop"))
	var all sync.WaitGroup
	for host, way := range map[string][]string{"vps1": {"net", l.dir}, "vps2": {"at", l.dir, "laptop"}} {
		l.identityOf(repo, host)
		all.Go(func() {
			// From then on SSH to vps2 is for the mesh alone.
			if said, err := l.pushFrom(way, repo, host); err != nil {
				t.Errorf("push to %s: %v\n%s", host, err, said)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	out := filepath.Join(t.TempDir(), "out")
	mustGen(t, "-C", repo, "-o", out)
	x := readExposure(t, filepath.Join(out, "fleet/exposure.json"))
	m := l.newMatrix([]string{"vps1", "vps2"}, []string{"laptop"}, []string{"operator", "far"})
	m.Run("no container sees the provider's metadata", func(t *testing.T) { m.with(t).hidesMetadata("vps1", "hedgedoc-app") })
	m.holds(x)
	if os.Getenv("GEN_LONG") != "" {
		m.sweep(x, "operator")
	}
}

// join gives a peer of the example's mesh a key that the test knows, and answers
// with the file that gen makes for it.
func (l *lab) join(repo, peer string) string {
	l.Helper()
	dir := l.TempDir()
	keys := strings.Fields(l.operator("sh", "-ec", "umask 077; wg genkey | tee "+dir+"/key | wg pubkey"))
	file := filepath.Join(repo, "hosts/fleet.cue")
	b, err := os.ReadFile(file)
	if err != nil {
		l.Fatal(err)
	}
	line := regexp.MustCompile("(" + peer + `: \{.*publicKey: )"[^"]*"`)
	if !line.Match(b) {
		l.Fatalf("%s has no peer %s", file, peer)
	}
	write(l.T, file, line.ReplaceAllString(string(b), `$1"`+keys[0]+`"`))
	said, code := gen(l.T, "mesh", peer, "-C", repo, "-key", filepath.Join(dir, "key"))
	if code != ok {
		l.Fatal(said)
	}
	write(l.T, filepath.Join(dir, "wg0.conf"), said)
	return filepath.Join(dir, "wg0.conf")
}

// meshByHand joins vps1, vps2 and a laptop.
func (l *lab) meshByHand() {
	l.Helper()
	script := l.operator("sh", "-ec", "for i in 1 2 3; do k=$(wg genkey); echo \"$k $(echo \"$k\" | wg pubkey)\"; done")
	keys := strings.Fields(script)
	endpoints := []string{addresses["vps1"], addresses["vps2"], ""}
	l.run("peer", l.dir, "laptop", "203.0.113.99/24", "2001:db8::99/64")
	for i := range 3 {
		conf := fmt.Sprintf("[Interface]\nPrivateKey = %s\nAddress = 10.44.0.%d/24\nListenPort = 51820\n", keys[2*i], i+1)
		for j := range 3 {
			if j == i {
				continue
			}
			conf += fmt.Sprintf("[Peer]\nPublicKey = %s\nAllowedIPs = 10.44.0.%d/32\n", keys[2*j+1], j+1)
			if endpoints[j] != "" {
				conf += fmt.Sprintf("Endpoint = %s:51820\n", endpoints[j])
			}
		}
		if i < 2 {
			l.on([]string{"vps1", "vps2"}[i], "sh", "-ec", "umask 077; printf %s \"$1\" >/etc/wireguard/wg0.conf; systemctl start wg-quick@wg0", "sh", conf)
			continue
		}
		file := filepath.Join(l.TempDir(), "wg0.conf")
		write(l.T, file, conf)
		l.run("at", l.dir, "laptop", "wg-quick", "up", file)
	}
}
