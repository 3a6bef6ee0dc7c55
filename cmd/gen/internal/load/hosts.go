package load

import (
	"iter"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// places is where the user's files write a field, by its path: the first place
// of each in the order of the files. CUE itself gives the schema's place for a
// struct, and for a field that is missing.
type places map[string]token.Pos

const sep = "\x00"

// at is the place of a path, or of the nearest struct around it that the user wrote.
func (p places) at(path ...string) token.Pos {
	for n := len(path); n > 0; n-- {
		if pos, ok := p[strings.Join(path[:n], sep)]; ok {
			return pos
		}
	}
	return token.NoPos
}

// exact reports whether the user's files write that very path.
func (p places) exact(path ...string) bool {
	_, ok := p[strings.Join(path, sep)]
	return ok
}

// note takes down the literal labels below x.
func (p places) note(x ast.Expr, path string) {
	switch x := x.(type) {
	case *ast.StructLit:
		for _, d := range x.Elts {
			if f, ok := d.(*ast.Field); ok && label(f) != "" {
				p.noteField(f, path)
			}
		}
	case *ast.BinaryExpr:
		p.note(x.X, path)
		p.note(x.Y, path)
	case *ast.ParenExpr:
		p.note(x.X, path)
	}
}

func (p places) noteField(f *ast.Field, path string) {
	at := label(f)
	if path != "" {
		at = path + sep + at
	}
	if _, ok := p[at]; !ok {
		p[at] = f.Label.Pos()
	}
	p.note(unalias(f.Value), at)
}

// survey notes what a file of hosts/ declares: hosts by literal names, the
// fleet's own part, and names that only CUE sees.
func (r *repository) survey(f *ast.File, s *source) {
	defer func() { // when names are right
		for m := range marked(f) {
			r.find(finding.Ignored, m.Label.Pos(), "%s has a mark before its colon, so that it is a rule and gives no value", label(m)).
				Hintf("leave the mark out: %s: …", label(m))
		}
	}()
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.Field:
			r.surveyField(d, s)
		case *ast.Package, *ast.ImportDecl, *ast.CommentGroup, *ast.Attribute:
		case *ast.LetClause:
			s.shared = true
			r.whole[""] = r.whole[""] || speaksOf(d, "hosts")
		default:
			r.find(finding.TopLevel, d.Pos(), "the top level of hosts/ holds only fleet: and hosts:").
				Hintf("a name of your own begins with let, _ or #")
		}
	}
}

func (r *repository) surveyField(d *ast.Field, s *source) {
	name := label(d)
	r.whole[""] = r.whole[""] || name != "hosts" && speaksOf(d, "hosts")
	switch {
	case name == "hosts":
		r.places.noteField(d, "")
		r.surveyHosts(d, s)
	case name == "fleet":
		s.shared = true
		r.places.noteField(d, "")
	case strings.HasPrefix(name, "_"), strings.HasPrefix(name, "#"):
		s.shared = true
		r.places.noteField(d, "") // hosts may share what stands there
	default:
		f := r.find(finding.TopLevel, d.Pos(), "there is no field %q at the top level of hosts/", name)
		f.Hint = finding.DidYouMean(name, topLevel, "it holds fleet: and hosts:; a name of your own begins with let, _ or #")
		for _, meant := range topLevel { // and is read as that
			if name != "" && finding.DidYouMean(name, []string{meant}, "") != "" {
				r.meant[name] = meant
				relabel(d, meant)
				r.surveyField(d, s)
				return
			}
		}
	}
}

var topLevel = []string{"fleet", "hosts"}

// asMeant makes of a file's top level what survey took it for: without what does
// not belong there, and with the right names.
func (r *repository) asMeant(f *ast.File) {
	f.Decls = slices.DeleteFunc(f.Decls, func(d ast.Decl) bool {
		switch d := d.(type) {
		case *ast.Field:
			if meant := r.meant[label(d)]; meant != "" {
				relabel(d, meant)
			}
			return false
		case *ast.EmbedDecl, *ast.Comprehension, *ast.Ellipsis:
			return true
		}
		return false
	})
	for m := range marked(f) {
		m.Constraint = token.ILLEGAL
	}
}

func relabel(d *ast.Field, name string) { d.Label = &ast.Ident{NamePos: d.Label.Pos(), Name: name} }

// marked are the fields of the fleet and the hosts with a mark, name?: or name!:,
// which makes a rule of them and gives no value.
func marked(f *ast.File) iter.Seq[*ast.Field] {
	return func(yield func(*ast.Field) bool) {
		for _, d := range f.Decls {
			top, ok := d.(*ast.Field)
			if !ok || !slices.Contains(topLevel, label(top)) {
				continue
			}
			ast.Walk(top, func(n ast.Node) bool {
				field, ok := n.(*ast.Field)
				if ok && strings.HasPrefix(label(field), "#") {
					return false
				}
				if ok && (field.Constraint == token.OPTION || field.Constraint == token.NOT) {
					yield(field)
				}
				return true
			}, nil)
		}
	}
}

func (r *repository) surveyHosts(d *ast.Field, s *source) {
	lit, ok := unalias(d.Value).(*ast.StructLit)
	if !ok {
		r.find(finding.HostNames, d.Value.Pos(), "hosts is not written as {name: …}").
			Hintf("declare each host by its name, as in hosts: vps1: {…}")
		return
	}
	for _, e := range lit.Elts {
		switch e := e.(type) {
		case *ast.Field:
			if _, pattern := e.Label.(*ast.ListLit); pattern {
				s.shared = true
				r.whole[""] = r.whole[""] || !isTie(e.Value)
			} else if id, ok := e.Label.(*ast.Ident); ok && strings.HasPrefix(id.Name, "_") || ok && strings.HasPrefix(id.Name, "#") {
				r.find(finding.Ignored, e.Pos(), "%s is no host: nobody sees a name that begins with _ or #", id.Name).
					Hintf("a host's name begins with a letter; what hosts share stands outside hosts:")
			} else if name := label(e); name != "" {
				s.hosts = append(s.hosts, name)
				r.whole[name] = r.whole[name] || !inParts(e)
				r.refuseEmbedding(e.Value)
				eachField(e.Value, func(services *ast.Field) {
					if label(services) == "services" {
						r.shares[name] = append(r.shares[name], operands(services.Value)...)
					}
				})
			} else {
				r.find(finding.HostNames, e.Pos(), "a host's name is not written out").Hintf("hosts are declared by literal names")
			}
		case *ast.LetClause:
			s.shared = true
		case *ast.CommentGroup, *ast.Ellipsis:
		default:
			r.find(finding.HostNames, e.Pos(), "hosts are made by an expression").Hintf("hosts are declared by literal names")
		}
	}
}

// refuseEmbedding refuses services that embed their definition, {catalog.#X, …}:
// CUE then takes whatever stands beside it for a field of the service, so that a
// misspelt parameter would be accepted and ignored.
func (r *repository) refuseEmbedding(host ast.Expr) {
	eachField(host, func(services *ast.Field) {
		if label(services) != "services" {
			return
		}
		eachField(services.Value, func(service *ast.Field) {
			lit, ok := unalias(service.Value).(*ast.StructLit)
			if !ok {
				return
			}
			for _, d := range lit.Elts {
				if e, ok := d.(*ast.EmbedDecl); ok {
					r.find(finding.Embedded, e.Pos(), "%s has its definition inside its block, where it lets every field pass", label(service)).
						Hintf("write %s: DEFINITION & {…}", label(service))
				}
			}
		})
	})
}

// refuseAllHosts refuses uses of hosts: as a whole. Plain cue sees all hosts
// there, and gen one.
func (r *repository) refuseAllHosts(f *ast.File) {
	single := map[*ast.Ident]bool{}
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Package, *ast.ImportDecl:
			return false
		case *ast.Field:
			if id, ok := n.Label.(*ast.Ident); ok {
				single[id] = true
			}
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok {
				single[id] = true
			}
			if id, ok := n.Sel.(*ast.Ident); ok {
				single[id] = true
			}
		case *ast.IndexExpr:
			id, isName := n.X.(*ast.Ident)
			if _, literal := n.Index.(*ast.BasicLit); isName && literal {
				single[id] = true
			}
		case *ast.Ident:
			if n.Name == "hosts" && !single[n] && (n.Node == nil || isTop(f, n.Node)) {
				r.find(finding.OtherHost, n.Pos(), "this refers to all hosts").
					Hintf("a host's CUE sees that host alone; write out what it needs, or give it to all through fleet: or a name of your own")
			}
		}
		return true
	}, nil)
}

// isTop reports whether a name's declaration is a field at the top of a file.
func isTop(f *ast.File, n ast.Node) bool {
	return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
		field, ok := d.(*ast.Field)
		return ok && (ast.Node(field) == n || ast.Node(field.Value) == n)
	})
}

// eachField visits the fields of a struct, and of each in a conjunction.
func eachField(x ast.Expr, visit func(*ast.Field)) {
	switch x := unalias(x).(type) {
	case *ast.StructLit:
		for _, d := range x.Elts {
			if f, ok := d.(*ast.Field); ok {
				visit(f)
			}
		}
	case *ast.BinaryExpr:
		eachField(x.X, visit)
		eachField(x.Y, visit)
	case *ast.ParenExpr:
		eachField(x.X, visit)
	}
}

// rules ties what the user declares to the schema, whether or not the user's files do.
const rules = `
import gen_schema "` + Module + `/schema"

fleet: gen_schema.#Fleet
hosts: [Name=string]: gen_schema.#Host & {name: Name, #fleet: fleet}
`

// instance is the package in hosts/ as the named host sees it: files that
// declare only other hosts are left out, and so are other hosts' declarations
// in the rest. Files are parsed anew because CUE writes to their syntax trees.
// It is nil if there are findings, or a package that it imports could not be
// read, of which there are findings already. Some of the host's own fields may
// be left out too.
func (r *repository) instance(host string, without ...string) (inst *build.Instance, found []*finding.Finding) {
	own := copies{}
	load := func(pos token.Pos, spec string) *build.Instance { return own.of(r.load(pos, spec)) }
	inst = build.NewContext(build.Loader(load)).NewInstance("hosts", load)
	inst.PkgName, inst.Module = r.pkg, r.module
	for _, f := range r.seenBy(host, without) {
		if !r.readable(f) {
			return nil, nil
		}
		if err := inst.AddSyntax(f); err != nil {
			found = append(found, plain(err)...)
		}
	}
	if err := inst.Complete(); err != nil {
		found = append(found, plain(err)...)
	}
	if len(found) > 0 {
		return nil, found
	}
	return inst, nil
}

// copies are one host's own of the packages that all hosts import: CUE writes to
// a package what it finds wrong with it.
type copies map[*build.Instance]*build.Instance

func (c copies) of(inst *build.Instance) *build.Instance {
	if inst == nil || c[inst] != nil {
		return c[inst]
	}
	own := *inst
	c[inst] = &own
	own.Imports = slices.Clone(inst.Imports)
	for i, imported := range own.Imports {
		own.Imports[i] = c.of(imported)
	}
	return &own
}

// seenBy are the files as a host sees them, and the rules.
func (r *repository) seenBy(host string, without []string) (files []*ast.File) {
	for _, s := range r.files {
		if !s.shared && !slices.Contains(s.hosts, host) && host != "" {
			continue
		}
		f := mustParse(s.name, s.text)
		r.asMeant(f)
		cut(f, func(path string) bool {
			at, inHosts := strings.CutPrefix(path, "hosts"+sep)
			name, field, inside := strings.Cut(at, sep)
			return inHosts && (name != host || inside && slices.Contains(without, field))
		})
		if s.unused {
			dropUnused(f)
		}
		spoil(f, r.changes)
		files = append(files, f)
	}
	return append(files, mustParse(Module+"/hosts/rules.cue", []byte("package "+r.pkg+"\n"+rules)))
}

// mustParse is for what parsed before.
func mustParse(name string, text []byte) *ast.File {
	f, err := parseFile(name, text)
	if err != nil {
		panic("load: " + name + " parsed before: " + err.Error())
	}
	return f
}

// cut removes the fields at some paths from a file, and what only they used.
func cut(f *ast.File, gone func(path string) bool) {
	removed := false
	f.Decls = cutFields(f.Decls, "", func(path string) bool {
		g := gone(path)
		removed = removed || g
		return g
	})
	if removed {
		dropUnused(f)
	}
}

func cutFields(decls []ast.Decl, path string, gone func(string) bool) []ast.Decl {
	return slices.DeleteFunc(decls, func(d ast.Decl) bool {
		field, ok := d.(*ast.Field)
		if !ok || label(field) == "" {
			return false
		}
		at := label(field)
		if path != "" {
			at = path + sep + at
		}
		cutBelow(field.Value, at, gone)
		return gone(at)
	})
}

func cutBelow(x ast.Expr, path string, gone func(string) bool) {
	switch x := unalias(x).(type) {
	case *ast.StructLit:
		x.Elts = cutFields(x.Elts, path, gone)
	case *ast.BinaryExpr:
		cutBelow(x.X, path, gone)
		cutBelow(x.Y, path, gone)
	case *ast.ParenExpr:
		cutBelow(x.X, path, gone)
	}
}

func dropUnusedImports(f *ast.File) {
	used := map[ast.Node]bool{}
	ast.Walk(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && id.Node != nil {
			used[id.Node] = true
		}
		return true
	}, nil)
	for _, d := range f.Decls {
		if d, ok := d.(*ast.ImportDecl); ok {
			d.Specs = slices.DeleteFunc(d.Specs, func(s *ast.ImportSpec) bool { return !used[s] })
		}
	}
	f.Decls = slices.DeleteFunc(f.Decls, func(d ast.Decl) bool {
		i, ok := d.(*ast.ImportDecl)
		return ok && len(i.Specs) == 0
	})
}

// importName is the name by which a file refers to an import.
func importName(s *ast.ImportSpec) string {
	if s.Name != nil {
		return s.Name.Name
	}
	return ast.ParseImportPath(strings.Trim(s.Path.Value, `"`)).Qualifier
}

// label is a field's name if it is written out, else "".
func label(f *ast.Field) string {
	l := f.Label
	if a, ok := l.(*ast.Alias); ok {
		if l, ok = a.Expr.(ast.Label); !ok {
			return ""
		}
	}
	name, _, err := ast.LabelName(l)
	if err != nil {
		return ""
	}
	return name
}

func unalias(x ast.Expr) ast.Expr {
	if a, ok := x.(*ast.Alias); ok {
		return a.Expr
	}
	return x
}
