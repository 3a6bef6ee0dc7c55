package doc

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"cuelang.org/go/cue/token"
	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// FuzzDocument: whatever string goes into a document, as a name or a value, its
// reader gets the same string and nothing else.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{"", "yes", "a: b", "- a", "two\nlines\n", " x\n y", "\t", "#", "1e3", "\u2028", "\x01", "---", "~", "a\n\n\nb", "\ufeff", "\U0001f600", "\"", "é\r\n"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			t.Skip("CUE has no such strings")
		}
		n := Obj(name, Obj("one", Str(value, token.NoPos), "many", Strs(value, name)))
		for format, read := range map[string]func(any) error{
			"yaml": func(to any) error { return yaml.Unmarshal(n.YAML("comment"), to) },
			"json": func(to any) error { return json.Unmarshal(n.JSON(), to) },
			"toml": func(to any) error { return toml.Unmarshal(n.TOML("comment"), to) },
		} {
			var got map[string]struct {
				One  string   `toml:"one"`
				Many []string `toml:"many"`
			}
			if err := read(&got); err != nil {
				t.Fatalf("%s of %q: %q: %v", format, name, value, err)
			}
			g, ok := got[name]
			if len(got) != 1 || !ok || g.One != value || len(g.Many) != 2 || g.Many[0] != value || g.Many[1] != name {
				t.Errorf("%s of %q: %q is read back as %q", format, name, value, got)
			}
		}
	})
}

// FuzzINI: what WrongINI lets pass is read back by a reader that knows only
// sections, lines with the first equals sign, and blanks around both.
func FuzzINI(f *testing.F) {
	for _, s := range []string{"", "plain", "two words", " lead", "a=b", "a = b", "#", ";x", "[x]", "'", "\"", "\\", "\n", "x\ty", "100%", "$(x)"} {
		f.Add("section", "name", s)
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, section, name, value string) {
		n := Obj(section, Obj(name, Str(value, token.NoPos), name+"2", Strs(value, value), name+"3", &Node{}))
		if wrong := n.WrongINI(); wrong != nil {
			t.Skip(wrong)
		}
		want := "[" + section + "]|" + name + "=" + value + "|" + name + "2=" + value + "|" + name + "2=" + value + "|" + name + "3|"
		if got := readINI(n.INI("comment")); got != want {
			t.Errorf("%q is read back as %q", want, got)
		}
	})
}

func readINI(b []byte) (out string) {
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok {
			line = strings.TrimSpace(name) + "=" + strings.TrimSpace(value)
		}
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			out += line + "|"
		}
	}
	return out
}

// TestWrong: what a format cannot hold is found, at its place.
func TestWrong(t *testing.T) {
	number := func(s string) *Node { return &Node{Kind: Number, Scalar: s} }
	for want, n := range map[string]*Node{
		"TOML has no null":                           Obj("a", Obj("b", &Node{})),
		"a TOML document is a block of fields":       Strs("a"),
		"99999999999999999999 is too large for TOML": Obj("a", number("99999999999999999999")),
		"": Obj("a", number("9223372036854775807"), "b", number("1e300"), "c", Obj()),
	} {
		if got := said(n.WrongTOML()); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	for want, n := range map[string]*Node{
		"an INI file is a block of settings, or of sections of them":                   Str("a", token.NoPos),
		"a section of an INI file holds no other":                                      Obj("a", Obj("b", Obj())),
		"a value of an INI file has one line":                                          Obj("a", Str("x\ny", token.NoPos)),
		`an INI file cannot keep the blanks around " x"`:                               Obj("a", Obj("b", Strs("ok", " x"))),
		"a value of an INI file has one line; a section of an INI file holds no other": Obj("s", Obj("a", Str("x\ny", token.NoPos), "b", Obj())),
		`"a=b" is no name in an INI file`:                                              Obj("s", Obj("a=b", Str("", token.NoPos))),
		"":                                                                             Obj("a", number("1"), "b", Strs("x", "y"), "c", Obj("d e", &Node{})),
	} {
		if got := said(n.WrongINI()); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

func said(wrong []Wrong) string {
	var out []string
	for _, w := range wrong {
		out = append(out, w.What)
	}
	return strings.Join(out, "; ")
}
