package load

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// A diagnosis finds the mistakes behind the errors of one evaluation. One
// mistake of the user's is one finding, however many values it spoils; and since
// CUE stops in a struct at its first error, the mistakes found are taken out of
// the user's files and the rest is looked at again, until nothing new turns up.
// What the rest makes of a mistake's place is what was wanted there.
type diagnosis struct {
	*evaluation
	*written
	changes map[string]change // of what was found so far
	opened  [][]string        // paths whose values were replaced
	told    map[string]bool   // what was found, by what it is about
	leftOut bool              // fields whose values were replaced are gone
}

func (e *evaluation) explain(pkg cue.Value, err error) (fs []*finding.Finding) {
	var all []*mistake
	d := &diagnosis{evaluation: e, written: e.written(), changes: map[string]change{}, told: map[string]bool{}}
	for round := 0; ; round++ {
		ms := d.mistakes(err)
		if round == 0 {
			ms = append(d.twoDefinitions(), ms...)
		}
		known := ms
		if round > 0 {
			ms = slices.DeleteFunc(slices.Clone(ms), d.stale)
		}
		ms = slices.DeleteFunc(fold(ms), func(m *mistake) bool {
			return slices.ContainsFunc(all, func(by *mistake) bool { return explains(by, m, true) })
		})
		all = append(all, ms...)
		before := len(d.changes)
		for _, m := range ms {
			d.takeOut(m)
		}
		changed := len(d.changes) > before || round > 0 && d.leaveOut(known)
		rest := d.rest()
		if d.acquit(ms, rest) {
			rest = d.rest()
		}
		for _, m := range ms {
			if d.unread && !m.isCertain() {
				continue
			}
			if f := d.word(m, pkg, rest); f != nil {
				fs = append(fs, f)
			}
		}
		if !changed || !rest.Exists() {
			break
		}
		pkg, err = rest, rest.Validate(cue.All(), cue.Concrete(true))
	}
	if len(fs) == 0 && len(e.findings) == 0 {
		return plain(err)
	}
	return fs
}

// twoDefinitions finds services that two places make from different definitions:
// to CUE, everything in them conflicts.
func (d *diagnosis) twoDefinitions() (ms []*mistake) {
	for _, key := range slices.Sorted(maps.Keys(d.fields)) {
		path, of := strings.Split(key, sep), map[string]bool{}
		if len(path) != toService || !inService(path) || path[1] != d.host {
			continue
		}
		var made []*entry
		for _, x := range d.via(path) {
			if def := definition(x.field.Value); def != "" {
				of[def] = true
				made = append(made, x)
			}
		}
		if len(of) > 1 {
			ms = append(ms, &mistake{kind: value, path: path, format: "conflicting values", fields: made})
		}
	}
	return ms
}

// definition is the definition that a service is made from, as it is written.
func definition(x ast.Expr) string {
	switch x := unalias(x).(type) {
	case *ast.BinaryExpr:
		return cmp.Or(definition(x.X), definition(x.Y))
	case *ast.SelectorExpr:
		return printed(x)
	}
	return ""
}

// stale reports whether a later round only says again that something is wrong,
// or because of what was taken out.
func (d *diagnosis) stale(m *mistake) bool {
	changed := slices.ContainsFunc(m.fields, func(x *entry) bool { return d.changes[m.key(x)] != 0 })
	if changed || d.told[m.about()] || d.leftOut && m.kind == reference {
		return true
	}
	if m.kind != required && m.kind != vague && !m.isComputed() && len(m.fields) > 0 {
		return false
	}
	return slices.ContainsFunc(d.opened, func(path []string) bool {
		if m.kind == required && path[0] != "hosts" { // a name of the user's own, or a definition
			return holds(m.path, path[1:])
		}
		if m.kind == required {
			return len(path) <= len(m.path) && slices.Equal(path, m.path[:len(path)])
		}
		return path[0] != "hosts" || len(path) < toService || sameService(path, m.path)
	})
}

// holds reports whether a path leads through another one.
func holds(path, part []string) bool {
	for i := range path {
		if len(part) > 0 && i+len(part) <= len(path) && slices.Equal(path[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

// rest is the package without the mistakes found so far, or no value.
func (d *diagnosis) rest() cue.Value {
	r := &repository{root: d.repository.root, module: d.module, pkg: d.pkg, files: d.repository.files, meant: d.meant, changes: d.changes}
	r.context = build.NewContext(build.Loader(r.load))
	r.readImports()
	inst, _ := r.instance(d.host)
	if inst == nil {
		return cue.Value{}
	}
	return cuecontext.New().BuildInstance(inst)
}

// kind is what an error of CUE's is about.
type kind int

const (
	other     kind = iota // told as CUE does
	vague                 // a value is missing, and nothing says which one the user should give
	required              // a field that must be there is not
	unknown               // a field is in no definition
	reference             // a name leads to nothing
	value                 // a value does not fit
)

// A mistake is one error of CUE's, or several about one thing.
type mistake struct {
	kind   kind
	path   []string
	format string
	args   []any
	at     token.Pos   // of a name that leads to nothing
	places []token.Pos // all that CUE names
	fields []*entry    // the user's, which it is about
	may    bool        // a field is required that is not always: other values ask for it
	index  string      // of the element that does not fit, if the field is set to a list
	lacks  []string    // the path of a field of the schema, if it is missing in a definition of the user's
}

// mistakes reads errors of CUE's. The formats are those of cuelang.org/go
// v0.17.1, internal/core/adt and compile.
func (d *diagnosis) mistakes(err error) (ms []*mistake) {
	for _, e := range errors.Errors(err) {
		if strings.Contains(e.Error(), "imported but not defined") {
			continue // found when the import was resolved
		}
		m := &mistake{path: unquoted(e.Path())}
		for inner := error(e); inner != nil; inner = errors.Unwrap(inner) {
			if ce, ok := inner.(errors.Error); ok { // the innermost is the cause
				if format, args := ce.Msg(); format != "" {
					m.format, m.args = format, args
				}
				m.at = ce.Position()
				m.places = append(m.places, errors.Positions(ce)...)
			}
		}
		m.kind = kindOf(m.format)
		if m.isHeader() { // what it announces stands elsewhere, or nowhere
			m.kind = value
			if len(m.places) == 0 && d.fields[strings.Join(m.path, sep)] == nil {
				m.kind = vague
			}
		}
		if len(m.path) > 0 && !slices.Contains([]string{"fleet", "hosts"}, m.path[0]) && !strings.HasPrefix(m.path[0], "_") && !strings.HasPrefix(m.path[0], "#") {
			continue // below a name that survey refuses
		}
		d.locate(m)
		ms = append(ms, m)
	}
	told := map[string]bool{} // paths about which an error says more than that there are some
	for _, m := range ms {
		told[strings.Join(m.path, sep)] = told[strings.Join(m.path, sep)] || !m.isHeader()
	}
	return slices.DeleteFunc(ms, func(m *mistake) bool { return m.isHeader() && told[strings.Join(m.path, sep)] })
}

// isCertain reports whether a mistake is one whatever stands in files that could
// not be read, or in hosts that are not written out.
func (m *mistake) isCertain() bool {
	return m.kind == unknown || m.kind == value && len(m.fields) > 0 && len(m.path) > 1
}

func kindOf(format string) kind {
	for _, k := range []struct {
		begins string
		kind   kind
	}{
		{"field not allowed", unknown},
		{"field is required but not present", required},
		{"required field missing", vague},
		{"undefined field", reference},
		{"cannot reference optional field", reference},
		{"reference %q not found", reference},
		{"conflicting values", value},
		{"invalid value %", value},
		{"incompatible ", value},
		{"empty disjunction", value},
		{"incomplete", vague},
		{"key value of dynamic field must be concrete", vague},
		{"non-concrete", vague},
		{"unresolved disjunction", vague},
	} {
		if strings.HasPrefix(format, k.begins) {
			return k.kind
		}
	}
	return other
}

// locate finds the user's fields that a mistake is about: those at its path, and
// those of the same name that CUE says the value comes from.
func (d *diagnosis) locate(m *mistake) {
	if m.kind == value || m.kind == unknown || m.kind == other {
		m.leaveList()
	}
	if len(m.path) > 0 && (m.kind == value || m.kind == unknown || m.kind == vague) {
		m.fields = slices.Clone(d.fields[strings.Join(m.path, sep)])
		for _, p := range m.places {
			if x := d.named(p, m.path[len(m.path)-1]); x != nil && d.users(x.file) {
				m.fields = append(m.fields, x)
			}
		}
	}
	if m.kind == reference || m.kind == other {
		for _, p := range m.places {
			if d.users(p.Filename()) {
				m.fields = append(m.fields, d.innermost(p)...)
				break
			}
		}
	}
	whole := m.path
	for m.kind == unknown && len(m.fields) == 0 && len(m.path) > 1 { // what does not fit is around it
		m.path, m.lacks = m.path[:len(m.path)-1], whole
		m.fields = slices.Clone(d.fields[strings.Join(m.path, sep)])
	}
	m.fields = nearest(m.fields)
	m.may = m.kind == required && slices.ContainsFunc(m.places, func(p token.Pos) bool {
		return slices.ContainsFunc(d.around(p), func(n ast.Node) bool { _, ok := n.(*ast.Comprehension); return ok })
	})
}

// leaveList moves a mistake about an element of a list to the field that is set to the list.
func (m *mistake) leaveList() {
	n := len(m.path) - 1
	if n < 1 || !isIndex(m.path[n]) {
		return
	}
	if strings.HasPrefix(m.format, "invalid value") || strings.Contains(m.format, "mismatched") {
		m.index = m.path[n]
	}
	m.path = m.path[:n]
}

func isIndex(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// innermost is the field next around a place.
func (d *diagnosis) innermost(p token.Pos) []*entry {
	var path []string
	var best []*entry
	for _, n := range d.around(p) {
		if f, ok := n.(*ast.Field); ok {
			path = append(path, label(f))
			best = []*entry{{p.Filename(), slices.Clone(path), f}}
		}
	}
	return best
}

// nearest are the fields in the order of their places, each once. What a
// repository's own services say is left out where a host says something else.
func nearest(fields []*entry) []*entry {
	slices.SortFunc(fields, func(a, b *entry) int {
		p, q := a.field.Pos().Position(), b.field.Pos().Position()
		return cmp.Or(cmp.Compare(p.Filename, q.Filename), cmp.Compare(p.Offset, q.Offset))
	})
	fields = slices.CompactFunc(fields, func(a, b *entry) bool { return a.at() == b.at() })
	if slices.ContainsFunc(fields, func(x *entry) bool { return inHosts(x.file) }) {
		fields = slices.DeleteFunc(fields, func(x *entry) bool { return !inHosts(x.file) })
	}
	return fields
}

// takeOut notes what has to change for the mistake to be gone.
func (d *diagnosis) takeOut(m *mistake) {
	d.told[m.about()] = true
	for _, x := range m.fields {
		switch {
		case m.kind == unknown:
			d.changes[m.key(x)] = removed
		case strings.HasPrefix(m.format, "unreferenced alias"):
			d.changes[m.key(x)] = unnamed
		case m.kind == reference && d.operand(m.at) != nil:
			d.changes[finding.Place(d.operand(m.at).Pos())] = opened
			d.opened = append(d.opened, x.path)
		default:
			d.changes[m.key(x)] = opened
			d.opened = append(d.opened, m.path, x.path)
		}
	}
}

// operand is the name around a place that is one side of an &: the other side
// stays when it leads to nothing.
func (d *diagnosis) operand(p token.Pos) ast.Expr {
	for _, n := range d.around(p) {
		b, ok := n.(*ast.BinaryExpr)
		if !ok || b.Op != token.AND {
			continue
		}
		at := p.Position().Offset
		for _, side := range []ast.Expr{b.X, b.Y} {
			if isName(side) && side.Pos().Position().Offset <= at && at < side.End().Position().Offset {
				return side
			}
		}
	}
	return nil
}

func isName(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return true
	case *ast.SelectorExpr:
		return isName(x.X)
	}
	return false
}

// acquit puts back those of several fields about one thing that fit into the rest
// by themselves, if others do not. It reports whether there are any.
func (d *diagnosis) acquit(ms []*mistake, rest cue.Value) (any bool) {
	for _, m := range ms {
		if m.kind != value || m.index != "" || len(m.fields) < 2 || !rest.Exists() {
			continue
		}
		at := rest.LookupPath(selectors(rest, m.path))
		wrong := slices.DeleteFunc(slices.Clone(m.fields), func(x *entry) bool { return fits(x.field.Value, at) })
		if len(wrong) == 0 || len(wrong) == len(m.fields) {
			continue
		}
		for _, x := range m.fields {
			delete(d.changes, m.key(x))
		}
		m.fields = wrong
		d.takeOut(m)
		any = true
	}
	return any
}

// fits reports whether what is written may stand in a place, as far as it says by itself.
func fits(x ast.Expr, at cue.Value) bool {
	v := at.Context().CompileString(printed(x))
	if v.Err() == nil {
		return at.Unify(v).Err() == nil
	}
	_, block := unalias(x).(*ast.StructLit)
	return !block && definition(x) == "" || at.IncompleteKind()&cue.StructKind != 0
}

// isComputed reports whether a function does not take what it is given, which may
// be what stands for a wrong value.
func (m *mistake) isComputed() bool { return strings.HasPrefix(m.format, "error in call") }

// leaveOut leaves out the fields that lack a value now, or cannot be computed,
// because another was replaced, which may be all that CUE says. It reports
// whether there are any.
func (d *diagnosis) leaveOut(ms []*mistake) (any bool) {
	for _, m := range ms {
		for _, x := range m.fields {
			if m.kind == vague && d.changes[m.key(x)] == opened {
				d.changes[m.key(x)] = removed
				d.leftOut, any = true, true
			}
			if m.isComputed() && d.changes[m.key(x)] == 0 {
				d.changes[m.key(x)] = opened
				any = true
			}
		}
	}
	return any
}

// key is the place of what has to change in a field: the field itself, or an element of its list.
func (m *mistake) key(x *entry) string {
	if el := x.element(m.index); el != nil {
		return finding.Place(el.Pos())
	}
	return x.at()
}

// users reports whether a file is of the user's repository and not of the binary.
func (d *diagnosis) users(file string) bool {
	return file != "" && !strings.HasPrefix(file, Module+"/") && !inSchemaFile(file)
}

// inHosts reports whether a file is in hosts/, where every value of a fleet begins.
func inHosts(file string) bool { return strings.HasPrefix(file, "hosts/") }

// InSchema reports whether a place is in the schema.
func InSchema(p token.Pos) bool { return inSchemaFile(p.Filename()) }

// inSchemaFile reports whether a file is the schema's.
func inSchemaFile(name string) bool {
	return strings.HasPrefix(name, Module+"/schema/") || strings.HasPrefix(name, "schema/")
}

// unquoted are the parts of a path as labels say them.
func unquoted(path []string) []string {
	out := make([]string, len(path))
	for i, p := range path {
		out[i] = p
		if s, err := literal.Unquote(p); err == nil && strings.HasPrefix(p, `"`) {
			out[i] = s
		}
	}
	return out
}
