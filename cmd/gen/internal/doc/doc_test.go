package doc

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"cuelang.org/go/cue/token"
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
		} {
			var got map[string]struct {
				One  string
				Many []string
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
