package finding

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"
)

// place is a position as JSON has it. Lines and columns (in bytes) count from 1.
type place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func placeOf(p token.Pos) place {
	q := p.Position()
	return place{q.Filename, q.Line, q.Column}
}

// JSON writes findings as one array, empty if there are none. Each has file,
// line, column, code, message, hint, and also: further places.
func JSON(w io.Writer, fs []*Finding) error {
	type object struct {
		place
		Code    Code    `json:"code"`
		Message string  `json:"message"`
		Hint    string  `json:"hint,omitempty"`
		Also    []place `json:"also,omitempty"`
	}
	objects := []object{}
	for _, f := range fs {
		o := object{placeOf(f.Pos), f.Code, oneLine(f.message()), f.Hint, nil}
		for _, p := range f.further() {
			o.Also = append(o.Also, placeOf(p))
		}
		objects = append(objects, o)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(objects)
}

// GitHub writes findings as the workflow commands that become annotations of a
// pull request. dir is where the repository lies in that of the workflow.
// https://docs.github.com/actions/reference/workflow-commands
func GitHub(w io.Writer, dir string, fs []*Finding) {
	for _, f := range fs {
		at, message := placeOf(f.Pos), oneLine(f.message())
		for _, p := range f.further() {
			message += "\nalso at " + Place(p)
		}
		if f.Hint != "" {
			message += "\nhint: " + f.Hint
		}
		fmt.Fprintf(w, "::error file=%s,line=%d,col=%d,title=%s::%s\n",
			property(path.Join(dir, at.File)), max(at.Line, 1), max(at.Column, 1), f.Code, data(message))
	}
}

// data and property escape what would end a workflow command, or a field of it.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(s))
}

// further are the other places of a finding, each once.
func (f *Finding) further() (places []token.Pos) {
	said := []string{Place(f.Pos)}
	for _, p := range f.Also {
		if at := Place(p); p.IsValid() && !slices.Contains(said, at) {
			places, said = append(places, p), append(said, at)
		}
	}
	return places
}
