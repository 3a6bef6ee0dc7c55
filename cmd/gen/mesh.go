package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/secret"
)

// mesh prints the configuration of a peer that is no host, such as a laptop. It
// stores nothing: the key, if it is given, goes from its file to standard output.
func mesh(c *command) int {
	if len(c.args) == 0 {
		return c.misused("say for which peer: gen mesh NAME")
	}
	f, fs, code := c.readFleet()
	if code != ok {
		return code
	}
	if len(fs) > 0 {
		return c.report(fs)
	}
	name := c.args[0]
	var names []string
	if f.Mesh != nil {
		names = f.Mesh.Peers.Names()
	}
	if len(names) == 0 {
		return c.misused("the mesh has no peers but hosts; say fleet: mesh: peers: %s: {address: …, publicKey: …}", name)
	}
	peer, known := f.Mesh.Peers.Get(name)
	if !known {
		return c.misused("there is no peer %q; %s", name, finding.DidYouMean(name, names, "there are "+strings.Join(names, ", ")))
	}
	key, err := c.privateKey()
	if err != nil {
		return c.misused("%v", err)
	}
	if key != "" && secret.WireGuardPublic([]byte(key)) != peer.PublicKey.V {
		return c.misused("the key is not the private half of %s's publicKey:", name)
	}
	if _, err := io.WriteString(c.stdout, render.Peer(f, name, key)); err != nil {
		return c.failed(err)
	}
	return ok
}

// privateKey is what the option names: a file, or - for standard input.
func (c *command) privateKey() (string, error) {
	switch c.key {
	case "":
		return "", nil
	case "-":
		text, err := io.ReadAll(io.LimitReader(c.stdin, 1<<10))
		return strings.TrimSpace(string(text)), err
	}
	text, err := os.ReadFile(c.key)
	if err != nil {
		return "", fmt.Errorf("the key cannot be read: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
