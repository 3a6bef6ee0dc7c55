package check

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/render"
)

// logins checks the keys with which operators log in.
func (c *checker) logins() {
	type login struct {
		operator string
		pos      token.Pos
	}
	seen := map[string]login{}
	for _, o := range c.fleet.Operators {
		for _, key := range o.V.SSH {
			where := at(key.Pos, o.Pos)
			if err := sshKey(key.V); err != nil {
				c.find(finding.Operator, where, "an ssh key of %s's is none: %v", o.Name, err).
					Hintf("it is the line in ~/.ssh/id_ed25519.pub")
			}
			bare := fleet.BareKey(key.V)
			if first, ok := seen[bare]; ok {
				c.find(finding.Operator, where, "%s and %s have the same ssh key", first.operator, o.Name).And(first.pos).
					Hintf("each person has keys of their own: ssh-keygen -t ed25519")
			}
			seen[bare] = login{o.Name, key.Pos}
		}
	}
}

// sshKey checks that a line as in a .pub file is a key of the type that it says.
func sshKey(line string) error {
	words := strings.SplitN(line, " ", 3)
	if len(words) < 2 {
		return errors.New("it is no type and key")
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(words[1])
	switch {
	case err != nil || len(wire) < 4:
		return errors.New("it is damaged")
	case binary.BigEndian.Uint32(wire) != uint32(len(words[0])) || !strings.HasPrefix(string(wire[4:]), words[0]):
		return errors.New("it is not of the type that it says")
	}
	for rest := wire; len(rest) > 0; { // fields, each after its length
		if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return errors.New("a part of it is missing")
		}
		rest = rest[4+binary.BigEndian.Uint32(rest):]
	}
	return nil
}

// userData finds a host whose user-data not every provider would take.
func (c *hostChecker) userData() {
	h := c.host
	if n := len(render.UserData(c.fleet, h, strings.Repeat("0", 64))); n > render.UserDataLimit {
		c.find(finding.UserData, at(h.Bundle.Pos, h.Pos), "its user-data has %d bytes, and some providers take no more than %d", n, render.UserDataLimit).
			Hintf("an ed25519 key is shorter than one of RSA: ssh-keygen -t ed25519")
	}
}
