package check

import (
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
)

// ownFiles checks the host's own files.
func (c *hostChecker) ownFiles() {
	for _, f := range c.host.Files {
		c.hostPath(f.Name, "the file", "", at(f.Pos))
		c.file(f, at(f.Pos))
	}
}

// file checks that a file has one kind of contents.
func (c *hostChecker) file(f fleet.Entry[*fleet.File], where []token.Pos) {
	var have []string
	if f.V.Text.Set {
		have = append(have, "text")
	}
	if f.V.JSON != nil {
		have = append(have, "json")
	}
	if f.V.YAML != nil {
		have = append(have, "yaml")
	}
	if d := f.V.TOML; d != nil {
		have = append(have, "toml")
		c.wrong(f.Name, d.WrongTOML(), where)
	}
	if d := f.V.INI; d != nil {
		have = append(have, "ini")
		c.wrong(f.Name, d.WrongINI(), where)
	}
	switch len(have) {
	case 0:
		c.find(finding.Contents, where, "the file %s has no contents", f.Name).Hintf("give it text:, json:, yaml:, toml: or ini:")
	case 1:
	default:
		c.find(finding.Contents, where, "the file %s has %d contents: %s", f.Name, len(have), strings.Join(have, " and ")).Hintf("keep one of them")
	}
}

func (c *hostChecker) wrong(file string, wrong []doc.Wrong, where []token.Pos) {
	for _, w := range wrong {
		c.find(finding.Contents, append(at(w.Pos), where...), "the file %s: %s", file, w.What).
			Hintf("a file that only its program can spell has its contents as text:")
	}
}
