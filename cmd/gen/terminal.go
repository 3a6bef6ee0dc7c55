package main

import (
	"io"
	"os"

	"golang.org/x/term"

	"gen.example/cmd/gen/internal/finding"
)

// How gen talks: stdout is what was asked for, stderr is talk, success is
// silence. Colour and progress are for people who sit before a terminal. A
// pipe, a file and NO_COLOR get the same text without, and CI gets no progress
// even where it pretends to be a terminal.

// Colours, as escape sequences of every terminal.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	cyan   = "\x1b[36m"
	normal = "\x1b[m"
)

// fd is the terminal that a stream is, or false.
func fd(w io.Writer) (int, bool) {
	if e, is := w.(*erasing); is {
		w = e.to
	}
	f, is := w.(*os.File)
	if !is || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return 0, false
	}
	return int(f.Fd()), true
}

// coloured reports whether a stream is to be coloured.
func coloured(w io.Writer) bool {
	_, is := fd(w)
	return is && os.Getenv("NO_COLOR") == ""
}

// painter is how to write text in a colour to a stream.
func painter(w io.Writer) func(colour, text string) string {
	if !coloured(w) {
		return func(_, text string) string { return text }
	}
	return func(colour, text string) string { return colour + text + normal }
}

// style is how findings look on a stream.
func style(w io.Writer) finding.Style {
	if !coloured(w) {
		return finding.Style{}
	}
	return finding.Style{Place: bold, Code: red, Hint: cyan, End: normal}
}
