package check

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// meshKeys checks that peers can be told apart, and that all hosts of the mesh
// have keys if one has.
func (c *checker) meshKeys() {
	type owner struct {
		name string
		pos  token.Pos
	}
	names, keys := map[string]token.Pos{}, map[string]owner{}
	key := func(name string, v fleet.Val[string], near token.Pos) {
		if o, taken := keys[v.V]; taken && v.Set {
			c.find(finding.MeshKey, at(v.Pos, near), "%s and %s have the same key in the mesh", o.name, name).And(o.pos).
				Hintf("each peer has a key of its own; gen secret new %s.%s makes one for a host", name, fleet.TunnelSecret)
		}
		keys[v.V] = owner{name, v.Pos}
	}
	var with, without *fleet.Host
	for _, h := range c.fleet.Hosts {
		names[h.Name.V] = h.Pos
		switch {
		case h.Mesh == nil:
		case h.Mesh.PublicKey.Set:
			with = h
			key(h.Name.V, h.Mesh.PublicKey, h.Pos)
		case without == nil:
			without = h
		}
		if h.Mesh != nil && h.Mesh.Endpoint.Set {
			e := h.Mesh.Endpoint
			if n, err := strconv.Atoi(e.V[strings.LastIndexByte(e.V, ':')+1:]); err != nil || n == 0 || n > 65535 {
				c.find(finding.Address, at(e.Pos, h.Pos), "%s's endpoint %s has no port from 1 to 65535", h.Name.V, e.V).Hintf("such as vpn.example.org:51820")
			}
		}
	}
	if with != nil && without != nil {
		c.find(finding.MeshKey, at(without.Mesh.Address.Pos, without.Pos), "%s has no key in the mesh, and %s has one", without.Name.V, with.Name.V).
			Hintf("gen secret new %s.%s makes one, and prints what to write here as publicKey:", without.Name.V, fleet.TunnelSecret)
	}
	if c.fleet.Mesh == nil {
		return
	}
	for _, p := range c.fleet.Mesh.Peers {
		if pos, taken := names[p.Name]; taken {
			c.find(finding.MeshKey, at(p.Pos), "%s is a host and a peer besides", p.Name).And(pos).
				Hintf("peers are those that are no hosts; give it another name")
		}
		key(p.Name, p.V.PublicKey, p.Pos)
		if d := c.fleet.Domain.V; p.V.PublicKey.V == demonstrationPeer && d != "example.org" && !strings.HasSuffix(d, ".example.org") {
			c.find(finding.Demonstration, at(p.V.PublicKey.Pos, p.Pos), "%s is the example's peer, and everybody has its key", p.Name).
				Hintf("make one for yours: wg genkey | tee laptop.key | wg pubkey")
		}
	}
}

// demonstrationPeer is the public half of the key of the example's laptop.
const demonstrationPeer = "dWMA4vdQPjHHpHFFQhMDKY+muBLHi2VRrb5B0+qYgwo="

// reach checks what the ledger says of a host.
func (c *hostChecker) reach() {
	c.login()
	c.openings()
	c.allowed()
	c.unasked()
	for _, s := range c.host.Services {
		c.calls(s)
		for _, cont := range s.V.Containers {
			for _, p := range cont.V.Ports {
				c.from(s, p)
			}
		}
	}
}

// login finds a host that nobody could log in to.
func (c *hostChecker) login() {
	h := c.host
	where := at(h.SSH.Audience.Pos, h.SSH.Port.Pos, h.Pos)
	for _, v := range h.SSH.From {
		c.prefix(v, "ssh from", strings.Contains(v.V, ":"))
	}
	if h.SSH.Audience.V != "mesh" {
		return
	}
	switch {
	case h.Mesh == nil:
		c.find(finding.Lockout, where, "SSH is for the mesh alone, and the host is in none").
			Hintf("say mesh: address: … for the host, or ssh: audience: \"internet\"")
	case !slices.ContainsFunc(c.ledger.On(h), func(s *exposure.Socket) bool { return s.Kind == exposure.Login && len(s.Mesh) > 0 }):
		c.find(finding.Lockout, where, "SSH is for the mesh alone, and nobody else is in it").
			Hintf("give the operators peers: fleet: mesh: peers: laptop: {address: …, publicKey: …}")
	case len(h.SSH.From) == 0 && strings.TrimSpace(h.SSH.Recovery.V) == "":
		c.find(finding.Lockout, where, "SSH is for the mesh alone, and nobody says how to get in while that is down").
			Hintf("say it for the day: ssh: recovery: \"the provider's console\", or open it to some networks: ssh: from: [\"198.51.100.0/24\"]")
	}
}

// openings finds openings that nothing listens on.
func (c *hostChecker) openings() {
	for _, o := range c.host.Openings {
		if o.V.Audience.V == "mesh" && c.host.Mesh == nil {
			c.find(finding.Address, at(o.V.Audience.Pos, o.Pos), "the opening %s is for the mesh, and the host is in none", o.Name).
				Hintf("say mesh: address: … for the host")
		}
		if known := c.unitNames(); !slices.Contains(known, o.V.Unit.V) && !tree.IsSystemUnit(o.V.Unit.V) {
			f := c.find(finding.Opening, at(o.V.Unit.Pos, o.Pos), "the opening %s is for %s, which is not there", o.Name, o.V.Unit.V)
			f.Hint = finding.DidYouMean(o.V.Unit.V, known, "a unit of a package of the system is known by a drop-in: units: \""+o.V.Unit.V+".d/10-own.conf\": …")
		}
	}
}

// unitNames are the host's units: the containers' and those with a file or drop-in.
func (c *hostChecker) unitNames() (names []string) {
	for _, s := range c.host.Services {
		for _, cont := range s.V.Containers {
			names = append(names, fleet.ContainerName(s.Name, cont.Name)+".service")
		}
	}
	for _, u := range c.host.AllUnits() {
		name, _, _ := strings.Cut(u.Name, "/")
		names = append(names, strings.TrimSuffix(name, ".d"))
	}
	return names
}

// allowed finds services that face the internet where the host says who may.
func (c *hostChecker) allowed() {
	if c.host.Internet == nil {
		return
	}
	facing := map[string]*exposure.Socket{}
	for _, s := range c.ledger.On(c.host) {
		if s.Service != "" && len(s.Internet) > 0 && facing[s.Service] == nil {
			facing[s.Service] = s
		}
	}
	var named []string
	meant := map[string]bool{} // by names that are misspelt
	for _, v := range c.host.Internet {
		named = append(named, v.V)
		if facing[v.V] == nil {
			f := c.find(finding.Opening, at(v.Pos, c.host.Pos), "%s may face the internet, and has no port for it", v.V)
			f.Hint = finding.DidYouMean(v.V, sortedKeys(facing), "leave it out of internet:")
			for name := range facing {
				meant[name] = meant[name] || finding.DidYouMean(v.V, []string{name}, "") != ""
			}
		}
	}
	for _, name := range sortedKeys(facing) {
		if s := facing[name]; !slices.Contains(named, name) && !meant[name] {
			c.find(finding.Opening, s.Pos, "%s opens %s to the internet, and the host does not say that it may", name, s.At()).
				Hintf("add %q to internet: of %s, or give the port another audience", name, c.host.Name.V)
		}
	}
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// unasked finds ports that are published past the model, in podman's own words:
// nobody says to whom.
func (c *hostChecker) unasked() {
	look := func(what string, sections fleet.Sections, near ...token.Pos) {
		for _, section := range []string{"Container", "Pod"} {
			keys, _ := sections.Get(section)
			for _, key := range []string{"PublishPort", "PodmanArgs"} {
				lines, _ := keys.Get(key)
				for _, v := range lines {
					if port, published := publishes(key, v.V); published {
						c.find(finding.Opening, append(at(v.Pos), near...), "%s publishes %s and does not say to whom", what, port).
							Hintf("say ports: NAME: {container: …, host: …, audience: \"mesh\"}, or publish it on 127.0.0.1")
					}
				}
			}
		}
	}
	for _, s := range c.host.Services {
		for _, cont := range s.V.Containers {
			look(fleet.ContainerName(s.Name, cont.Name), cont.V.Unit, cont.Pos, s.Pos)
		}
	}
	for _, u := range c.host.AllUnits() {
		if kind := path.Ext(u.Name); kind == ".container" || kind == ".pod" || strings.Contains(u.Name, "/") {
			look(u.Name, u.V.Sections, u.Pos)
		}
	}
}

var portOnHost = regexp.MustCompile(`^[0-9a-f.:\[\]-]*[0-9]+(/[a-z]+)?$`)

// publishes reports whether a line of a unit publishes a port for others than the host itself.
func publishes(key, value string) (port string, published bool) {
	if key == "PublishPort" {
		return value, portOnHost.MatchString(value) && !strings.HasPrefix(value, "127.") && !strings.HasPrefix(value, "[::1]")
	}
	words := strings.Fields(strings.ReplaceAll(value, "=", " "))
	for i, w := range words {
		if (w == "-p" || w == "--publish" || w == "-P" || w == "--publish-all") && !(i+1 < len(words) && strings.HasPrefix(words[i+1], "127.")) {
			return value, true
		}
	}
	return "", false
}

// calls finds services that call what they cannot reach.
func (c *hostChecker) calls(s fleet.Entry[*fleet.Service]) {
	for _, v := range s.V.Calls {
		where := at(v.Pos, s.Pos)
		switch {
		case c.host.Mesh == nil:
			c.find(finding.Unreachable, where, "%s calls %s through the mesh, and the host is in none", s.Name, v.V).
				Hintf("say mesh: address: … for the host, or leave calls: out")
		case v.V == "*":
		case !slices.ContainsFunc(c.ledger.Calls(c.host, s.V), func(o *exposure.Socket) bool { return o.Service == v.V }):
			if names := c.callable(); !slices.Contains(names, v.V) {
				f := c.find(finding.Unreachable, where, "%s calls %s, and no %s host runs it", s.Name, v.V, c.host.Environment.V)
				f.Hint = finding.DidYouMean(v.V, names, "services of the fleet are called by their names")
				continue
			}
			c.find(finding.Unreachable, where, "%s calls %s, which has no port in the mesh that it could reach", s.Name, v.V).
				Hintf("give %s a port with audience: \"mesh\" on a host of the mesh", v.V)
		}
	}
}

// callable are the services that hosts of the same environment run.
func (c *hostChecker) callable() (names []string) {
	for _, h := range c.fleet.Hosts {
		if h.Environment.V == c.host.Environment.V {
			names = append(names, h.Services.Names()...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// from checks the peers that a port is for.
func (c *hostChecker) from(s fleet.Entry[*fleet.Service], p fleet.Entry[*fleet.PublishedPort]) {
	if p.V.From == nil {
		return
	}
	if p.V.Audience.V != "mesh" && len(p.V.From) > 0 {
		c.find(finding.Unreachable, at(p.V.From[0].Pos, p.Pos, s.Pos), "%s limits %s to peers of the mesh, and it is for the %s", s.Name, p.Name, p.V.Audience.V).
			Hintf("say audience: \"mesh\", or leave from: out")
		return
	}
	var names []string
	for _, h := range c.fleet.Hosts {
		if h.Mesh != nil && h != c.host {
			names = append(names, h.Name.V)
		}
	}
	if c.fleet.Mesh != nil {
		names = append(names, c.fleet.Mesh.Peers.Names()...)
	}
	for _, v := range p.V.From {
		if !slices.Contains(names, v.V) {
			f := c.find(finding.Unreachable, at(v.Pos, p.Pos, s.Pos), "%s is for %s, who is no other peer of the mesh", s.Name+": "+p.Name, v.V)
			f.Hint = finding.DidYouMean(v.V, names, "its peers are "+strings.Join(names, ", "))
		}
	}
}

// hostsIn finds hosts whose addresses lie in a range that means something else
// on a host, or on all for nil: they could not be reached from there.
func (c *checker) hostsIn(what string, on *fleet.Host, p netip.Prefix, pos token.Pos) {
	for _, h := range c.fleet.Hosts {
		own := []fleet.Val[string]{h.Address, h.Address6}
		if on == nil || on == h {
			own = append(own, h.Listen, h.Listen6)
		}
		for i, v := range own {
			a, err := netip.ParseAddr(v.V)
			if err == nil && v.Set && p.IsValid() && p.Contains(a) && !slices.ContainsFunc(own[:i], func(o fleet.Val[string]) bool { return o.V == v.V }) {
				c.find(finding.Overlap, at(v.Pos, h.Pos), "%s's address %s lies in %s %s", h.Name.V, a, what, p).And(pos).
					Hintf("give one of them another range")
			}
		}
	}
}
