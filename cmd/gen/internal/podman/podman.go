// Package podman is what gen knows about the programs that read its units:
// which key exists since which podman, which podman an operating system ships,
// and which values make sense. A key that a host's podman does not know makes
// the whole unit vanish there without an error; a value that makes no sense
// passes its generator and fails at the start.
package podman

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Version is a podman release, major and minor.
type Version struct{ Major, Minor int }

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// An OS is a system that gen knows. Refused says why its podman cannot run what gen writes.
type OS struct {
	Podman  Version
	Refused string
}

// Systems are the operating systems by the name a host gives. The versions are
// those of the distributions' own packages.
var Systems = map[string]OS{
	"debian-12": {Version{4, 3}, "its podman 4.3 is older than quadlets (4.4): it would ignore every unit"},
	"debian-13": {Podman: Version{5, 4}},
}

// SystemNames are the systems that can be used, sorted.
func SystemNames() (names []string) {
	for n, s := range Systems {
		if s.Refused == "" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// A Key of a unit's section.
type Key struct {
	Since    Version // of podman; zero for systemd's own keys
	Repeated bool    // may be given several times
}

// Lookup finds a key in a section. known is false for a section that nobody
// reads a meaning into, such as X-Own.
func Lookup(section, key string) (k Key, found, known bool) {
	keys, known := sections()[section]
	if !known {
		return k, false, false
	}
	k, found = keys[key]
	return k, found, true
}

// KeyNames are the keys of a section, sorted.
func KeyNames(section string) (names []string) {
	for k := range sections()[section] {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// sections are the keys of every section by name.
var sections = sync.OnceValue(readSections)

//go:embed systemd-257.txt
var systemdKeys string

//go:embed quadlet-keys.txt
var quadletKeys string

// readSections reads both tables. Their lines are words: [Section], a podman
// version that the following keys came with, or keys; + marks repeated ones.
func readSections() map[string]map[string]Key {
	out := map[string]map[string]Key{}
	var section map[string]Key
	var since Version
	for _, line := range strings.Split(systemdKeys+quadletKeys, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range strings.Fields(line) {
			if name, ok := strings.CutPrefix(w, "["); ok {
				section, since = map[string]Key{}, Version{}
				out[strings.TrimSuffix(name, "]")] = section
			} else if major, minor, ok := strings.Cut(w, "."); ok {
				since.Major, _ = strconv.Atoi(major)
				since.Minor, _ = strconv.Atoi(minor)
			} else {
				key, repeated := strings.CutSuffix(w, "+")
				section[key] = Key{since, repeated}
			}
		}
	}
	return out
}
