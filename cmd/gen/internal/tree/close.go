package tree

import (
	"path"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/unit"
)

// Close is the last look over a finished tree: one writer a path, every unit,
// file and secret that a unit names is there, and no unit waits for itself. What
// follows from the files, the tree knows from then on: units, contents and sums.
func (t *Tree) Close() (fs []*finding.Finding) {
	c := &closing{Tree: t, units: t.findUnits(), written: t.written()}
	c.writers()
	c.dependencies()
	c.sources()
	c.cycles()
	t.units = c.units
	for _, f := range t.Files {
		if f.Unit != nil {
			f.Body = f.Unit.Bytes()
		}
		f.sum = hash(f.Body)
	}
	return c.findings
}

type closing struct {
	*Tree
	units    map[string]*Unit
	written  map[string]bool
	findings []*finding.Finding
}

func (c *closing) find(code finding.Code, pos token.Pos, format string, args ...any) *finding.Finding {
	f := finding.New(code, pos, c.Host+": "+format, args...)
	c.findings = append(c.findings, f)
	return f
}

// writers finds paths written twice, paths below a file, and units of one name.
func (c *closing) writers() {
	for _, f := range c.Files {
		if first := c.byPath[f.Path]; first != f {
			c.find(finding.TwoWriters, f.Pos, "%s is written twice", f.Path).And(first.Pos).
				Hintf("give one of them another path")
		}
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if above := c.byPath[dir]; above != nil {
				c.find(finding.TwoWriters, f.Pos, "%s lies below the file %s", f.Path, dir).And(above.Pos).
					Hintf("give one of them another path")
			}
		}
	}
	byName := map[string]*File{}
	for _, f := range c.Files {
		if f.Unit == nil || strings.Contains(unitName(f.Path), "/") {
			continue
		}
		name := ServiceName(f)
		if first := byName[name]; first != nil && first.Path != f.Path {
			c.find(finding.TwoWriters, f.Pos, "%s and %s both become %s", path.Base(first.Path), path.Base(f.Path), name).And(first.Pos).
				Hintf("give one of them another name")
		}
		byName[name] = f
	}
	for _, s := range c.Secrets {
		for _, target := range s.Targets {
			if f := c.byPath[target.At]; f != nil {
				c.find(finding.TwoWriters, target.Pos, "%s is both a file and a secret", target.At).And(f.Pos).
					Hintf("give one of them another path")
			}
		}
	}
}

// relations are the keys of [Unit] and [Install] that name other units.
var relations = []string{"Requires", "Requisite", "Wants", "BindsTo", "PartOf", "Upholds", "Conflicts", "Before", "After",
	"OnFailure", "OnSuccess", "PropagatesReloadTo", "ReloadPropagatedFrom", "PropagatesStopTo", "StopPropagatedFrom", "JoinsNamespaceOf"}

func (c *closing) dependencies() {
	for _, u := range c.units {
		for _, key := range relations {
			for _, l := range u.lines("Unit", key) {
				for _, name := range strings.Fields(l.Value) {
					c.unitNamed(u, l, name)
				}
			}
		}
		for _, key := range []string{"Unit", "Service"} {
			for _, section := range []string{"Timer", "Path", "Socket"} {
				for _, l := range u.lines(section, key) {
					c.unitNamed(u, l, l.Value)
				}
			}
		}
		for _, l := range u.quadletsNamed() {
			if c.byPath[quadletDir+l.Value] == nil {
				c.find(finding.NoSuchUnit, l.Pos, "%s names %s, which is not there", u.Name, l.Value).
					Hintf("podman would drop %s without an error; %s", u.Name, nearestFile(l.Value, c.Files))
			}
		}
	}
	for _, f := range c.Files {
		for _, name := range f.Units {
			if !c.exists(name) {
				c.find(finding.NoSuchUnit, f.Pos, "%s is read by %s, which is not there", f.Path, name).
					Hintf("name a unit of the host, such as hedgedoc-app.service, or one that its system has")
			}
		}
	}
	for _, s := range c.Secrets {
		for _, target := range s.Targets {
			for _, name := range target.Units {
				if !c.exists(name) {
					c.find(finding.NoSuchUnit, target.Pos, "%s is read by %s, which is not there", target.At, name).
						Hintf("name a unit of the host, such as hedgedoc-app.service, or one that its system has")
				}
			}
		}
	}
}

func nearestFile(name string, files []*File) string {
	var have []string
	for _, f := range files {
		if f.Unit != nil && path.Ext(f.Path) == path.Ext(name) {
			have = append(have, path.Base(f.Path))
		}
	}
	if len(have) == 0 {
		return "there is none of its kind"
	}
	slices.Sort(have)
	return "there are " + strings.Join(slices.Compact(have), ", ")
}

func (c *closing) unitNamed(u *Unit, l unit.Line, name string) {
	if !c.exists(name) {
		c.find(finding.NoSuchUnit, l.Pos, "%s has %s=%s, which is not there", u.Name, l.Key, name).
			Hintf("a quadlet's unit is named after its service and container: hedgedoc-db.service")
	}
}

// IsSystemUnit reports whether a unit is one that the system has by itself.
func IsSystemUnit(name string) bool {
	return slices.Contains(systemUnits, name) || strings.HasPrefix(name, "systemd-")
}

// exists reports whether a unit is in the tree or is one that a fresh system
// has. Names with a specifier are systemd's to resolve.
func (c *closing) exists(name string) bool {
	if u := c.units[name]; u != nil && u.file != nil {
		return true
	}
	switch path.Ext(name) {
	case ".target", ".slice", ".mount", ".automount", ".device", ".swap", ".scope":
		return true
	}
	if strings.Contains(name, "%") {
		return true
	}
	if stem, _, ok := strings.Cut(name, "@"); ok {
		template := stem + "@" + path.Ext(name)
		return c.byPath[systemdDir+template] != nil || slices.Contains(systemUnits, template) || c.byPath[quadletDir+stem+"@.container"] != nil
	}
	return IsSystemUnit(name)
}

// systemUnits are units that Debian 13 has, with the packages a host of ours
// gets, that others are ordered with.
var systemUnits = []string{
	"apparmor.service", "auditd.service", "containerd.service", "cron.service", "dbus.service", "dbus.socket",
	"cloud-config.service", "cloud-final.service", "cloud-init.service", "cloud-init-local.service", "cloud-init-main.service", "cloud-init-network.service",
	"getty@.service", "serial-getty@.service", "user@.service",
	"ifupdown-pre.service", "netfilter-persistent.service", "networking.service", "NetworkManager.service", "nftables.service",
	"netavark-dhcp-proxy.service", "netavark-dhcp-proxy.socket", "netavark-firewalld-reload.service",
	"podman.service", "podman.socket", "podman-auto-update.service", "podman-auto-update.timer", "podman-clean-transient.service", "podman-restart.service",
	"ssh.service", "ssh.socket", "ssh@.service", "sshd-keygen.service", "rsyslog.service", "chrony.service", "unattended-upgrades.service",
	"apt-daily.service", "apt-daily.timer", "apt-daily-upgrade.service", "apt-daily-upgrade.timer", "fstrim.service", "fstrim.timer", "e2scrub_all.timer", "logrotate.service", "logrotate.timer",
	"wg-quick@.service", "lvm2-monitor.service", "rc-local.service",
}

// sources finds mounts of files and directories that gen would have to write,
// and does not, and secrets that nobody delivers.
func (c *closing) sources() {
	podman := map[string]bool{}
	for _, s := range c.Secrets {
		for _, target := range s.Targets {
			if name, ok := strings.CutPrefix(target.At, "podman:"); ok {
				podman[name] = true
			}
		}
	}
	for _, u := range c.units {
		for _, l := range u.lines("Container", "Volume") {
			source, _, _ := strings.Cut(l.Value, ":")
			if strings.HasPrefix(source, "/usr/local/etc/") && !c.written[source] {
				c.find(finding.NoSuchFile, l.Pos, "%s mounts %s, which nothing writes", u.Name, source).
					Hintf("declare it under files of the service, or mount what is there")
			}
			if strings.HasPrefix(source, "/srv/") && !c.written[source] {
				c.find(finding.NoSuchFile, l.Pos, "%s mounts %s, which no volume makes", u.Name, source).
					Hintf("declare it under volumes of the service")
			}
		}
		for _, l := range u.lines("Container", "Secret") {
			name, _, _ := strings.Cut(l.Value, ",")
			if !podman[name] {
				c.find(finding.NoSuchSecret, l.Pos, "%s reads the secret %s, which nothing delivers", u.Name, name).
					Hintf("declare it under secrets of the service, and name it in the container's secrets")
			}
		}
	}
}

// written are the paths that there will be: files of the tree, the directories
// above them, and what tmpfiles makes.
func (t *Tree) written() map[string]bool {
	w := map[string]bool{}
	for _, f := range t.Files {
		for p := f.Path; !w[p] && len(p) > 1; p = path.Dir(p) {
			w[p] = true
		}
	}
	for _, f := range t.Files {
		if !strings.HasPrefix(f.Path, "/etc/tmpfiles.d/") {
			continue
		}
		for line := range strings.Lines(string(f.Body)) {
			if words := strings.Fields(line); len(words) > 1 {
				w[words[1]] = true
			}
		}
	}
	return w
}

// cycles finds units that wait for themselves: systemd would drop one of the
// orderings, and which one is nobody's choice.
func (c *closing) cycles() {
	state := map[string]int{} // 1 on the way, 2 done
	var trail []string
	var visit func(name string)
	visit = func(name string) {
		state[name] = 1
		trail = append(trail, name)
		after := c.units[name].after
		for _, next := range sortedKeys(after) {
			switch state[next] {
			case 0:
				visit(next)
			case 1:
				loop := append(slices.Clone(trail[slices.Index(trail, next):]), next)
				c.find(finding.UnitCycle, after[next], "units wait for each other: %s", strings.Join(loop, " after ")).
					Hintf("take one of the waits out")
			}
		}
		trail = trail[:len(trail)-1]
		state[name] = 2
	}
	for _, name := range sortedKeys(c.units) {
		if state[name] == 0 {
			visit(name)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
