package check

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/watch"
)

// signedOn checks that providers of logins know their clients and are reached by
// them, and that no login is lost with what it helps to repair.
func (c *checker) signedOn() {
	known := map[string]fleet.Client{}  // by provider and name
	looped := map[*fleet.Service]bool{} // told of already
	for _, l := range c.fleet.Logins() {
		s := &loginChecker{checker: c, Client: l, provider: c.fleet.Provider(l.Login)}
		s.secret()
		s.back()
		if !s.provided() {
			continue
		}
		name := l.Login.Through.V + " " + l.Login.Client.V
		if first, taken := known[name]; taken {
			s.find(finding.Login, l.Login.Client, "%s and %s on %s are one client to %s: %s", s.Service.Name, first.Service.Name, first.Host.Name.V, l.Login.Through.V, l.Login.Client.V).
				And(first.Login.Client.Pos, first.Service.Pos).Hintf("give one of them another name: sso: client: \"…\"")
		}
		known[name] = l
		s.reached()
		s.lost()
		s.looped(looped)
	}
}

// A loginChecker looks at the login of one service.
type loginChecker struct {
	*checker
	fleet.Client
	provider *fleet.Provider // nil if it is none of the fleet's
}

// find begins with the service's host, as all that concerns one.
func (s *loginChecker) find(code finding.Code, v fleet.Val[string], format string, args ...any) *finding.Finding {
	return s.checker.find(code, at(v.Pos, s.Service.Pos), s.Host.Name.V+": "+format, args...)
}

func (s *loginChecker) secret() {
	if _, ok := s.Service.V.Secrets.Get(s.Login.Secret.V); !ok {
		h := &hostChecker{checker: s.checker, host: s.Host}
		h.unknown(finding.SecretReference, at(s.Login.Secret.Pos, s.Service.Pos), s.Service.Name, "login", "secret", s.Login.Secret.V, s.Service.V.Secrets.Names())
	}
}

// provided finds a login through nobody, or through another environment's provider.
func (s *loginChecker) provided() bool {
	through := s.Login.Through
	switch {
	case s.provider == nil:
		if _, ours := s.fleet.Zone(through.V); ours {
			s.find(finding.Login, through, "people log in to %s through %s, and no service there knows clients", s.Service.Name, through.V).
				Hintf("run services: authentik: catalog.#Authentik & {domain: %q}, or name the provider that knows it", through.V)
		}
		return false
	case s.provider.Host.Environment.V != s.Host.Environment.V:
		s.find(finding.Login, through, "people log in to %s, which is in %s, through %s, which is in %s: they would share a secret", s.Service.Name, s.Host.Environment.V, through.V, s.provider.Host.Environment.V).
			And(s.provider.Service.Pos).Hintf("run a provider in %s too", s.Host.Environment.V)
		return false
	}
	return true
}

// back finds an address that people would come back to, and that is another's.
func (s *loginChecker) back() {
	u, err := url.Parse(s.Login.Redirect.V)
	if err != nil || u.Hostname() == "" {
		s.find(finding.Login, s.Login.Redirect, "people come back to %s from %s, which is no address", s.Service.Name, s.Login.Through.V).
			Hintf("such as https://notes.example.org/auth/oauth2/callback")
		return
	}
	if name := u.Hostname(); s.ours(name) && !s.answers(name) {
		s.find(finding.Login, s.Login.Redirect, "people come back to %s by %s, which does not lead there", s.Service.Name, name).
			Hintf("give it a route with that name, or name one that it has")
	}
}

// ours reports whether a name or an address is the fleet's.
func (s *loginChecker) ours(name string) bool {
	if a, err := netip.ParseAddr(name); err == nil {
		return slices.ContainsFunc(s.ledger.Sockets, func(o *exposure.Socket) bool { return o.Address == a })
	}
	_, ok := s.fleet.Zone(name)
	return ok
}

// answers reports whether the service has a route of that name, or a port at that address.
func (s *loginChecker) answers(name string) bool {
	for _, c := range s.Service.V.Containers {
		if slices.ContainsFunc(c.V.Routes, func(r fleet.Entry[*fleet.Route]) bool { return r.V.Host.V == name }) {
			return true
		}
	}
	return slices.ContainsFunc(s.ledger.On(s.Host), func(o *exposure.Socket) bool {
		return o.Service == s.Service.Name && o.Address.IsValid() && o.Address.String() == name
	})
}

// reached finds a service that cannot ask its provider whether somebody logged
// in there. Whatever faces the internet, all containers reach.
func (s *loginChecker) reached() {
	p := s.provider
	proxy, container, _, _ := p.Host.ProxyContainer()
	var closed *exposure.Socket
	for _, e := range render.EntryPoints(p.Route) {
		port, ok := render.ProxyPorts(p.Host).Get(e.V)
		if !ok || !port.TLS.V || port.Host.V != 443 {
			continue
		}
		if port.Audience.V == "internet" {
			return
		}
		for _, o := range s.ledger.On(p.Host) {
			if o.InMesh && o.Container == fleet.ContainerName(proxy, container) && o.Port == port.Host.V {
				if closed = o; slices.Contains(s.ledger.Calls(s.Host, s.Service.V), o) {
					return
				}
			}
		}
	}
	if closed == nil {
		s.find(finding.Login, s.Login.Through, "%s cannot ask %s who logged in: that name is not served by TLS on port 443", s.Service.Name, s.Login.Through.V).
			And(p.Route.Host.Pos).Hintf("give its route the internet as audience, or the proxy certificates for the mesh: acme: dns: …")
		return
	}
	s.find(finding.Login, s.Login.Through, "%s cannot ask %s who logged in: it may not call %s", s.Service.Name, s.Login.Through.V, closed.At()).
		And(p.Route.Host.Pos).Hintf("add %q to calls: of %s", proxy, s.Service.Name)
}

// lost finds a service that shows what is wrong with its provider's host, and
// has no way in while that is down.
func (s *loginChecker) lost() {
	if s.Login.Otherwise.Set || !s.shows(s.provider.Host) {
		return
	}
	s.find(finding.LoginLost, s.Login.Through, "%s shows what is wrong with %s, and people log in to it only through %s, which is there", s.Service.Name, s.provider.Host.Name.V, s.Login.Through.V).
		Hintf("leave another way in, sso: local: true, and say it: login: otherwise: \"…\"")
}

// shows reports whether a service tells what is wrong with a host: it is a
// Prometheus that looks at it, or asks one that does.
func (s *loginChecker) shows(broken *fleet.Host) bool {
	return slices.ContainsFunc(watch.Prometheis(s.fleet), func(p watch.Place) bool {
		own := p.Host == s.Host && p.Service.Name == s.Service.Name
		return p.Sees(broken) && (own || slices.ContainsFunc(s.ledger.Calls(s.Host, s.Service.V), func(o *exposure.Socket) bool {
			return o.Host == p.Host && o.Service == p.Service.Name
		}))
	})
}

// looped finds providers to which people log in through each other alone.
func (s *loginChecker) looped(told map[*fleet.Service]bool) {
	var names []string
	var way []*fleet.Service
	for l := s.Login; l != nil && !l.Otherwise.Set && !told[s.Service.V]; {
		p := s.fleet.Provider(l)
		if p == nil || slices.Contains(way, p.Service.V) {
			return
		}
		names, way = append(names, l.Through.V), append(way, p.Service.V)
		if p.Is(s.Host, s.Service.Name) {
			for _, service := range way {
				told[service] = true
			}
			s.find(finding.LoginLost, s.Login.Through, "people log in to %s only through itself: %s", s.Service.Name, strings.Join(names, ", and there through ")).
				Hintf("leave another way in to one of them, and say it: login: otherwise: \"…\"")
		}
		l = p.Service.V.Login
	}
}
