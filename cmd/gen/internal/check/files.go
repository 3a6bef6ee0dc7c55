package check

import (
	"strings"

	"cuelang.org/go/cue/token"

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
	switch len(have) {
	case 0:
		c.find(finding.Contents, where, "the file %s has no contents", f.Name).Hintf("give it text:, json: or yaml:")
	case 1:
	default:
		c.find(finding.Contents, where, "the file %s has %d contents: %s", f.Name, len(have), strings.Join(have, " and ")).Hintf("keep one of them")
	}
}

// secrets checks that the secrets of a service or host can be delivered.
func (c *hostChecker) secrets(owner string, secrets fleet.Map[*fleet.Secret], near token.Pos) {
	for _, s := range secrets {
		if !secretName.MatchString(s.Name) {
			c.find(finding.SecretName, at(s.Pos, near), "%q is no name for a secret", s.Name).Hintf("letters, digits, hyphens and underscores")
			continue
		}
		name := c.host.SecretName(owner, s.Name)
		if _, ok := c.fleet.Ciphertexts[name]; !ok {
			c.find(finding.NoCiphertext, at(s.Pos, near), "%s's secret %s is not in the repository", owner, s.Name).
				Hintf("it is: %s\nencrypt it to yourself and the host: printf %%s VALUE | age -r age1… -R hosts/keys/%s.pub -o hosts/secrets/%s.age", s.V.About.V, c.host.Name.V, name)
		}
		for _, f := range s.V.Files {
			c.hostPath(f.Name, "the secret's file", owner, at(f.Pos, s.Pos, near))
		}
	}
}
