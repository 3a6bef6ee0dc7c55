package check

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/podman"
)

// ownUnits checks the host's own units.
func (c *hostChecker) ownUnits() {
	for _, u := range c.host.Units {
		c.unit(u, c.host.Pos)
	}
}

// unitFile is the name of a unit, or a drop-in of one or of a kind of unit.
var unitFile = regexp.MustCompile(`^[A-Za-z0-9:_.@-]+\.([a-z]+)$`)
var dropin = regexp.MustCompile(`^([A-Za-z0-9:_.@-]+\.)?([a-z]+)\.d/[A-Za-z0-9:_.@-]+\.conf$`)

// kinds of units that gen writes.
var kinds = []string{"service", "socket", "timer", "path", "mount", "automount", "slice", "target", "container", "network", "volume", "pod", "image", "build", "kube"}

func (c *hostChecker) unit(u fleet.Entry[*fleet.Unit], near token.Pos) {
	where := at(u.Pos, near)
	kind := ""
	if g := dropin.FindStringSubmatch(u.Name); g != nil {
		kind = g[2]
	} else if g := unitFile.FindStringSubmatch(u.Name); g != nil {
		kind = g[1]
	}
	if !slices.Contains(kinds, kind) {
		c.find(finding.UnitName, where, "%q is no name for a unit", u.Name).
			Hintf("it ends in %s, or is a drop-in such as ssh.service.d/10-own.conf", strings.Join(kinds, ", "))
		return
	}
	c.sections(u.V.Sections, kind, path.Base(u.Name), near)
	if len(u.V.Sections) == 0 {
		c.find(finding.UnitKey, where, "%s has no sections", u.Name).
			Hintf("sections: Unit: Description: \"…\"")
	}
}

// sectionsOf are the sections that each kind of unit may have besides Unit and Install.
var sectionsOf = map[string][]string{
	"container": {"Container", "Service", "Quadlet"}, "network": {"Network", "Service", "Quadlet"},
	"volume": {"Volume", "Service", "Quadlet"}, "pod": {"Pod", "Service", "Quadlet"},
	"image": {"Image", "Service", "Quadlet"}, "build": {"Build", "Service", "Quadlet"}, "kube": {"Kube", "Service", "Quadlet"},
	"service": {"Service"}, "socket": {"Socket"}, "timer": {"Timer"}, "path": {"Path"},
	"mount": {"Mount"}, "automount": {"Automount"}, "slice": {"Slice"}, "target": nil,
}

var keyName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// sections checks keys in systemd's and podman's own words: that the host's
// programs know them, and that their values stay on their lines and make sense.
func (c *hostChecker) sections(sections fleet.Sections, kind, what string, near token.Pos) {
	allowed := append([]string{"Unit", "Install"}, sectionsOf[kind]...)
	for _, s := range sections {
		if !strings.HasPrefix(s.Name, "X-") && !slices.Contains(allowed, s.Name) {
			f := c.find(finding.UnitKey, at(s.Pos, near), "%s: a %s unit has no section [%s]", what, kind, s.Name)
			f.Hint = finding.DidYouMean(s.Name, allowed, "its sections are "+strings.Join(allowed, ", "))
			continue
		}
		if strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' || r == ']' || r == '[' || r == 0x7f }) {
			c.find(finding.BadText, at(s.Pos, near), "%s: %q is no section", what, s.Name).
				Hintf("letters and digits, as in Unit, Container or Service")
			continue
		}
		for _, k := range s.V {
			c.key(kind, s.Name, k, what, near)
		}
	}
}

func (c *hostChecker) key(kind, section string, k fleet.Entry[[]fleet.Val[string]], what string, near token.Pos) {
	where := at(k.Pos, near)
	key, found, known := podman.Lookup(section, k.Name)
	system, fits := podman.Systems[c.host.OS.V]
	fits = fits && system.Refused == "" // else the system itself is the mistake
	switch {
	case !keyName.MatchString(k.Name):
		c.find(finding.BadText, where, "%s: %q is no key", what, k.Name).
			Hintf("letters and digits, as in ExecStart")
		return
	case known && !found && !strings.HasPrefix(k.Name, "X-"):
		f := c.find(finding.UnitKey, where, "%s: [%s] has no key %s", what, section, k.Name)
		f.Hint = finding.DidYouMean(k.Name, podman.KeyNames(section), "podman drops a unit with an unknown key without an error")
		return
	case fits && system.Podman.Less(key.Since):
		has := system.Podman
		c.find(finding.KeyTooNew, where, "%s: %s= needs podman %s, and %s has %s", what, k.Name, key.Since, c.host.OS.V, has).
			Hintf("podman %s drops the whole unit without an error%s", has, podman.Instead(k.Name))
	}
	for _, v := range k.V {
		if !c.line(v.V, what+": "+k.Name+"=", at(v.Pos, k.Pos, near)) {
			continue
		}
		if want := podman.Refuse(kind, section, k.Name, v.V); want != "" {
			c.find(finding.UnitValue, at(v.Pos, k.Pos, near), "%s: %s=%s is not %s", what, k.Name, v.V, want).
				Hintf("see %s= in %s", k.Name, manual(section))
		}
	}
}

// manual is the page that explains the keys of a section.
func manual(section string) string {
	switch section {
	case "Unit", "Install":
		return "systemd.unit(5)"
	case "Container", "Pod", "Network", "Volume", "Image", "Kube", "Build", "Quadlet":
		return "podman-systemd.unit(5)"
	}
	return "systemd." + strings.ToLower(section) + "(5)"
}
