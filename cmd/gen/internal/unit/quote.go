package unit

import (
	"fmt"
	"strings"
	"unicode"
)

// Literal keeps systemd from expanding specifiers and variables in a value:
// what a quadlet says ends up in the ExecStart= of the service made from it.
func Literal(s string) string {
	return literal.Replace(s)
}

var literal = strings.NewReplacer("%", "%%", "$", "$$")

// Text keeps systemd from expanding specifiers in what it only shows; in such
// a value a dollar sign means itself.
func Text(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// Word is s as one word of a command line: quoted if it must be, with control
// characters as C escapes, and literal.
func Word(s string) string {
	if s != "" && !strings.ContainsFunc(s, special) {
		return Literal(s)
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return Literal(b.String())
}

// special are the characters that a word must be quoted for. Blanks of any
// script would be trimmed at the end of a line; a semicolon and a hash alone
// would end a command or begin a comment.
func special(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`"'\;#`, r)
}

// Words are several words of a command line.
func Words(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Word(w)
	}
	return strings.Join(quoted, " ")
}
