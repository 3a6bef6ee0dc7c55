package load

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/schema"
	"gen.example/services"
)

// written is the repository's CUE as it was typed, and the catalogue's: an error
// names places, and what stands there says what it is about. It is only made
// when there is an error.
type written struct {
	root   fs.FS
	files  map[string]*ast.File
	fields map[string][]*entry // of hosts/, by path
}

// An entry is a field as somebody wrote it.
type entry struct {
	file  string
	path  []string // from the top of the file
	field *ast.Field
}

func (r *repository) written() *written {
	w := &written{root: r.root, files: map[string]*ast.File{}, fields: map[string][]*entry{}}
	for _, s := range r.files {
		f := w.file(s.name)
		r.asMeant(f)
		w.walk(f, func(x *entry) { w.fields[strings.Join(x.path, sep)] = append(w.fields[strings.Join(x.path, sep)], x) })
	}
	return w
}

// file is a file by the name that positions have, nil if it is not there.
func (w *written) file(name string) *ast.File {
	if f, ok := w.files[name]; ok {
		return f
	}
	var text []byte
	var err error
	if rest, ok := strings.CutPrefix(name, Module+"/schema/"); ok {
		text, err = fs.ReadFile(schema.Files, rest)
	} else if rest, ok := strings.CutPrefix(name, Module+"/services/"); ok {
		text, err = fs.ReadFile(services.Files, rest)
	} else {
		text, err = fs.ReadFile(w.root, name)
	}
	w.files[name] = nil
	if err == nil {
		w.files[name], _ = parser.ParseFile(name, text, parser.ParseComments, parser.Version(languageVersion))
	}
	return w.files[name]
}

// walk visits every field with a written label, with its path.
func (w *written) walk(f *ast.File, visit func(*entry)) {
	var path []string
	ast.Walk(f, func(n ast.Node) bool {
		if field, ok := n.(*ast.Field); ok {
			path = append(path, label(field))
			visit(&entry{f.Filename, slices.Clone(path), field})
		}
		return true
	}, func(n ast.Node) {
		if _, ok := n.(*ast.Field); ok {
			path = path[:len(path)-1]
		}
	})
}

// around are the nodes that span a place, the innermost last.
func (w *written) around(p token.Pos) (nodes []ast.Node) {
	f := w.file(p.Filename())
	if f == nil {
		return nil
	}
	at := p.Position().Offset
	ast.Walk(f, func(n ast.Node) bool {
		if n == ast.Node(f) {
			return true
		}
		if n.Pos().Position().Offset > at || n.End().Position().Offset < at {
			return false
		}
		nodes = append(nodes, n)
		return true
	}, nil)
	return nodes
}

// named is the innermost field around a place that has a name.
func (w *written) named(p token.Pos, name string) *entry {
	var path []string
	var best *entry
	for _, n := range w.around(p) {
		field, ok := n.(*ast.Field)
		if !ok {
			continue
		}
		path = append(path, label(field))
		if label(field) == name {
			best = &entry{p.Filename(), slices.Clone(path), field}
		}
	}
	return best
}

// at is where a field stands, which is also what tells it from all others.
func (x *entry) at() string { return finding.Place(x.field.Label.Pos()) }

// spans reports whether a place lies in the field.
func (x *entry) spans(p token.Pos) bool {
	at := p.Position().Offset
	return p.Filename() == x.file && x.field.Pos().Position().Offset <= at && at <= x.field.End().Position().Offset
}

// element is an element of a list that the field is set to, if it is written as one.
func (x *entry) element(index string) ast.Expr {
	list, ok := unalias(x.field.Value).(*ast.ListLit)
	i, err := strconv.Atoi(index)
	if !ok || err != nil || i >= len(list.Elts) {
		return nil
	}
	return list.Elts[i]
}

// A change is what becomes of a field to see what the rest makes of its place.
type change int

const (
	removed change = iota + 1
	opened         // its value is replaced by one that fits everywhere
	unnamed        // a name for it that nothing uses is left out
)

// spoil changes fields of a file by their places, and takes out what only they used.
func spoil(f *ast.File, changes map[string]change) {
	if len(changes) == 0 {
		return
	}
	s := &spoiler{changes, map[ast.Node]ast.Node{}}
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.File:
			n.Decls = s.decls(n.Decls)
		case *ast.StructLit:
			n.Elts = s.decls(n.Elts)
		case *ast.BinaryExpr:
			for _, side := range []*ast.Expr{&n.X, &n.Y} {
				if isName(*side) && changes[finding.Place((*side).Pos())] == opened {
					*side = s.top(*side)
				}
			}
		case *ast.ListLit:
			for i, x := range n.Elts {
				if changes[finding.Place(x.Pos())] == opened {
					n.Elts[i] = s.top(x)
				}
			}
		}
		return true
	}, nil)
	if len(s.instead) == 0 {
		return
	}
	ast.Walk(f, func(n ast.Node) bool { // names lead to the values of fields
		if id, ok := n.(*ast.Ident); ok && s.instead[id.Node] != nil {
			id.Node = s.instead[id.Node]
		}
		return true
	}, nil)
	dropUnused(f)
}

// A spoiler is at work on a file.
type spoiler struct {
	changes map[string]change
	instead map[ast.Node]ast.Node // of what was changed
}

func (s *spoiler) decls(decls []ast.Decl) []ast.Decl {
	return slices.DeleteFunc(decls, func(d ast.Decl) bool {
		field, ok := d.(*ast.Field)
		if !ok {
			return false
		}
		switch s.changes[finding.Place(field.Label.Pos())] {
		case unnamed:
			field.Value = unalias(field.Value)
		case removed:
			s.instead[field] = field
			return true
		case opened:
			field.Value = s.top(field.Value)
		}
		return false
	})
}

// top is the value that fits everywhere, instead of another.
func (s *spoiler) top(x ast.Expr) ast.Expr {
	top := ast.NewIdent("_")
	s.instead[x] = top
	return top
}

// dropUnused takes out imports, aliases and let clauses that nothing refers to:
// CUE refuses them, and what used them may have been taken out.
func dropUnused(f *ast.File) {
	for dropped := true; dropped; { // a let clause may be used by another
		dropped = false
		ast.Walk(f, func(n ast.Node) bool {
			var decls *[]ast.Decl
			switch n := n.(type) {
			case *ast.File:
				decls = &n.Decls
			case *ast.StructLit:
				decls = &n.Elts
			case *ast.Field:
				if a, ok := n.Value.(*ast.Alias); ok && !mentions(a.Expr, a.Ident) {
					n.Value, dropped = a.Expr, true
				}
				return true
			default:
				return true
			}
			left := dropUnusedLets(n, *decls)
			dropped = dropped || len(left) < len(*decls)
			*decls = left
			return true
		}, nil)
	}
	dropUnusedImports(f)
}

func dropUnusedLets(around ast.Node, decls []ast.Decl) []ast.Decl {
	return slices.DeleteFunc(slices.Clone(decls), func(d ast.Decl) bool {
		let, ok := d.(*ast.LetClause)
		return ok && !mentions(around, let.Ident)
	})
}

// mentions reports whether a name stands below a node, besides where it is declared.
func mentions(n ast.Node, name *ast.Ident) (found bool) {
	ast.Walk(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id != name && id.Name == name.Name
		return !found
	}, nil)
	return found
}

// remark is what a comment at a field says of it: above it, or behind it.
func remark(f *ast.Field) string {
	var text []string
	ast.Walk(f, func(n ast.Node) bool {
		for _, g := range ast.Comments(n) {
			above := g.Doc && n == ast.Node(f)
			behind := g.Line && n.End().Line() == f.Label.Pos().Line()
			if above || behind {
				text = append(text, strings.TrimSpace(strings.ReplaceAll(g.Text(), "\n", " ")))
			}
		}
		return true
	}, nil)
	return strings.Join(text, " ")
}
