package doc

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"
)

// WrongTOML says what keeps a document from being TOML, and where, or "".
func (n *Node) WrongTOML() (what string, at token.Pos) {
	if n.Kind != Struct {
		return "a TOML document is a struct", n.Pos
	}
	return n.wrongTOML()
}

func (n *Node) wrongTOML() (what string, at token.Pos) {
	switch n.Kind {
	case Null:
		return "TOML has no null", n.Pos
	case Number:
		f, err := strconv.ParseFloat(n.Scalar, 64)
		_, errInt := strconv.ParseInt(n.Scalar, 10, 64)
		if err != nil || math.IsInf(f, 0) || errInt != nil && !strings.ContainsAny(n.Scalar, ".eE") {
			return n.Scalar + " is too large for TOML", n.Pos
		}
	}
	for _, item := range n.children() {
		if what, at := item.wrongTOML(); what != "" {
			return what, at
		}
	}
	return "", token.NoPos
}

func (n *Node) children() []*Node {
	items := n.Items
	for _, f := range n.Fields {
		items = append(items[:len(items):len(items)], f.Value)
	}
	return items
}

// WrongINI says what keeps a document from being read back from an INI file by
// every reader, and where, or "".
func (n *Node) WrongINI() (what string, at token.Pos) {
	if n.Kind != Struct {
		return "an INI file is a struct of settings, or of sections of settings", n.Pos
	}
	return n.wrongSettings(true)
}

// iniName is what a setting or a section can be called.
var iniName = regexp.MustCompile(`^[A-Za-z0-9_*/@.-]([A-Za-z0-9_ */@.-]*[A-Za-z0-9_*/@.-])?$`)

func (n *Node) wrongSettings(sections bool) (what string, at token.Pos) {
	for _, f := range n.Fields {
		switch {
		case !iniName.MatchString(f.Name):
			return fmt.Sprintf("%q is no name in an INI file", f.Name), f.Value.Pos
		case f.Value.Kind == Struct && !sections:
			return "a section of an INI file holds no other", f.Value.Pos
		case f.Value.Kind == Struct:
			what, at = f.Value.wrongSettings(false)
		case f.Value.Kind == List:
			for _, item := range f.Value.Items {
				if what == "" {
					what, at = item.wrongValue()
				}
			}
		default:
			what, at = f.Value.wrongValue()
		}
		if what != "" {
			return what, at
		}
	}
	return "", token.NoPos
}

func (n *Node) wrongValue() (what string, at token.Pos) {
	s := n.Scalar
	switch {
	case n.Kind == List || n.Kind == Struct:
		return "a setting of an INI file is no list of lists or structs", n.Pos
	case n.Kind != String:
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "a value of an INI file has one line", n.Pos
	case s != strings.TrimSpace(s):
		return fmt.Sprintf("an INI file cannot keep the blanks around %q", s), n.Pos
	case strings.ContainsAny(s, "#;\"'`\\"):
		return fmt.Sprintf("%q holds a quote, a backslash or the sign of a comment, which readers of INI files take differently", s), n.Pos
	}
	return "", token.NoPos
}
