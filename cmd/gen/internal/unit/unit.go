// Package unit is the syntax of systemd's unit files, which podman's quadlets
// share: sections of lines in order, and the quoting that each reader undoes.
package unit

import (
	"bytes"

	"cuelang.org/go/cue/token"
)

// A File is a unit file or a drop-in: sections in order.
type File struct {
	Comment  string // one line without the #
	Sections []*Section
}

// A Section is lines in order. A key may stand several times.
type Section struct {
	Name  string
	Lines []Line
}

// A Line is one assignment, as it is written, and the place in CUE that asked for it.
type Line struct {
	Key   string
	Value string
	Pos   token.Pos
}

// Section finds a section or adds it at the end.
func (f *File) Section(name string) *Section {
	for _, s := range f.Sections {
		if s.Name == name {
			return s
		}
	}
	s := &Section{Name: name}
	f.Sections = append(f.Sections, s)
	return s
}

// Add appends a line. An empty value resets what stood before, so it is kept.
func (s *Section) Add(key, value string, pos token.Pos) {
	s.Lines = append(s.Lines, Line{key, value, pos})
}

// Replace puts lines in the place of all others of that key, where the first of them stood.
func (s *Section) Replace(key string, lines ...Line) {
	at := -1
	kept := s.Lines[:0:0]
	for _, l := range s.Lines {
		if l.Key == key {
			if at < 0 {
				at = len(kept)
			}
			continue
		}
		kept = append(kept, l)
	}
	if at < 0 {
		at = len(kept)
	}
	s.Lines = append(kept[:at:at], append(lines, kept[at:]...)...)
}

// Values are a key's values as systemd reads them: an empty one resets the list.
func (f *File) Values(section, key string) (out []Line) {
	for _, s := range f.Sections {
		if s.Name != section {
			continue
		}
		for _, l := range s.Lines {
			switch {
			case l.Key != key:
			case l.Value == "":
				out = nil
			default:
				out = append(out, l)
			}
		}
	}
	return out
}

// Value is a key's last value, or "".
func (f *File) Value(section, key string) string {
	vs := f.Values(section, key)
	if len(vs) == 0 {
		return ""
	}
	return vs[len(vs)-1].Value
}

// Bytes is the file as it is written. Sections without lines are left out.
func (f *File) Bytes() []byte {
	var b bytes.Buffer
	put := func(words ...string) {
		for _, w := range words {
			b.WriteString(w)
		}
	}
	if f.Comment != "" {
		put("# ", f.Comment, "\n")
	}
	for _, s := range f.Sections {
		if len(s.Lines) == 0 {
			continue
		}
		if b.Len() > 0 {
			put("\n")
		}
		put("[", s.Name, "]\n")
		for _, l := range s.Lines {
			put(l.Key, "=", l.Value, "\n")
		}
	}
	return bytes.Clone(b.Bytes()) // without the room to grow
}
