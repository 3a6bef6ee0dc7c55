package fleet

import (
	"cmp"
	"slices"
)

// A Client is a service to which people log in through a provider.
type Client struct {
	Host    *Host
	Service Entry[*Service]
	Login   *Login
}

// A Provider is a service through which people log in to others, and the route
// that leads there.
type Provider struct {
	Host    *Host
	Service Entry[*Service]
	Route   *Route
}

// Logins are the services of the fleet to which people log in through a provider.
func (f *Fleet) Logins() (all []Client) {
	for _, h := range f.Hosts {
		for _, s := range h.Services {
			if s.V.Login != nil {
				all = append(all, Client{h, s, s.V.Login})
			}
		}
	}
	return all
}

// Provider is the service of the fleet that answers to a login's name, nil
// without one.
func (f *Fleet) Provider(l *Login) *Provider {
	for _, h := range f.Hosts {
		for _, s := range h.Services {
			if !s.V.provides() {
				continue
			}
			for _, c := range s.V.Containers {
				for _, r := range c.V.Routes {
					if r.V.Host.V == l.Through.V {
						return &Provider{h, s, r.V}
					}
				}
			}
		}
	}
	return nil
}

// Is reports whether a provider is that service of a host.
func (p *Provider) Is(h *Host, service string) bool { return p.Host == h && p.Service.Name == service }

// provides reports whether a service knows clients.
func (s *Service) provides() bool {
	return slices.ContainsFunc(s.Containers, func(c Entry[*Container]) bool { return c.V.TakesClients() })
}

// TakesClients reports whether a container has a directory of clients.
func (c *Container) TakesClients() bool {
	return slices.ContainsFunc(c.Derived, func(d Entry[Val[string]]) bool { return d.V.V == "clients" })
}

// Clients are the services to which people log in through a service of a host,
// sorted by what it knows them by.
func (f *Fleet) Clients(h *Host, s Entry[*Service]) (all []Client) {
	if !s.V.provides() {
		return nil
	}
	for _, c := range f.Logins() {
		if p := f.Provider(c.Login); p != nil && p.Is(h, s.Name) {
			all = append(all, c)
		}
	}
	slices.SortStableFunc(all, func(a, b Client) int { return cmp.Compare(a.Login.Client.V, b.Login.Client.V) })
	return all
}
