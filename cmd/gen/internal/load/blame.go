package load

import (
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// place is the user's value, else what CUE says it was made from, else the
// nearest thing around it that the user wrote.
func (d *diagnosis) place(m *mistake) token.Pos {
	if len(m.fields) > 0 {
		x := m.fields[0]
		if el := x.element(m.index); el != nil {
			return el.Pos()
		}
		if m.kind == unknown {
			return x.field.Label.Pos()
		}
		return unalias(x.field.Value).Pos()
	}
	if x := d.inOwnService(m.path); x != nil && !d.asks(x, m) && !d.isWrittenBelow(m.path, len(x.path)+toService-1) {
		return x.field.Label.Pos()
	}
	for _, in := range []func(string) bool{inHosts, d.users} {
		for _, p := range m.places {
			if m.kind != vague && m.kind != required && in(p.Filename()) {
				return p
			}
		}
	}
	if x := d.maker(m); x != nil {
		return x.field.Label.Pos()
	}
	if x := d.shared(m.path); x != nil {
		return x.field.Label.Pos()
	}
	if p := d.places.at(m.path...); p.IsValid() {
		return p
	}
	if m.at.IsValid() {
		return m.at
	}
	return FilePos(d.repository.files[0].name)
}

// asks reports whether a field of a definition is what asks the host for the value that is missing.
func (d *diagnosis) asks(x *entry, m *mistake) bool {
	made := false // from others, which lack theirs
	ast.Walk(x.field.Value, func(n ast.Node) bool {
		_, ok := n.(*ast.Interpolation)
		made = made || ok
		return true
	}, nil)
	return len(x.path) == len(m.path)-toService+1 && (m.kind == required || m.kind == vague && !made)
}

// isWrittenBelow reports whether a host writes something around a path that is
// nearer to it than its first n names.
func (d *diagnosis) isWrittenBelow(path []string, n int) bool {
	for ; n < len(path); n++ {
		if d.places.exact(path[:n+1]...) {
			return true
		}
	}
	return false
}

// maker is the field that makes a service from its definition, if something is
// missing in the service around which nobody wrote anything else.
func (d *diagnosis) maker(m *mistake) *entry {
	if m.kind != required && m.kind != vague || !inService(m.path) {
		return nil
	}
	for n := len(m.path); n > toService; n-- {
		if len(d.via(m.path[:n])) > 0 {
			return nil
		}
	}
	for _, x := range d.via(m.path[:toService]) {
		if definition(x.field.Value) != "" {
			return x
		}
	}
	return nil
}

// via are the user's fields at a path, also those under a name of the user's own
// that a value around it is taken from.
func (d *diagnosis) via(path []string) []*entry {
	all := slices.Clone(d.fields[strings.Join(path, sep)])
	for n := len(path) - 1; n > 0; n-- {
		for _, x := range d.fields[strings.Join(path[:n], sep)] {
			for _, name := range operands(x.field.Value) {
				all = append(all, d.fields[strings.Join(append([]string{name}, path[n:]...), sep)]...)
			}
		}
	}
	return all
}

// operands are the names that a value is made of with &.
func operands(x ast.Expr) []string {
	switch x := unalias(x).(type) {
	case *ast.Ident:
		return []string{x.Name}
	case *ast.BinaryExpr:
		return append(operands(x.X), operands(x.Y)...)
	}
	return nil
}

// shared is the nearest thing around a path that stands under a name of the
// user's own, if the path's value is taken from there.
func (d *diagnosis) shared(path []string) (best *entry) {
	for n := len(path); n > 0 && best == nil; n-- {
		for _, x := range d.fields[strings.Join(path[:n], sep)] {
			ast.Walk(x.field.Value, func(node ast.Node) bool {
				id, ok := node.(*ast.Ident)
				for k := len(path); ok && k > n && best == nil; k-- {
					if at := d.fields[strings.Join(append([]string{id.Name}, path[n:k]...), sep)]; len(at) > 0 {
						best = at[0]
					}
				}
				return best == nil
			}, nil)
		}
		if len(d.fields[strings.Join(path[:n], sep)]) > 0 {
			break // the user wrote it, and nothing nearer
		}
	}
	return best
}

// inOwnService is the nearest thing around a path in the definition of a service
// of the repository's own.
func (d *diagnosis) inOwnService(path []string) (best *entry) {
	if len(path) <= toService {
		return nil
	}
	var uses string
	for _, x := range d.fields[strings.Join(path[:toService], sep)] {
		uses += printed(x.field.Value)
	}
	for _, name := range d.ownFiles {
		f := d.file(name)
		if f == nil {
			continue
		}
		d.walk(f, func(x *entry) {
			inner := x.path[1:]
			if strings.Contains(uses, x.path[0]) && len(inner) > 0 && len(inner) < len(path)-toService+1 &&
				slices.Equal(inner, path[toService:toService+len(inner)]) && (best == nil || len(x.path) > len(best.path)) {
				best = x
			}
		})
	}
	return best
}
