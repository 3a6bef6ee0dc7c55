package load

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/parallel"
	"gen.example/schema"
	"gen.example/services"
)

// A parsed file, and what is wrong with it; syntax is nil if it could not be read.
type parsed struct {
	syntax   *ast.File
	text     []byte
	findings []*finding.Finding
}

// A folder is where the files of a package are, and how findings name it.
type folder struct {
	files fs.FS
	dir   string
	shown string
}

func (d folder) name(file string) string { return path.Join(d.shown, path.Base(file)) }

// parse reads files of a folder, side by side, with some of their fields changed.
func (d folder) parse(files []string, changes map[string]change) []parsed {
	out := make([]parsed, len(files))
	parallel.Each(len(files), func(i int) { out[i] = d.parseFile(files[i], changes) })
	return out
}

func (d folder) parseFile(file string, changes map[string]change) parsed {
	text, err := read(d.files, file)
	r := &repository{changes: changes}
	return parsed{r.parse(d.name(file), text, err), text, r.findings}
}

// A dependency is a package that hosts/ imports, or one that such a package does.
type dependency struct {
	*build.Instance      // nil for a package of CUE's own
	read            bool // to its end
	missing         bool // it leads nowhere, or not all of it could be read: nor may what is taken from it be there
	broken          bool // it, or one that it imports, could not be read

	binarys folder          // where its files are, if they are the binary's
	needed  func() []string // those of them to read, once all that is taken from the catalogue is known
}

// readImports reads all packages that a host may import before any host is
// evaluated: they share them, and CUE writes to a package while it is completed.
func (r *repository) readImports() {
	r.imports = map[string]*dependency{}
	uses := []*ast.ImportSpec{ast.NewImport(nil, Module+"/schema")} // by rules
	for _, s := range r.files {
		uses = append(uses, s.imports...)
	}
	for _, use := range uses {
		// A package that does nothing but import tells the context of the import.
		one := r.context.NewInstance("hosts", r.load)
		one.Files = []*ast.File{{Decls: []ast.Decl{&ast.ImportDecl{Specs: []*ast.ImportSpec{use}}}}}
		one.Complete() // what is wrong is in the findings
	}
	r.readBinarys()
	r.findings = append(r.findings, r.unused...)
}

// readBinarys reads the binary's packages, the files of all side by side.
func (r *repository) readBinarys() {
	type file struct {
		of   *dependency
		name string
		parsed
	}
	var files []file
	var deps []*dependency
	for _, spec := range slices.Sorted(maps.Keys(r.imports)) {
		if dep := r.imports[spec]; dep.needed != nil {
			deps = append(deps, dep)
			for _, name := range dep.needed() {
				files = append(files, file{of: dep, name: name})
			}
		}
	}
	parallel.Each(len(files), func(i int) { files[i].parsed = files[i].of.binarys.parseFile(files[i].name, nil) })
	for _, f := range files {
		f.of.Files = append(f.of.Files, f.syntax)
	}
	for _, dep := range deps {
		must(dep.Complete())
	}
}

// load resolves an import, once.
func (r *repository) load(pos token.Pos, spec string) *build.Instance {
	if known, ok := r.imports[spec]; ok {
		if !known.read {
			known.broken = true
			r.find(finding.Import, pos, "%q is imported by a package that it imports itself", spec).
				Hintf("take one of the imports out; what both need can stand in a third package")
		}
		return known.Instance
	}
	dep := &dependency{}
	r.imports[spec] = dep
	defer func() { dep.read = true }()
	p := ast.ParseImportPath(spec)
	isCUEs := !strings.Contains(strings.Split(p.Path, "/")[0], ".")
	if isCUEs && isStandard(spec) {
		return nil
	}
	before := len(r.findings)
	dep.Instance = r.context.NewInstance(p.Path, r.load)
	dep.ImportPath, dep.PkgName, dep.Module = p.String(), p.Qualifier, r.module
	d, ok := r.folder(p)
	dep.missing = !ok || isCUEs
	switch {
	case isCUEs:
		r.find(finding.Import, pos, "CUE has no package %q", spec).Hint = finding.DidYouMean(spec, standard, "it has "+strings.Join(standard, ", "))
	case d.files == fs.FS(services.Files):
		dep.binarys, dep.needed = d, r.needed
	case d.files == fs.FS(schema.Files):
		dep.binarys, dep.needed = d, func() []string { return (&repository{root: d.files}).list(d.dir) }
	case ok:
		dep.missing = !r.fill(dep.Instance, pos, p, d)
	case r.moduleIsWrong():
		// it may be a package of the module's
	default:
		r.find(finding.Import, pos, "there is no package %q", spec).
			Hint = finding.DidYouMean(spec, []string{Module + "/schema", Module + "/services", r.inModule(p.Path)},
			fmt.Sprintf("gen serves %s/schema and %[1]s/services; a package of your own begins with your module's path (%s)", Module, moduleFile))
	}
	if dep.missing && len(dep.Files) == 0 {
		dep.Complete() // so that CUE does not do it later, on two processors
	}
	dep.broken = dep.broken || len(r.findings) > before && !dep.missing || slices.ContainsFunc(dep.Imports, r.broken)
	return dep.Instance
}

// moduleIsWrong reports whether what the repository's module is called may be wrong.
func (r *repository) moduleIsWrong() bool {
	return slices.ContainsFunc(r.findings, func(f *finding.Finding) bool { return f.Pos.Filename() == moduleFile })
}

// inModule is the path of a package of the repository's own by another module's.
func (r *repository) inModule(spec string) string {
	if _, dir, ok := strings.Cut(spec, "/"); ok && r.module != "" && len(r.list(dir)) > 0 {
		return r.module + "/" + dir
	}
	return Module + "/schema"
}

func (r *repository) broken(inst *build.Instance) bool { return r.imports[inst.ImportPath].broken }

// folder is where a package is: the binary's are schema and services, the
// repository's are on its disk. There is no registry.
func (r *repository) folder(p ast.ImportPath) (d folder, found bool) {
	own, inside := strings.CutPrefix(p.Path, r.module+"/")
	switch {
	case r.module != "" && inside:
		return folder{r.root, own, own}, true
	case p.Path == Module+"/schema":
		return folder{schema.Files, ".", p.Path}, true
	case p.Path == Module+"/services":
		return folder{services.Files, ".", p.Path}, true
	}
	return folder{}, false
}

// fill reads a package from its folder. It reports whether every file could be read.
func (r *repository) fill(inst *build.Instance, pos token.Pos, p ast.ImportPath, d folder) bool {
	within := &repository{root: d.files}
	files := d.parse(within.list(d.dir), r.changes)
	for _, f := range files {
		within.findings = append(within.findings, f.findings...)
	}
	files = slices.DeleteFunc(files, func(f parsed) bool { return f.syntax == nil || f.syntax.PackageName() != p.Qualifier })
	for _, f := range files {
		if p.Path != Module+"/schema" && p.Path != Module+"/services" {
			r.ownFiles = append(r.ownFiles, f.syntax.Filename)
			r.refuseUnusedInOwn(f.syntax)
		}
		r.taken = append(r.taken, taken(f.syntax)...)
	}
	within.refuseSpread(d.dir, p.Qualifier)
	if len(files) == 0 && len(within.findings) == 0 && !r.moduleIsWrong() {
		r.find(finding.Import, pos, "there is no package %s in %s", p.Qualifier, d.shown).
			Hintf("put a file there that begins with: package %s", p.Qualifier)
	}
	r.findings = append(r.findings, within.findings...)
	r.add(inst, files)
	return len(within.findings) == 0
}

// add gives a package its files, whose names the parser has resolved.
func (r *repository) add(inst *build.Instance, files []parsed) {
	for _, f := range files {
		inst.Files = append(inst.Files, f.syntax)
	}
	if err := inst.Complete(); err != nil {
		r.findings = append(r.findings, plain(err)...)
	}
}

// readable reports whether every package that a file imports could be read.
func (r *repository) readable(f *ast.File) bool {
	for use := range f.ImportSpecs() {
		if spec, err := strconv.Unquote(use.Path.Value); err == nil && r.imports[spec] != nil && r.imports[spec].broken {
			return false
		}
	}
	return true
}

// missing reports whether an import leads nowhere.
func (r *repository) missing(spec string) bool {
	return r.imports[spec] != nil && r.imports[spec].missing
}

// refuseUnused finds imports and let clauses that nothing refers to, which CUE
// does not do for gen because a host is read without the others, and fields that
// hide an import.
func (r *repository) refuseUnused(f *ast.File) (unused bool) {
	before := len(r.findings)
	for s := range f.ImportSpecs() {
		name := importName(s)
		hidden, used := usesOf(f, s)
		switch {
		case len(hidden) > 0:
			for _, id := range hidden {
				r.hiddenImports = append(r.hiddenImports, finding.Place(id.Pos()))
			}
			found := wordHidden(s, hidden[0])
			r.findings = append(r.findings, found)
			r.hiding = append(r.hiding, hiding{found, fieldAt(f, hidden[0].Node)})
		case !used && isKnown(s):
			r.findUnused(s.Pos(), name, "the import "+s.Path.Value)
		}
	}
	ast.Walk(f, func(n ast.Node) bool {
		if let, ok := n.(*ast.LetClause); ok && !mentions(f, let.Ident) {
			r.findUnused(let.Pos(), let.Ident.Name, let.Ident.Name)
		}
		return true
	}, nil)
	return len(r.findings) > before
}

// refuseUnusedInOwn takes what nothing refers to out of a file of a package of the
// repository's own, of which CUE would look at nothing else.
func (r *repository) refuseUnusedInOwn(f *ast.File) {
	others := r.findings
	r.findings = nil
	if r.refuseUnused(f) {
		dropUnused(f)
	}
	r.findings, r.unused = others, append(r.unused, r.findings...)
}

// usesOf looks for an import's name in its file: where a field hides it, and
// whether it is used anywhere.
func usesOf(f *ast.File, s *ast.ImportSpec) (hidden []*ast.Ident, used bool) {
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportDecl:
			return false
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == importName(s) && id.Node != ast.Node(s) {
				hidden = append(hidden, id)
			}
		case *ast.Ident:
			used = used || n.Node == ast.Node(s)
		}
		return true
	}, nil)
	return hidden, used
}

func wordHidden(s *ast.ImportSpec, use *ast.Ident) *finding.Finding {
	return finding.New(finding.Reference, use.Pos(), "%s is the field around it here, and hides the import", use.Name).And(s.Pos()).
		Hintf("name the import otherwise: import %s %s", otherName(use.Name), s.Path.Value)
}

func (r *repository) findUnused(at token.Pos, name, what string) {
	f := r.find(finding.Reference, at, "%s is never used", what).Hintf("leave it out")
	r.unusedNames = append(r.unusedNames, unusedName{f, name})
}

// isMeant reports whether a finding is that a name is never used, and another of
// its file says where it was meant.
func (r *repository) isMeant(f *finding.Finding) bool {
	name, unused := strings.CutSuffix(f.What, " is never used")
	if i := slices.IndexFunc(r.unusedNames, func(u unusedName) bool { return u.found == f }); i >= 0 {
		name = r.unusedNames[i].name
	}
	return unused && f.Code == finding.Reference && slices.ContainsFunc(r.findings, func(g *finding.Finding) bool {
		return g.Pos.Filename() == f.Pos.Filename() && (g.Code == finding.Reference && g.Hint == fmt.Sprintf("did you mean %q?", name) ||
			strings.HasPrefix(g.Hint, "without quotes: ") && strings.Contains(g.Hint, " "+name+"."))
	})
}

// fieldAt is the place of the field that a name leads to, "" if it leads to none.
func fieldAt(f *ast.File, to ast.Node) (place string) {
	ast.Walk(f, func(n ast.Node) bool {
		if field, ok := n.(*ast.Field); ok && (ast.Node(field) == to || ast.Node(field.Value) == to) {
			place = finding.Place(field.Label.Pos())
		}
		return true
	}, nil)
	return place
}

// isKnown reports whether an import is not one of CUE's own that there is not,
// which is a finding by itself.
func isKnown(s *ast.ImportSpec) bool {
	spec := strings.Trim(s.Path.Value, `"`)
	return strings.Contains(strings.Split(spec, "/")[0], ".") || isStandard(spec)
}

// otherName is a name for an import that no field of a host has.
func otherName(name string) string {
	if name == "services" {
		return "catalog"
	}
	return "the_" + name
}

// standard are the packages of CUE's own, for suggestions.
var standard = strings.Fields(`crypto/ed25519 crypto/hmac crypto/md5 crypto/sha1 crypto/sha256 crypto/sha512 encoding/base64
	encoding/csv encoding/hex encoding/json encoding/toml encoding/yaml html list math math/bits net path regexp strconv strings
	struct text/tabwriter text/template time uuid`)

// importOf guesses the package of CUE's own that a name was meant to be.
func importOf(name string) string {
	for _, p := range standard {
		if path.Base(p) == name {
			return p
		}
	}
	return ""
}

// isStandard reports whether CUE itself has a package.
func isStandard(spec string) bool {
	err := cuecontext.New().CompileString(fmt.Sprintf("import %q", spec)).Err()
	return err == nil || !strings.Contains(err.Error(), "undefined")
}
