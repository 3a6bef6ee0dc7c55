package load

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// explain is what CUE has against a package, folded: one mistake of the user's
// is one finding, however many values it spoils. Nothing is lost: an error that
// cannot be told better is told as CUE does.
func (e *evaluation) explain(pkg cue.Value, err error) []*finding.Finding {
	if fs := e.diagnose(pkg); len(fs) > 0 {
		return fs
	}
	return plain(err)
}

// diagnose finds the mistakes behind the errors. CUE stops in a struct at
// its first error, so the mistakes found are cut out of the user's files and the
// rest is looked at again, until nothing new turns up.
func (e *evaluation) diagnose(pkg cue.Value) (fs []*finding.Finding) {
	without := map[string]bool{}
	for round := 0; ; round++ {
		var ms []*mistake
		for _, err := range errors.Errors(pkg.Validate(cue.All(), cue.Concrete(true))) {
			if m := e.mistake(pkg, err); round == 0 || m.exact && !m.vague && !without[strings.Join(m.path, sep)] {
				ms = append(ms, m)
			}
		}
		before := len(without)
		for _, m := range fold(ms) {
			fs = append(fs, m.Finding)
			if m.exact {
				without[strings.Join(m.path, sep)] = true
			}
		}
		if len(without) == before {
			return fs
		}
		inst, wrong := e.instance(e.host, without)
		if wrong != nil {
			return fs
		}
		pkg = cuecontext.New().BuildInstance(inst)
	}
}

// selectors leads to a path of a package, also to names of the user's own.
func selectors(pkg cue.Value, path []string) cue.Path {
	var sels []cue.Selector
	for _, p := range path {
		if strings.HasPrefix(p, "_") {
			sels = append(sels, cue.Hid(p, pkg.BuildInstance().ID()))
			continue
		}
		sels = append(sels, cue.Str(p))
	}
	return cue.MakePath(sels...)
}

// A mistake is one error of CUE's and what it is about.
type mistake struct {
	*finding.Finding
	path  []string
	exact bool        // the user wrote a value at that very path
	used  []token.Pos // places of the user's that the value was made from
	vague bool        // says only that a value is missing somewhere
	tells int         // of several about one value, the one that tells most is kept
	both  [2]string   // two values that conflict
}

// fold keeps the errors nobody else explains: of several about one value the
// most telling; an error about a derived value goes with the one about the
// value it was derived from, and one about a value that cannot be told goes
// with any other in the same service.
func fold(ms []*mistake) (kept []*mistake) {
	best := map[string]*mistake{}
	conflicts := map[string][]*mistake{}
	for _, m := range ms {
		key := strings.Join(m.path, sep)
		if m.both[0] != "" {
			conflicts[key] = append(conflicts[key], m)
		}
		if b, ok := best[key]; !ok || m.tells > b.tells {
			best[key] = m
		}
	}
	for key, c := range conflicts {
		if best[key].both[0] != "" {
			best[key].choice(c)
		}
	}
	ms = slices.DeleteFunc(ms, func(m *mistake) bool { return best[strings.Join(m.path, sep)] != m })
	said := map[string]bool{}
	for _, m := range ms {
		at := finding.Place(m.Pos) + m.What
		if !explained(m, ms) && !said[at] {
			kept = append(kept, m)
		}
		said[at] = true
	}
	return kept
}

// choice words several conflicts about one value: it is none of those allowed,
// of which CUE tries each in turn.
func (m *mistake) choice(conflicts []*mistake) {
	var given string
	var allowed []string
	for side := range 2 {
		seen := map[string]bool{}
		for _, c := range conflicts {
			seen[c.both[side]] = true
		}
		if len(seen) == 1 {
			given = conflicts[0].both[side]
		} else {
			allowed = slices.Sorted(maps.Keys(seen))
		}
	}
	if given == "" || len(allowed) < 2 {
		return
	}
	m.Code, m.Hint = finding.Value, ""
	m.What = fmt.Sprintf("%s is %s, which is none of %s", m.path[len(m.path)-1], given, strings.Join(allowed, ", "))
}

func explained(m *mistake, by []*mistake) bool {
	for i, k := range by {
		if k == m || k.vague && !m.vague {
			continue
		}
		first := i < slices.Index(by, m) // of several that are vague, one speaks for the service
		if m.vague && (!k.vague || first) && sameService(m.path, k.path) {
			return true
		}
		if !m.exact && k.exact && slices.ContainsFunc(m.used, func(p token.Pos) bool { return finding.Place(p) == finding.Place(k.Pos) }) {
			return true
		}
	}
	return false
}

// sameService reports whether two paths hosts.H.services.S… lead to one service.
func sameService(a, b []string) bool {
	const n = 4
	if len(a) < n || len(b) < n {
		return len(a) > 0 && len(b) > 0 && a[0] == b[0]
	}
	return slices.Equal(a[:n], b[:n])
}

// mistake words one error of CUE's. The place is the user's value if CUE names
// it, else the nearest thing around it that the user wrote.
func (e *evaluation) mistake(pkg cue.Value, err errors.Error) *mistake {
	m := &mistake{path: unquoted(err.Path())}
	format, args := err.Msg()
	var others []token.Pos
	for _, p := range errors.Positions(err) {
		if inHosts(p) {
			m.used = append(m.used, p)
		} else if !e.rule(p) {
			others = append(others, p)
		}
	}
	m.exact = e.places.exact(m.path...)
	code, what, hint := e.words(pkg, m, format, args)
	m.Finding = finding.New(code, e.blame(m), "%s", what).And(others...)
	m.Hint = hint
	return m
}

// rule reports whether a place is in the schema, which is the same for everybody.
func (e *evaluation) rule(p token.Pos) bool {
	return strings.HasPrefix(p.Filename(), Module+"/hosts/") || InSchema(p)
}

// InSchema reports whether a place is in the schema.
func InSchema(p token.Pos) bool {
	return strings.HasPrefix(p.Filename(), Module+"/schema/") || strings.HasPrefix(p.Filename(), "schema/")
}

// inHosts reports whether a place is in hosts/, where every value of a fleet begins.
func inHosts(p token.Pos) bool { return strings.HasPrefix(p.Filename(), "hosts/") }

func (e *evaluation) blame(m *mistake) token.Pos {
	at := e.places.at(m.path...)
	if m.exact && len(m.used) > 0 {
		// The value itself stands behind its label.
		value := at
		for _, p := range m.used {
			if p.Filename() == at.Filename() && p.Line() == at.Line() && p.Column() > at.Column() && (value == at || p.Column() < value.Column()) {
				value = p
			}
		}
		return value
	}
	if at.IsValid() {
		return at
	}
	if len(m.used) > 0 {
		return m.used[0]
	}
	return token.NoPos
}

// words says in the user's terms what CUE says in its own. The formats are
// those of cuelang.org/go v0.17.1, internal/core/adt and compile.
func (e *evaluation) words(pkg cue.Value, m *mistake, format string, args []any) (code finding.Code, what, hint string) {
	name := "the value"
	if len(m.path) > 0 {
		name = m.path[len(m.path)-1]
	}
	said := fmt.Sprintf(format, args...)
	switch {
	case format == "field not allowed":
		m.tells = 3
		return e.unknownField(pkg, m.path)
	case strings.HasPrefix(format, "field is required but not present"):
		return finding.Required, fmt.Sprintf("%s needs %s", subject(m.path[:len(m.path)-1]), name), ""
	case strings.HasPrefix(format, "required field missing"):
		m.vague = true
		return finding.Required, fmt.Sprintf("%s is missing", name), ""
	case strings.HasPrefix(format, "undefined field"):
		m.exact = true
		return e.undefined(m, args)
	case strings.HasPrefix(format, "cannot reference optional field"):
		field := strings.Trim(fmt.Sprint(args[len(args)-1]), `"`)
		return finding.Required, fmt.Sprintf("%s needs %s, which nobody gave", service(m.path), field), ""
	case strings.HasPrefix(format, "reference %q not found"):
		return finding.Reference, fmt.Sprintf("there is nothing named %v here", args[0]), ""
	case strings.HasPrefix(format, "imported and not used"):
		return finding.Reference, fmt.Sprintf("%v is imported and not used", args[0]), "a field of the same name hides an import; name it: import catalog \"" + Module + "/services\""
	case strings.HasPrefix(format, "conflicting values"):
		return e.conflict(m, name, args)
	case strings.HasPrefix(format, "invalid value %"), strings.Contains(format, "out of bound"):
		m.tells = 3
		return finding.Value, outOfBound(name, said), ""
	case strings.Contains(said, "errors in empty disjunction"):
		m.vague = !m.exact
		m.tells = -1
		return finding.Value, fmt.Sprintf("%s cannot be what it is set to", name), ""
	case strings.Contains(format, "incomplete"), strings.Contains(format, "non-concrete"), strings.Contains(said, "incomplete value"):
		m.vague = true
		return finding.Required, fmt.Sprintf("%s has no value", subject(m.path)), "give it one; two different defaults leave none"
	case strings.Contains(said, "invalid interpolation"):
		m.vague = true
	}
	return finding.Value, name + ": " + said, ""
}

func (e *evaluation) unknownField(pkg cue.Value, path []string) (finding.Code, string, string) {
	around, name := path[:len(path)-1], path[len(path)-1]
	known := e.fieldsAround(pkg, path)
	return finding.UnknownField, fmt.Sprintf("%s has no field %q", subject(around), name),
		finding.DidYouMean(name, known, "its fields are "+strings.Join(known, ", "))
}

func (e *evaluation) undefined(m *mistake, args []any) (finding.Code, string, string) {
	field := strings.Trim(fmt.Sprint(args[len(args)-1]), `"`)
	if slices.Contains(e.hostNames(), field) && e.host != field {
		return finding.OtherHost, fmt.Sprintf("%s refers to the host %s", subject(m.path), field),
			"a host's CUE sees that host alone; give both hosts the value through fleet: or a name of your own"
	}
	return finding.Reference, fmt.Sprintf("there is nothing named %s there", field), ""
}

func (e *evaluation) conflict(m *mistake, name string, args []any) (finding.Code, string, string) {
	a, b := fmt.Sprint(args[0]), fmt.Sprint(args[1])
	if len(args) >= 4 { // mismatched types a and b
		m.tells = 2
		return finding.Value, fmt.Sprintf("%s is %v, where %v is wanted", name, args[2], args[3]), ""
	}
	m.both = [2]string{a, b}
	return finding.Fixed, fmt.Sprintf("%s is both %s and %s", name, a, b), "one of the two is fixed by the service: only a value with a default can be replaced"
}

var bound = regexp.MustCompile(`^invalid value (.*) \(out of bound (.*)\)$`)

// outOfBound explains a pattern or a range by what it stands for.
func outOfBound(name, said string) string {
	g := bound.FindStringSubmatch(said)
	if g == nil {
		return name + ": " + said
	}
	if want, ok := patterns[g[2]]; ok {
		return fmt.Sprintf("%s is %s, which is not %s", name, g[1], want)
	}
	return fmt.Sprintf("%s is %s, which is not %s", name, g[1], g[2])
}

// patterns says what the bounds of schema/types.cue stand for.
var patterns = map[string]string{
	`=~"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"`:                                         "a name of small letters, digits and inner hyphens",
	`=~"^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$"`:                                         "a service's name: at most 12 small letters, digits and inner hyphens",
	`=~"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"`: "a domain such as notes.example.org",
	`=~"^age1[02-9ac-hj-np-z]{58}$"`:                                                "the public half of an age identity: age1 and 58 letters",
	`=~"^/"`:                                                                        "an absolute path",
	`>0`:                                                                            "more than 0",
	`!=""`:                                                                          "a value that says something",
	`<=4194304`:                                                                     "at most 4194304",
	`<=1000`:                                                                        "at most 1000",
	`<65536`:                                                                        "a port from 1 to 65535",
	`=~"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"`: "a span of time such as 90s or 1h30m",
	`=~"^[0-9]+[KMGT]?$"`:                              "an amount of memory such as 512M or 2G",
	`=~"^[0-9]+:[0-9]+$"`:                              "a numeric owner and group such as 999:999",
	`=~"^0[0-7]{3}$"`:                                  "a file mode of four octal digits such as 0640",
	`=~"^[A-Za-z0-9][A-Za-z0-9._-]*$"`:                 "a data line such as postgres-17",
	`=~"^[A-Z][A-Z0-9]*$"`:                             "a signal such as HUP",
	`=~"^([01][0-9]|2[0-3]):[0-5][0-9]$"`:              "a time of day such as 04:30",
	`=~"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"`:           "a bucket's name",
	`=~"^[^@ ]+@[^@ ]+$"`:                              "a mail address",
	`=~"^[A-Z][A-Za-z0-9]*$"`:                          "a name such as DiskFull",
	`=~"^https://"`:                                    "an address that begins with https://",
	`=~"^https?://"`:                                   "an address that begins with https:// or http://",
	`=~"^[A-Za-z0-9-]+$"`:                              "the name of a header",
}

// fieldsAround are the names that stand, or may stand, beside the last one of a path.
func (e *evaluation) fieldsAround(pkg cue.Value, path []string) (names []string) {
	iter, err := pkg.LookupPath(selectors(pkg, path[:len(path)-1])).Fields(cue.Optional(true))
	if err != nil {
		return nil
	}
	for iter.Next() {
		sel := iter.Selector()
		if sel.LabelType() != cue.StringLabel || sel.ConstraintType() == cue.PatternConstraint {
			continue
		}
		if n := sel.Unquoted(); n != path[len(path)-1] {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// subject names what a path leads to as the user would: hosts.vps1.services.git
// is git, and git's containers.app is git's containers.app.
func subject(path []string) string {
	switch {
	case len(path) == 0:
		return "the fleet"
	case len(path) >= 4 && path[0] == "hosts" && path[2] == "services":
		return strings.Join(path[3:], ".")
	case len(path) >= 2 && (path[0] == "hosts" || strings.HasPrefix(path[0], "_")):
		return strings.Join(path[1:], ".")
	}
	return strings.Join(path, ".")
}

// service is the name of the service that a path lies in, else its subject.
func service(path []string) string {
	if len(path) >= 4 && path[0] == "hosts" && path[2] == "services" {
		return path[3]
	}
	return subject(path)
}

// unquoted are the parts of a path without CUE's quotes.
func unquoted(path []string) []string {
	out := make([]string, len(path))
	for i, p := range path {
		out[i] = strings.Trim(p, `"`)
	}
	return out
}
