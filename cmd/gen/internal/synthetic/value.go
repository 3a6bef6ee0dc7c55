package synthetic

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// What a definition says: a string, an int, a bool, a list or an object, or one
// of the forms below. In a text, {{name}} stands for a parameter of the service.
type (
	list   []any
	object []field
	text   string // with parameters
	open   string // which a host may replace
	ref    string // the value of a parameter
	part   struct {
		definition string
		args       object
	}
	field struct {
		name  string
		value any
	}
)

var hole = regexp.MustCompile(`\{\{(\w+)\}\}`)

func cueValue(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case text:
		return hole.ReplaceAllString(strconv.Quote(string(v)), `\(my.$1)`)
	case open:
		return "string | *" + strconv.Quote(string(v))
	case ref:
		return "my." + string(v)
	case part:
		return v.definition + " & " + cueValue(v.args)
	case list:
		return "[" + join(v, ", ", cueValue) + "]"
	case object:
		return "{\n" + join(v, "\n", cueField) + "\n}"
	}
	return fmt.Sprint(v)
}

func cueField(f field) string {
	if strings.HasPrefix(f.name, "#") {
		return f.name + ": " + cueValue(f.value)
	}
	return strconv.Quote(f.name) + ": " + cueValue(f.value)
}

// In jsonnet a definition is an object that others are added to, and its hidden
// fields, which CUE calls #name, are its arguments.
func jsonnetValue(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case text:
		return hole.ReplaceAllString(strconv.Quote(string(v)), `" + my.$1 + "`)
	case open:
		return strconv.Quote(string(v))
	case ref:
		return "my." + string(v)
	case part:
		return jsonnetDefinition(v.definition) + " + " + jsonnetValue(v.args)
	case list:
		return "[" + join(v, ", ", jsonnetValue) + "]"
	case object:
		return "{\n" + join(v, "\n", jsonnetField) + "\n}"
	}
	return fmt.Sprint(v)
}

func jsonnetField(f field) string {
	if hidden, ok := strings.CutPrefix(f.name, "#"); ok {
		return hidden + ":: " + jsonnetValue(f.value) + ","
	}
	return strconv.Quote(f.name) + jsonnetColon(f) + jsonnetValue(f.value) + ","
}

// jsonnetColon adds to what a definition has, where the value is an object.
func jsonnetColon(f field) string {
	if _, ok := f.value.(object); ok {
		return "+: "
	}
	return ": "
}

func jsonnetDefinition(name string) string { return strings.ToLower(strings.TrimPrefix(name, "#")) }

func join[T any](vs []T, between string, spell func(T) string) string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = spell(v)
	}
	return strings.Join(out, between)
}
