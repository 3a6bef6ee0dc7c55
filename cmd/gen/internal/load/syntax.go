package load

import (
	"bytes"
	"cmp"
	"regexp"
	"strings"

	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/scanner"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// syntaxError words an error of CUE's parser.
func syntaxError(text []byte, e cueerrors.Error) *finding.Finding {
	said := e.Error()
	f := finding.New(finding.Syntax, e.Position(), "%s", plainWords(said)).
		Hintf("a field is written name: value, a block of fields {…}, a list […], text \"…\"")
	if at := mergeMark.FindIndex(text); at != nil {
		f.Pos, f.What = placeAt(e.Position().Filename(), text, at[0]), "this is a mark that a merge of git's left"
		return f.Hintf("keep one of the two versions, and take out the lines <<<<<<<, ======= and >>>>>>>")
	}
	if open := neverClosed(e.Position().Filename(), text); open.IsValid() && mayBeOpen.MatchString(said) {
		f.Pos, f.What = open, "this bracket is never closed"
		return f.Hintf("close it where it should end; what follows is read as if it were inside")
	}
	if at := assignment(text, e.Position()); strings.Contains(said, "expected label") && at > 0 {
		f.Pos, f.What = placeAt(e.Position().Filename(), text, at), "this is no field"
		return f.Hintf("a field is written with a colon: name: value")
	}
	if and := dangling.FindStringIndex(string(text[:min(e.Position().Offset(), len(text))])); and != nil && strings.Contains(said, "missing ','") {
		f.Pos, f.What = placeAt(e.Position().Filename(), text, and[0]), "nothing stands behind this &"
		return f.Hintf("a definition is filled in with DEFINITION & {…}: its bracket stands on the same line")
	}
	at := min(e.Position().Offset(), len(text))
	rest, _, _ := strings.Cut(string(text[at:]), "\n")
	line := lineBefore(text, e.Position()) + "\x00" + rest
	for _, k := range syntaxErrors {
		if at := k.line.FindStringSubmatchIndex(line); strings.Contains(said, k.said) && at != nil {
			f.What = k.what
			f.Hint = cmp.Or(string(k.line.ExpandString(nil, k.hint, line, at)), f.Hint)
			break
		}
	}
	return f
}

// mayBeOpen is what CUE's parser says at the latest where a bracket is not closed.
var mayBeOpen = regexp.MustCompile(`found 'EOF'|expected '[])]', found newline|expected 'STRING', found`)

// dangling is an & at the end of a line, where the next one holds a field up to its colon.
var dangling = regexp.MustCompile(`&[ \t]*\n\s*[\w"-]+ *$`)

var mergeMark = regexp.MustCompile(`(?m)^<{7} `)

// syntaxErrors are what CUE's parser says, where in a line (\x00 is the place), and what
// that means. The first that fits counts; $1 is what its first brackets hold.
var syntaxErrors = []struct {
	said       string
	line       *regexp.Regexp
	what, hint string
}{
	{"string literal not terminated", anywhere, "this text has no closing quote", `a text ends on its own line, with the quote it began with; """ begins one of several lines`},
	{"illegal integer number", regexp.MustCompile(`\x000\d?:`), "a time needs quotes", `"04:30"`},
	{"illegal integer number", regexp.MustCompile(`\x000`), "this is no number", `a mode is a text: "0700"`},
	{"illegal character", regexp.MustCompile("\x00[“”„‘’«»`]"), "this is no quotation mark", `text stands in straight ones: "…"`},
	{"character NUL", anywhere, "here is a character that nobody sees", "the file is no text, or was damaged: bring it back"},
	{"illegal", regexp.MustCompile(`\x00\p{Z}`), "this blank is another character than it looks like", "it came with what was pasted: write a blank instead"},
	{"illegal", regexp.MustCompile(`\x00\p{Cf}`), "here is a character that nobody sees", "it came with what was pasted: delete it, or write the line anew"},
	{"attribute", anywhere, "this is no value", `text stands in quotes: "…"`},
	{"expected 'STRING'", regexp.MustCompile(`^\s*import\b`), "this is no import", `the package stands in quotes: import "strings"`},
	{"expected label", regexp.MustCompile(`^\s*import\b`), "this import stands too late", "imports stand behind the package clause, before all else"},
	{"multiline", anywhere, "a text of several lines begins on the next line", `""", a new line, the text, a new line, """; or "…" for one line`},
	{"operand", regexp.MustCompile(`\x00/[/*]`), "this is no comment", "a comment begins with //, on each of its lines"},
	{"operand", regexp.MustCompile(`\x00/`), "a value is missing here", `a path stands in quotes, also as a name: "/etc/motd": …`},
	{"missing ','", regexp.MustCompile(`(\w+-[\w-]*)\x00 *:`), "a name with a hyphen needs quotes", `"$1": …`},
	{"missing ','", regexp.MustCompile(`[A-Za-z_]\w*\.\w+\x00 *:`), "a name with a point needs quotes, or is two names", `a field in a field is written a: b: …`},
	{"missing ','", regexp.MustCompile(`\d\.\d+\x00\.\d`), "an address needs quotes", `"203.0.113.10"`},
	{"missing ','", regexp.MustCompile(`\bif\b[^{}]*\x00`), "an if has its fields in brackets", "if CONDITION {…}"},
	{"escape sequence", anywhere, "this is no escape sequence", `a backslash in a text is written twice: \\`},
	{"missing ','", regexp.MustCompile(`\x00 *\{`), "an & is missing before this bracket", "a definition is filled in with DEFINITION & {…}"},
	{"missing ','", regexp.MustCompile(`\x00#( |$)`), "this is no comment", "a comment begins with //"},
	{"missing ','", regexp.MustCompile(`"\x00\w`), "the quote before this ends the text", `a quote in a text is written \"`},
	{"missing ','", regexp.MustCompile(`^\s*- *[\w"-]+\x00 *:`), "this is no field", "the elements of a list stand in […], with commas between them"},
	{"operand", regexp.MustCompile(`:\x00=`), "this is no field", "a field is written with a colon: name: value"},
	{"missing ','", regexp.MustCompile(`\x00;`), "a semicolon means nothing here", "fields stand each on a line of its own, or with a comma between them"},
	{"missing ',' in struct", regexp.MustCompile(`(^|[:{,])\s*[A-Za-z_]\w* +\x00["\d\[]`), "a colon is missing before this value", "a field is written name: value"},
	{"missing ',' in struct", anywhere, "two fields are not parted", "write a comma between them, or each on a line of its own"},
	{"missing ','", anywhere, "two elements of a list are not parted", "write a comma behind each"},
	{"expected label", regexp.MustCompile(`^\s*#\x00? `), "this is no field", "a comment begins with //"},
	{"expected label", anywhere, "this is no field", ""},
	{"expected operand", anywhere, "a value is missing here", ""},
	{"expected ')'", regexp.MustCompile(`\([^)]*\x00[,:]`), "round brackets hold neither a list nor fields", "a list stands in […], fields in {…}"},
	{"expected '='", regexp.MustCompile(`\blet\b`), "a let has an equals sign, not a colon", "let name = value"},
	{"expected 'EOF'", regexp.MustCompile(`\x00[]})]`), "this bracket closes what was never opened", "take it out, or open one before it"},
	{"unmatched", anywhere, "this bracket closes what was never opened", "take it out, or open one before it"},
}

var anywhere = regexp.MustCompile(``)

var found = regexp.MustCompile(`found '[A-Z]+' `)

// plainWords takes the words of CUE's own parser out of what it says.
func plainWords(said string) string {
	said = found.ReplaceAllString(said, "found ")
	return strings.NewReplacer("newline", "the end of the line", "'EOF'", "the end of the file", "operand", "a value", "label", "a field's name",
		"string literal", "text", "struct literal", "a block of fields", "list literal", "a list").Replace(said)
}

// assignment is where an equals sign stands for a colon, on the line of a place
// or the one before it, 0 if there is none: CUE finds it too late.
func assignment(text []byte, p token.Pos) int {
	end := min(p.Offset(), len(text))
	begin := max(0, bytes.LastIndexByte(text[:end], '\n'))
	begin = bytes.LastIndexByte(text[:begin], '\n') + 1
	if eol := bytes.IndexByte(text[end:], '\n'); eol >= 0 {
		end += eol
	}
	if g := equals.FindSubmatchIndex(text[begin:end]); g != nil {
		return begin + g[2]
	}
	return 0
}

var equals = regexp.MustCompile(`[\w"] *(=)[^=~]`)

// placeAt is the place of a byte of a file.
func placeAt(name string, text []byte, offset int) token.Pos {
	f := token.NewFile(name, -1, len(text))
	f.SetLinesForContent(text)
	return f.Pos(offset, token.NoRelPos)
}

// neverClosed is the bracket that is never closed: the first whose closing one
// stands further out than its own line, as files are indented, else the last open one.
func neverClosed(name string, text []byte) token.Pos {
	file := token.NewFile(name, -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	type bracket struct {
		pos    token.Pos
		indent int
		inText bool // it stands in a text, which goes on behind it
	}
	var open []bracket
	inText := false
	for {
		pos, tok, _ := s.Scan()
		switch tok {
		case token.INTERPOLATION:
			inText = true // the next bracket
		case token.LBRACE, token.LBRACK, token.LPAREN:
			open = append(open, bracket{pos, indentOf(text, pos), inText})
			inText = false
		case token.RBRACE, token.RBRACK, token.RPAREN:
			if len(open) == 0 {
				return token.NoPos
			}
			last := open[len(open)-1]
			if first(text, pos) && indentOf(text, pos) < last.indent {
				return last.pos
			}
			open = open[:len(open)-1]
			inText = last.inText && strings.HasSuffix(s.ResumeInterpolation(), "(") // another one in the same text
		case token.EOF:
			if len(open) == 0 {
				return token.NoPos
			}
			return open[len(open)-1].pos
		}
	}
}

// indentOf is how far in the line of a place begins.
func indentOf(text []byte, p token.Pos) int {
	line := lineBefore(text, p)
	return len(line) - len(strings.TrimLeft(line, "\t "))
}

// first reports whether nothing stands before a place on its line.
func first(text []byte, p token.Pos) bool { return strings.Trim(lineBefore(text, p), "\t ") == "" }

func lineBefore(text []byte, p token.Pos) string {
	before := string(text[:p.Offset()])
	return before[strings.LastIndexByte(before, '\n')+1:]
}
