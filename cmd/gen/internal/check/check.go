// Package check finds everything that is wrong with a fleet before anything is
// written. It is total: what it lets pass, the backends can spell.
package check

import (
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
)

// Fleet are the findings about a fleet, neither sorted nor printed.
func Fleet(f *fleet.Fleet) []*finding.Finding {
	c := &checker{fleet: f, ledger: exposure.Of(f)}
	c.publicNames()
	c.logins()
	if f.Domain.Set { // else what all hosts share is unread
		c.addresses()
		c.mesh()
		c.zones()
		c.aliases()
		c.meshKeys()
		c.secrets()
	}
	if !f.Partial { // else what is missing may only be unread
		c.watched()
		c.signedOn()
		c.repositories()
	}
	c.retention()
	for _, h := range f.Hosts {
		host := &hostChecker{checker: c, host: h}
		host.identity()
		host.networks()
		host.sockets()
		host.proxy()
		if !f.Partial {
			host.reach()
		}
		host.ownFiles()
		host.ownUnits()
		host.sysctl()
		host.ownSecrets()
		host.userData()
		host.backups()
		for _, s := range h.Services {
			host.service(s)
			host.names(s)
		}
	}
	return c.findings
}

type checker struct {
	fleet    *fleet.Fleet
	ledger   *exposure.Ledger
	findings []*finding.Finding
}

// find adds a finding at the first of the places that is in the user's own
// files: what the catalogue says came about through a line of the user's.
func (c *checker) find(code finding.Code, at []token.Pos, format string, args ...any) *finding.Finding {
	best := 0
	for i, p := range at {
		if mine(p) {
			best = i
			break
		}
	}
	f := finding.New(code, at[best], format, args...)
	for _, p := range at[:best] {
		if !load.InSchema(p) {
			f.And(p)
		}
	}
	c.findings = append(c.findings, f)
	return f
}

// mine reports whether a place is in the user's repository and not in what the
// binary brings, or in the schema, where a default says nothing about who chose it.
func mine(p token.Pos) bool {
	return p.IsValid() && !strings.HasPrefix(p.Filename(), load.Module+"/") && !load.InSchema(p)
}

func at(p ...token.Pos) []token.Pos { return p }

// A hostChecker looks at one host.
type hostChecker struct {
	*checker
	host *fleet.Host
}

// find begins every message with the host's name.
func (c *hostChecker) find(code finding.Code, at []token.Pos, format string, args ...any) *finding.Finding {
	f := c.checker.find(code, at, format, args...)
	f.Host = c.host.Name.V
	return f
}
