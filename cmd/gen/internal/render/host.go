package render

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// volumes are the directories /srv/<service>/<volume>, made by tmpfiles.d. Owner
// and mode are given on creation only (the colon): Postgres, for one, refuses a
// directory whose mode was reset.
func volumes(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	var confs []string
	for _, s := range h.Services {
		dirs := slices.DeleteFunc(slices.Clone(s.V.Volumes), func(v fleet.Entry[*fleet.Volume]) bool { return v.V.Named.V })
		if len(dirs) == 0 {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "# %s\n", madeBy("services."+s.Name+".volumes"))
		fmt.Fprintf(&b, "d %s 0755 0 0 -\n", data+s.Name)
		for _, v := range dirs {
			uid, gid, _ := strings.Cut(v.V.Owner.V, ":")
			fmt.Fprintf(&b, "d %s :%s :%s :%s -\n", VolumeDir(s.Name, v.Name), v.V.Mode.V, uid, gid)
		}
		conf := "/etc/tmpfiles.d/gen-" + s.Name + ".conf"
		confs = append(confs, conf)
		files = append(files, &tree.File{Path: conf, Mode: "0644", Owner: "0:0", Body: []byte(b.String()), On: "restart", Pos: dirs[0].Pos})
	}
	if len(confs) == 0 {
		return nil
	}
	u := oneshot("Directories of the services", "hosts."+h.Name.V+".services",
		"/usr/bin/systemd-tmpfiles --create "+strings.Join(confs, " "), h.Pos)
	u.Section("Unit").Add("RequiresMountsFor", strings.TrimSuffix(data, "/"), h.Pos)
	return append(files, &tree.File{Path: UnitPath(tmpfilesUnit), Mode: "0644", Owner: "0:0", Unit: u, Pos: h.Pos})
}

// named are the volumes that podman keeps.
func named(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for _, s := range h.Services {
		for _, v := range s.V.Volumes {
			if !v.V.Named.V {
				continue
			}
			name := namedVolume(s.Name, v.Name)
			u := &unit.File{Comment: madeBy("services." + s.Name + ".volumes." + v.Name)}
			u.Section("Unit").Add("Description", unit.Text(titled(s.V)+": "+v.Name), s.V.Title.Pos)
			uid, gid, _ := strings.Cut(v.V.Owner.V, ":")
			vol := u.Section("Volume")
			vol.Add("VolumeName", name, v.Pos)
			vol.Add("User", uid, v.V.Owner.Pos)
			vol.Add("Group", gid, v.V.Owner.Pos)
			merge(u, v.V.Unit)
			files = append(files, &tree.File{Path: UnitPath(name + ".volume"), Mode: "0644", Owner: "0:0", Unit: u, Pos: v.Pos})
		}
	}
	return files
}

// directories are the volumes of a container that tmpfiles makes.
func directories(s *fleet.Service, c *fleet.Container) (out fleet.Map[fleet.Val[string]]) {
	for _, v := range c.Volumes {
		if volume, ok := s.Volumes.Get(v.Name); ok && !volume.Named.V {
			out = append(out, v)
		}
	}
	return out
}

// sysctl are the kernel's parameters, set by a unit of ours that others are
// ordered after: at boot as at install.
func sysctl(f *fleet.Fleet, h *fleet.Host) []*tree.File {
	const conf = "/etc/sysctl.d/50-gen.conf"
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", madeBy("hosts."+h.Name.V+".sysctl"))
	for _, p := range h.Sysctl {
		fmt.Fprintf(&b, "%s = %s\n", p.Name, p.V.V)
	}
	u := oneshot("Kernel parameters", "hosts."+h.Name.V+".sysctl", "/usr/lib/systemd/systemd-sysctl "+conf, h.Pos)
	return []*tree.File{
		{Path: conf, Mode: "0644", Owner: "0:0", Body: []byte(b.String()), On: "restart", Pos: h.Pos},
		{Path: UnitPath(sysctlUnit), Mode: "0644", Owner: "0:0", Unit: u, Pos: h.Pos},
	}
}

// oneshot is a unit that prepares something and stays active.
func oneshot(description, definition, command string, pos token.Pos) *unit.File {
	u := &unit.File{Comment: madeBy(definition)}
	u.Section("Unit").Add("Description", description, pos)
	s := u.Section("Service")
	s.Add("Type", "oneshot", pos)
	s.Add("RemainAfterExit", "yes", pos)
	s.Add("ExecStart", command, pos)
	return u
}

// hostFiles are files that a host or a service puts at a path of the host's.
func hostFiles(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for definition, e := range h.AllFiles() {
		files = append(files, file(e.Name, e, definition))
	}
	return files
}

// hostUnits are units that a host or a service writes by itself. What boots
// them is a drop-in of the target, because there are no symbolic links in a tree.
func hostUnits(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for definition, e := range h.AllUnits() {
		u := &unit.File{Comment: madeBy(definition)}
		merge(u, e.V.Sections)
		files = append(files, &tree.File{Path: UnitPath(e.Name), Mode: "0644", Owner: "0:0", Unit: u, Want: e.V.Want.V, Pos: e.Pos})
		if strings.Contains(e.Name, "/") || !strings.HasPrefix(UnitPath(e.Name), units) {
			continue
		}
		for _, target := range u.Values("Install", "WantedBy") {
			files = append(files, boot(e.Name, target, "Wants", definition))
		}
		for _, target := range u.Values("Install", "RequiredBy") {
			files = append(files, boot(e.Name, target, "Requires", definition))
		}
	}
	return files
}

// boot is the drop-in that makes a target start a unit.
func boot(name string, target unit.Line, key, definition string) *tree.File {
	u := &unit.File{Comment: madeBy(definition)}
	u.Section("Unit").Add(key, name, target.Pos)
	return &tree.File{Path: units + target.Value + ".d/50-gen-" + name + ".conf", Mode: "0644", Owner: "0:0", Unit: u, Pos: target.Pos}
}

// secrets are the ciphertexts that a host needs and where their plaintexts go.
func secrets(f *fleet.Fleet, h *fleet.Host) (out []*tree.Secret) {
	add := func(owner string, secrets fleet.Map[*fleet.Secret], inPodman func(name string) bool) {
		for _, e := range secrets {
			c := f.Ciphertexts[h.SecretName(owner, e.Name)]
			s := &tree.Secret{Name: h.SecretName(owner, e.Name), Payload: c.Payload, Bytes: c.Bytes}
			if inPodman(e.Name) {
				s.Targets = append(s.Targets, tree.Target{At: "podman:" + PodmanSecret(owner, e.Name), Owner: "-", Mode: "-", Pos: e.Pos})
			}
			for _, file := range e.V.Files {
				s.Targets = append(s.Targets, tree.Target{At: file.Name, Owner: file.V.Owner.V, Mode: file.V.Mode.V, Units: values(file.V.Units), Pos: file.Pos})
			}
			if len(s.Targets) > 0 {
				out = append(out, s)
			}
		}
	}
	add(h.Name.V, h.Secrets, func(string) bool { return false })
	for _, s := range h.Services {
		add(s.Name, s.V.Secrets, func(name string) bool {
			return slices.ContainsFunc(s.V.Containers, func(c fleet.Entry[*fleet.Container]) bool {
				_, used := c.V.Secrets.Get(name)
				return used
			})
		})
	}
	also := func(name string, target tree.Target) { // it may be here already
		i := slices.IndexFunc(out, func(s *tree.Secret) bool { return s.Name == name })
		if i < 0 {
			c := f.Ciphertexts[name]
			i, out = len(out), append(out, &tree.Secret{Name: name, Payload: c.Payload, Bytes: c.Bytes})
		}
		if !slices.ContainsFunc(out[i].Targets, func(t tree.Target) bool { return t.At == target.At }) {
			out[i].Targets = append(out[i].Targets, target)
		}
	}
	for _, d := range f.Drills(h) {
		also(d.Host.SecretName(d.Service.Name, fleet.BackupPassword), tree.Target{At: fleet.DrillPassword(d.Service.Name), Owner: "0:0", Mode: "0400", Pos: d.Pos})
	}
	for _, s := range h.Services {
		for _, c := range f.Clients(h, s) {
			secret := c.Login.Secret
			also(c.Host.SecretName(c.Service.Name, secret.V), tree.Target{At: "podman:" + PodmanSecret(c.Service.Name, secret.V), Owner: "-", Mode: "-", Pos: secret.Pos})
		}
	}
	return out
}

// lines are the data lines of a host's services.
func lines(h *fleet.Host) (out []tree.Line) {
	for _, s := range h.Services {
		for _, l := range s.V.Lines {
			line := tree.Line{Service: s.Name, Component: l.Name, Line: l.V.Line.V, Accepts: append([]string{l.V.Line.V}, values(l.V.Accepts)...)}
			if slices.Contains(line.Accepts, "*") {
				line.Accepts = []string{"*"}
			}
			for _, c := range l.V.Containers.Names() {
				line.Units = append(line.Units, ContainerUnit(s.Name, c))
			}
			out = append(out, line)
		}
	}
	return out
}
