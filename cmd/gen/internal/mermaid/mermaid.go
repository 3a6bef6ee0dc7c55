// Package mermaid spells flowcharts as Mermaid reads them, in the part of its
// grammar that all who show Mermaid in Markdown know: nodes in four shapes,
// groups that hold nodes, arrows with labels. It gives no colour but that of
// lines, so that a chart can be read on any ground.
package mermaid

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A Chart is read from left to right.
type Chart struct {
	Nodes  []Node // outside all groups
	Groups []Group
	Arrows []Arrow
}

// A Node's ID, like a group's, is made of letters, digits and underscores, and
// begins with a capital: no word of Mermaid's does.
type Node struct {
	ID    string
	Shape Shape
	Lines []string
}

// A Group is a frame around nodes.
type Group struct {
	ID, Title string
	Dashed    bool
	Nodes     []Node
}

// An Arrow leads from a node to another, or to a group.
type Arrow struct {
	From, To string
	Kind     Kind
	Lines    []string
}

// A Kind of arrow is how it is drawn. One that is hidden keeps its end to the
// right of its beginning, and is none to a reader.
type Kind int

const (
	Headed Kind = iota
	Line
	Hidden
)

// A Shape is what stands before and after the label of a node.
type Shape struct{ before, after string }

var (
	Box     = Shape{"[", "]"}
	Round   = Shape{"([", "])"}
	Circle  = Shape{"((", "))"}
	Hexagon = Shape{"{{", "}}"}
)

// String is the chart in a fenced block of Markdown.
func (c *Chart) String() string {
	var b strings.Builder
	b.WriteString("```mermaid\nflowchart LR\n")
	for _, n := range c.Nodes {
		b.WriteString("\t" + n.String() + "\n")
	}
	var dashed []string
	for _, g := range c.Groups {
		b.WriteString("\tsubgraph " + g.ID + "[" + quote(g.Title) + "]\n")
		for _, n := range g.Nodes {
			b.WriteString("\t\t" + n.String() + "\n")
		}
		b.WriteString("\tend\n")
		if g.Dashed {
			dashed = append(dashed, g.ID)
		}
	}
	for _, a := range c.Arrows {
		b.WriteString("\t" + a.String() + "\n")
	}
	if len(dashed) > 0 {
		b.WriteString("\tclassDef dashed stroke-width:2px,stroke-dasharray:6\n\tclass " + strings.Join(dashed, ",") + " dashed\n")
	}
	b.WriteString("```\n")
	return b.String()
}

func (n Node) String() string {
	return n.ID + n.Shape.before + quote(n.Lines...) + n.Shape.after
}

func (a Arrow) String() string {
	link := [...]string{Headed: "-->", Line: "---", Hidden: "~~~"}[a.Kind]
	if len(a.Lines) > 0 {
		link += "|" + quote(a.Lines...) + "|"
	}
	return a.From + " " + link + " " + a.To
}

// ID is one for a thing of a kind within others: the names are DNS labels, so
// the capitals of the kinds keep what is named alike apart.
func ID(kindsAndNames ...string) string {
	return strings.ReplaceAll(strings.Join(kindsAndNames, "_"), "-", "_")
}

// quote is lines as a label. Mermaid takes labels for Markdown and then for
// HTML: whatever could mean something to either is spelled by its number.
func quote(lines ...string) string {
	out := slices.Clone(lines)
	for i, line := range out {
		out[i] = escape(line)
	}
	return `"` + strings.Join(out, "<br>") + `"`
}

func escape(line string) string {
	var b strings.Builder
	line = own.Replace(strings.Join(strings.Fields(line), " "))
	for i, r := range line {
		switch {
		case unicode.IsControl(r):
		case plain(r, line[:i]):
			b.WriteRune(r)
		default:
			b.WriteString("#" + strconv.Itoa(int(r)) + ";")
		}
	}
	return b.String()
}

// own parts what means something to Mermaid even by its numbers: two
// dollars, and its own spelling of the numbers.
var own = strings.NewReplacer("$", "$ ", "ﬂ°", "ﬂ °", "¶ß", "¶ ß")

// plain reports whether a character means nothing but itself after others: the
// letters and digits of all scripts do, and a few marks where they begin neither
// the item of a list nor, as in www., what Markdown takes for a link.
func plain(r rune, before string) bool {
	switch {
	case r == '-':
		return before != ""
	case r == '.':
		return strings.Trim(before, "0123456789") != "" && !strings.HasSuffix(strings.ToLower(before), "www")
	case strings.ContainsRune(" ,/…", r):
		return true
	default:
		return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
	}
}
