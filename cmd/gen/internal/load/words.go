package load

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// word says a mistake in the user's terms. It is nil if another finding says it already.
func (d *diagnosis) word(m *mistake, pkg, rest cue.Value) *finding.Finding {
	switch m.kind {
	case unknown:
		return d.wordUnknown(m, pkg, rest)
	case required:
		return d.wordRequired(m, pkg)
	case vague:
		return d.wordVague(m, rest)
	case reference:
		return d.wordReference(m, pkg)
	case value:
		return d.wordValue(m, rest)
	}
	return d.wordOther(m)
}

// at is a finding at the mistake's place.
func (d *diagnosis) at(m *mistake, code finding.Code, format string, args ...any) *finding.Finding {
	return finding.New(code, d.place(m), format, args...)
}

func (d *diagnosis) wordUnknown(m *mistake, pkg, rest cue.Value) *finding.Finding {
	if len(m.lacks) > 0 {
		if f, told := d.wordLacks(m, pkg); told {
			return f
		}
	}
	around, name := m.path[:len(m.path)-1], m.name()
	known, form := d.fieldsOf(rest, around, name)
	if len(known) == 0 && form == nil {
		known, form = d.fieldsOf(pkg, around, name)
	}
	hint := finding.DidYouMean(name, known, "")
	if form != nil && hint == "" {
		return d.wordForm(m, around, name, form)
	}
	f := d.at(m, finding.UnknownField, "%s has no field %q", subject(around), name)
	if f.Hint = hint; len(known) == 0 {
		f.Hintf("leave it out, or look at the definition that this is made of")
	} else if hint == "" {
		f.Hintf("its fields are %s", strings.Join(known, ", "))
	}
	if hint == "" && !inHosts(f.Pos.Filename()) {
		f.Hint += "\na definition with parameters of its own has the other inside its block: #Mine: {catalog.#HedgeDoc, " + name + ": …}"
	}
	return f
}

// wordForm words a name of the user's choice that has not the form it needs.
func (d *diagnosis) wordForm(m *mistake, around []string, name string, form *wanted) *finding.Finding {
	f := d.at(m, finding.Value, "%q cannot stand in %s: it is %s", name, subject(around), form.not()).Hintf("give it another name")
	for _, other := range []string{strings.ToLower(name), capital(name), "/" + name} {
		if form.takes(strconv.Quote(other)) {
			return f.Hintf("did you mean %q?", other)
		}
	}
	return f
}

// wordLacks says that something is made of a definition that is none of its kind,
// which CUE finds by the fields that it lacks. It says nothing where another
// finding does, and told is false where the mistake is another.
func (d *diagnosis) wordLacks(m *mistake, pkg cue.Value) (f *finding.Finding, told bool) {
	around, name := m.lacks[:len(m.lacks)-1], m.lacks[len(m.lacks)-1]
	unparsed := func(f *finding.Finding) bool { return f.Code == finding.Syntax && !inHosts(f.Pos.Filename()) }
	if slices.ContainsFunc(d.findings, unparsed) {
		return nil, true // the field may be in that file
	}
	if _, form := d.fieldsOf(pkg, around, name); form != nil {
		return d.wordForm(m, around, name, form), true
	}
	if len(m.fields) == 0 || definition(m.fields[0].field.Value) == "" {
		return nil, false
	}
	if slices.ContainsFunc(d.hiddenImports, func(place string) bool { return !inHosts(place) }) {
		return nil, true // the schema's may be what is hidden
	}
	if of := definition(m.fields[0].field.Value); len(m.path) == toService && inService(m.path) && len(around) == toService {
		return d.at(m, finding.UnknownField, "%s is made of %s, which has no field %q", subject(around), of, name).
			Hintf("a definition of a service begins with the schema's: %s: {schema.#Service, …}", of[strings.LastIndex(of, ".")+1:]), true
	}
	return d.at(m, finding.UnknownField, "%s is made of a definition that has no field %q", subject(around), name).
		Hintf("a definition of a part begins with the schema's, such as schema.#Container"), true
}

// fieldsOf are the names that may stand in a struct, and the form, if a name has
// not got it, of those that are the user's to choose.
func (d *diagnosis) fieldsOf(pkg cue.Value, path []string, but string) (names []string, form *wanted) {
	if !pkg.Exists() {
		return nil, nil
	}
	iter, err := pkg.LookupPath(selectors(pkg, path)).Fields(cue.Optional(true), cue.Patterns(true))
	for err == nil && iter.Next() {
		sel := iter.Selector()
		switch {
		case sel.ConstraintType() == cue.PatternConstraint:
			if w := (&wanted{rest: sel.Pattern(), given: pkg.Context().Encode(but)}); w.rest.Unify(w.given).Err() != nil {
				form = w
			}
		case sel.LabelType() == cue.StringLabel && sel.Unquoted() != but:
			names = append(names, sel.Unquoted())
		}
	}
	slices.Sort(names)
	return names, form
}

func (d *diagnosis) wordRequired(m *mistake, pkg cue.Value) *finding.Finding {
	around, name := m.path[:len(m.path)-1], m.name()
	f := d.at(m, finding.Required, "%s needs %s", subject(around), name)
	f.Hint = fmt.Sprintf("add %s: …", name)
	if about := d.remark(m); about != "" {
		f.Hintf("add %s: …  (%s)", name, about)
	}
	if n := len(around) - 1; n > 0 && hasPatterns(pkg.LookupPath(selectors(pkg, around[:n]))) {
		// A new thing of its kind, or another one's name misspelt.
		others, _ := d.fieldsOf(pkg, around[:n], around[n])
		if mean := finding.DidYouMean(around[n], others, ""); mean != "" {
			if d.told[mean+finding.Place(f.Pos)] {
				return nil // a name that is misspelt lacks all that the meant one has
			}
			d.told[mean+finding.Place(f.Pos)] = true
			f.Hint = mean + " else " + f.Hint
		}
	}
	return f
}

// hasPatterns reports whether a struct takes names of the user's choice.
func hasPatterns(v cue.Value) bool {
	iter, err := v.Fields(cue.Optional(true), cue.Patterns(true))
	for err == nil && iter.Next() {
		if iter.Selector().ConstraintType() == cue.PatternConstraint {
			return true
		}
	}
	return false
}

func (d *diagnosis) wordVague(m *mistake, rest cue.Value) *finding.Finding {
	f := d.at(m, finding.Required, "%s has no value", subject(m.path)).And(d.rules(m)...)
	if strings.HasPrefix(m.format, "required field missing") {
		f.What = m.name() + " is missing"
	}
	about := d.remark(m)
	f.Hint = strings.TrimSpace("give it one " + parenthesis(about))
	if len(m.fields) == 0 {
		return f
	}
	if x, ok := m.fields[0].field.Value.(*ast.BinaryExpr); ok && x.Op == token.OR && defaultOf(x) == "" {
		return d.at(m, finding.Required, "%s is left open: %s", subject(m.path), short(printed(x))).Hintf("write one of them, or mark one with * as the default")
	}
	mine := defaultOf(m.fields[0].field.Value)
	theirs, ok := rest.LookupPath(selectors(rest, m.path)).Default()
	if mine != "" && ok {
		return d.at(m, finding.Fixed, "%s has two defaults, %s and %s, and so no value", m.name(), mine, shown(theirs)).
			Hintf("write the value itself: %s: %s", m.name(), mine)
	}
	return f
}

// defaultOf is what an expression marks as its default.
func defaultOf(x ast.Expr) (text string) {
	ast.Walk(x, func(n ast.Node) bool {
		if u, ok := n.(*ast.UnaryExpr); ok && u.Op == token.MUL {
			text = printed(u.X)
		}
		return text == ""
	}, nil)
	return text
}

// remark is what the schema or a definition says of a field, or of the map that it is in.
func (d *diagnosis) remark(m *mistake) string {
	for n := len(m.path) - 1; n >= 0 && n >= len(m.path)-2; n-- {
		for _, p := range m.places {
			if x := d.named(p, m.path[n]); x != nil && !inHosts(p.Filename()) {
				if text := remark(x.field); text != "" {
					return text
				}
			}
		}
	}
	return ""
}

func parenthesis(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func (m *mistake) name() string {
	if len(m.path) == 0 {
		return "the value"
	}
	return m.path[len(m.path)-1]
}

// wordOther words what has no better words.
func (d *diagnosis) wordOther(m *mistake) *finding.Finding {
	if slices.ContainsFunc(m.places, d.usesMissing) {
		return nil
	}
	said := fmt.Sprintf(m.format, m.args...)
	switch {
	case strings.HasPrefix(m.format, "conflicting values") && len(m.args) >= 4:
		return d.at(m, finding.Value, "%s is %v, which is not %s", m.name(), m.args[0], inWords(m.args[1])).And(d.rules(m)...).
			Hintf("it is made from other values: see the places")
	case strings.HasPrefix(m.format, "conflicting values"):
		return d.at(m, finding.Fixed, "%s is both %v and %v", m.name(), m.args[0], m.args[1]).And(m.places...).
			Hintf("only a value with a default can be replaced")
	case m.name() == "name" && len(m.path) > 1:
		return d.wordName(m, said)
	case strings.HasPrefix(m.format, "invalid value") && len(m.args) == 2:
		return d.at(m, finding.Value, "%s is %v, which is not %s", m.name(), m.args[0], inWords(m.args[1])).And(m.places...).
			Hintf("it is made from other values: see the places")
	case strings.HasPrefix(m.format, "invalid operands"):
		return d.at(m, finding.Value, "%s cannot be computed: %v and %v do not go together with %v", m.name(), m.args[0], m.args[1], m.args[2]).
			Hintf("numbers go with numbers, text with text; \"\\(x)\" puts a value into a text")
	case strings.HasPrefix(m.format, "error in call to") && len(m.args) > 0:
		return d.at(m, finding.Value, "%s cannot be computed: %v does not take what it is given", m.name(), m.args[0]).
			Hintf("write the value itself, or mend what it is computed from")
	case strings.HasPrefix(m.format, "cannot call non-function"):
		name := fmt.Sprint(m.args[0])
		return d.at(m, finding.Reference, "there is no function %s", name).Hintf("see what %s has: https://pkg.go.dev/cuelang.org/go/pkg/%[1]s", strings.Split(name, ".")[0])
	case strings.Contains(m.format, "as %s in argument"), strings.HasPrefix(m.format, "cannot use"), strings.HasPrefix(m.format, "cannot range over"):
		return d.at(m, finding.Value, "%s cannot be computed: %s is of the wrong type", m.name(), blocks.ReplaceAllString(fmt.Sprint(m.args[0]), "{…}")).And(m.places...).
			Hintf("%s", typesInWords(said))
	case strings.HasPrefix(m.format, "invalid interpolation"):
		return d.at(m, finding.Value, "%s cannot be computed: what stands in \\(…) is neither a text nor a number", m.name()).And(m.places...).
			Hintf("name one of its fields")
	case strings.HasPrefix(m.format, "preference mark"):
		return d.at(m, finding.Value, "the * of %s marks no default here", m.name()).And(m.places...).
			Hintf("it stands before one of several values, in nothing else: \"a\" | *\"b\", *8080 | schema.#Port")
	case strings.Contains(m.format, "invalid regexp"), strings.Contains(said, "invalid regexp"):
		_, why, _ := strings.Cut(said, "error parsing regexp: ")
		return d.at(m, finding.Value, "the pattern of %s cannot be read", m.name()).Hintf("%s", cmp.Or(why, said))
	case strings.HasPrefix(m.format, "explicit error"):
		return d.at(m, finding.Value, "this is no value").Hintf("leave it out, or write one")
	case strings.Contains(m.format, "arithmetic"), strings.Contains(m.format, "division"), strings.Contains(m.format, "error in call"):
		return d.at(m, finding.Value, "%s cannot be computed: %s", m.name(), strings.TrimPrefix(said, "failed arithmetic: ")).
			Hintf("write the value itself, or mend what it is computed from")
	case strings.Contains(m.format, "cycl"):
		return d.at(m, finding.Reference, "%s is made from itself", subject(m.path)).And(m.places...).
			Hintf("give one of the values in the circle")
	case strings.HasPrefix(m.format, "imported and not used"):
		return nil // found when the file was read
	case strings.HasPrefix(m.format, "unreferenced alias") && d.isAssignment(m):
		return d.wordAssignment(m)
	case strings.HasPrefix(m.format, "unreferenced alias"):
		return d.at(m, finding.Reference, "%v is never used", m.args[0]).Hintf("leave it out")
	}
	return d.at(m, finding.Value, "%s cannot be worked out: %s", m.name(), plainWords(said)).And(m.places...).
		Hintf("write the value itself, or look at what it is made from")
}

func (d *diagnosis) wordAssignment(m *mistake) *finding.Finding {
	a := m.fields[0].field.Value.(*ast.Alias)
	return finding.New(finding.Syntax, a.Pos(), "this is no field").Hintf("a field is written with a colon: %s: …", a.Ident.Name)
}

// isAssignment reports whether the name for a value is a field with an equals sign instead of its colon.
func (d *diagnosis) isAssignment(m *mistake) bool {
	if len(m.fields) == 0 {
		return false
	}
	a, ok := m.fields[0].field.Value.(*ast.Alias)
	return ok && isLiteral(a.Expr)
}

// typesInWords is what CUE says of types, with its names for them as words.
func typesInWords(said string) string {
	return typeName.ReplaceAllStringFunc(blocks.ReplaceAllString(said, "{…}"), func(name string) string { return cmp.Or(typeWords[name], name) })
}

var blocks = regexp.MustCompile(`\{.*\}`)

var typeName = regexp.MustCompile(`\b(string|bytes|bool|int|number|float|struct)\b`)

// inWords is a constraint or a type in words, as CUE prints it.
func inWords(arg any) string {
	said := fmt.Sprint(arg)
	if x, err := parser.ParseExpr("", said); err == nil {
		return cmp.Or(wanted{}.words(x), said)
	}
	return said
}

// wordName words a key that is no name for a host or a service.
func (d *diagnosis) wordName(m *mistake, said string) *finding.Finding {
	if i := slices.Index(m.path, "#host"); i == toService && i == len(m.path)-2 { // a service sees its host
		m.path = []string{m.path[0], m.path[1], "name"}
	}
	key := m.path[len(m.path)-2]
	f := d.at(m, finding.Value, "%q cannot be a name: %s", key, said)
	if p := d.places.at(m.path[:len(m.path)-1]...); p.IsValid() {
		f.Pos = p
	}
	if len(m.args) == 2 {
		f.What = fmt.Sprintf("%q is not %s", key, patterns[fmt.Sprint(m.args[1])])
	}
	if low := strings.ToLower(key); low != key && len(key) <= 12 {
		return f.Hintf("in small letters: %s", low)
	}
	return f.Hintf("give it another name; title: is for people")
}

// subject names what a path leads to as the user would: hosts.vps1.services.git
// is git, and git's containers.app is git.containers.app.
func subject(path []string) string {
	switch {
	case len(path) == 0:
		return "the fleet"
	case len(path) >= toService && path[0] == "hosts" && path[2] == "services":
		return strings.Join(path[3:], ".")
	case len(path) >= 2 && (path[0] == "hosts" || strings.HasPrefix(path[0], "_")):
		return strings.Join(path[1:], ".")
	}
	return strings.Join(path, ".")
}

// selectors leads to a path of a package, also to names of the user's own.
func selectors(pkg cue.Value, path []string) cue.Path {
	var sels []cue.Selector
	for _, p := range path {
		switch {
		case strings.HasPrefix(p, "#"):
			sels = append(sels, cue.Def(p))
		case strings.HasPrefix(p, "_"):
			sels = append(sels, cue.Hid(p, pkg.BuildInstance().ID()))
		default:
			sels = append(sels, cue.Str(p))
		}
	}
	return cue.MakePath(sels...)
}

// capital is a name with a large first letter.
func capital(name string) string {
	r, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(r)) + name[size:]
}
