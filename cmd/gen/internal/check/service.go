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

func (c *hostChecker) service(e fleet.Entry[*fleet.Service]) {
	s := e.V
	if len(s.Containers)+len(s.Files)+len(s.Units)+len(s.Volumes)+len(s.Secrets)+len(s.Images)+len(s.Records) == 0 {
		c.find(finding.Empty, at(e.Pos), "%s has nothing in it", e.Name).
			Hintf("name its definition, as in %s: catalog.#HedgeDoc, or give it containers:", e.Name)
	}
	c.line(s.Title.V, e.Name+"'s title", at(s.Title.Pos, e.Pos))
	c.secretFiles(e.Name, s.Secrets, e.Pos)
	c.sections(s.Network.Unit, "network", e.Name+"'s network", e.Pos)
	for _, l := range s.Lines {
		c.dataLine(e, l)
	}
	c.volumes(e)
	c.images(e)
	c.pod(e)
	c.metricNames(e)
	for _, f := range s.Files {
		c.hostPath(f.Name, "the file", e.Name, at(f.Pos, e.Pos))
		c.file(f, at(f.Pos, e.Pos))
	}
	for _, u := range s.Units {
		c.unit(u, e.Pos)
	}
	for _, cont := range s.Containers {
		k := &containerChecker{c, e, cont.V, fleet.ContainerName(e.Name, cont.Name), cont.Name, at(cont.Pos, e.Pos)}
		k.reference(cont.V.Image.V, k.what, k.at(cont.V.Image.Pos))
		k.upkeep()
		k.environment()
		k.command()
		k.dependencies()
		k.mounts()
		k.secretUses()
		k.health()
		k.files()
		k.network()
		k.routes()
		k.metrics()
		k.exposed()
		k.capabilities()
		c.sections(cont.V.Unit, "container", k.what, e.Pos)
	}
}

var lineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (c *hostChecker) dataLine(s fleet.Entry[*fleet.Service], l fleet.Entry[*fleet.Line]) {
	for _, a := range l.V.Accepts {
		if a.V != "*" && !lineName.MatchString(a.V) {
			c.find(finding.DataLine, at(a.Pos, l.Pos, s.Pos), "%s accepts %q, which is no data line", s.Name, a.V).Hintf("a line is one word, such as postgres-17")
		}
	}
	if len(l.V.Containers) == 0 {
		c.find(finding.DataLine, at(l.Pos, s.Pos), "%s's line %s guards no container", s.Name, l.Name).Hintf("name those that must not start on other data: containers: db: true")
	}
	for _, name := range l.V.Containers {
		c.sibling(s, name.Name, "line "+l.Name, at(name.Pos, l.Pos, s.Pos))
	}
}

// sibling checks a reference to a container of the same service.
func (c *hostChecker) sibling(s fleet.Entry[*fleet.Service], name, who string, at []token.Pos) {
	if _, ok := s.V.Containers.Get(name); !ok {
		c.unknown(finding.NoSuchContainer, at, s.Name, who, "container", name, s.V.Containers.Names())
	}
}

// unknown says that a name leads nowhere, and where it could.
func (c *hostChecker) unknown(code finding.Code, at []token.Pos, service, who, kind, name string, names []string) {
	there := "it has none"
	if len(names) > 0 {
		there = "its " + kind + "s are " + strings.Join(names, ", ")
	}
	f := c.find(code, at, "%s has no %s %q, which its %s names", service, kind, name, who)
	f.Hint = finding.DidYouMean(name, names, there)
}

// A containerChecker looks at one container.
type containerChecker struct {
	*hostChecker
	service   fleet.Entry[*fleet.Service]
	container *fleet.Container
	what      string // <service>-<container>
	name      string
	near      []token.Pos
}

// at is the places of a value: its own, then the container's and the service's.
func (k *containerChecker) at(p ...token.Pos) []token.Pos { return append(p, k.near...) }

// reference is an image's reference with registry and tag or digest
// (github.com/distribution/reference), but for the lengths: a
// pattern that counts is slow to compile, which is done at every start.
var reference = regexp.MustCompile(`^([a-z0-9.-]+(?::[0-9]+)?)/[a-z0-9._/-]+(?::([A-Za-z0-9_][A-Za-z0-9._-]*))?(@sha256:[0-9a-f]+)?$`)

// reference reports whether an image is written as it must be.
func (c *hostChecker) reference(image, what string, where []token.Pos) bool {
	before := len(c.findings)
	g := reference.FindStringSubmatch(image)
	if g != nil && (len(g[2]) > 128 || g[3] != "" && len(g[3]) != len("@sha256:")+64) {
		g = nil
	}
	switch {
	case g == nil && !strings.ContainsAny(image, " \t\n") && image != "":
		c.find(finding.Image, where, "%s: the image %q has no registry", what, image).Hintf("write it whole, such as docker.io/library/%s", path.Base(image))
	case g == nil:
		c.find(finding.Image, where, "%s: %q is no image", what, image).
			Hintf("write it whole, such as docker.io/library/postgres:17")
	case !strings.ContainsAny(g[1], ".:") && g[1] != "localhost":
		c.find(finding.Image, where, "%s: the image %q has no registry", what, image).Hintf("write it whole, such as docker.io/%s", image)
	case g[2] == "" && g[3] == "":
		c.find(finding.Image, where, "%s: the image %q has no tag", what, image).Hintf("say which version runs, such as %s:1.2", image)
	case g[2] == "latest" && g[3] == "":
		c.find(finding.Image, where, "%s: the tag latest is another program tomorrow", what).Hintf("name a version line that updates cannot leave")
	}
	return len(c.findings) == before
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

func (k *containerChecker) environment() {
	for _, e := range k.container.Env {
		if !variable.MatchString(e.Name) {
			k.find(finding.BadText, k.at(e.Pos), "%s: %q is no environment variable", k.what, e.Name).
				Hintf("letters, digits and underscores, not beginning with a digit")
		}
		k.word(e.V.V, k.what+": the variable "+e.Name, k.at(e.V.Pos, e.Pos))
		if strings.Contains(e.V.V, "\r\n") {
			k.find(finding.BadText, k.at(e.V.Pos, e.Pos), "%s: the variable %s holds a carriage return before a newline, which podman drops", k.what, e.Name).
				Hintf("give the program a file instead")
		}
	}
}

func (k *containerChecker) command() {
	words := slices.Concat(k.container.Entrypoint, k.container.Command)
	if h := k.container.Health; h != nil {
		words = append(words, h.Command...)
	}
	if r := k.container.Reload; r != nil {
		words = append(words, r.Command...)
	}
	for _, w := range words {
		k.word(w.V, k.what+": its command", k.at(w.Pos))
	}
	for _, w := range k.container.Command {
		switch w.V {
		case "":
			k.find(finding.BadText, k.at(w.Pos), "%s: an empty word in its command ends it there", k.what).
				Hintf("podman drops it and all after it; say [\"sh\", \"-c\", …] if the program needs one")
		case ";":
			k.find(finding.BadText, k.at(w.Pos), "%s: a semicolon alone in its command begins another", k.what).
				Hintf("podman hands it to systemd without quotes; say [\"sh\", \"-c\", …] if the program needs one")
		}
	}
}

func (k *containerChecker) dependencies() {
	for _, n := range k.container.Needs {
		if n.Name == k.name {
			k.find(finding.NoSuchContainer, k.at(n.Pos), "%s needs itself", k.what).
				Hintf("leave the line out")
			continue
		}
		k.sibling(k.service, n.Name, "container "+k.name, k.at(n.Pos))
	}
}

// mounts checks that every path in the container has one source, that volumes
// exist, and that the image's own volumes are mapped: podman removes anonymous
// ones with the container, at every stop.
func (k *containerChecker) mounts() {
	c := k.container
	taken := map[string]token.Pos{}
	take := func(p, what string, pos token.Pos) {
		if !k.path(p, k.what+": the path", k.at(pos)) {
			return
		}
		if first, ok := taken[p]; ok {
			k.find(finding.Mount, k.at(pos), "%s: two things are mounted at %s", k.what, p).And(first).
				Hintf("give one of them another path in the container")
		}
		taken[p] = pos
	}
	for _, v := range c.Volumes {
		if _, ok := k.service.V.Volumes.Get(v.Name); !ok {
			k.unknown(finding.NoSuchVolume, k.at(v.Pos), k.service.Name, "container "+k.name, "volume", v.Name, k.service.V.Volumes.Names())
		}
		take(v.V.V, "volume", v.V.Pos)
	}
	for _, m := range c.Mounts {
		k.path(m.V.Host.V, k.what+": the host's path", k.at(m.V.Host.Pos, m.Pos))
		take(m.Name, "mount", m.Pos)
	}
	for _, d := range c.Derived {
		take(d.Name, "directory", d.Pos)
	}
	for _, f := range c.Files {
		take(f.Name, "file", f.Pos)
	}
	for _, v := range c.ImageVolumes {
		if _, ok := taken[v.V]; !ok && !k.tmpfs(v.V) {
			k.find(finding.ImageVolume, k.at(v.Pos), "%s: the image declares %s as a volume, and nothing is mounted there", k.what, v.V).
				Hintf("what it writes there is gone at every restart; map it: volumes: data: %q", v.V)
		}
	}
}

func (k *containerChecker) tmpfs(p string) bool {
	section, _ := k.container.Unit.Get("Container")
	lines, _ := section.Get("Tmpfs")
	return slices.ContainsFunc(lines, func(v fleet.Val[string]) bool {
		dir, _, _ := strings.Cut(v.V, ":")
		return dir == p
	})
}

func (k *containerChecker) secretUses() {
	taken := map[string]token.Pos{}
	for _, e := range k.container.Secrets {
		u := e.V
		if _, ok := k.service.V.Secrets.Get(e.Name); !ok {
			k.unknown(finding.SecretReference, k.at(e.Pos), k.service.Name, "container "+k.name, "secret", e.Name, k.service.V.Secrets.Names())
		}
		target := "/run/secrets/" + e.Name
		switch {
		case u.Env.Set && u.Path.Set:
			k.find(finding.SecretReference, k.at(u.Env.Pos, e.Pos), "%s: the secret %s is both a file and a variable", k.what, e.Name).
				Hintf("keep path or env")
		case u.Env.Set:
			target = u.Env.V
			if !variable.MatchString(target) {
				k.find(finding.BadText, k.at(u.Env.Pos), "%s: %q is no environment variable", k.what, target).
					Hintf("letters, digits and underscores, not beginning with a digit")
			}
		case u.Path.Set:
			target = u.Path.V
			k.path(target, k.what+": the secret's path", k.at(u.Path.Pos))
		}
		if first, ok := taken[target]; ok {
			k.find(finding.SecretReference, k.at(e.Pos), "%s: two secrets are at %s", k.what, target).And(first).
				Hintf("give one of them another path or variable")
		}
		taken[target] = e.Pos
	}
}

func (k *containerChecker) health() {
	h := k.container.Health
	if h == nil {
		if !k.container.Oneshot.V {
			k.find(finding.Health, k.near, "%s does not say how to tell that it is ready", k.what).
				Hintf("give health: command: […], or the reason why there is none: health: none: \"…\"")
		}
		return
	}
	where := k.at(h.Pos)
	switch {
	case k.container.Oneshot.V:
		k.find(finding.Health, where, "%s runs to its end, and is ready then: it has no health command", k.what).
			Hintf("leave health out")
	case len(h.Command) > 0 && h.None.Set:
		k.find(finding.Health, where, "%s has a health command and a reason why there is none", k.what).
			Hintf("keep command or none")
	case len(h.Command) == 0 && strings.TrimSpace(h.None.V) == "":
		k.find(finding.Health, where, "%s does not say how to tell that it is ready", k.what).
			Hintf("give health: command: […], or the reason why there is none: health: none: \"…\"")
	case len(h.Command) == 1:
		k.find(finding.Health, where, "%s: podman gives a health command of one word to a shell", k.what).
			Hintf("add an argument, or say [\"sh\", \"-c\", …] if the image has a shell")
	case len(h.Command) > 0 && slices.Contains([]string{"CMD", "CMD-SHELL", "NONE", "none"}, h.Command[0].V):
		k.find(finding.Health, where, "%s: %s in a health command means something to podman", k.what, h.Command[0].V).Hintf("begin with the program")
	}
	if h.Timeout.V == 0 || h.Interval.V == 0 {
		k.find(finding.Health, where, "%s: a health check without time between or for its answers", k.what).
			Hintf("leave out interval and timeout to have the defaults")
	}
}

// files checks the files gen mounts, and that the container takes up a change
// the way they ask for.
func (k *containerChecker) files() {
	c := k.container
	for _, f := range c.Files {
		k.file(f, k.at(f.Pos))
		dir := path.Dir(f.Name)
		if f.V.On.V != "restart" && strings.Count(dir, "/") < 2 {
			k.find(finding.Mount, k.at(f.V.On.Pos, f.Pos), "%s: %s would be mounted over the image's own", k.what, dir).
				Hintf("a file that is reloaded or watched is mounted with its directory; give it one of its own")
		}
		if f.V.On.V == "reload" && c.Reload == nil {
			k.find(finding.Reload, k.at(f.V.On.Pos, f.Pos), "%s does not say how to reload %s", k.what, f.Name).
				Hintf("say reload: signal: \"HUP\", or reload: command: […]")
		}
	}
	if r := c.Reload; r != nil && r.Signal.Set == (len(r.Command) > 0) {
		k.find(finding.Reload, k.at(r.Signal.Pos), "%s: a reload is either a signal or a command", k.what).
			Hintf("keep signal or command, whichever its program understands")
	}
}

func (k *containerChecker) network() {
	if !k.container.HostNetwork.V {
		return
	}
	for _, p := range k.container.Ports {
		if p.V.Host.V != p.V.Container.V {
			k.find(finding.Opening, k.at(p.V.Host.Pos, p.Pos), "%s is on the host's network, where %s is the port that it binds by itself: %d", k.what, p.Name, p.V.Container.V).
				Hintf("say host: %d, or leave out hostNetwork", p.V.Container.V)
		}
	}
}

// routes checks what becomes a part of the proxy's rules.
func (k *containerChecker) routes() {
	for _, r := range k.container.Routes {
		for _, p := range slices.Concat(r.V.Paths, r.V.Except) {
			k.path("/"+strings.Trim(p.V, "/"), k.what+": the path", k.at(p.Pos, r.Pos))
		}
		for _, h := range r.V.Headers {
			if k.line(h.V.V, k.what+": the header "+h.Name, k.at(h.V.Pos, r.Pos)) && strings.Contains(h.V.V, "{{") {
				k.find(finding.BadText, k.at(h.V.Pos, r.Pos), "%s: the header %s holds {{, which begins a template to Traefik", k.what, h.Name).
					Hintf("Traefik would read it as its own; leave the braces out")
			}
		}
		for _, to := range r.V.Redirects {
			k.path(to.Name, k.what+": the path", k.at(to.Pos, r.Pos))
			if !redirect.MatchString(to.V.V) {
				k.find(finding.BadPath, k.at(to.V.Pos, to.Pos, r.Pos), "%s: %q is nothing to redirect to", k.what, to.V.V).
					Hintf("it is a path, or an address that begins with https:// and has one; the request's own query is kept")
			}
		}
	}
}

// metrics checks their paths, which become a part of the proxy's rules too.
func (k *containerChecker) metrics() {
	for _, m := range k.container.Metrics {
		k.path("/"+strings.Trim(m.V.Path.V, "/"), k.what+": the path", k.at(m.V.Path.Pos, m.Pos))
	}
}

// redirect is a path, or an address, without a query.
var redirect = regexp.MustCompile(`^(https://[A-Za-z0-9.-]+(:[0-9]+)?)?/[A-Za-z0-9._/@+=~%-]*$`)

func (k *containerChecker) capabilities() {
	for _, v := range k.container.Capabilities {
		if !slices.Contains(podman.Capabilities, v.V) {
			f := k.find(finding.BadText, k.at(v.Pos), "%s: %q is no capability", k.what, v.V)
			f.Hint = finding.DidYouMean(strings.TrimPrefix(strings.ToUpper(v.V), "CAP_"), podman.Capabilities, "write it like NET_BIND_SERVICE")
			if strings.EqualFold(v.V, "all") {
				f.Hint = "name those it needs: all of them is as good as root on the host"
			}
		}
	}
}
