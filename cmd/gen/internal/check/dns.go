package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/render"
)

// A claim is a route and where it leads.
type claim struct {
	fleet.Place
	route *fleet.Route
}

// publicNames finds names that lead to two places.
func (c *checker) publicNames() {
	byName := map[string][]claim{}
	for p, r := range c.fleet.AllRoutes() {
		n := claim{p, r}
		for _, o := range byName[r.Host.V] {
			if c.clash(o, n) {
				break
			}
		}
		byName[r.Host.V] = append(byName[r.Host.V], n)
	}
}

// clash reports whether two routes cannot both have their name. One service
// may have it for both audiences, such as an administrator's path that only the
// mesh is led to: it knows what is missing to those whom the DNS leads astray.
func (c *checker) clash(o, n claim) bool {
	name, where := n.route.Host.V, at(n.route.Host.Pos, n.Service.Pos)
	switch {
	case o.Host != n.Host:
		c.find(finding.PublicName, where, "%s leads to %s on %s and to %s on %s", name, o.Service.Name, o.Host.Name.V, n.Service.Name, n.Host.Name.V).
			And(o.route.Host.Pos).Hintf("a name can point to one host; give one of them another domain")
	case o.route.Audience.V != n.route.Audience.V && o.Service != n.Service:
		c.find(finding.PublicName, where, "%s: %s is %s to %s and %s to %s, and the DNS has one answer for all", n.Host.Name.V, name,
			audiences[o.route.Audience.V], o.Service.Name, audiences[n.route.Audience.V], n.Service.Name).
			And(o.route.Host.Pos).Hintf("give one of them another domain, or both the same audience")
	case shareEntry(o.route, n.route) && samePaths(o.route, n.route):
		both := fmt.Sprintf("to %s and to %s", o.Service.Name, n.Service.Name)
		if o.Service == n.Service {
			both = fmt.Sprintf("to two ports of %s", n.Service.Name)
		}
		c.find(finding.PublicName, where, "%s: %s leads %s", n.Host.Name.V, name, both).
			And(o.route.Host.Pos).Hintf("give one of them another domain")
	case shareEntry(o.route, n.route):
		return c.taken(o, n) || c.taken(n, o)
	default:
		return false
	}
	return true
}

// taken finds a path of a route that never leads there, because another one
// leads to all that lies around it and has the longer rule.
func (c *checker) taken(outer, inner claim) bool {
	if len(render.Rule(inner.route)) > len(render.Rule(outer.route)) {
		return false
	}
	around := func(paths []string, p string) bool {
		return slices.ContainsFunc(paths, func(q string) bool { return q == p || strings.HasPrefix(p, q+"/") })
	}
	for _, p := range pathsOf(inner.route) {
		if around(pathsOf(outer.route), p) && !around(clean(outer.route.Except), p) {
			c.find(finding.PublicName, at(inner.route.Host.Pos, inner.Service.Pos), "%s: %s%s never leads to port %d of %s, for port %d of %s has all around it and the longer rule",
				inner.Host.Name.V, inner.route.Host.V, p, inner.route.Port.V, inner.Service.Name, outer.route.Port.V, outer.Service.Name).And(outer.route.Host.Pos).
				Hintf("say except: [%q] in the route to port %d", p, outer.route.Port.V)
			return true
		}
	}
	return false
}

// audiences are the words for whom a name leads somewhere.
var audiences = map[string]string{"internet": "the internet's way", "mesh": "the mesh's way"}

// shareEntry reports whether a request can reach both routes by one entry point.
func shareEntry(a, b *fleet.Route) bool {
	if a.Audience.V == b.Audience.V {
		return true
	}
	return slices.ContainsFunc(entries(a), func(e string) bool { return slices.Contains(entries(b), e) })
}

// entries are the entry points that lead to a route.
func entries(r *fleet.Route) []string {
	all := []string{map[string]string{"internet": "websecure", "mesh": "mesh"}[r.Audience.V]}
	for _, e := range r.EntryPoints {
		all = append(all, e.V)
	}
	return all
}

// samePaths reports whether two routes have a path in common.
func samePaths(a, b *fleet.Route) bool {
	return slices.ContainsFunc(pathsOf(a), func(p string) bool { return slices.Contains(pathsOf(b), p) })
}

// pathsOf are the paths of a route without a slash at the end: that of a whole
// name is empty.
func pathsOf(r *fleet.Route) []string {
	if len(r.Paths) == 0 {
		return []string{""}
	}
	return clean(r.Paths)
}

func clean(paths []fleet.Val[string]) (out []string) {
	for _, p := range paths {
		out = append(out, strings.TrimSuffix(p.V, "/"))
	}
	return out
}

// zones checks that each is there once and that all names lie in them. Names
// below a domain that lies outside are one mistake.
func (c *checker) zones() {
	f, names := c.fleet, []string{c.fleet.Domain.V}
	seen := map[string]token.Pos{f.Domain.V: f.Domain.Pos}
	for _, z := range f.Zones {
		if first, ok := seen[z.V]; ok {
			c.find(finding.Zone, at(z.Pos, f.Domain.Pos), "the zone %s is given twice", z.V).And(first).
				Hintf("fleet: domain: is a zone by itself; zones: has the further ones")
			continue
		}
		seen[z.V], names = z.Pos, append(names, z.V)
	}
	found := map[string]bool{}
	name := func(p fleet.Place, name string, where ...token.Pos) {
		if _, ok := f.Zone(name); ok {
			return
		}
		what := name
		if d := p.Host.Domain; fleet.Within(name, d.V) {
			what, where = d.V, append(at(d.Pos), where...)
		}
		if found[what] {
			return
		}
		zones := "zone is "
		if len(names) > 1 {
			zones = "zones are "
		}
		found[what] = true
		c.find(finding.Zone, append(where, p.Service.Pos), "%s: %s is in none of the fleet's zones", p.Host.Name.V, what).
			Hintf("its %s%s; if the domain is yours too, say fleet: zones: [%q]", zones, strings.Join(names, ", "), registered(what))
	}
	for p, r := range f.AllRoutes() {
		name(p, r.Host.V, r.Host.Pos)
	}
	for p, r := range f.AllRecords() {
		name(p, r.Name, r.Pos)
	}
}

// registered guesses the domain that a name belongs to: all but the labels of
// services and a first one.
func registered(name string) string {
	labels := strings.Split(name, ".")
	for len(labels) > 2 && strings.HasPrefix(labels[0], "_") {
		labels = labels[1:]
	}
	if len(labels) > 2 {
		labels = labels[1:]
	}
	return strings.Join(labels, ".")
}

// aliases finds CNAMEs where other records are, or that others lead to: a
// resolver would follow the alias and miss them, and servers refuse the zone.
func (c *checker) aliases() {
	f := c.fleet
	type alias struct {
		by   fleet.Place
		data fleet.Val[string]
		pos  token.Pos
	}
	all := map[string]alias{}
	for p, r := range f.AllRecords() {
		if r.V.Type.V != "CNAME" {
			continue
		}
		where := at(r.V.Data.Pos, r.Pos, p.Service.Pos)
		if zone, _ := f.Zone(r.Name); zone == r.Name {
			c.find(finding.Record, where, "%s: %s makes the zone %s itself an alias, which has other records in any case", p.Host.Name.V, p.Service.Name, zone).
				Hintf("an alias is another name in the zone; the zone itself takes addresses")
			continue
		}
		if o, ok := all[r.Name]; ok && o.data.V != r.V.Data.V {
			c.find(finding.Record, where, "%s: %s is an alias of %s and of %s", p.Host.Name.V, r.Name, o.data.V, r.V.Data.V).And(o.pos).
				Hintf("keep one of them")
		}
		all[r.Name] = alias{p, r.V.Data, where[0]}
	}
	beside := func(p fleet.Place, name, what string, where ...token.Pos) {
		if a, ok := all[name]; ok {
			c.find(finding.Record, append(where, p.Service.Pos), "%s: %s has %s, and is an alias of %s besides", p.Host.Name.V, name, what, a.data.V).And(a.pos).
				Hintf("an alias has no other record; leave one of them out")
			delete(all, name) // it is one mistake
		}
	}
	for p, r := range f.AllRoutes() {
		beside(p, r.Host.V, "an address, for "+p.Service.Name+"'s route", r.Host.Pos)
	}
	for p, r := range f.AllRecords() {
		kind, words := r.V.Type.V, strings.Fields(r.V.Data.V)
		if kind != "CNAME" {
			beside(p, r.Name, "records of type "+kind, r.Pos)
		}
		if kind != "SRV" && kind != "MX" || len(words) == 0 {
			continue
		}
		if a, ok := all[strings.TrimSuffix(words[len(words)-1], ".")]; ok {
			c.find(finding.Record, at(r.V.Data.Pos, r.Pos, p.Service.Pos), "%s: the %s record of %s leads to an alias, of %s", p.Host.Name.V, kind, r.Name, a.data.V).And(a.pos).
				Hintf("name the host itself: not every client follows an alias there")
		}
	}
}

// names checks what a service wants of the DNS.
func (c *hostChecker) names(s fleet.Entry[*fleet.Service]) {
	for _, cont := range s.V.Containers {
		for _, r := range cont.V.Routes {
			c.nameLength(r.V.Host.V, at(r.V.Host.Pos, r.Pos, s.Pos))
			if r.V.Audience.V == "mesh" && c.host.Mesh == nil {
				c.find(finding.Address, at(r.V.Audience.Pos, r.Pos, s.Pos), "%s leads the mesh to %s, and the host is in none", s.Name, r.V.Host.V).
					Hintf("say mesh: address: … for the host")
			}
		}
	}
	for _, owner := range s.V.Records {
		c.nameLength(owner.Name, at(owner.Pos, s.Pos))
		for _, r := range owner.V {
			c.record(s, owner.Name, r, at(r.Data.Pos, owner.Pos, s.Pos))
		}
	}
}

// longest is how many characters a name in full may have (RFC 1035).
const longest = 253

func (c *hostChecker) nameLength(name string, where []token.Pos) {
	if len(name) > longest {
		c.find(finding.Record, where, "a name of %d characters is too long for the DNS: %s", len(name), name).
			Hintf("it has room for %d", longest)
	}
}

// A form is what a type of record takes as a zone file has it. Each is as
// narrow as it can be, so that a record is the same record only if it is
// written alike.
type form struct {
	takes, like string
	fits        func(data string) bool
}

var forms = map[string]form{
	"CAA": {"flags, a tag and a text in quotes", `0 issue "letsencrypt.org"`, caa},
	"SRV": {"a priority, a weight, a port and a target with a dot at its end", "10 0 5061 sip.example.org.", func(data string) bool {
		f := strings.Split(data, " ")
		return len(f) == 4 && small(f[0]) && small(f[1]) && small(f[2]) && (f[3] == "." || machine(f[3]))
	}},
	"MX": {"a preference and a name with a dot at its end", "10 mail.example.org.", func(data string) bool {
		f := strings.Split(data, " ")
		return len(f) == 2 && small(f[0]) && (f[1] == "." || machine(f[1]))
	}},
	"CNAME": {"one name with a dot at its end", "www.example.org.", full},
	"TXT":   {`texts in quotes, each of at most 255 characters of ASCII; a quote in it is \", any other octet as in \195`, `"v=spf1 mx -all"`, texts},
}

func (c *hostChecker) record(s fleet.Entry[*fleet.Service], owner string, r *fleet.Record, where []token.Pos) {
	k, data := forms[r.Type.V], r.Data.V
	if !k.fits(data) {
		f := c.find(finding.Record, where, "%s's %s record at %s is %q, and takes %s", s.Name, r.Type.V, owner, data, k.takes).
			Hintf("such as %s", k.like)
		if better, ok := k.mended(data); ok {
			f.Hintf("did you mean %s?", better)
		}
	}
	switch l := strings.Split(owner, "."); {
	case r.Type.V == "SRV" && (l[0][0] != '_' || l[1][0] != '_'):
		c.find(finding.Record, where, "%s's SRV record is at %s, where no client asks for it", s.Name, owner).
			Hintf("its name begins with the service and the protocol, such as _sip._tcp.example.org")
	case r.Type.V == "MX" && !machine(owner+"."):
		c.find(finding.Record, where, "%s's MX record is at %s, which can be in nobody's address", s.Name, owner).
			Hintf("mail goes to names without an underscore")
	}
}

// mended is data with what people forget: the dot, the quotes, one blank.
func (k form) mended(data string) (string, bool) {
	plain := strings.Join(strings.Fields(data), " ")
	if !strings.Contains(plain, `"`) {
		plain = strings.ToLower(plain)
	}
	words := strings.SplitN(plain, " ", 3)
	for _, better := range []string{plain, plain + ".", `"` + data + `"`, strings.Join(words[:min(2, len(words))], " ") + ` "` + words[len(words)-1] + `"`} {
		if k.fits(better) {
			return better, true
		}
	}
	return "", false
}

// small is a number of 16 bits.
func small(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// full is a name in full, with its dot.
func full(s string) bool {
	name, dot := strings.CutSuffix(s, ".")
	if !dot || len(name) > longest {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// machine is the name of a host, which has no underscore and is no address (RFC 1123).
func machine(s string) bool {
	last := s[strings.LastIndexByte(strings.TrimSuffix(s, "."), '.')+1:]
	return full(s) && !strings.Contains(s, "_") && strings.Trim(last, "0123456789.") != ""
}

// authorities are the tags of CAA (IANA's registry), and what their texts are.
var authorities = map[string]func(string) bool{
	"issue": issuer, "issuewild": issuer, "issuemail": issuer, "issuevmc": issuer,
	"iodef":        func(s string) bool { return strings.HasPrefix(s, "mailto:") || strings.HasPrefix(s, "https://") },
	"contactemail": func(s string) bool { return strings.Contains(s, "@") },
	"contactphone": func(s string) bool { return s != "" },
}

func caa(data string) bool {
	f := strings.SplitN(data, " ", 3)
	if len(f) != 3 || f[0] != "0" && f[0] != "128" || authorities[f[1]] == nil {
		return false
	}
	text, rest, ok := quoted(f[2])
	return ok && rest == "" && !strings.Contains(text, `\`) && authorities[f[1]](text)
}

// issuer is the domain of an authority, with parameters of its own behind a
// semicolon; without a domain it is nobody.
func issuer(s string) bool {
	domain, _, _ := strings.Cut(s, ";")
	domain = strings.TrimSpace(domain)
	return domain == "" && s != "" || machine(domain+".") && strings.Contains(domain, ".")
}

func texts(data string) bool {
	size := 0
	for first := true; data != ""; first = false {
		if !first {
			var ok bool
			if data, ok = strings.CutPrefix(data, " "); !ok {
				return false
			}
		}
		text, rest, ok := quoted(data)
		n, sound := octets(text)
		if !ok || !sound || n > 255 {
			return false
		}
		data, size = rest, size+1+n
	}
	return size > 0 && size <= 65535
}

// quoted cuts a text in quotes of printable ASCII off data.
func quoted(data string) (text, rest string, ok bool) {
	if !strings.HasPrefix(data, `"`) {
		return "", "", false
	}
	for i := 1; i < len(data); i++ {
		switch ch := data[i]; {
		case ch == '"':
			return data[1:i], data[i+1:], true
		case ch < ' ' || ch > '~':
			return "", "", false
		case ch == '\\':
			i++
		}
	}
	return "", "", false
}

// octets is how many a text has. A backslash stands before a quote, another one
// or the three digits of any octet: before other characters it would vanish
// (RFC 1035, section 5.1).
func octets(text string) (n int, ok bool) {
	for ; text != ""; n++ {
		after, escape := strings.CutPrefix(text, `\`)
		switch {
		case !escape:
			text = text[1:]
		case strings.HasPrefix(after, `"`) || strings.HasPrefix(after, `\`):
			text = after[1:]
		default:
			if len(after) < 3 {
				return 0, false
			}
			if _, err := strconv.ParseUint(after[:3], 10, 8); err != nil {
				return 0, false
			}
			text = after[3:]
		}
	}
	return n, true
}
