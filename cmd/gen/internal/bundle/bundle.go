// Package bundle turns a closed tree into the directory that travels to a host:
// the files, the lists that install works from, and the two scripts, which are
// the same bytes for every host.
package bundle

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/tree"
)

//go:embed install
var install []byte

//go:embed push
var push []byte

// A File of a bundle.
type File struct {
	Mode uint32 // 0755 for scripts, 0644 for all others
	Body []byte
}

// A Bundle is files by their path in the host's directory, with slashes.
type Bundle map[string]File

const sums = "SHA256SUMS"

// unsummed are files of a bundle that stay with the operator.
var unsummed = []string{"push", "user-data", "identity.age", "RUNBOOK.md"}

// Host is a host's bundle.
func Host(t *tree.Tree) Bundle {
	us := t.Units()
	b := Bundle{
		"install": {0o755, install},
		"push":    {0o755, push},
		"UNITS":   {0o644, units(us)},
		"READS":   {0o644, reads(us)},
		"LINES":   {0o644, lines(t)},
		"IMAGES":  {0o644, list(t.Images)},
		"SECRETS": {0o644, secrets(t)},
		"LOGIN":   {0o644, list(t.Logins)},
	}
	if t.Runbook != nil {
		b["RUNBOOK.md"] = File{0o644, t.Runbook}
	}
	for _, f := range t.Files {
		b["rootfs"+f.Path] = File{0o644, f.Bytes()}
	}
	for _, s := range t.Secrets {
		b["secrets/"+s.Name+".age"] = File{0o644, s.Bytes}
	}
	b["MANIFEST"] = File{0o644, b.manifest(t)}
	if t.Identity != nil {
		b["identity.age"] = File{0o644, t.Identity}
	}
	b.seal(t.Host)
	if t.UserData != nil {
		b["user-data"] = File{0o644, t.UserData(sum(b[sums].Body))}
	}
	return b
}

// Fleet is the directory of what belongs to no single host.
func Fleet(t *tree.Tree) Bundle {
	b := Bundle{}
	for _, f := range t.Files {
		b[strings.TrimPrefix(f.Path, "/")] = File{0o644, f.Bytes()}
	}
	return b.seal(t.Host)
}

func (b Bundle) seal(name string) Bundle {
	b["HOST"] = File{0o644, []byte(name + "\n")}
	var s strings.Builder
	for _, path := range slices.Sorted(maps.Keys(b)) {
		if !slices.Contains(unsummed, path) {
			s.WriteString(sum(b[path].Body) + "  " + path + "\n")
		}
	}
	b[sums] = File{0o644, []byte(s.String())}
	return b
}

func sum(body []byte) string {
	s := sha256.Sum256(body)
	return hex.EncodeToString(s[:])
}

// manifest rows: mode, owner:group, SHA-256, path.
func (b Bundle) manifest(t *tree.Tree) []byte {
	var rows []string
	for _, f := range t.Files {
		rows = append(rows, row(f.Mode, f.Owner, f.Sum(), f.Path))
	}
	return list(rows)
}

// units rows: rank, unit, want, restart stamp, reload stamp.
func units(us []*tree.Unit) []byte {
	var rows []string
	for _, u := range us {
		rows = append(rows, row(fmt.Sprint(u.Rank), u.Name, u.Want, u.Restart, u.Reload))
	}
	return list(rows)
}

// reads rows: path or podman:<secret>, unit, and what putting it back means: restart or reload.
func reads(us []*tree.Unit) []byte {
	var rows []string
	for _, u := range us {
		for _, r := range u.Reads {
			rows = append(rows, row(r.Target, u.Name, r.On))
		}
	}
	slices.Sort(rows)
	return list(slices.Compact(rows))
}

// lines rows: service, component, line, accepted lines, units; the last two with blanks between.
func lines(t *tree.Tree) []byte {
	var rows []string
	for _, l := range t.Lines {
		rows = append(rows, row(l.Service, l.Component, l.Line, strings.Join(l.Accepts, " "), strings.Join(l.Units, " ")))
	}
	return list(rows)
}

// secrets rows: name, target, owner, mode, payload hash; one a target.
func secrets(t *tree.Tree) []byte {
	var rows []string
	for _, s := range t.Secrets {
		for _, target := range s.Targets {
			rows = append(rows, row(s.Name, target.At, target.Owner, target.Mode, s.Payload))
		}
	}
	return list(rows)
}

func row(fields ...string) string { return strings.Join(fields, "\t") }

func list(rows []string) []byte {
	if len(rows) == 0 {
		return nil
	}
	return []byte(strings.Join(rows, "\n") + "\n")
}
