package load

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// Module is the module path under which the binary serves schema and services.
const Module = "gen.example"

// languageVersion is the version of CUE that files are written in: the one whose
// syntax the schema uses.
const languageVersion = "v0.17.0"

// most is the size above which a file is not CUE that somebody wrote.
const most = 4 << 20

// nested is the number of brackets in each other above which it is not, either.
const nested = 1000

// moduleFile says what the repository's module is called, and which CUE it is written in.
const moduleFile = "cue.mod/module.cue"

// A repository is the user's files while they are read.
type repository struct {
	root     fs.FS
	module   string   // the repository's own module path, "" without one
	pkg      string   // the name of the package in hosts/
	files    []source // hosts/*.cue, sorted by name
	places   places
	shares   map[string][]string // by host, names of the user's own that services are taken from
	whole    map[string]bool     // hosts that are not only fields and services by their names; "" if none is
	context  *build.Context
	imports  map[string]*dependency // by what import clauses say
	findings []*finding.Finding
	unread   bool              // a file could not be read, and what is missing may be in it
	changes  map[string]change // by place, to see what the rest makes of a mistake
	slabs    slabs

	ownFiles      []string          // of packages of the repository's own
	taken         []string          // by them, from the catalogue
	meant         map[string]string // fleet or hosts, by how it is misspelt
	hiddenImports []string          // places where a field hides one
	hiding        []hiding
	unusedNames   []unusedName
	unused        []*finding.Finding // of packages of the repository's own, in which nothing is broken by it
}

// An unusedName is the finding that nothing refers to an import or a let clause, and its name.
type unusedName struct {
	found *finding.Finding
	name  string
}

// A hiding is the finding that a field hides an import, and the field's place.
type hiding struct {
	found *finding.Finding
	field string
}

// A source is one file of hosts/ and the hosts it declares.
type source struct {
	name   string
	text   []byte
	hosts  []string
	shared bool // declares something that all hosts see
	unused bool // has imports or let clauses that nothing refers to, which is a finding

	imports []*ast.ImportSpec
	taken   []string // from the catalogue
}

func (r *repository) readModule() {
	r.context = build.NewContext(build.Loader(r.load))
	text, err := read(r.root, moduleFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	f := r.parse(moduleFile, text, err)
	if f == nil {
		return
	}
	var language, module bool
	for _, d := range f.Decls {
		field, ok := d.(*ast.Field)
		if !ok {
			continue
		}
		switch name := label(field); name {
		case "module":
			module = true
			if lit, ok := field.Value.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				r.module = ast.ParseImportPath(strings.Trim(lit.Value, `"`)).Path
			} else {
				r.find(finding.Value, field.Value.Pos(), "module is %s, which is not text", short(printed(field.Value))).
					Hintf("in quotes: module: \"home.example\"")
			}
		case "language":
			language = true
			r.readLanguage(field)
		case "source", "deps", "custom":
		default:
			r.find(finding.UnknownField, field.Pos(), "the module has no field %q", name).
				Hint = finding.DidYouMean(name, []string{"module", "language"}, "its fields are module, language, source, deps, custom")
			module, language = module || finding.DidYouMean(name, []string{"module"}, "") != "", language || finding.DidYouMean(name, []string{"language"}, "") != ""
		}
	}
	if !module {
		r.find(finding.Required, FilePos(moduleFile), "%s does not say what the module is called", moduleFile).
			Hintf("add module: \"home.example\": packages of your own are imported as home.example/…")
	}
	if r.module == Module && len(r.list("schema")) == 0 {
		r.find(finding.Unsupported, FilePos(moduleFile), "%s is the name of the module that has the schema, and this one has none", Module).
			Hintf("give it a name of its own: module: \"home.example\"")
	}
	if !language {
		r.find(finding.Required, FilePos(moduleFile), "%s does not say which version of CUE it is written in", moduleFile).
			Hintf("add language: version: %q", languageVersion)
	}
}

// readLanguage checks the version of CUE that the module says it is written in.
func (r *repository) readLanguage(field *ast.Field) {
	eachField(field.Value, func(v *ast.Field) {
		lit, ok := v.Value.(*ast.BasicLit)
		if label(v) != "version" || !ok {
			return
		}
		minor := -1
		if g := versionOfCUE.FindStringSubmatch(lit.Value); g != nil {
			minor, _ = strconv.Atoi(g[1])
		}
		switch newest, _ := strconv.Atoi(versionOfCUE.FindStringSubmatch(strconv.Quote(languageVersion))[1]); {
		case minor < 0:
			r.find(finding.Value, v.Value.Pos(), "version is %s, which is not a version of CUE", short(lit.Value)).
				Hintf("write version: %q", languageVersion)
		case minor > newest:
			r.find(finding.Value, v.Value.Pos(), "version is %s, and this gen has CUE %s", lit.Value, languageVersion).
				Hintf("write version: %q, or take a newer gen", languageVersion)
		}
	})
}

var versionOfCUE = regexp.MustCompile(`^"v0\.([0-9]+)\.[0-9]+(-[0-9A-Za-z.-]+)?"$`)

// readHosts reads hosts/*.cue and notes which hosts each file declares.
func (r *repository) readHosts() {
	r.places, r.shares, r.whole, r.meant = places{}, map[string][]string{}, map[string]bool{}, map[string]string{}
	for _, p := range (folder{r.root, "hosts", "hosts"}).parse(r.list("hosts"), nil) {
		r.findings = append(r.findings, p.findings...)
		f := p.syntax
		if f == nil {
			continue
		}
		if f.PackageName() == "" {
			r.find(finding.Package, FilePos(f.Filename), "the file does not say which package it is of").
				Hintf("begin it with: package %s", cmp.Or(r.pkg, "hosts"))
			continue
		}
		if r.pkg == "" {
			r.pkg = f.PackageName()
		}
		if f.PackageName() != r.pkg {
			r.find(finding.Package, f.Pos(), "hosts/ holds two packages, %s and %s", r.pkg, f.PackageName()).
				Hintf("start every file with: package %s", r.pkg)
			continue
		}
		s := source{name: f.Filename, text: p.text, imports: slices.Collect(f.ImportSpecs()), taken: taken(f)}
		r.survey(f, &s)
		s.unused = r.refuseUnused(f)
		r.refuseAllHosts(f)
		r.files = append(r.files, s)
	}
	r.refuseSpread("hosts", r.pkg)
	if len(r.files) == 0 && len(r.findings) == 0 {
		r.find(finding.NoHosts, FilePos("hosts"), "there is no fleet here").
			Hintf("put hosts/*.cue in the directory, or name another with -C")
	} else if len(r.hostNames()) == 0 && len(r.findings) == 0 {
		r.find(finding.NoHosts, FilePos("hosts"), "the fleet has no hosts").
			Hintf("declare one: hosts: vps1: {os: \"debian-13\", address: \"203.0.113.10\"}")
	}
}

// complete reports whether every file could be read: without one of them, only
// what stands in the others can be wrong, and not what is missing there.
func (r *repository) complete() bool {
	hideNothing := []finding.Code{finding.Embedded, finding.TopLevel, finding.Reference, finding.OtherHost, finding.Ignored, finding.BadText}
	return !slices.ContainsFunc(r.findings, func(f *finding.Finding) bool { return !slices.Contains(hideNothing, f.Code) })
}

// hostNames are the hosts that the files declare, sorted.
func (r *repository) hostNames() []string {
	var names []string
	for _, s := range r.files {
		names = append(names, s.hosts...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// list names the CUE files of a directory, sorted.
func (r *repository) list(dir string) []string {
	entries, err := fs.ReadDir(r.root, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.unreadable(dir, err)
	}
	var names []string
	for _, e := range entries {
		n := e.Name()
		switch {
		case !strings.EqualFold(path.Ext(n), ".cue") || strings.HasPrefix(n, ".") || strings.HasPrefix(n, "_"):
		case !strings.HasSuffix(n, ".cue"):
			r.find(finding.Unsupported, FilePos(path.Join(dir, n)), "gen reads files whose names end in .cue").
				Hintf("plain cue leaves it out of the package too; give the file another name, or move it away")
		case strings.HasSuffix(n, "_tool.cue") || strings.HasSuffix(n, "_test.cue"):
			r.find(finding.Unsupported, FilePos(path.Join(dir, n)), "gen does not honour cue's tool and test files").
				Hintf("plain cue leaves them out of the package; give the file another name, or move it away")
		default:
			names = append(names, path.Join(dir, n))
		}
	}
	return names
}

// parse reads one file, with all of its syntax errors.
func (r *repository) parse(name string, text []byte, err error) *ast.File {
	switch {
	case err != nil:
		r.unreadable(name, err)
		return nil
	case !utf8.Valid(text):
		line, column := 1+bytes.Count(text[:valid(text)], []byte("\n")), 1+len(lineOf(text[:valid(text)]))
		r.find(finding.Unreadable, FilePos(name), "the file is not UTF-8").
			Hintf("the first wrong byte is in line %d, column %d; save the file as UTF-8", line, column)
		return nil
	}
	if deepest(text) > nested {
		r.find(finding.Unreadable, FilePos(name), "the file has more than %d brackets in each other", nested).
			Hintf("nobody writes that; give it another name or move it away, if it is not part of the fleet")
		return nil
	}
	f, err := parseFile(name, text)
	lines := map[int]bool{}
	for _, e := range cueerrors.Errors(err) {
		// What follows on the line, and a missing end, follow from the first.
		at := e.Position()
		if !lines[at.Line()] && (len(lines) == 0 || !strings.Contains(e.Error(), "EOF")) {
			r.findings = append(r.findings, syntaxError(text, e))
		}
		lines[at.Line()] = true
	}
	if err != nil {
		return nil
	}
	r.refuse(f)
	r.refuseUnseen(name, text)
	spoil(f, r.changes)
	return f
}

// deepest is how many brackets are open at most in a text.
func deepest(text []byte) (most int) {
	depth := 0
	for _, b := range text {
		switch b {
		case '{', '[', '(':
			depth++
			most = max(most, depth)
		case '}', ']', ')':
			depth = max(0, depth-1)
		}
	}
	return most
}

// parseFile leaves out comments: only findings need them, and they are a fifth of the work.
func parseFile(name string, text []byte) (*ast.File, error) {
	return parser.ParseFile(name, text, parser.AllErrors, parser.Version(languageVersion))
}

// read reads a file that somebody wrote: not a pipe or a device, and nothing endless.
func read(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file, but a pipe, a socket or a device")
	case info.Size() > most:
		return nil, fmt.Errorf("it has %d MiB, and nobody writes more than %d", info.Size()>>20, most>>20)
	}
	return fs.ReadFile(fsys, name)
}

func (r *repository) unreadable(name string, err error) {
	hint := "give it another name or move it away, if it is not part of the fleet"
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = "let the user who runs gen read it"
	case errors.Is(err, syscall.ELOOP):
		hint = "it is a link that leads back to itself"
	case errors.Is(err, fs.ErrNotExist):
		hint = "it is a link to what is not there"
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err // the path is said already, and may be another name for it
	}
	r.find(finding.Unreadable, FilePos(name), "the file cannot be read: %v", err).Hintf("%s", hint)
}

// valid is the number of bytes before the first that is not UTF-8.
func valid(text []byte) (n int) {
	for n < len(text) {
		r, size := utf8.DecodeRune(text[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// lineOf is the last line of a text, so far.
func lineOf(text []byte) []byte { return text[bytes.LastIndexByte(text, '\n')+1:] }

// refuse names the features of CUE that gen does not honour: ignoring them
// would give another meaning to the file than plain cue does.
func (r *repository) refuse(f *ast.File) {
	ast.Walk(f, func(n ast.Node) bool {
		a, ok := n.(*ast.Attribute)
		if !ok {
			return true
		}
		switch name, _ := a.Split(); name {
		case "if", "embed", "extern", "ignore":
			r.find(finding.Unsupported, a.Pos(), "gen does not honour @%s", name).
				Hintf("write the value itself")
		}
		return true
	}, nil)
}

// refuseUnseen refuses characters that nobody sees, or that change the order in
// which a line is seen: what is read there is not what gen reads. One a line.
func (r *repository) refuseUnseen(name string, text []byte) {
	line := -1 // of the last one
	for i, b := range text {
		if b < 0xE2 || i == 0 { // in UTF-8 all of them begin so, and a file may with a byte order mark
			continue
		}
		c, _ := utf8.DecodeRune(text[i:])
		if !unicode.Is(unseen, c) {
			continue
		}
		if pos := placeAt(name, text, i); pos.Line() != line {
			line = pos.Line()
			r.find(finding.BadText, pos, "here is a character that nobody sees, U+%04X", c).
				Hintf("it came with what was pasted: delete it, or write the line anew; in a text \\u%04x says that it is meant", c)
		}
	}
}

// unseen are blanks without a width, and marks of direction.
var unseen = &unicode.RangeTable{R16: []unicode.Range16{{0x200B, 0x200B, 1}, {0x200E, 0x200F, 1}, {0x202A, 0x202E, 1}, {0x2060, 0x2060, 1}, {0x2066, 0x2069, 1}, {0xFEFF, 0xFEFF, 1}}}

func lineAt(p token.Pos) string { return fmt.Sprintf("%s:%d", p.Filename(), p.Line()) }

// refuseSpread refuses files of a package in a directory above it: plain cue
// reads them into the package, and gen does not.
func (r *repository) refuseSpread(dir, pkg string) {
	for dir != "." && pkg != "" {
		dir = path.Dir(dir)
		for _, name := range r.list(dir) {
			text, err := read(r.root, name)
			if err != nil {
				continue // nothing of gen's depends on it
			}
			if f, err := parser.ParseFile(name, text, parser.PackageClauseOnly); err == nil && f.PackageName() == pkg {
				r.find(finding.Unsupported, f.Pos(), "gen does not honour a package that is spread over directories").
					Hintf("move it to the other files of package %s", pkg)
			}
		}
	}
}

// plain are errors of CUE's about a package as a whole.
func plain(err error) (fs []*finding.Finding) {
	for _, e := range cueerrors.Errors(err) {
		at := e.Position()
		for _, p := range e.InputPositions() {
			if !at.IsValid() {
				at = p
			}
		}
		if !at.IsValid() {
			at = FilePos("hosts")
		}
		fs = append(fs, finding.New(finding.Syntax, at, "%s", plainWords(e.Error())).
			Hintf("the file can be read, but not as a whole; one name stands for one thing in it"))
	}
	return fs
}
