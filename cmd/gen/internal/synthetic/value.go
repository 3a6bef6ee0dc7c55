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
	field  struct {
		name  string
		value any
	}
	text  string   // with parameters
	open  string   // which a host may replace
	ref   string   // the value of a parameter
	typed struct { // an object that the schema adds to, as the type is called in jsonnet
		as   string
		says object
	}
	part struct { // a definition of containers, and its arguments
		definition string
		says       object
	}
)

var hole = regexp.MustCompile(`\{\{(\w+)\}\}`)

func cue(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case text:
		return hole.ReplaceAllString(strconv.Quote(string(v)), `\(my.$1)`)
	case open:
		return "string | *" + strconv.Quote(string(v))
	case ref:
		return "my." + string(v)
	case typed:
		return cue(v.says)
	case part:
		return v.definition + " & " + cue(v.says)
	case list:
		return "[" + join(v, ", ", cue) + "]"
	case object:
		return "{\n" + join(v, "\n", cueField) + "\n}"
	}
	return fmt.Sprint(v)
}

func cueField(f field) string {
	if strings.HasPrefix(f.name, "#") {
		return f.name + ": " + cue(f.value)
	}
	return strconv.Quote(f.name) + ": " + cue(f.value)
}

// In jsonnet a definition is an object that others are added to, and what CUE
// calls #name a hidden field.
func jsonnet(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case text:
		return hole.ReplaceAllString(strconv.Quote(string(v)), `" + my.$1 + "`)
	case open:
		return strconv.Quote(string(v))
	case ref:
		return "my." + string(v)
	case typed:
		return v.as + " + " + jsonnet(v.says)
	case part:
		return strings.ToLower(v.definition[strings.Index(v.definition, "#")+1:]) + " + " + jsonnet(v.says)
	case list:
		return "[" + join(v, ", ", jsonnet) + "]"
	case object:
		return "{\n" + join(v, "\n", jsonnetField) + "\n}"
	}
	return fmt.Sprint(v)
}

func jsonnetField(f field) string {
	if hidden, ok := strings.CutPrefix(f.name, "#"); ok {
		return hidden + ":: " + jsonnet(f.value) + ","
	}
	return strconv.Quote(f.name) + ": " + jsonnet(f.value) + ","
}

// jsonnetMore is an object that adds to another at every depth.
func jsonnetMore(o object) string {
	return "{\n" + join(o, "\n", func(f field) string {
		if more, ok := f.value.(object); ok {
			return strconv.Quote(f.name) + "+: " + jsonnetMore(more) + ","
		}
		return jsonnetField(f)
	}) + "\n}"
}

func join[T any](vs []T, between string, spell func(T) string) string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = spell(v)
	}
	return strings.Join(out, between)
}
