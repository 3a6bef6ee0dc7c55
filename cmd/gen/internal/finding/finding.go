// Package finding is what gen has to say about a repository: each finding has
// a place in the user's CUE, a code that never changes, what is wrong in the
// user's words, and a hint. Findings of ours and errors of CUE's implement the
// same interface and print as one list.
package finding

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"
)

// A Finding is one mistake.
type Finding struct {
	Pos  token.Pos   // the place to change
	Code Code        // which kind of mistake
	Host string      // the host that it is about, or several and commas, if it is found host by host
	What string      // what is wrong, in lower case, without a period
	Also []token.Pos // other places that have part in it
	Hint string      // what was probably meant, or what to do
}

var _ errors.Error = (*Finding)(nil)

// New is a finding at pos.
func New(code Code, pos token.Pos, format string, args ...any) *Finding {
	return &Finding{Pos: pos, Code: code, What: fmt.Sprintf(format, args...)}
}

// Hintf adds a hint.
func (f *Finding) Hintf(format string, args ...any) *Finding {
	f.Hint = fmt.Sprintf(format, args...)
	return f
}

// And adds other places that have part in it.
func (f *Finding) And(pos ...token.Pos) *Finding {
	f.Also = append(f.Also, pos...)
	return f
}

func (f *Finding) Error() string                 { return f.message() }
func (f *Finding) Position() token.Pos           { return f.Pos }
func (f *Finding) InputPositions() []token.Pos   { return f.Also }
func (f *Finding) Path() []string                { return nil }
func (f *Finding) Msg() (format string, a []any) { return "%s", []any{f.message()} }

// message is what is wrong, and on which hosts.
func (f *Finding) message() string {
	if f.Host == "" {
		return f.What
	}
	return f.Host + ": " + f.What
}

// Place is a position as findings print it: file:line:column, or "-" for none.
func Place(p token.Pos) string {
	if !p.IsValid() {
		return "-"
	}
	q := p.Position()
	if q.Line == 0 {
		return q.Filename
	}
	return fmt.Sprintf("%s:%d:%d", q.Filename, q.Line, q.Column)
}

// Sort orders findings by place and drops repetitions, so that a run says
// everything once and in the same order. What it finds of several hosts at what
// they share becomes one finding, so that only the result is to be used.
func Sort(fs []*Finding) []*Finding {
	slices.SortStableFunc(fs, compare)
	return join(slices.CompactFunc(fs, func(a, b *Finding) bool { return compare(a, b) == 0 }))
}

// join makes one finding of those that say the same of several hosts: the mistake
// is in what they share.
func join(fs []*Finding) (kept []*Finding) {
	type said struct {
		place      string
		code       Code
		what, hint string
	}
	first := map[said]*Finding{}
	for _, f := range fs {
		s := said{Place(f.Pos), f.Code, f.What, f.Hint}
		if same := first[s]; same != nil && f.Host != "" && same.Host != "" {
			same.Host += ", " + f.Host
			same.And(f.Also...)
			continue
		}
		first[s] = f
		kept = append(kept, f)
	}
	return kept
}

// compare looks at places as they are printed: a file that is read for two
// hosts has two positions for one place.
func compare(a, b *Finding) int {
	p, q := a.Pos.Position(), b.Pos.Position()
	return cmp.Or(cmp.Compare(p.Filename, q.Filename), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column),
		cmp.Compare(a.Code, b.Code), cmp.Compare(a.message(), b.message()))
}

// A Style is how findings look: what a terminal needs to hear before a part of
// one, and after it. The zero Style is plain text.
type Style struct{ Place, Code, Hint, End string }

// Print writes findings: one line a tool can parse, then indented help.
func Print(w io.Writer, fs []*Finding) { Style{}.Print(w, fs) }

// Print is the function Print, in style.
func (s Style) Print(w io.Writer, fs []*Finding) {
	for _, f := range fs {
		fmt.Fprintf(w, "%s%s:%s %s%s:%s %s\n", s.Place, Place(f.Pos), s.End, s.Code, f.Code, s.End, oneLine(f.message()))
		for _, p := range f.further() {
			fmt.Fprintf(w, "    also at %s%s%s\n", s.Place, Place(p), s.End)
		}
		if f.Hint != "" {
			fmt.Fprintf(w, "    %shint:%s %s\n", s.Hint, s.End, strings.ReplaceAll(f.Hint, "\n", "\n          "))
		}
	}
}

// oneLine keeps a value of the user's from breaking the line it is quoted in.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) { // also what nobody sees
			return '�'
		}
		return r
	}, s)
}
