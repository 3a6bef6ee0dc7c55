package render

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/podman"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// containers are the quadlets and the files that are mounted into them.
func containers(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			q := quadlet{h, s.V, c.V, c.Name, f.Clients(h, s)}
			files = append(files, &tree.File{
				Path: UnitPath(fleet.ContainerName(s.Name, c.Name) + ".container"), Mode: "0644", Owner: "0:0",
				Unit: q.unit(), Pos: c.V.Pos,
			})
			for _, f := range c.V.Files {
				if !holdsModules(c.V, f) {
					files = append(files, file(FilePath(s.Name, c.Name, f.Name), f, q.definition()))
				}
			}
		}
	}
	return files
}

// file is a file of the user's at a path on the host.
func file(at string, f fleet.Entry[*fleet.File], definition string) *tree.File {
	t := &tree.File{Path: at, Mode: f.V.Mode.V, Owner: f.V.Owner.V, On: f.V.On.V, Units: values(f.V.Units), Pos: f.Pos}
	switch {
	case f.V.JSON != nil:
		t.Body, t.Doc = f.V.JSON.JSON(), f.V.JSON
	case f.V.YAML != nil:
		t.Body, t.Doc = f.V.YAML.YAML(madeBy(definition)), f.V.YAML
	case f.V.TOML != nil:
		t.Body, t.Doc = f.V.TOML.TOML(madeBy(definition)), f.V.TOML
	case f.V.INI != nil:
		t.Body, t.Doc = f.V.INI.INI(madeBy(definition)), f.V.INI
	default:
		t.Body, t.Doc = []byte(f.V.Text.V), doc.Str(f.V.Text.V, f.V.Text.Pos)
	}
	return t
}

// A quadlet is one container on its way to a unit.
type quadlet struct {
	host      *fleet.Host
	service   *fleet.Service
	container *fleet.Container
	name      string
	clients   []fleet.Client // of the service
}

func (q quadlet) definition() string {
	return "services." + q.service.Name.V + ".containers." + q.name
}

func (q quadlet) unit() *unit.File {
	u := &unit.File{Comment: madeBy(q.definition())}
	q.dependencies(u.Section("Unit"))
	s := u.Section("Container")
	q.identity(s)
	q.environment(s)
	q.mounts(s)
	q.network(s)
	q.health(s)
	q.running(u.Section("Service"))
	if !q.container.Oneshot.V {
		u.Section("Install").Add("WantedBy", "multi-user.target", q.container.Pos)
	}
	merge(u, q.container.Unit)
	return u
}

// dependencies are Wants= and After=, never Requires=: a rollback of podman's
// auto-update leaves units stopped that require the one it restarted.
func (q quadlet) dependencies(s *unit.Section) {
	c := q.container
	s.Add("Description", unit.Text(titled(q.service)+": "+q.name), q.service.Title.Pos)
	after := func(name string, pos token.Pos) {
		s.Add("Wants", name, pos)
		s.Add("After", name, pos)
	}
	for _, n := range c.Needs {
		after(ContainerUnit(q.service.Name.V, n.Name), n.Pos)
	}
	for _, i := range q.service.Images {
		if i.V.Image.V == c.Image.V {
			after(imageUnit(q.service.Name.V, i.Name), i.Pos)
		}
	}
	if dirs := directories(q.service, c); len(dirs) > 0 {
		after(tmpfilesUnit, dirs[0].Pos)
	}
	if len(c.Ports) > 0 && !q.service.Pod.V {
		after(sysctlUnit, c.Ports[0].Pos)
	} else if c.HostNetwork.V {
		after(sysctlUnit, c.HostNetwork.Pos)
	}
}

func (q quadlet) identity(s *unit.Section) {
	c := q.container
	s.Add("ContainerName", fleet.ContainerName(q.service.Name.V, q.name), c.Pos)
	s.Add("Image", unit.Literal(c.Image.V), c.Image.Pos)
	if c.Update.V == "minor" {
		s.Add("AutoUpdate", "registry", c.Update.Pos)
	}
	if len(c.Entrypoint) > 0 {
		s.Add("Entrypoint", unit.Literal(jsonWords(c.Entrypoint)), c.Entrypoint[0].Pos)
	}
	if len(c.Command) > 0 {
		s.Add("Exec", unit.Words(values(c.Command)), c.Command[0].Pos)
	}
	if c.User.Set {
		user, group, _ := strings.Cut(c.User.V, ":")
		s.Add("User", user, c.User.Pos)
		s.Add("Group", group, c.User.Pos)
	}
	s.Add("DropCapability", "all", c.Pos)
	for _, k := range c.Capabilities {
		s.Add("AddCapability", k.V, k.Pos)
	}
	s.Add("NoNewPrivileges", "true", c.Pos)
	if !c.Writable.Set {
		s.Add("ReadOnly", "true", c.Pos)
	}
}

func (q quadlet) environment(s *unit.Section) {
	for _, e := range q.container.Env {
		s.Add("Environment", unit.Word(e.Name+"="+e.V.V), e.V.Pos)
	}
	for _, e := range q.container.Secrets {
		use := PodmanSecret(q.service.Name.V, e.Name)
		if e.V.Env.Set {
			use += ",type=env,target=" + e.V.Env.V
		} else {
			uid, gid, _ := strings.Cut(secretOwner(q.container, e.V), ":")
			use += fmt.Sprintf(",target=%s,uid=%s,gid=%s,mode=%s", secretTarget(e.Name, e.V), uid, gid, e.V.Mode.V)
		}
		s.Add("Secret", use, e.Pos)
	}
	if q.container.TakesClients() {
		uid, gid, _ := strings.Cut(secretOwner(q.container, &fleet.SecretUse{}), ":")
		for _, c := range q.clients {
			s.Add("Secret", fmt.Sprintf("%s,target=%s,uid=%s,gid=%s,mode=0400", PodmanSecret(c.Service.Name, c.Login.Secret.V), clientSecret(c.Login), uid, gid), c.Login.Secret.Pos)
		}
	}
}

func (q quadlet) mounts(s *unit.Section) {
	c := q.container
	for _, v := range c.Volumes {
		s.Add("Volume", volumeSource(q.service, v.Name)+":"+v.V.V, v.Pos)
	}
	dirs := mountDirs(c)
	for _, d := range c.Derived {
		if d.V.V == "clients" && len(q.clients) == 0 {
			delete(dirs, d.Name) // there is nothing in it
		}
	}
	for _, d := range slices.Sorted(maps.Keys(dirs)) {
		s.Add("Volume", FilePath(q.service.Name.V, q.name, d)+":"+d+":ro", q.posBelow(d))
	}
	for _, f := range c.Files {
		if !dirs[path.Dir(f.Name)] {
			s.Add("Volume", FilePath(q.service.Name.V, q.name, f.Name)+":"+f.Name+":ro", f.Pos)
		}
	}
	for _, m := range c.Mounts {
		var options []string
		if !m.V.Writable.V {
			options = append(options, "ro")
		}
		if m.V.Propagation.V != "private" {
			options = append(options, m.V.Propagation.V)
		}
		v := m.V.Host.V + ":" + m.Name
		if len(options) > 0 {
			v += ":" + strings.Join(options, ",")
		}
		s.Add("Volume", v, m.Pos)
	}
}

// posBelow is who asked for a directory to be mounted.
func (q quadlet) posBelow(dir string) token.Pos {
	for _, d := range q.container.Derived {
		if d.Name == dir {
			return d.Pos
		}
	}
	for _, f := range q.container.Files {
		if path.Dir(f.Name) == dir {
			return f.Pos
		}
	}
	return q.container.Pos
}

// network joins the service's own network, under the container's short name,
// and the proxy's if the proxy leads here.
func (q quadlet) network(s *unit.Section) {
	c := q.container
	if q.service.Pod.V {
		s.Add("Pod", q.service.Name.V+".pod", q.service.Pod.Pos)
		if c.Oneshot.V {
			s.Add("StartWithPod", "false", c.Oneshot.Pos)
		}
		return
	}
	if c.HostNetwork.V {
		s.Add("Network", "host", c.HostNetwork.Pos)
		return
	}
	own := q.service.Name.V + ".network:alias=" + q.name
	if c.Address.Set {
		own += ",ip=" + c.Address.V
	}
	if c.Address6.Set && q.service.Network.Subnet6.Set {
		own += ",ip=" + c.Address6.V
	}
	s.Add("Network", own, c.Pos)
	if proxy, _, _, ok := q.host.ProxyContainer(); ok && q.host.Proxied(c) && proxy != q.service.Name.V {
		s.Add("Network", proxy+".network", ledBy(c))
	}
	q.publish(s)
}

// ledBy is who asked for the proxy to lead to a container.
func ledBy(c *fleet.Container) token.Pos {
	if len(c.Routes) > 0 {
		return c.Routes[0].Pos
	}
	return c.Metrics[0].Pos
}

func (q quadlet) publish(s *unit.Section) {
	for _, p := range q.container.Ports {
		for _, address := range q.addresses(p.V.Audience.V) {
			s.Add("PublishPort", fmt.Sprintf("%s:%d:%d/%s", address, p.V.Host.V, p.V.Container.V, p.V.Protocol.V), p.Pos)
		}
	}
}

// addresses are what a port for that audience binds, IPv6 in brackets. IPv6 is
// left out where the container has none.
func (q quadlet) addresses(audience string) []string {
	var four, six fleet.Val[string]
	h := q.host
	switch audience {
	case "internet":
		four, six = h.Listen, h.Bind6()
	case "mesh":
		four, six = h.Mesh.Address, h.Mesh.Address6
	default:
		four, six = fleet.Val[string]{V: "127.0.0.1"}, fleet.Val[string]{V: "::1", Set: true}
	}
	if !six.Set || !q.service.Network.Subnet6.Set {
		return []string{four.V}
	}
	return []string{four.V, "[" + six.V + "]"}
}

// startupInterval is the time between two questions until the first right
// answer: what waits for the unit waits no longer than that in vain.
const startupInterval = "1s"

// health is a JSON array: podman 5.0 to 5.8.1 eat a quote at the end of a value.
// The start-up command is the same one. Until it succeeds, wrong answers do not
// count, so that only TimeoutStartSec= bounds an upgrade of the data.
func (q quadlet) health(s *unit.Section) {
	c, h := q.container, q.container.Health
	switch {
	case h == nil: // a oneshot is ready when it has ended
		s.Add("HealthCmd", "none", c.Pos)
	case len(h.Command) > 0:
		command := unit.Literal(jsonWords(h.Command))
		s.Add("HealthCmd", command, h.Command[0].Pos)
		s.Add("HealthInterval", span(h.Interval.V), h.Interval.Pos)
		s.Add("HealthTimeout", span(h.Timeout.V), h.Timeout.Pos)
		s.Add("HealthRetries", strconv.Itoa(h.Retries.V), h.Retries.Pos)
		s.Add("HealthStartupCmd", command, h.Command[0].Pos)
		s.Add("HealthStartupInterval", startupInterval, h.Command[0].Pos)
		s.Add("HealthStartupTimeout", span(h.Timeout.V), h.Timeout.Pos)
		s.Add("Notify", "healthy", h.Command[0].Pos)
	default:
		s.Add("HealthCmd", "none", h.None.Pos)
	}
	s.Add("StopTimeout", strconv.Itoa(int(c.Stop.V)), c.Stop.Pos)
}

// stopMargin is what podman needs to remove a container that has ended.
const stopMargin = 30

func (q quadlet) running(s *unit.Section) {
	c := q.container
	if c.Oneshot.V {
		s.Add("Type", "oneshot", c.Oneshot.Pos)
	} else {
		s.Add("Restart", "always", c.Pos)
		s.Add("RestartSec", "5s", c.Pos)
	}
	s.Add("TimeoutStartSec", span(c.Start.V), c.Start.Pos)
	s.Add("TimeoutStopSec", span(c.Stop.V+stopMargin), c.Stop.Pos)
	if c.Memory.Set {
		s.Add("MemoryMax", c.Memory.V, c.Memory.Pos)
	}
	s.Add("TasksMax", strconv.Itoa(c.Tasks.V), c.Tasks.Pos)
	if r := c.Reload; r != nil {
		name := fleet.ContainerName(q.service.Name.V, q.name)
		if r.Signal.Set {
			s.Add("ExecReload", "/usr/bin/podman kill --signal "+r.Signal.V+" "+name, r.Signal.Pos)
		} else {
			s.Add("ExecReload", "/usr/bin/podman exec "+name+" "+unit.Words(values(r.Command)), r.Command[0].Pos)
		}
	}
}

// merge puts the user's keys into a unit of ours: a key that may stand several
// times is added, any other replaced.
func merge(u *unit.File, sections fleet.Sections) {
	for _, sec := range sections {
		s := u.Section(sec.Name)
		for _, key := range sec.V {
			var lines []unit.Line
			for _, v := range key.V {
				lines = append(lines, unit.Line{Key: key.Name, Value: v.V, Pos: v.Pos})
			}
			if k, _, _ := podman.Lookup(sec.Name, key.Name); k.Repeated {
				s.Lines = append(s.Lines, lines...)
			} else {
				s.Replace(key.Name, lines...)
			}
		}
	}
}

// span spells a number of seconds for podman and systemd alike.
func span(s fleet.Seconds) string { return strconv.Itoa(int(s)) + "s" }

func values(vs []fleet.Val[string]) []string {
	var out []string
	for _, v := range vs {
		out = append(out, v.V)
	}
	return out
}

func jsonWords(words []fleet.Val[string]) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = doc.QuoteJSON(w.V)
	}
	return "[" + strings.Join(quoted, ",") + "]"
}
