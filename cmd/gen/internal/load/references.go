package load

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/schema"
	"gen.example/services"
)

// wordReference words a name that leads to nothing. Its place is that of the name.
func (d *diagnosis) wordReference(m *mistake, pkg cue.Value) *finding.Finding {
	name := strings.Trim(fmt.Sprint(m.args[len(m.args)-1]), `"`)
	of, x := d.selected(m.at)
	if slices.Contains(d.hiddenImports, finding.Place(m.at)) || x != nil && slices.Contains(d.hiddenImports, finding.Place(x.Pos())) {
		return nil
	}
	switch {
	case strings.HasPrefix(m.format, "reference"):
		name = fmt.Sprint(m.args[0])
		if d.isUnread(m.at, name) {
			return nil
		}
		f := finding.New(finding.Reference, m.at, "there is nothing named %s here", name)
		if let := d.letElsewhere(name); let.IsValid() {
			return f.And(let).Hintf("what let names is known in its own file alone: _%s: … at the top level is known in all", name)
		}
		f.Hint = finding.DidYouMean(name, d.inScope(m.at), d.importHint(name))
		return f
	case strings.HasPrefix(m.format, "cannot reference optional field"):
		return d.wordNotGiven(m, name, of)
	case of == "hosts" && slices.Contains(d.hostNames(), name):
		return finding.New(finding.OtherHost, m.at, "%s refers to the host %s", subject(m.fieldPath()), name).
			Hintf("a host's CUE sees that host alone; give both hosts the value through fleet: or a name of your own")
	}
	if imported := d.importPath(m.at, of); imported != "" {
		if d.missing(imported) {
			return nil
		}
		names := d.definitions(imported)
		f := finding.New(finding.Reference, m.at, "%s has no %s", of, name)
		if slices.Contains(names, name) && !strings.HasPrefix(imported, Module+"/") {
			return f.Hintf("the file with %s is of another package, or of none: begin it with package %s", name, ast.ParseImportPath(imported).Qualifier)
		}
		f.Hint = finding.DidYouMean(name, names, "it has "+strings.Join(names, ", "))
		return f
	}
	known, _ := d.fieldsOf(pkg.LookupPath(cue.ParsePath(of)), nil, name)
	if strings.HasPrefix(of, "_") {
		known, _ = d.fieldsOf(pkg, strings.Split(of, "."), name)
	}
	if d.isAlias(m.at, of) && len(m.path) >= toService { // the definition's name for itself
		known, _ = d.fieldsOf(pkg, m.path[:toService], name)
	}
	f := finding.New(finding.Reference, m.at, "%s has no field %s", cmp.Or(of, "what stands before it"), name)
	if !d.users(m.at.Filename()) {
		f = d.at(m, finding.Reference, "%s needs %s of %s, which is not there", service(m.path), name, of).And(m.at)
	}
	f.Hint = finding.DidYouMean(name, known, "")
	if f.Hint == "" && len(known) > 0 {
		f.Hintf("it has %s", strings.Join(known, ", "))
	} else if f.Hint == "" {
		f.Hintf("nothing by that name is declared there")
	}
	return f
}

// isUnread reports whether what a name leads to is in another file of its package,
// which cannot be parsed, or in an import that leads nowhere and is misspelt.
func (d *diagnosis) isUnread(p token.Pos, name string) bool {
	if f := d.file(p.Filename()); f != nil {
		for s := range f.ImportSpecs() {
			if d.missing(strings.Trim(s.Path.Value, `"`)) && finding.DidYouMean(importName(s), []string{name}, "") != "" {
				return true
			}
		}
	}
	return slices.ContainsFunc(d.findings, func(f *finding.Finding) bool {
		return f.Code == finding.Syntax && path.Dir(f.Pos.Filename()) == path.Dir(p.Filename())
	})
}

// wordNotGiven words a use of something optional that nobody gave. The user's
// line is the one that asked for the use, if it is in a definition.
func (d *diagnosis) wordNotGiven(m *mistake, name, of string) *finding.Finding {
	whole := strings.TrimPrefix(strings.TrimPrefix(of[strings.Index(of, ".")+1:]+"."+name, "."), "#")
	if !d.users(m.at.Filename()) {
		f := d.at(m, finding.Required, "%s needs %s, which nobody gave", service(m.path), whole).And(m.at).
			Hintf("give it, or leave out what asks for it")
		if x := d.condition(m); x != nil {
			f.Pos = x.field.Value.Pos()
		}
		return f
	}
	whole = strings.TrimPrefix(of+"."+name, ".")
	return finding.New(finding.Required, m.at, "%s is used here, and nobody gave it a value", whole).Hintf("give it one: %s: …", strings.ReplaceAll(whole, ".", ": "))
}

// condition is the user's parameter on which a place in a definition depends: if my.mail {…}.
func (d *diagnosis) condition(m *mistake) (best *entry) {
	for _, n := range d.around(m.at) {
		c, ok := n.(*ast.Comprehension)
		if !ok || len(m.path) < toService {
			continue
		}
		for _, clause := range c.Clauses {
			guard, ok := clause.(*ast.IfClause)
			if !ok {
				continue
			}
			ast.Walk(guard.Condition, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					name, _, _ := ast.LabelName(s.Sel)
					for _, x := range d.fields[strings.Join(append(m.path[:toService:toService], name), sep)] {
						best = x
					}
				}
				return true
			}, nil)
		}
	}
	return best
}

// fieldPath is the path of what the user wrote, else that of the value.
func (m *mistake) fieldPath() []string {
	if len(m.fields) > 0 {
		return m.fields[0].path
	}
	return m.path
}

// selected is what a name at a place is looked up in, as it is written: "fleet.mail" of fleet.mail.host.
func (d *diagnosis) selected(p token.Pos) (of string, x ast.Expr) {
	for _, n := range d.around(p) {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if n.Sel.Pos().Position().Offset == p.Position().Offset {
				of, x = printed(n.X), n.X
			}
		case *ast.IndexExpr:
			if n.Index.Pos().Position().Offset == p.Position().Offset || n.Lbrack.Position().Offset == p.Position().Offset {
				of, x = printed(n.X), n.X
			}
		}
	}
	return of, x
}

// isAlias reports whether a name stands for a struct around a place.
func (d *diagnosis) isAlias(p token.Pos, name string) bool {
	return slices.ContainsFunc(d.around(p), func(n ast.Node) bool {
		a, ok := n.(*ast.Alias)
		return ok && a.Ident.Name == name
	})
}

// inScope are the names that can be used at a place.
func (d *diagnosis) inScope(p token.Pos) (names []string) {
	for _, s := range d.repository.files {
		if f := d.file(s.name); f != nil {
			names = append(names, declared(slices.DeleteFunc(slices.Clone(f.Decls), isLet))...)
		}
	}
	if f := d.file(p.Filename()); f != nil {
		for s := range f.ImportSpecs() {
			names = append(names, importName(s))
		}
		names = append(names, declared(f.Decls)...)
	}
	for _, n := range d.around(p) {
		switch n := n.(type) {
		case *ast.StructLit:
			names = append(names, declared(n.Elts)...)
		case *ast.Alias:
			names = append(names, n.Ident.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isLet reports whether a declaration is a let clause, which its own file alone sees.
func isLet(decl ast.Decl) bool {
	_, ok := decl.(*ast.LetClause)
	return ok
}

// letElsewhere is the place of a let clause of this name at the top of another file.
func (d *diagnosis) letElsewhere(name string) token.Pos {
	for _, s := range d.repository.files {
		if f := d.file(s.name); f != nil {
			for _, decl := range f.Decls {
				if let, ok := decl.(*ast.LetClause); ok && let.Ident.Name == name {
					return let.Pos()
				}
			}
		}
	}
	return token.NoPos
}

func declared(decls []ast.Decl) (names []string) {
	for _, decl := range decls {
		switch decl := decl.(type) {
		case *ast.Field:
			names = append(names, label(decl))
		case *ast.LetClause:
			names = append(names, decl.Ident.Name)
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

// importHint helps with a name that is usually imported.
func (d *diagnosis) importHint(name string) string {
	switch name {
	case "catalog", "services":
		return fmt.Sprintf("import it: import %s %q", name, Module+"/services")
	case "schema":
		return fmt.Sprintf("import it: import %q", Module+"/schema")
	}
	switch strings.ToLower(name) {
	case "yes", "on", "true":
		return "it is written true"
	case "no", "off", "false":
		return "it is written false"
	case "none", "nil", "nothing", "undefined", "default":
		return "leave the line out to have the default"
	}
	if p := importOf(name); p != "" {
		return fmt.Sprintf("import it: import %q", p)
	}
	return "text is written in quotes; a name is one that the file declares or imports"
}

// importPath is the package that a name means in the file of a place, "" if it is no import's.
func (d *diagnosis) importPath(p token.Pos, name string) string {
	if f := d.file(p.Filename()); f != nil {
		for s := range f.ImportSpecs() {
			if importName(s) == name {
				return ast.ParseImportPath(strings.Trim(s.Path.Value, `"`)).Path
			}
		}
	}
	return ""
}

// usesMissing reports whether what stands at a place is taken from an import that leads nowhere.
func (d *diagnosis) usesMissing(p token.Pos) bool {
	return slices.ContainsFunc(d.around(p), func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		return ok && d.missing(d.importPath(p, printed(s.X)))
	})
}

// definitions are those of a package.
func (d *diagnosis) definitions(imported string) (names []string) {
	fsys, dir := d.written.root, strings.TrimPrefix(imported, d.module+"/")
	switch {
	case d.module == Module:
	case imported == Module+"/schema":
		fsys, dir = schema.Files, "."
	case imported == Module+"/services":
		fsys, dir = services.Files, "."
	}
	files, _ := fs.Glob(fsys, path.Join(dir, "*.cue"))
	for _, name := range files {
		if text, err := fs.ReadFile(fsys, name); err == nil {
			if f, err := parseFile(name, text); err == nil {
				names = append(names, declared(f.Decls)...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// service is the name of the service that a path lies in, else its subject.
func service(path []string) string {
	if len(path) >= toService && path[0] == "hosts" && path[2] == "services" {
		return path[3]
	}
	return subject(path)
}
