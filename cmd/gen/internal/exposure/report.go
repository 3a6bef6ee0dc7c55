package exposure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
)

// socketJSON is a socket as programs read it.
type socketJSON struct {
	Host       string         `json:"host"`
	Address    string         `json:"address"` // "" for a container's own; a bridge's interface for podman's DNS
	Port       int            `json:"port"`
	Protocol   string         `json:"protocol"`
	Unit       string         `json:"unit"`
	Container  string         `json:"container"`
	What       string         `json:"what"`
	Asked      string         `json:"asked"`
	Internet   []netip.Prefix `json:"internet"`
	Mesh       []string       `json:"mesh"`
	Self       bool           `json:"self"`
	Containers []string       `json:"containers"`
}

type containerJSON struct {
	Host       string   `json:"host"`
	Name       string   `json:"name"`
	Networks   []string `json:"networks"`
	Self       bool     `json:"self"`
	Containers []string `json:"containers"`
}

// JSON is the ledger for programs, a line for each socket and container.
func (l *Ledger) JSON() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	line := func(i int, v any) {
		b.WriteString(map[bool]string{true: "    ", false: "  , "}[i == 0])
		if err := e.Encode(v); err != nil {
			panic("exposure: the ledger cannot be JSON: " + err.Error())
		}
	}
	b.WriteString("{\n  \"sockets\": [\n")
	for i, s := range l.Sockets {
		address := s.Bridge
		if s.Address.IsValid() {
			address = s.Address.String()
		}
		line(i, socketJSON{s.Host.Name.V, address, s.Port, s.Protocol, s.Unit, s.Container, s.What, asked(s), some(s.Internet), some(s.Mesh), s.Self, some(s.Containers)})
	}
	b.WriteString("  ],\n  \"containers\": [\n")
	for i, c := range l.Containers {
		line(i, containerJSON{c.Host.Name.V, c.Name, c.Networks, true, some(c.Containers)})
	}
	b.WriteString("  ]\n}\n")
	return bytes.Clone(b.Bytes()) // without the room to grow
}

// some is a list that is not null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// asked is the file and the definition that asked for a socket: a line would
// change with every edit above it.
func asked(s *Socket) string {
	for _, p := range s.Pos {
		if strings.HasPrefix(p.Filename(), "hosts/") {
			return p.Filename() + ": " + s.Asked
		}
	}
	return s.Asked
}

// Markdown is the ledger for people: a table a host, those that more can reach first.
func (l *Ledger) Markdown(f *fleet.Fleet) []byte {
	var b strings.Builder
	b.WriteString("# Who reaches what\n\n" +
		"Every socket that is listened on. All else is dropped: by a host's firewall from outside, from the mesh and from\n" +
		"containers, and between containers of different services. A host reaches itself and, on every port, its own\n" +
		"containers; so do the containers of one service each other.\n")
	for _, h := range f.Hosts {
		fmt.Fprintf(&b, "\n## %s\n\n", h.Name.V)
		fmt.Fprintf(&b, "| socket | what | internet | mesh | containers | unit | asked for by |\n|---|---|---|---|---|---|---|\n")
		for _, s := range l.Sockets {
			if s.Host != h {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", s.At(), s.What, prefixes(s.Internet), listed(s.Mesh), l.who(s), s.Unit, asked(s))
		}
	}
	return []byte(b.String())
}

// who are the containers that reach a socket, in a word if it is all of the host's.
func (l *Ledger) who(s *Socket) string {
	var all, rest []string
	for _, c := range l.Containers {
		if c.Host == s.Host {
			all = append(all, c.Name)
		}
	}
	for _, name := range s.Containers {
		if !slices.Contains(all, name) {
			rest = append(rest, name)
		}
	}
	if len(all) > 1 && len(s.Containers)-len(rest) == len(all) {
		return strings.Join(append([]string{"all of the host's"}, rest...), ", ")
	}
	return listed(s.Containers)
}

func prefixes(from []netip.Prefix) string {
	var out []string
	for _, p := range from {
		if p.Bits() == 0 {
			return "all"
		}
		out = append(out, p.String())
	}
	return listed(out)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}
