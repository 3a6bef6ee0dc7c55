package doc

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"
)

// A Wrong is what a format cannot hold, and where it stands.
type Wrong struct {
	What string
	Pos  token.Pos
}

// WrongTOML is all that keeps a document from being TOML.
func (n *Node) WrongTOML() []Wrong {
	if n.Kind != Struct {
		return []Wrong{{"a TOML document is a block of fields", n.Pos}}
	}
	return n.wrongTOML()
}

func (n *Node) wrongTOML() (wrong []Wrong) {
	switch n.Kind {
	case Null:
		return []Wrong{{"TOML has no null", n.Pos}}
	case Number:
		f, err := strconv.ParseFloat(n.Scalar, 64)
		_, errInt := strconv.ParseInt(n.Scalar, 10, 64)
		if err != nil || math.IsInf(f, 0) || errInt != nil && !strings.ContainsAny(n.Scalar, ".eE") {
			return []Wrong{{n.Scalar + " is too large for TOML", n.Pos}}
		}
	}
	for _, item := range n.Items {
		wrong = append(wrong, item.wrongTOML()...)
	}
	for _, f := range n.Fields {
		wrong = append(wrong, f.Value.wrongTOML()...)
	}
	return wrong
}

// WrongINI is all that keeps a document from being read back from an INI file
// by every reader.
func (n *Node) WrongINI() []Wrong {
	if n.Kind != Struct {
		return []Wrong{{"an INI file is a block of settings, or of sections of them", n.Pos}}
	}
	return n.wrongSettings(true)
}

// iniName is what a setting or a section can be called.
var iniName = regexp.MustCompile(`^[A-Za-z0-9_*/@.-]([A-Za-z0-9_ */@.-]*[A-Za-z0-9_*/@.-])?$`)

func (n *Node) wrongSettings(sections bool) (wrong []Wrong) {
	for _, f := range n.Fields {
		if !iniName.MatchString(f.Name) {
			wrong = append(wrong, Wrong{fmt.Sprintf("%q is no name in an INI file", f.Name), f.Value.Pos})
		}
		switch {
		case f.Value.Kind == Struct && !sections:
			wrong = append(wrong, Wrong{"a section of an INI file holds no other", f.Value.Pos})
		case f.Value.Kind == Struct:
			wrong = append(wrong, f.Value.wrongSettings(false)...)
		case f.Value.Kind == List:
			for _, item := range f.Value.Items {
				wrong = append(wrong, item.wrongValue()...)
			}
		default:
			wrong = append(wrong, f.Value.wrongValue()...)
		}
	}
	return wrong
}

func (n *Node) wrongValue() []Wrong {
	s := n.Scalar
	switch {
	case n.Kind == List || n.Kind == Struct:
		return []Wrong{{"a setting of an INI file is no list of lists or blocks", n.Pos}}
	case n.Kind != String:
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return []Wrong{{"a value of an INI file has one line", n.Pos}}
	case s != strings.TrimSpace(s):
		return []Wrong{{fmt.Sprintf("an INI file cannot keep the blanks around %q", s), n.Pos}}
	case strings.ContainsAny(s, "#;\"'`\\"):
		return []Wrong{{fmt.Sprintf("%q holds a quote, a backslash or the sign of a comment, which readers of INI files take differently", s), n.Pos}}
	}
	return nil
}
