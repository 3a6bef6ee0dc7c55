// Package unitcat prints what podman reads in a unit file, so that a test can
// compare it with what gen meant to write. It is one program built once for
// each podman we judge by; only the parser, which the caller brings, differs.
//
//	unitcat <FILE        one JSON object
//	unitcat FILE...      one JSON object a line, one line a file
//	unitcat -serve       the same for files on stdin, each answered at once
//
// An object is group -> key -> [Reading], in the order of the file. A file that
// podman cannot parse is null, so that line n always belongs to file n; the
// reason goes to stderr, and the exit code is 1.
//
// To -serve, a file is its length in bytes as a decimal number and a newline,
// then so many bytes. What podman cannot parse does not end it.
package unitcat

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

// Unit is the part of podman's parser.UnitFile that says what a key's value is.
// The last two are ours, because there the versions' signatures differ.
type Unit interface {
	ListGroups() []string
	ListKeys(group string) []string
	Lookup(group, key string) (string, bool)
	LookupBoolean(group, key string) (bool, bool)
	LookupAll(group, key string) []string
	LookupAllStrv(group, key string) []string
	LookupAllArgs(group, key string) []string
	LastArgs(group, key string) ([]string, error)
	KeyVal(group, key string) (map[string]*string, error)
}

// Reading is one key, looked up in every way that podman has. Which of them
// counts depends on the key: quadlet.go decides, and gen has it in a table.
type Reading struct {
	Last     string             `json:"last"`               // Lookup: the last line, outer quotes off
	Bool     bool               `json:"bool"`               // LookupBoolean: of Last
	Raw      []string           `json:"raw"`                // LookupAll: every line, quotes and all
	Strv     []string           `json:"strv"`               // LookupAllStrv: words, quotes off, backslashes kept
	Args     []string           `json:"args"`               // LookupAllArgs: words, quotes off, escapes decoded
	LastArgs []string           `json:"lastargs"`           // LookupLastArgs: the same of the last line only
	KeyVal   map[string]*string `json:"keyval"`             // LookupAllKeyVal: args cut at "=", null where there is none
	Warnings []string           `json:"warnings,omitempty"` // what podman 5.8 says of lines it leaves out; 5.4 is silent
}

// Main is the program. Parse reads a file's whole text.
func Main(parse func(text string) (Unit, error)) {
	out := bufio.NewWriter(os.Stdout)
	ok := true
	cat := func(name string, text []byte, err error) {
		var u Unit
		if err == nil {
			u, err = parse(string(text))
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			fmt.Fprintln(out, "null")
			ok = false
			return
		}
		fmt.Fprintf(out, "%s\n", read(u))
	}

	switch args := os.Args[1:]; {
	case len(args) == 0:
		text, err := io.ReadAll(os.Stdin)
		cat("stdin", text, err)
	case slices.Equal(args, []string{"-serve"}):
		for text, err := range files(bufio.NewReader(os.Stdin)) {
			cat("stdin", text, err)
			out.Flush()
		}
	default:
		for _, name := range args {
			text, err := os.ReadFile(name)
			cat(name, text, err)
		}
	}
	if out.Flush() != nil || !ok {
		os.Exit(1)
	}
}

// files are those on stdin of -serve. After an error there is no next one, for
// nobody knows where it would begin.
func files(in *bufio.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for {
			var size uint32
			_, err := fmt.Fscanln(in, &size)
			if err == io.EOF {
				return
			}
			text := make([]byte, size)
			if err == nil {
				_, err = io.ReadFull(in, text)
			}
			if !yield(text, err) || err != nil {
				return
			}
		}
	}
}

func read(u Unit) []byte {
	return object(u.ListGroups(), func(group string) []byte {
		return object(u.ListKeys(group), func(key string) []byte {
			return encode(lookup(u, group, key))
		})
	})
}

func lookup(u Unit, group, key string) Reading {
	r := Reading{
		Raw:  u.LookupAll(group, key),
		Strv: u.LookupAllStrv(group, key),
		Args: u.LookupAllArgs(group, key),
	}
	r.Last, _ = u.Lookup(group, key)
	r.Bool, _ = u.LookupBoolean(group, key)

	var argsErr, keyValErr error
	r.LastArgs, argsErr = u.LastArgs(group, key)
	r.KeyVal, keyValErr = u.KeyVal(group, key)
	for _, err := range []error{argsErr, keyValErr} {
		if err != nil && !slices.Contains(r.Warnings, err.Error()) {
			r.Warnings = append(r.Warnings, err.Error())
		}
	}
	return r
}

// object is written by hand because encoding/json sorts the keys of a map.
func object(names []string, value func(name string) []byte) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(name))
		b.WriteByte(':')
		b.Write(value(name))
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encode leaves &, < and > as they are, for a person may be reading.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // Strings, booleans and maps of them always encode.
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
