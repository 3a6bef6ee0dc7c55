package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// A stranger has the binary, an empty directory and nothing else: no
// environment, no network, no source of gen's, no home.
type stranger struct {
	*testing.T
	binary, dir string
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds the binary")
	}
	s := &stranger{t, filepath.Join(t.TempDir(), "gen"), t.TempDir()}
	if said, err := exec.Command("go", "build", "-o", s.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return s
}

// offline is a command in a network without interfaces, with the environment given and no other.
func (s *stranger) offline(env []string, program string, args ...string) (said string, code int) {
	s.Helper()
	unshare, err := exec.LookPath("unshare")
	if err != nil || exec.Command(unshare, "-rn", "true").Run() != nil {
		without(s.T, "unshare -rn, for a network without interfaces")
	}
	c := exec.Command(unshare, append([]string{"-rn", program}, args...)...)
	c.Dir, c.Env = s.dir, append([]string{}, env...)
	b, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	return string(b), c.ProcessState.ExitCode()
}

func (s *stranger) gen(args ...string) (said string, code int) {
	s.Helper()
	return s.offline(nil, s.binary, args...)
}

// must runs gen, which has nothing to say.
func (s *stranger) must(args ...string) {
	s.Helper()
	if said, code := s.gen(args...); code != ok || said != "" {
		s.Fatalf("gen %s: exit %d: %s", strings.Join(args, " "), code, said)
	}
}

// edit replaces a text that a file of the repository has once, and undoes it with the returned function.
func (s *stranger) edit(file, old, new string) (undo func()) {
	s.Helper()
	at := filepath.Join(s.dir, file)
	b, err := os.ReadFile(at)
	if err != nil || strings.Count(string(b), old) != 1 {
		s.Fatalf("%s: %q is not there once (%v)", file, old, err)
	}
	write(s.T, at, strings.Replace(string(b), old, new, 1))
	return func() { write(s.T, at, string(b)) }
}

func (s *stranger) read(file string) string {
	s.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

// TestStranger is the way of somebody who has the binary alone: from an empty
// directory to services of the catalogue, changed, beside some of their own.
func TestStranger(t *testing.T) {
	t.Parallel()
	s := newStranger(t)
	if said, code := s.gen("init", "."); code != ok || !strings.Contains(said, "README.md") {
		t.Fatalf("exit %d: %s", code, said)
	}

	s.must()
	if diff := cmp.Diff(readTree(t, filepath.Join(s.dir, "golden")), readTree(t, filepath.Join(s.dir, "out"))); diff != "" {
		t.Errorf("golden/ (-) is not what the first compile writes (+):\n%s", diff)
	}

	s.edit("hosts/fleet.cue", `"example.org"`, `"home.example.net"`)
	s.must()
	if routes := s.read("out/vps1/rootfs/usr/local/etc/traefik/app/etc/traefik/routes/site.yml"); !strings.Contains(routes, "www.home.example.net") {
		t.Errorf("the site's route is\n%s", routes)
	}

	s.edit("hosts/vps1.cue", "own.#Site", `own.#Site & {page: "hello\n"}
		traefik: containers: app: {memory: "128M", unit: Service: Nice: 5}`)
	s.must()
	if unit := s.read("out/vps1/rootfs/etc/containers/systemd/traefik-app.container"); !strings.Contains(unit, "MemoryMax=128M\n") || !strings.Contains(unit, "Nice=5\n") {
		t.Errorf("Traefik's unit is\n%s", unit)
	}

	undo := s.edit("hosts/vps1.cue", `"hello\n"}`, `"hello\n"}
		pads: catalog.#HedgeDoc`)
	if said, code := s.gen("check"); code != found || !strings.Contains(said, "gen secret init-host vps1") || !strings.Contains(said, "gen secret new production.pads.sessionsecret") {
		t.Errorf("a service with secrets: exit %d: %s", code, said)
	}
	undo()

	write(t, filepath.Join(s.dir, "services/proxy.cue"), proxies)
	s.edit("hosts/vps1.cue", `catalog.#Traefik & {`, `own.#Proxy & {greeting: "hi", `)
	s.edit("hosts/vps1.cue", "catalog \"gen.example/services\"\n", "")
	s.must()
	if unit := s.read("out/vps1/rootfs/etc/containers/systemd/traefik-app.container"); !strings.Contains(unit, "Environment=GREETING=hi\n") || !strings.Contains(unit, "/etc/extra/greeting.txt") {
		t.Errorf("Traefik's unit is\n%s", unit)
	}
	if unit := s.read("out/vps1/rootfs/etc/containers/systemd/traefik-beside.container"); !strings.Contains(unit, "busybox:1.37\n") {
		t.Errorf("the container beside it is\n%s", unit)
	}

	s.must("vendor")
	s.must("check")
	s.must("-o", "golden")
}

// proxies is a definition of one's own, built upon one of the catalogue: with
// a parameter more, a container more, a file, and a default where there was none.
const proxies = `package services

import (
	"gen.example/schema"
	catalog "gen.example/services"
)

#Proxy: my={
	catalog.#Traefik

	greeting: string | *"hello"
	containers: {
		app: {
			env: GREETING: my.greeting
			files: "/etc/extra/greeting.txt": text: my.greeting
			stop: schema.#Duration | *"10s"
		}
		beside: {
			image: "docker.io/library/busybox:1.37"
			imageVolumes: []
			command: ["httpd", "-f", "-p", "8080"]
			health: command: ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]
		}
	}
}
`

// TestInitRefuses: what is there stays, and nothing half is made.
func TestInitRefuses(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "full/notes.txt"), "mine")
	write(t, filepath.Join(dir, "cloned/.git/HEAD"), "ref: refs/heads/main\n")
	for _, c := range []struct {
		args, says string
		code       int
	}{
		{"init", "say where", misused},
		{"init full", "it holds notes.txt", misused},
		{"init full/notes.txt", "is not a directory", misused},
		{"init a b", "does not know what to do with b", misused},
		{"init full/notes.txt/below", "not a directory", failed},
		{"init cloned", "README.md", ok},
		{"init new/below", "README.md", ok},
		{"init new/below", "it holds .gitattributes, .github, .gitignore, README.md, cue.mod, …", misused},
	} {
		before := readTree(t, dir)
		said, code := gen(t, append([]string{"-C", dir}, strings.Fields(c.args)...)...)
		if code != c.code || !strings.Contains(said, c.says) {
			t.Errorf("%s: exit %d, want %d, and it says %s", c.args, code, c.code, said)
		}
		if diff := cmp.Diff(before, readTree(t, dir)); code != ok && diff != "" {
			t.Errorf("%s: it left something:\n%s", c.args, diff)
		}
	}
	if left, _ := filepath.Glob(dir + "/*/.gen-*"); left != nil {
		t.Errorf("it left %v", left)
	}
	mustGen(t, "-C", filepath.Join(dir, "cloned"), "check")
}

// TestInitIsWholeOrNot: where it cannot be finished, nothing of it stays.
func TestInitIsWholeOrNot(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, filepath.Join(from, "a"), "1")
	write(t, filepath.Join(from, "b/c"), "2")
	write(t, filepath.Join(to, "b/in the way"), "3")
	if err := move(from, to); err == nil {
		t.Error("it moved a directory over another")
	}
	if diff := cmp.Diff(map[string]string{"b/in the way": "3"}, readTree(t, to)); diff != "" {
		t.Error(diff)
	}
}

// TestVendorIsExact: the copy is what the binary serves, whatever was there,
// and a run that changes nothing touches nothing.
func TestVendorIsExact(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hosts/fleet.cue"), "package hosts\n\nfleet: domain: \"example.org\"\nhosts: one: {os: \"debian-13\", address: \"203.0.113.10\"}\n")
	if said, code := gen(t, "-C", dir, "vendor"); code != ok || !strings.Contains(said, "module.cue") {
		t.Fatalf("exit %d: %s", code, said)
	}
	copied := filepath.Join(dir, "cue.mod/pkg/gen.example")
	want := map[string]string{}
	for _, d := range []string{"schema", "services"} {
		for p, body := range readTree(t, filepath.Join(repository, d)) {
			if filepath.Ext(p) == ".cue" {
				want[d+"/"+p] = body
			}
		}
	}
	if diff := cmp.Diff(want, readTree(t, copied)); diff != "" {
		t.Errorf("the copy is other (+) than the binary's (-):\n%s", diff)
	}
	before := stats(t, dir)
	mustGen(t, "-C", dir, "vendor")
	if diff := cmp.Diff(before, stats(t, dir)); diff != "" {
		t.Errorf("a second run touched files:\n%s", diff)
	}
	for what, damage := range map[string]func(){
		"another":   func() { write(t, filepath.Join(copied, "services/traefik.cue"), "package services\n") },
		"too many":  func() { write(t, filepath.Join(copied, "services/gone.cue"), "package services\n") },
		"one short": func() { os.Remove(filepath.Join(copied, "schema/types.cue")) },
		"half":      func() { os.RemoveAll(filepath.Join(copied, "schema")) },
	} {
		damage()
		if said, code := gen(t, "-C", dir, "check"); code != found || !strings.Contains(said, "GEN109") || !strings.Contains(said, "hint: gen vendor\n") {
			t.Errorf("%s: exit %d: %s", what, code, said)
		}
		mustGen(t, "-C", dir, "vendor")
		mustGen(t, "-C", dir, "check")
		if diff := cmp.Diff(want, readTree(t, copied)); diff != "" {
			t.Errorf("%s: the copy is other (+) than the binary's (-):\n%s", what, diff)
		}
	}
	for at, says := range map[string]string{repository: "this repository is gen.example itself", t.TempDir(): "it has no hosts/"} {
		if said, code := gen(t, "-C", at, "vendor"); code != misused || !strings.Contains(said, says) {
			t.Errorf("%s: exit %d: %s", at, code, said)
		}
	}
}

// TestCueAgrees: with the copy that gen vendor writes, plain cue accepts and
// refuses what gen does, offline. What only gen knows, such as two services on
// one port, is not cue's to find.
func TestCueAgrees(t *testing.T) {
	t.Parallel()
	cue := tool(t, "cue")
	s := newStranger(t)
	s.gen("init", ".")
	s.must("vendor")
	write(t, filepath.Join(s.dir, "services/proxy.cue"), proxies)
	const proxy, site = `catalog.#Traefik & {acme: email: "you@example.org"}`, "own.#Site"
	for _, c := range []struct {
		what, old, new string
		good           bool
	}{
		{"as it is", site, site, true},
		{"a parameter", site, site + ` & {domain: "pads.example.org"}`, true},
		{"a default replaced, deep", site, site + ` & {containers: app: memory: "64M"}`, true},
		{"a container, a file and a key more", site, site + ` & {containers: {app: unit: Service: Nice: 5, more: {image: "docker.io/library/busybox:1.37", imageVolumes: [], health: none: "x", files: "/etc/x/y": text: "z"}}}`, true},
		{"a definition upon the catalogue's", proxy, `own.#Proxy & {acme: email: "you@example.net", greeting: "hi"}`, true},
		{"a program's own setting", proxy, `catalog.#Traefik & {acme: email: "you@example.org", static: api: dashboard: false}`, true},

		{"a field of no definition", site, site + ` & {containers: app: memroy: "64M"}`, false},
		{"no such parameter", site, site + ` & {domian: "example.net"}`, false},
		{"no such field of a host", `os: `, `so: "x", os: `, false},
		{"the wrong type", site, site + ` & {domain: 7}`, false},
		{"out of range", site, site + ` & {containers: app: routes: web: port: 99999}`, false},
		{"among no values", site, site + ` & {containers: app: update: "often"}`, false},
		{"no value", proxy, `catalog.#Traefik`, false},
		{"no address", `address: "203.0.113.10"`, ``, false},
		{"fixed by the service", site, site + ` & {containers: app: user: "0:0"}`, false},
		{"no such definition", proxy, `catalog.#Traefk`, false},
		{"no such import", `home.example/services`, `home.example/servces`, false},
		{"syntax", site, site + ` & {`, false},
		{"a parameter upon the catalogue's misspelt", proxy, `own.#Proxy & {acme: email: "you@example.net", greting: "hi"}`, false},
	} {
		undo := s.edit("hosts/vps1.cue", c.old, c.new)
		if !strings.Contains(s.read("hosts/vps1.cue"), "catalog.") {
			s.edit("hosts/vps1.cue", "catalog \"gen.example/services\"\n", "")
		}
		ours, code := s.gen("check")
		theirs, exit := s.offline([]string{"HOME=" + t.TempDir()}, cue, "vet", "-c", "./hosts")
		if (code == ok) != c.good || (exit == 0) != c.good {
			t.Errorf("%s:\ngen: exit %d\n%s\ncue: exit %d\n%s", c.what, code, ours, exit, theirs)
		}
		undo()
	}
}

// TestPinned: the go command knows no working tree, and no tree with changes.
func TestPinned(t *testing.T) {
	for version, want := range map[string]string{
		"v1.2.3":                             "v1.2.3",
		"v0.0.0-20261124182130-4ac3671e28c0": "v0.0.0-20261124182130-4ac3671e28c0",
		"v1.2.3+dirty":                       "main",
		"of a working tree":                  "main",
	} {
		if got := pinned(version); got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
}

// TestStarter: what gen init makes is short, and says what to change.
func TestStarter(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	if code := run([]string{"init", dir}, &said, &said); code != ok {
		t.Fatal(said.String())
	}
	files := readTree(t, dir)
	if workflow := files[workflow]; !strings.Contains(workflow, "GEN: "+pinned(programVersion())+"\n") || strings.Contains(workflow, "VERSION") {
		t.Errorf("the workflow does not pin gen:\n%s", workflow)
	}
	for file, body := range files {
		if strings.HasPrefix(file, "golden/") || file == "README.md" {
			continue
		}
		if n := strings.Count(body, "\n"); n > 40 {
			t.Errorf("%s has %d lines", file, n)
		}
		for line := range strings.Lines(body) {
			if strings.Contains(line, `"203.0.113.10"`) && !strings.Contains(line, "// for documentation only") ||
				strings.Contains(line, `"example.org"`) && !strings.Contains(line, "// for documentation only") {
				t.Errorf("%s does not say that this is to be changed: %s", file, line)
			}
		}
	}
}

// TestStarterWorkflow runs what the workflow runs: nothing is found before
// anything was changed, and golden/ is found out of date after.
func TestStarterWorkflow(t *testing.T) {
	dir := t.TempDir()
	if said, code := gen(t, "init", dir); code != ok {
		t.Fatal(said)
	}
	var file struct {
		Jobs map[string]struct {
			Steps []struct{ Run string }
		}
	}
	if err := yaml.Unmarshal([]byte(readTree(t, dir)[workflow]), &file); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	check := func() (codes []int) {
		for _, step := range file.Jobs["check"].Steps {
			if args, ours := strings.CutPrefix(step.Run, "gen "); ours {
				said, code := gen(t, strings.Fields(args)...)
				codes = append(codes, code)
				if code == misused {
					t.Errorf("gen %s: %s", args, said)
				}
			}
		}
		return codes
	}
	if codes := check(); !slices.Equal(codes, []int{ok, ok}) {
		t.Errorf("a new repository: exit %v", codes)
	}
	s := &stranger{t, "", dir}
	s.edit("hosts/fleet.cue", `"example.org"`, `"example.net"`)
	if codes := check(); !slices.Equal(codes, []int{ok, found}) {
		t.Errorf("another domain and the same golden/: exit %v", codes)
	}
}

// TestStarterRuns: a fresh machine takes what gen init makes as it is, and
// serves its page. A changed page interrupts nobody.
func TestStarterRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots machines")
	}
	onlyInCI(t)
	t.Parallel()
	l := newLab(t)
	l.on("vps1", "sh", "-ec", `mkdir -p /root/image/bin
		cp /bin/busybox /root/image/bin
		for name in sh httpd wget; do ln -s busybox /root/image/bin/$name; done
		tar -C /root/image -c . | podman import -q - docker.io/library/busybox:1.37`)
	s := &stranger{t, "", t.TempDir()}
	if said, code := gen(t, "init", s.dir); code != ok {
		t.Fatal(said)
	}
	l.push(s.dir, "vps1")
	l.healthy("vps1")
	page := func() string {
		return l.operator("curl", "-sSk", "--retry", "9", "--retry-all-errors", "-f", "--resolve", "www.example.org:443:203.0.113.10", "https://www.example.org/")
	}
	if said := page(); !strings.Contains(said, "<title>It works</title>") {
		t.Errorf("the page is %s", said)
	}

	before := l.invocations("vps1")
	s.edit("hosts/vps1.cue", "own.#Site", `own.#Site & {page: "hello\n"}`)
	l.push(s.dir, "vps1")
	if units := l.restarted("vps1", before); units != nil {
		t.Errorf("restarted: %v", units)
	}
	if said := page(); said != "hello\n" {
		t.Errorf("the page is %s", said)
	}

	// Killed after its time to stop, it would have failed.
	l.on("vps1", "systemctl", "stop", "site-app.service")
	if result := strings.TrimSpace(l.on("vps1", "systemctl", "show", "-p", "Result", "--value", "site-app.service")); result != "success" {
		t.Errorf("it ends with %s", result)
	}
}
