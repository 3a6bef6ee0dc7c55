package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// wordValue words a value of the user's that does not fit, by what the rest makes of its place.
func (d *diagnosis) wordValue(m *mistake, rest cue.Value) *finding.Finding {
	if len(m.fields) == 0 {
		return d.wordOther(m)
	}
	if d.isAssignment(m) {
		return d.wordAssignment(m)
	}
	written := d.behind(m.fields[0])
	given := short(printed(written.field.Value))
	path := selectors(rest, m.path)
	if el := m.fields[0].element(m.index); el != nil {
		given = short(printed(el))
		path = cue.MakePath(append(path.Selectors(), indexSelector(m.index))...)
	}
	w := wanted{rest: rest.LookupPath(path)}
	if !rest.Exists() {
		return d.wordOther(m)
	}
	w.given = rest.Context().CompileString(given)
	fixed := w.fixed()
	if fixed != "" && m.index != "" { // the list is fixed as a whole
		m.index = ""
		return d.wordValue(m, rest)
	}
	if fixed == "" && len(m.fields) > 1 {
		other := m.fields[1]
		return d.at(m, finding.Fixed, "%s is both %s and %s", m.name(), given, short(printed(other.field.Value))).
			And(other.field.Value.Pos()).Hintf("keep one of them")
	}
	if fixed != "" {
		return d.at(m, finding.Fixed, "%s is fixed to %s, and cannot be %s", m.name(), fixed, given).And(d.rules(m)...).
			Hintf("leave it out: only a value with a default can be replaced")
	}
	not := w.not()
	if not == "" {
		return d.wordOther(m)
	}
	verb := "is"
	if m.index != "" {
		verb = "holds"
	}
	f := d.at(m, finding.Value, "%s %s %s, which is %s", m.name(), verb, given, not)
	if written != m.fields[0] {
		f.Pos = written.field.Value.Pos()
		f.And(m.fields[0].field.Value.Pos())
	}
	f.And(d.rules(m)...)
	where := m.name() + ": "
	if m.index != "" || written != m.fields[0] {
		where = ""
	}
	f.Hint = d.hint(m, w, given, where)
	return f
}

// behind is the field that a value is taken from, if it is no more than the
// path of another of the user's, or the name of a let clause.
func (d *diagnosis) behind(x *entry) *entry {
	switch v := x.field.Value.(type) {
	case *ast.Ident, *ast.SelectorExpr:
		if id, ok := v.(*ast.Ident); ok {
			if let, ok := id.Node.(*ast.LetClause); ok {
				return &entry{x.file, x.path, &ast.Field{Label: let.Ident, Value: let.Expr}}
			}
		}
		at := d.fields[strings.ReplaceAll(printed(x.field.Value), ".", sep)]
		if len(at) == 1 && at[0].field != x.field {
			if _, literal := at[0].field.Value.(*ast.BasicLit); literal {
				return at[0]
			}
		}
	}
	return x
}

func indexSelector(index string) cue.Selector {
	i, _ := strconv.Atoi(index)
	return cue.Index(i)
}

// hint is what was probably meant by a value that does not fit, where it is written.
func (d *diagnosis) hint(m *mistake, w wanted, given, where string) string {
	kind, is := w.rest.IncompleteKind(), w.given.IncompleteKind()
	bare := strings.Trim(given, `"'`)
	switch {
	case is == cue.NullKind:
		return "leave the line out to have the default"
	case is == cue.StringKind && kind&cue.StringKind == 0 && (w.takes(bare) || kind == cue.StructKind && isDefinition(bare)):
		return fmt.Sprintf("without quotes: %s%s", where, bare)
	case is == cue.ListKind && kind&cue.ListKind == 0 && w.takes(strings.Trim(given, "[]")):
		return fmt.Sprintf("without brackets: %s%s", where, strings.Trim(given, "[]"))
	case is&(cue.NumberKind|cue.BoolKind|cue.BytesKind) != 0 && w.takes(strconv.Quote(bare)):
		return fmt.Sprintf("in quotes: %s%s", where, strconv.Quote(bare))
	case kind == cue.ListKind && is != cue.ListKind:
		return fmt.Sprintf("in brackets: %s[%s]", where, elements(given))
	case kind == cue.StructKind:
		if names, _ := d.fieldsOf(w.rest, nil, ""); len(names) > 0 {
			return "its fields are " + strings.Join(names, ", ")
		}
	}
	if is == cue.StringKind && !strings.ContainsAny(bare, "0123456789") {
		if mean := finding.DidYouMean(bare, w.choices(), ""); mean != "" {
			return mean
		}
	}
	if about := d.remark(m); about != "" {
		return about
	}
	if byDefault, ok := w.rest.Default(); ok && byDefault.IsConcrete() {
		return "by default it is " + shown(byDefault)
	}
	return "see what it may be in the schema: " + finding.Place(w.rest.Pos())
}

// isDefinition reports whether a text is how a definition of a package is written.
func isDefinition(text string) bool {
	x, err := parser.ParseExpr("", text)
	return err == nil && strings.HasPrefix(definition(x), text) && strings.Contains(text, ".#")
}

// elements are what stands in a block that was meant as a list, else what is given.
func elements(given string) string {
	x, err := parser.ParseExpr("", given)
	block, ok := x.(*ast.StructLit)
	if err != nil || !ok || slices.ContainsFunc(block.Elts, func(e ast.Decl) bool { _, ok := e.(*ast.EmbedDecl); return !ok }) {
		return given
	}
	return strings.Trim(given, "{} ")
}

// takes reports whether a literal may stand there.
func (w wanted) takes(literal string) bool {
	v := w.rest.Context().CompileString(literal)
	return v.Err() == nil && v.IsConcrete() && w.rest.Unify(v).Validate() == nil
}

// choices are the texts that may stand there.
func (w wanted) choices() (texts []string) {
	for _, x := range w.failing(w.expr()) {
		if lit, ok := x.(*ast.BasicLit); ok {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				texts = append(texts, s)
			}
		}
	}
	return texts
}

// rules are the places outside hosts/ that speak of the mistake's own value.
func (d *diagnosis) rules(m *mistake) (rules []token.Pos) {
	for _, p := range m.places {
		if !inHosts(p.Filename()) && !InSchema(p) && d.named(p, m.name()) != nil {
			rules = append(rules, p)
		}
	}
	return rules[:min(1, len(rules))]
}
