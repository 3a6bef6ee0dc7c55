package load

import (
	"cmp"
	"encoding/base64"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/parallel"
)

// decode fills dst, a pointer to a struct of the model, from v, which has
// passed the schema: whatever does not fit is a bug of ours. Known fields are
// looked up and only maps are iterated, because iterating sorts.
func (e *evaluation) decode(v cue.Value, dst any, path []string) {
	e.fill(v, reflect.ValueOf(dst).Elem(), strings.Join(path, sep))
}

var posType = reflect.TypeFor[token.Pos]()

func (e *evaluation) fill(v cue.Value, dst reflect.Value, path string) {
	switch d := dst.Addr().Interface().(type) {
	case *fleet.Val[string]:
		*d = fleet.Val[string]{V: text(v), Pos: v.Pos(), Set: true}
	case *fleet.Val[int]:
		*d = fleet.Val[int]{V: whole(v), Pos: v.Pos(), Set: true}
	case *fleet.Val[bool]:
		b, err := v.Bool()
		must(err)
		*d = fleet.Val[bool]{V: b, Pos: v.Pos(), Set: true}
	case *fleet.Val[fleet.Seconds]:
		*d = fleet.Val[fleet.Seconds]{V: seconds(v), Pos: v.Pos(), Set: true}
	case **doc.Node:
		*d = &sliceOf[doc.Node](&e.slabs, 1)[0]
		e.document(v, *d)
	default:
		e.fillComposite(v, dst, path)
	}
}

func (e *evaluation) fillComposite(v cue.Value, dst reflect.Value, path string) {
	switch {
	case dst.Kind() == reflect.Pointer:
		dst.Set(e.slabs.pointer(dst.Type().Elem()))
		e.fill(v, dst.Elem(), path)
	case dst.Kind() == reflect.Struct:
		e.fillStruct(v, dst, path)
	case isMap(dst.Type()):
		e.fillMap(v, dst, path)
	case dst.Kind() == reflect.Slice:
		e.fillList(v, dst, path)
	default:
		panic("load: the model has a field of a kind that decode does not know: " + dst.Type().String())
	}
}

func (e *evaluation) fillStruct(v cue.Value, dst reflect.Value, path string) {
	for _, f := range fieldsOf(dst.Type()) {
		if f.pos {
			dst.Field(f.index).Set(reflect.ValueOf(e.place(v, path)))
			defer nearer(dst.Field(f.index), dst)
			continue
		}
		switch sub := v.LookupPath(f.path); {
		case sub.Exists():
			e.fill(sub, dst.Field(f.index), path+sep+f.name)
		case f.byDefault.IsValid():
			dst.Field(f.index).Set(f.byDefault)
			dst.Field(f.index).Field(1).Set(reflect.ValueOf(e.place(v, path)))
		}
	}
}

// fillMap makes entries sorted by name, side by side where each is much.
func (e *evaluation) fillMap(v cue.Value, dst reflect.Value, path string) {
	if onlyPatterns(v) {
		return
	}
	fields := fieldsInOrder(v)
	if len(fields) == 0 {
		return
	}
	slices.SortFunc(fields, func(a, b named) int { return cmp.Compare(a.name, b.name) })
	dst.Set(e.slabs.slice(dst.Type(), len(fields)))
	fill := func(i int) {
		at := path + sep + fields[i].name
		x := dst.Index(i)
		x.Field(0).SetString(fields[i].name)
		x.Field(1).Set(reflect.ValueOf(e.place(fields[i].value, at)))
		e.fill(fields[i].value, x.Field(2), at)
		nearer(x.Field(1), x.Field(2))
	}
	if dst.Type() == reflect.TypeFor[fleet.Map[*fleet.Service]]() {
		parallel.Each(len(fields), fill)
		return
	}
	for i := range fields {
		fill(i)
	}
}

// onlyPatterns reports whether a struct comes from a single literal that says
// what its fields would be, and has none: half of all maps are left out, and
// asking CUE for their fields costs fifty times as much. A value's source is
// known only if it comes from a single place.
func onlyPatterns(v cue.Value) bool {
	f, ok := v.Source().(*ast.Field)
	if !ok {
		return false
	}
	lit, ok := f.Value.(*ast.StructLit)
	return ok && !slices.ContainsFunc(lit.Elts, func(d ast.Decl) bool {
		field, ok := d.(*ast.Field)
		if !ok {
			return true
		}
		_, pattern := field.Label.(*ast.ListLit)
		return !pattern
	})
}

type named struct {
	name  string
	value cue.Value
}

func fieldsInOrder(v cue.Value) (fields []named) {
	iter, err := v.Fields()
	must(err)
	for iter.Next() {
		fields = append(fields, named{iter.Selector().Unquoted(), iter.Value()})
	}
	return fields
}

func (e *evaluation) fillList(v cue.Value, dst reflect.Value, path string) {
	v, _ = v.Default()
	if v.IncompleteKind() != cue.ListKind { // one value stands for a list of one
		dst.Set(e.slabs.slice(dst.Type(), 1))
		e.fill(v, dst.Index(0), path)
		return
	}
	items := list(v)
	dst.Set(e.slabs.slice(dst.Type(), len(items)))
	for i, item := range items {
		e.fill(item, dst.Index(i), path)
	}
}

func list(v cue.Value) (items []cue.Value) {
	iter, err := v.List()
	must(err)
	for iter.Next() {
		items = append(items, iter.Value())
	}
	return items
}

// place is where the user wrote a struct, else where CUE says it comes from.
func (e *evaluation) place(v cue.Value, path string) token.Pos {
	if pos, ok := e.places[path]; ok {
		return pos
	}
	if names := e.shares[e.host]; len(names) > 0 {
		if below, ok := strings.CutPrefix(path, "hosts"+sep+e.host+sep+"services"); ok {
			for _, name := range names {
				if pos, ok := e.places[name+below]; ok {
					return pos
				}
			}
		}
	}
	return v.Pos()
}

// nearer moves the place of a struct out of the schema, where CUE puts it, to
// that of the first value in it which somebody wrote.
func nearer(pos, v reflect.Value) {
	if !InSchema(pos.Interface().(token.Pos)) {
		return
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for _, f := range fieldsOf(v.Type()) {
		if !f.placed {
			continue
		}
		at := v.Field(f.index).Field(1)
		if p := at.Interface().(token.Pos); p.IsValid() && !InSchema(p) {
			pos.Set(at)
			return
		}
	}
}

// text is a scalar as the text that a program reads.
func text(v cue.Value) string {
	v, _ = v.Default()
	switch v.IncompleteKind() {
	case cue.StringKind:
		s, err := v.String()
		must(err)
		return s
	case cue.BoolKind:
		b, err := v.Bool()
		must(err)
		return strconv.FormatBool(b)
	}
	b, err := v.MarshalJSON()
	must(err)
	return string(b)
}

func whole(v cue.Value) int {
	n, err := v.Int64()
	must(err)
	return int(n)
}

func seconds(v cue.Value) fleet.Seconds {
	s, err := v.String()
	must(err)
	d, err := time.ParseDuration(s)
	must(err)
	return fleet.Seconds(d / time.Second)
}

// document fills n from v, in the author's order and with every place.
func (e *evaluation) document(v cue.Value, n *doc.Node) {
	v, _ = v.Default()
	n.Pos = v.Pos()
	switch v.IncompleteKind() {
	case cue.NullKind:
		n.Kind = doc.Null
	case cue.BoolKind:
		n.Kind, n.Scalar = doc.Bool, text(v)
	case cue.StringKind:
		n.Kind, n.Scalar = doc.String, text(v)
	case cue.BytesKind: // as CUE itself spells them in JSON
		b, err := v.Bytes()
		must(err)
		n.Kind, n.Scalar = doc.String, base64.StdEncoding.EncodeToString(b)
	case cue.ListKind:
		n.Kind = doc.List
		items := list(v)
		nodes := sliceOf[doc.Node](&e.slabs, len(items))
		n.Items = sliceOf[*doc.Node](&e.slabs, len(items))
		for i, item := range items {
			n.Items[i] = &nodes[i]
			e.document(item, &nodes[i])
		}
	case cue.StructKind:
		n.Kind = doc.Struct
		fields := fieldsInOrder(v)
		nodes := sliceOf[doc.Node](&e.slabs, len(fields))
		n.Fields = sliceOf[doc.Field](&e.slabs, len(fields))
		for i, f := range fields {
			n.Fields[i] = doc.Field{Name: f.name, Value: &nodes[i]}
			e.document(f.value, &nodes[i])
		}
	default:
		n.Kind, n.Scalar = doc.Number, text(v)
	}
}

// must is for what the schema promised.
func must(err error) {
	if err != nil {
		panic("load: a value passed the schema and cannot be decoded: " + err.Error())
	}
}

// A field of a struct of the model: its place there and its path in CUE.
type field struct {
	index int
	name  string
	path  cue.Path
	pos   bool // holds the struct's own place

	placed    bool          // holds a struct whose second field is a place
	byDefault reflect.Value // what it is by default, if it has a tag that says so
}

var fieldCache sync.Map // reflect.Type → []field

func fieldsOf(t reflect.Type) []field {
	if fs, ok := fieldCache.Load(t); ok {
		return fs.([]field)
	}
	var fs []field
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Name == "Pos" && f.Type == posType:
			fs = append(fs, field{index: i, pos: true})
		case f.Tag.Get("cue") != "-":
			name := CUEName(f.Name)
			placed := f.Type.Kind() == reflect.Struct && f.Type.NumField() > 1 && f.Type.Field(1).Name == "Pos"
			fs = append(fs, field{index: i, name: name, path: cue.MakePath(cue.Str(name)), placed: placed, byDefault: byDefault(f)})
		}
	}
	fieldCache.Store(t, fs)
	return fs
}

// CUEName is the CUE field of a field of the model: ImageVolumes is imageVolumes, OS is os.
func CUEName(name string) string {
	if strings.ToUpper(name) == name {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:1]) + name[1:]
}

// isMap reports whether t is a fleet.Map of something.
func isMap(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && strings.HasPrefix(t.Name(), "Map[")
}
