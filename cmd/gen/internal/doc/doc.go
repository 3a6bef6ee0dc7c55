// Package doc is the document of an application (its YAML or JSON) as
// structured data: in its author's order, each value with the place in CUE that
// gave it, so that a line of output can be traced back.
package doc

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"
	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// A Kind of node.
type Kind int

// The kinds are those of JSON. A Number keeps the spelling it was given.
const (
	Null Kind = iota
	Bool
	Number
	String
	List
	Struct
)

// A Node is a value of a document.
type Node struct {
	Kind   Kind
	Scalar string  // Bool: "true" or "false"; Number: as JSON spells it; String: itself
	Tag    string  // in YAML, of a String or List that its program reads in a way of its own, such as "!File"
	Items  []*Node // of a List
	Fields []Field // of a Struct, in order
	Pos    token.Pos
}

// A Field of a struct.
type Field struct {
	Name  string
	Value *Node
}

// Str is a string that was given at pos.
func Str(s string, pos token.Pos) *Node { return &Node{Kind: String, Scalar: s, Pos: pos} }

// Strs is a list of strings.
func Strs(ss ...string) *Node {
	n := &Node{Kind: List}
	for _, s := range ss {
		n.Items = append(n.Items, Str(s, token.NoPos))
	}
	return n
}

// Obj is a struct of alternating names and nodes.
func Obj(pairs ...any) *Node {
	n := &Node{Kind: Struct}
	for i := 0; i < len(pairs); i += 2 {
		n.Set(pairs[i].(string), pairs[i+1].(*Node))
	}
	return n
}

// Tagged is a node that gets a tag in YAML.
func (n *Node) Tagged(tag string) *Node {
	n.Tag = tag
	return n
}

// Set adds a field at the end.
func (n *Node) Set(name string, v *Node) { n.Fields = append(n.Fields, Field{name, v}) }

// Clone is a copy that shares nothing with n.
func (n *Node) Clone() *Node {
	c := *n
	c.Items, c.Fields = slices.Clone(n.Items), slices.Clone(n.Fields)
	for i, item := range c.Items {
		c.Items[i] = item.Clone()
	}
	for i, f := range c.Fields {
		c.Fields[i].Value = f.Value.Clone()
	}
	return &c
}

// Get is the value at a path of fields, and nil where there is none.
func (n *Node) Get(path ...string) *Node {
	for _, name := range path {
		i := slices.IndexFunc(n.Fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			return nil
		}
		n = n.Fields[i].Value
	}
	return n
}

// JSON is the document as indented JSON with a final newline.
func (n *Node) JSON() []byte {
	var b bytes.Buffer
	n.writeJSON(&b)
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		panic("doc: a number that is no JSON got through decode: " + err.Error())
	}
	out.WriteByte('\n')
	return bytes.Clone(out.Bytes()) // here and below: without the room to grow
}

func (n *Node) writeJSON(b *bytes.Buffer) {
	switch n.Kind {
	case Null:
		b.WriteString("null")
	case Bool, Number:
		b.WriteString(n.Scalar)
	case String:
		quoteJSON(b, n.Scalar)
	case List:
		b.WriteByte('[')
		for i, item := range n.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.writeJSON(b)
		}
		b.WriteByte(']')
	case Struct:
		b.WriteByte('{')
		for i, f := range n.Fields {
			if i > 0 {
				b.WriteByte(',')
			}
			quoteJSON(b, f.Name)
			b.WriteByte(':')
			f.Value.writeJSON(b)
		}
		b.WriteByte('}')
	}
}

// QuoteJSON is s as a JSON string, with <, > and & as they are.
func QuoteJSON(s string) string {
	var b bytes.Buffer
	quoteJSON(&b, s)
	return b.String()
}

func quoteJSON(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("doc: a string cannot be JSON: " + err.Error())
	}
	b.Truncate(b.Len() - 1) // the encoder's newline
}

// YAML is the document as YAML with a final newline, under a comment.
func (n *Node) YAML(comment string) []byte {
	var b bytes.Buffer
	if comment != "" {
		fmt.Fprintf(&b, "# %s\n", comment)
	}
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(n.yaml()); err != nil {
		panic("doc: a document cannot be YAML: " + err.Error())
	}
	return bytes.Clone(b.Bytes())
}

func (n *Node) yaml() *yaml.Node {
	switch n.Kind {
	case Null:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	case Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: n.Scalar}
	case Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: numberTag(n.Scalar), Value: n.Scalar}
	case String:
		y := yamlString(n.Scalar)
		y.Tag = cmp.Or(n.Tag, y.Tag)
		return y
	case List:
		y := &yaml.Node{Kind: yaml.SequenceNode, Tag: cmp.Or(n.Tag, "!!seq")}
		if len(n.Items) == 0 || n.Tag != "" {
			y.Style = yaml.FlowStyle
		}
		for _, item := range n.Items {
			y.Content = append(y.Content, item.yaml())
		}
		return y
	}
	y := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	if len(n.Fields) == 0 {
		y.Style = yaml.FlowStyle
	}
	for _, f := range n.Fields {
		y.Content = append(y.Content, yamlString(f.Name), f.Value.yaml())
	}
	return y
}

func numberTag(s string) string {
	if strings.ContainsAny(s, ".eE") {
		return "!!float"
	}
	return "!!int"
}

// plain reports whether no reader of YAML 1.1 or 1.2 takes a text without quotes
// for anything else: it is words, and none that some of them read as a value.
func plain(s string) bool {
	const (
		first  = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/"
		others = first + "0123456789_.@+-"
	)
	if s == "" || !strings.Contains(first, s[:1]) || slices.Contains(wordlike, strings.ToLower(s)) {
		return false
	}
	for word := range strings.SplitSeq(s, " ") {
		if word == "" || strings.Trim(word, others) != "" {
			return false
		}
	}
	return true
}

var wordlike = strings.Fields("y n yes no on off true false null nan inf")

// yamlString leaves to the library only strings that cannot be misread: its
// own rules are those of YAML 1.2, and some programs read 1.1.
func yamlString(s string) *yaml.Node {
	y := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	switch {
	case plain(s):
	case block(s):
		y.Style = yaml.LiteralStyle
	default:
		y.Style = yaml.DoubleQuotedStyle
	}
	return y
}

// block reports whether s is text of several lines that a literal block holds as it is.
func block(s string) bool {
	if !strings.Contains(s, "\n") || strings.HasPrefix(s, " ") || strings.HasPrefix(s, "\n") {
		return false
	}
	for _, r := range s {
		if r != '\n' && (r < ' ' || r == 0x7f || r == 0x85 || r == 0xfeff || r == 0x2028 || r == 0x2029) {
			return false
		}
	}
	return true
}

// TOML is the document, a struct without nulls, as TOML with a final newline,
// under a comment. Its keys are in alphabetical order: the library's choice.
func (n *Node) TOML(comment string) []byte {
	var b bytes.Buffer
	if comment != "" {
		fmt.Fprintf(&b, "# %s\n", comment)
	}
	e := toml.NewEncoder(&b)
	e.SetIndentTables(false)
	if err := e.Encode(n.plain()); err != nil {
		panic("doc: a document cannot be TOML: " + err.Error())
	}
	return bytes.Clone(b.Bytes())
}

// plain is the document as Go's own values.
func (n *Node) plain() any {
	switch n.Kind {
	case Null:
		return nil
	case Bool:
		return n.Scalar == "true"
	case Number:
		if i, err := strconv.ParseInt(n.Scalar, 10, 64); err == nil {
			return i
		}
		f, err := strconv.ParseFloat(n.Scalar, 64)
		if err != nil {
			panic("doc: a number that is none got through decode: " + err.Error())
		}
		return f
	case String:
		return n.Scalar
	case List:
		items := make([]any, len(n.Items))
		for i, item := range n.Items {
			items[i] = item.plain()
		}
		return items
	}
	fields := map[string]any{}
	for _, f := range n.Fields {
		fields[f.Name] = f.Value.plain()
	}
	return fields
}

// INI is the document as an INI file with a final newline, under a comment:
// settings, then sections of settings, each in order. A list gives a setting
// several times, null one without a value. Readers differ in what they unquote,
// so nothing is quoted: what would need it, WrongINI refuses.
func (n *Node) INI(comment string) []byte {
	var b bytes.Buffer
	if comment != "" {
		fmt.Fprintf(&b, "# %s\n", comment)
	}
	for _, f := range n.Fields {
		if f.Value.Kind != Struct {
			setting(&b, f)
		}
	}
	for _, f := range n.Fields {
		if f.Value.Kind == Struct {
			fmt.Fprintf(&b, "\n[%s]\n", f.Name)
			for _, s := range f.Value.Fields {
				setting(&b, s)
			}
		}
	}
	return bytes.Clone(b.Bytes())
}

func setting(b *bytes.Buffer, f Field) {
	switch f.Value.Kind {
	case Null:
		fmt.Fprintf(b, "%s\n", f.Name)
	case List:
		for _, item := range f.Value.Items {
			setting(b, Field{f.Name, item})
		}
	default:
		fmt.Fprintln(b, strings.TrimSpace(f.Name+" = "+f.Value.Scalar))
	}
}
