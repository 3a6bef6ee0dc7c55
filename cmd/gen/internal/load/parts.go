package load

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/parallel"
)

// readOutside reads the host as another package sees it, or nothing if
// something is wrong. Where processors are left for it, each reads some of the
// services, by ranges of names that hold as many as far as can be seen, and one
// reads the host without any.
func (e *evaluation) readOutside() *fleet.Host {
	host := "fleet.hosts[" + literal.String.Quote(e.host) + "]"
	names := e.places.below("hosts", e.host, "services")
	n := min(e.parts, len(names)/4)
	if n < 2 || e.whole[e.host] || e.whole[""] {
		return e.ask("host: " + host)
	}
	parts := make([]*fleet.Host, n+1)
	parallel.Each(len(parts), func(i int) {
		if i == n {
			parts[i] = e.ask("host: "+host, "services")
			return
		}
		var within string
		if i > 0 {
			within += " if name >= " + literal.String.Quote(names[i*len(names)/n])
		}
		if i < n-1 {
			within += " if name < " + literal.String.Quote(names[(i+1)*len(names)/n])
		}
		parts[i] = e.ask("host: services: {for name, s in " + host + ".services" + within + " {(name): s}}")
	})
	if slices.Contains(parts, nil) {
		return nil
	}
	h := parts[n]
	for _, p := range parts[:n] {
		h.Services = append(h.Services, p.Services...)
	}
	return h
}

// ask reads what a file that imports the package makes of the host.
func (e *evaluation) ask(file string, without ...string) *fleet.Host {
	inst, _ := e.instance(e.host, without...) // what is wrong is found again when it is read whole
	if inst == nil {
		return nil
	}
	host := cuecontext.New().BuildInstance(importing(inst, file)).LookupPath(cue.ParsePath("host"))
	if host.Validate(cue.All(), cue.Concrete(true)) != nil {
		return nil
	}
	h := new(fleet.Host)
	e.decode(host, h, []string{"hosts", e.host})
	return h
}

// importing is a package that imports another one and says something of it.
func importing(hosts *build.Instance, says string) *build.Instance {
	const path = Module + "/hosts"
	c := build.NewContext(build.Loader(func(token.Pos, string) *build.Instance { return hosts }))
	inst := c.NewInstance("", nil)
	f := mustParse(path+"/host.cue", fmt.Appendf(nil, "import fleet %q\n%s\n", path, says))
	if err := inst.AddSyntax(f); err != nil {
		panic("load: importing: " + err.Error())
	}
	if err := inst.Complete(); err != nil {
		panic("load: importing: " + err.Error())
	}
	return inst
}

// below are the names that the user's files write in a struct, sorted.
func (p places) below(path ...string) (names []string) {
	prefix := strings.Join(path, sep) + sep
	for at := range p {
		if name, ok := strings.CutPrefix(at, prefix); ok && !strings.Contains(name, sep) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// inParts reports whether a host means the same in parts as as a whole: it is
// fields by their names, and so are its services, which it does not look at. Of
// what is hidden, embedded or made by an expression nothing is seen from outside.
func inParts(host *ast.Field) bool {
	lit, ok := host.Value.(*ast.StructLit)
	return ok && !aliased(host) && !slices.ContainsFunc(lit.Elts, func(d ast.Decl) bool {
		f, ok := d.(*ast.Field)
		if !ok {
			return !isComment(d)
		}
		if label(f) == "services" {
			services, ok := f.Value.(*ast.StructLit)
			return !ok || aliased(f) || slices.ContainsFunc(services.Elts, func(d ast.Decl) bool {
				f, ok := d.(*ast.Field)
				return !ok && !isComment(d) || ok && !visible(f)
			})
		}
		return !visible(f) || speaksOf(f, "hosts", "services")
	})
}

// visible reports whether a field has a name that other packages see.
func visible(f *ast.Field) bool {
	name := label(f)
	return name != "" && !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, "#")
}

func aliased(f *ast.Field) bool {
	_, before := f.Label.(*ast.Alias)
	return before || f.Alias != nil
}

func isComment(d ast.Decl) bool {
	_, ok := d.(*ast.CommentGroup)
	return ok
}

// speaksOf reports whether some names stand in a part of a file.
func speaksOf(n ast.Node, names ...string) (found bool) {
	ast.Walk(n, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && slices.Contains(names, id.Name)
		return !found
	}, nil)
	return found
}

// isTie reports whether a pattern over all hosts is the one of rules, which
// stands in the user's files for editors and plain cue.
func isTie(x ast.Expr) bool {
	and, ok := x.(*ast.BinaryExpr)
	if !ok {
		return false
	}
	selector, ok := and.X.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := selector.X.(*ast.Ident)
	if !ok {
		return false
	}
	from, ok := pkg.Node.(*ast.ImportSpec)
	return ok && from.Path.Value == literal.String.Quote(Module+"/schema") &&
		strings.HasSuffix(printed(x), ".#Host & {name: Name, #fleet: fleet}")
}
