package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/token"
	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
	"go.yaml.in/yaml/v3"
)

// podmans are the releases whose own generator and parser judge quadlets: that
// of Debian 13, and the newest before 6.0.
var podmans = []string{"5.4.2", "5.8.2"}

// TestPodmanAndSystemdAcceptUnits gives every quadlet in golden/ to podman's
// generators, and what they make of it, with our own units, to systemd.
func TestPodmanAndSystemdAcceptUnits(t *testing.T) {
	for _, podman := range podmans {
		generator := tool(t, "quadlet-"+podman)
		for _, host := range goldenHosts(t) {
			t.Run(podman+"/"+filepath.Base(filepath.Dir(host))+"/"+filepath.Base(host), func(t *testing.T) {
				made := t.TempDir()
				quadlets := filepath.Join(host, "rootfs/etc/containers/systemd")
				c := exec.Command(generator, "-no-kmsg-log", made)
				c.Env = append(os.Environ(), "QUADLET_UNIT_DIRS="+absolute(t, quadlets))
				if said, err := c.CombinedOutput(); err != nil || len(said) > 0 {
					t.Fatalf("podman %s: %v\n%s", podman, err, said)
				}
				units := unitsOf(t, host)
				for _, u := range units {
					if _, err := os.Stat(filepath.Join(made, u)); err != nil && !ourUnit(host, u) {
						t.Errorf("UNITS has %s, and neither podman %s nor we make it", u, podman)
					}
				}
				if podman == podmans[0] {
					verify(t, host, made)
				}
			})
		}
	}
}

// unitsOf are the units in UNITS that are ours.
func unitsOf(t *testing.T, host string) (names []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(host, "UNITS"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(line, "\t"); f[2] != "theirs" {
			names = append(names, f[1])
		}
	}
	return names
}

func ourUnit(host, name string) bool {
	_, err := os.Stat(filepath.Join(host, "rootfs/etc/systemd/system", name))
	return err == nil
}

// verify runs Debian 13's systemd-analyze, where podman is, over all units of a host.
func verify(t *testing.T, host, made string) {
	t.Helper()
	if err := os.CopyFS(made, os.DirFS(filepath.Join(host, "rootfs/etc/systemd/system"))); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var units []string
	for _, pattern := range []string{"*.service", "*.timer", "*.socket", "*.path"} {
		found, err := filepath.Glob(filepath.Join(made, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if info, err := os.Stat(f); err == nil && info.Size() > 0 { // an empty one is masked
				units = append(units, "/mnt/"+filepath.Base(f))
			}
		}
	}
	said, err := inDebian13(t, made, append([]string{"systemd-analyze", "verify", "--man=no", "--recursive-errors=no"}, units...)...)
	if err != nil || said != "" {
		t.Errorf("systemd: %v\n%s", err, said)
	}
}

// inDebian13 runs a command in a Debian 13 root, with a directory at /mnt.
func inDebian13(t *testing.T, mounted string, command ...string) (said string, err error) {
	t.Helper()
	root := tool(t, "../rootfs")
	if os.Getuid() != 0 {
		without(t, "root, to enter "+root)
	}
	args := append([]string{"--mount", "sh", "-ec", `mount --bind "$1" "$2/mnt"; mount -t proc proc "$2/proc"; r=$2; shift 2; exec chroot "$r" "$@"`, "sh", mounted, root}, command...)
	b, err := exec.Command("unshare", args...).CombinedOutput()
	return string(b), err
}

// TestTraefikAcceptsItsFiles gives Traefik's own loader what gen writes for it.
func TestTraefikAcceptsItsFiles(t *testing.T) {
	checker := tool(t, "traefik-check")
	for kind, pattern := range map[string]string{"static": "etc/traefik/traefik.yml", "dynamic": "etc/traefik/routes/*.yml"} {
		var files []string
		for _, host := range goldenHosts(t) {
			found, err := filepath.Glob(filepath.Join(host, "rootfs/usr/local/etc/*/app", pattern))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, found...)
		}
		if len(files) == 0 {
			t.Fatalf("no golden has %s files", kind)
		}
		if said, err := exec.Command(checker, append([]string{kind}, files...)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, said)
		}
	}
}

// TestTraefikKnowsWhatRoutersName: Traefik itself leaves out a router on an
// entry point or with a middleware that is not there, and says so in its log alone.
func TestTraefikKnowsWhatRoutersName(t *testing.T) {
	type named map[string]any
	seen := 0
	for _, host := range goldenHosts(t) {
		static, _ := filepath.Glob(filepath.Join(host, "rootfs/usr/local/etc/*/app/etc/traefik/traefik.yml"))
		if len(static) == 0 {
			continue
		}
		var own struct {
			EntryPoints named `yaml:"entryPoints"`
		}
		if err := yaml.Unmarshal([]byte(read(t, static[0])), &own); err != nil {
			t.Fatal(err)
		}
		type router struct {
			EntryPoints []string `yaml:"entryPoints"`
			Middlewares []string
			Service     string
		}
		routers, middlewares, services := map[string]router{}, named{}, named{}
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(static[0]), "routes/*.yml"))
		for _, file := range files {
			var d struct {
				HTTP struct {
					Routers               map[string]router
					Middlewares, Services named
				}
			}
			if err := yaml.Unmarshal([]byte(read(t, file)), &d); err != nil {
				t.Fatal(err)
			}
			maps.Copy(routers, d.HTTP.Routers)
			maps.Copy(middlewares, d.HTTP.Middlewares)
			maps.Copy(services, d.HTTP.Services)
		}
		for name, r := range routers {
			seen++
			for _, p := range r.EntryPoints {
				if _, ok := own.EntryPoints[p]; !ok {
					t.Errorf("%s: %s is on the entry point %s, which is not there", host, name, p)
				}
			}
			for _, m := range r.Middlewares {
				if _, ok := middlewares[m]; !ok {
					t.Errorf("%s: %s passes %s, which is not there", host, name, m)
				}
			}
			if _, ok := services[r.Service]; !ok || len(r.EntryPoints) == 0 {
				t.Errorf("%s: %s leads to %q from %v", host, name, r.Service, r.EntryPoints)
			}
		}
	}
	if seen < 50 {
		t.Errorf("golden/ has only %d routers", seen)
	}
}

// TestTmpfilesAreRead: systemd-tmpfiles of Debian 13 understands every line.
func TestTmpfilesAreRead(t *testing.T) {
	for _, host := range goldenHosts(t) {
		confs, err := filepath.Glob(filepath.Join(host, "rootfs/etc/tmpfiles.d/*.conf"))
		if err != nil {
			t.Fatal(err)
		}
		for _, conf := range confs {
			said, err := inDebian13(t, absolute(t, filepath.Dir(conf)), "systemd-tmpfiles", "--dry-run", "--create", "/mnt/"+filepath.Base(conf))
			if err != nil || strings.Contains(said, "/mnt/") {
				t.Errorf("%s: %v\n%s", conf, err, said)
			}
		}
	}
}

// TestScripts: shellcheck has nothing against any of our scripts.
func TestScripts(t *testing.T) {
	checker := tool(t, "shellcheck")
	scripts := []string{"internal/bundle/install", "internal/bundle/push", "../../golden/cases/backups/want/vps1/rootfs/usr/local/sbin/gen-backup", "../../golden/cases/backups/want/vps2/rootfs/usr/local/sbin/gen-drill", "../../golden/fleet/fleet/store/bucket", "testdata/standin"}
	err := filepath.WalkDir("../../.ci", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		if strings.HasPrefix(string(b), "#!/bin/sh") || strings.HasPrefix(string(b), "#!/bin/bash") {
			scripts = append(scripts, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(checker, scripts...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	if said, err := exec.Command(checker, "-s", "bash", "completion/gen.bash").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	for _, script := range scripts {
		b, _ := os.ReadFile(script)
		if strings.Contains(string(b), "shellcheck disable") {
			t.Errorf("%s switches shellcheck off", script)
		}
	}
}

// odd are values that break naive quoting: each reader has characters of its own.
var odd = []string{
	"plain", "", " ", "two words", " leading and trailing ", "\ttab", "a\tb", "line\nbreak", "\n", "cr\rlf\r\n",
	`"`, `'`, `"quoted"`, `it's`, `both ' and "`, `ends in "`, `\`, `\\`, `\n`, `back\slash`, `ends in \`, `\x41`, `\"`,
	"%", "%%", "100%", "%n%h%i", "$", "$$", "$HOME", "${HOME}", "$$$", `\$x`, "%$", "a=b", "=", "a=b=c", "key:value", "a,b",
	"#", "# comment", "; semicolon", ";", "a;b", "[Section]", "[Service]\nExecStart=/bin/sh", "ä", "日本語", "🙂", "é\u0301", "\u00a0", "\u2028",
	"`id`", "$(id)", "&&", "|", ">", "*", "?", "~", "!", "{{.}}", "{}", "a{b,c}d", "--flag=va lue", "-", "@", "+x", "0", "true", "null",
	"\x01\x1f\x7f", "\u0085", strings.Repeat("long ", 400), `{"json": ["a", 1]}`, "postgres://u:p%40ss@db:5432/x?sslmode=disable&a=b",
}

// TestPodmanReadsBackWhatWasMeant puts odd values in a container and reads its
// quadlet with podman's own parser.
func TestPodmanReadsBackWhatWasMeant(t *testing.T) {
	path := oddQuadlet(t)
	for _, podman := range podmans {
		t.Run(podman, func(t *testing.T) {
			b, err := exec.Command(tool(t, "unitcat-"+podman), path).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, b)
			}
			var got map[string]map[string]struct {
				Last     string
				LastArgs []string
				KeyVal   map[string]*string
				Warnings []string
			}
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			c := got["Container"]
			for i, want := range odd {
				v := c["Environment"].KeyVal[fmt.Sprintf("ODD%d", i)]
				if v == nil || bare(*v) != want {
					t.Errorf("Environment: %q is read as %v", want, deref(v))
				}
			}
			var args []string
			for _, a := range c["Exec"].LastArgs {
				args = append(args, bare(a))
			}
			if diff := cmp.Diff(slices.DeleteFunc(slices.Clone(odd), func(s string) bool { return s == "" || s == ";" }), args); diff != "" {
				t.Errorf("Exec is read back otherwise (+) than meant (-):\n%s", diff)
			}
			for _, key := range []string{"HealthCmd", "Entrypoint"} {
				var words []string
				if err := json.Unmarshal([]byte(bare(c[key].Last)), &words); err != nil || !slices.Equal(words, odd) {
					t.Errorf("%s is read back as %q (%v)", key, c[key].Last, err)
				}
			}
			if d := got["Unit"]["Description"].Last; strings.ReplaceAll(d, "%%", "%") != `50% of "$HOME" (odd): app` {
				t.Errorf("Description is read back as %q", d)
			}
		})
	}
}

func deref(s *string) string {
	if s == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q", *s)
}

// bare undoes what systemd does at last: %% is one percent sign, $$ one dollar.
func bare(s string) string { return strings.NewReplacer("%%", "%", "$$", "$").Replace(s) }

// oddQuadlet is the quadlet of a container with every odd value in each place.
func oddQuadlet(t *testing.T) string {
	t.Helper()
	str := func(s string) fleet.Val[string] { return fleet.Val[string]{V: s, Set: true} }
	c := &fleet.Container{Image: str("docker.io/library/demo:1"), Health: &fleet.Health{}}
	for i, s := range odd {
		c.Env = append(c.Env, fleet.Entry[fleet.Val[string]]{Name: fmt.Sprintf("ODD%d", i), V: str(s)})
		c.Entrypoint = append(c.Entrypoint, str(s))
		if s != "" && s != ";" { // neither can be in a command, so check refuses them
			c.Command = append(c.Command, str(s))
		}
	}
	c.Health.Command = c.Entrypoint
	s := &fleet.Service{Name: str("odd"), Title: str(`50% of "$HOME"`), Containers: fleet.Map[*fleet.Container]{{Name: "app", V: c}}}
	h := &fleet.Host{Name: str("one"), Services: fleet.Map[*fleet.Service]{{Name: "odd", V: s}}}
	for _, f := range render.Host(&fleet.Fleet{}, h).Files {
		if strings.HasSuffix(f.Path, "odd-app.container") {
			path := filepath.Join(t.TempDir(), "odd-app.container")
			write(t, path, string(f.Bytes()))
			return path
		}
	}
	t.Fatal("there is no quadlet")
	return ""
}

// TestDocumentsReadBack: whatever string goes into a document, its reader gets
// the same string, as a key and as a value, and no other type.
func TestDocumentsReadBack(t *testing.T) {
	words := append(slices.Clone(odd), "yes", "no", "on", "off", "y", "n", "Yes", "NO", "True", "Null", "1_000", "0x1F", "0o17", "017", "1:30", "190:20:30",
		"1e3", "1.5", ".5", ".inf", ".NaN", "2001-12-14", "<<", "- a", "a: b", "a #b", "&a", "*a", "!a", "@a", "`a", "---", "...", "a\n\nb\n", "\n\na", "  a\nb")
	n := doc.Obj()
	want := map[string]any{}
	for _, w := range words {
		key := "k" + w
		n.Set(key, doc.Obj("value", doc.Str(w, token.NoPos), "list", doc.Strs(w, w)))
		want[key] = map[string]any{"value": w, "list": []any{w, w}}
	}
	for name, read := range map[string]func() (map[string]any, error){
		"yaml": func() (got map[string]any, err error) { return got, yaml.Unmarshal(n.YAML("a comment"), &got) },
		"json": func() (got map[string]any, err error) { return got, json.Unmarshal(n.JSON(), &got) },
	} {
		got, err := read()
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s is read back otherwise (+) than meant (-):\n%s", name, diff)
		}
	}
}

// TestLinesKnowTheirPlace: every line of a unit and every value of a document
// of the example's hosts comes from a place in CUE.
func TestLinesKnowTheirPlace(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(repository))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	for _, h := range f.Hosts {
		for _, file := range render.Host(f, h).Files {
			if !file.Pos.IsValid() {
				t.Errorf("%s has no place", file.Path)
			}
			if file.Unit == nil {
				continue
			}
			for _, s := range file.Unit.Sections {
				for _, l := range s.Lines {
					if !l.Pos.IsValid() {
						t.Errorf("%s: %s= has no place", file.Path, l.Key)
					}
				}
			}
		}
	}
}

// goldenHosts are the directories of all hosts in golden/.
func goldenHosts(t *testing.T) (dirs []string) {
	t.Helper()
	for _, pattern := range []string{"../../golden/fleet/*/UNITS", "../../golden/cases/*/want/*/UNITS"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			dirs = append(dirs, filepath.Dir(f))
		}
	}
	if len(dirs) < 4 {
		t.Fatalf("golden/ has only %v", dirs)
	}
	return dirs
}

// tool finds a program that .ci/tools built, or one of the system's.
func tool(t *testing.T, name string) string {
	t.Helper()
	cache := os.Getenv("GEN_TOOLS")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(base, "gen-tools")
	}
	built := filepath.Join(cache, "bin", name)
	if _, err := os.Stat(built); err == nil {
		return built
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	without(t, name)
	return ""
}

// without skips a test by name for what it lacks; .ci/run requires everything.
func without(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("GEN_REQUIRE") != "" {
		t.Fatalf("it needs %s", what)
	}
	t.Skipf("it needs %s: run .ci/packages, .ci/tools, .ci/host/rootfs and .ci/host/images", what)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// TestFormatted: every CUE file that can be read is written as cue fmt writes it.
func TestFormatted(t *testing.T) {
	unreadable := []string{"syntax-error", "syntax-habits", "syntax-beside", "own-syntax", "never-closed", "not-utf8"}
	for _, dir := range []string{"schema", "services", "hosts", "cue.mod", "golden/cases", "cmd/gen/init"} {
		err := filepath.WalkDir(filepath.Join(repository, dir), func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(p) != ".cue" {
				return err
			}
			if slices.ContainsFunc(unreadable, func(c string) bool { return strings.Contains(p, "/cases/"+c+"/") }) {
				return nil
			}
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			formatted, err := format.Source(b)
			if err == nil && string(formatted) != string(b) {
				err = fmt.Errorf("%s is not as cue fmt writes it", p)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
