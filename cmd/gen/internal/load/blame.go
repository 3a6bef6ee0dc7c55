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
	if x := d.inOwnService(m.path); x != nil {
		return x.field.Label.Pos()
	}
	for _, in := range []func(string) bool{inHosts, d.users} {
		for _, p := range m.places {
			if m.kind != vague && m.kind != required && in(p.Filename()) {
				return p
			}
		}
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
