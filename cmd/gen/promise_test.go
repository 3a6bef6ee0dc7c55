package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/bundle"
	"gen.example/cmd/gen/internal/check"
	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/tree"
)

// TestMain lets tests run this binary as gen itself, in an environment of their choice.
func TestMain(m *testing.M) {
	if os.Getenv("GEN_TEST_AS_GEN") != "" {
		runtime.LockOSThread() // strace counts calls by the thread
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	if address := os.Getenv("GEN_TEST_AS_REGISTRY"); address != "" {
		fmt.Println(http.ListenAndServe(address, newRegistry()))
		os.Exit(1)
	}
	if file := os.Getenv("GEN_TEST_AS_TOLD"); file != "" {
		serveTold(file)
	}
	if file := os.Getenv("GEN_TEST_MONITOR"); file != "" {
		serveMonitor(file)
	}
	os.Exit(m.Run())
}

// TestPure: nothing between the loader and the disk can see more than its input.
func TestPure(t *testing.T) {
	worldly := []string{"os", "os/exec", "time", "net", "math/rand", "math/rand/v2", "crypto/rand", "io/ioutil", "syscall", "runtime"}
	effects := []string{"load/", "bundle/disk", "secret/", "parallel/"}
	files, err := filepath.Glob("internal/*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimPrefix(filepath.ToSlash(file), "internal/")
		if strings.HasSuffix(name, "_test.go") || slices.ContainsFunc(effects, func(e string) bool { return strings.HasPrefix(name, e) }) {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			// A span of time and the spelling of numbers are not the clock.
			if slices.Contains(worldly, path) && name != "podman/values.go" && name != "check/watch.go" {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// TestCompilingCannotDecrypt: only gen secret can.
func TestCompilingCannotDecrypt(t *testing.T) {
	files, err := filepath.Glob("internal/*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range append(files, "generate.go") {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "internal/secret/") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if strings.HasPrefix(path, "filippo.io/age") || strings.HasSuffix(path, "/internal/secret") {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}

// TestDeterministic: the same repository gives the same bytes and modes in
// another directory, locale, time zone, umask and number of processors.
func TestDeterministic(t *testing.T) {
	moved := filepath.Join(t.TempDir(), "some where else", "ä")
	if err := os.CopyFS(moved, os.DirFS(cases+"/everything")); err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	for i, how := range []struct{ dir, umask, env string }{
		{cases + "/everything", "022", "LANG=C TZ=UTC GOMAXPROCS=1"},
		{moved, "077", "LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 TZ=Asia/Kathmandu GOMAXPROCS=8"},
		{moved, "000", "LANG=de_DE HOME=/nonexistent GOMAXPROCS=3 CUE_EXPERIMENT= CUE_REGISTRY=none"},
	} {
		out := filepath.Join(t.TempDir(), "out")
		c := exec.Command("sh", "-c", `umask "$1"; shift; exec env -i GEN_TEST_AS_GEN=1 "$@"`, "sh", how.umask)
		c.Args = append(c.Args, strings.Fields(how.env)...)
		c.Args = append(c.Args, executable(t), "-C", how.dir, "-o", out)
		if said, err := c.CombinedOutput(); err != nil || len(said) > 0 {
			t.Fatalf("%v: %v %s", how, err, said)
		}
		got := readTree(t, out)
		for _, p := range slices.Sorted(maps.Keys(got)) {
			info, err := os.Stat(filepath.Join(out, p))
			if err != nil {
				t.Fatal(err)
			}
			got[p] += fmt.Sprint(info.Mode())
			if dir, err := os.Stat(filepath.Join(out, filepath.Dir(p))); err != nil || dir.Mode().Perm() != 0o755 {
				t.Errorf("%s: the directory has mode %v", p, dir.Mode())
			}
		}
		if i == 0 {
			want = got
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v writes (+) other than a plain run (-):\n%s", how, diff)
		}
	}
}

func executable(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// TestOutIsOwned: a run with -host touches that host's directory
// alone, an unchanged run touches nothing, and what is not gen's stays.
func TestOutIsOwned(t *testing.T) {
	out := t.TempDir()
	mustGen(t, "-C", repository, "-o", out)
	write(t, filepath.Join(out, "notes.txt"), "mine")
	before := stats(t, out)
	mustGen(t, "-C", repository, "-o", out)
	if diff := cmp.Diff(before, stats(t, out)); diff != "" {
		t.Errorf("an unchanged run touched files:\n%s", diff)
	}

	write(t, filepath.Join(out, "vps1/rootfs/etc/left-over"), "old")
	write(t, filepath.Join(out, "vps1/.keep"), "dot")
	write(t, filepath.Join(out, "vps1/rootfs/etc/.left-over"), "dot")
	write(t, filepath.Join(out, "vps2/rootfs/etc/left-over"), "old")
	write(t, filepath.Join(out, "vps1/UNITS"), "damaged")
	write(t, filepath.Join(out, "vps9/HOST"), "vps9\n")
	write(t, filepath.Join(out, "vps9/UNITS"), "")
	write(t, filepath.Join(out, "other/HOST"), "not other\n")
	mustGen(t, "-C", repository, "-host", "vps1", "-o", out)
	for p, want := range map[string]bool{
		"notes.txt": true, "vps1/.keep": true, "vps1/rootfs/etc/left-over": false, "vps1/rootfs/etc/.left-over": false, "vps2/rootfs/etc/left-over": true,
		"vps9/UNITS": true, "other/HOST": true,
	} {
		if _, err := os.Stat(filepath.Join(out, p)); (err == nil) != want {
			t.Errorf("after -host vps1, %s is there: %v", p, err == nil)
		}
	}
	if said, code := gen(t, "-C", repository, "-o", out); code != ok || !strings.Contains(said, "removed") {
		t.Errorf("exit %d: %s", code, said)
	}
	if _, err := os.Stat(filepath.Join(out, "vps9")); err == nil {
		t.Error("the directory of a host that is gone is still there")
	}
	if got := readTree(t, filepath.Join(out, "vps1"))["UNITS"]; got == "damaged" {
		t.Error("a damaged file was not repaired")
	}

	write(t, filepath.Join(out, "taken/vps1/letter.txt"), "dear")
	said, code := gen(t, "-C", repository, "-host", "vps1", "-o", filepath.Join(out, "taken"))
	if code != misused || len(readTree(t, filepath.Join(out, "taken"))) != 1 {
		t.Errorf("exit %d for a directory that is not gen's: %s", code, said)
	}
}

func write(t *testing.T, path, body string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustGen(t *testing.T, args ...string) {
	t.Helper()
	if said, code := gen(t, args...); code != ok {
		t.Fatalf("gen %v: exit %d: %s", args, code, said)
	}
}

// stats are the identity and time of every file.
func stats(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for p := range readTree(t, dir) {
		info, err := os.Lstat(filepath.Join(dir, p))
		if err != nil {
			t.Fatal(err)
		}
		out[p] = fmt.Sprint(info.ModTime().UnixNano(), info.Sys())
	}
	return out
}

// TestEveryFieldHasAReader changes each field of fleets that use all of them,
// one at a time: what gen writes, or what it finds, must change with it.
func TestEveryFieldHasAReader(t *testing.T) {
	read := map[string]bool{} // by type and field: whether any change of it had an effect
	for _, name := range []string{"everything", "exposure", "watched", "backups"} {
		f, fs := load.Fleet(os.DirFS(cases + "/" + name))
		if len(fs) > 0 {
			t.Fatal(fs)
		}
		base := outcome(f)
		walk(reflect.ValueOf(f).Elem(), func(field string, change func() (undo func())) {
			if read[field] {
				return
			}
			undo := change()
			read[field] = outcome(f) != base
			undo()
		})
		if outcome(f) != base {
			t.Fatal("the walk did not undo its changes")
		}
	}
	for _, field := range slices.Sorted(maps.Keys(read)) {
		if !read[field] {
			t.Errorf("nothing reads %s", field)
		}
	}
	if len(read) < 150 {
		t.Errorf("only %d fields were seen; the two cases must use all of them", len(read))
	}
}

// outcome is all that gen writes for a fleet, or all that it finds; what it
// says of the fleet without its secrets; and what gen secret sees.
func outcome(f *fleet.Fleet) string {
	bare := *f
	bare.Ciphertexts = nil
	return survives(f, compiled) + survives(&bare, compiled) + survives(f, func(f *fleet.Fleet) string { return fmt.Sprint(inventory(f)) })
}

// survives is what look makes of a fleet, also of one that no user could declare.
func survives(f *fleet.Fleet, look func(*fleet.Fleet) string) (out string) {
	defer func() {
		if p := recover(); p != nil {
			out = fmt.Sprint("panic: ", p)
		}
	}()
	return look(f)
}

func compiled(f *fleet.Fleet) (out string) {
	fs := check.Fleet(f)
	for _, finding := range fs {
		out += finding.Error() + finding.Hint + "\n"
	}
	if len(fs) > 0 {
		return out
	}
	bundles := []bundle.Bundle{bundle.Fleet(render.Fleet(f))}
	for _, h := range f.Hosts {
		tr := render.Host(f, h)
		for _, finding := range tr.Close() {
			out += finding.Error() + "\n"
		}
		bundles = append(bundles, bundle.Host(tr))
	}
	for _, b := range bundles {
		out += string(b["SHA256SUMS"].Body) + string(b["user-data"].Body)
	}
	return out
}

// walk visits every field below v that holds a value of the user's.
func walk(v reflect.Value, visit func(field string, change func() (undo func()))) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name := t.String() + "." + f.Name
		if f.Type == reflect.TypeFor[[]*fleet.Host]() {
			for j := range v.Field(i).Len() {
				walk(v.Field(i).Index(j).Elem(), visit)
			}
		}
		if f.Tag.Get("cue") == "-" || f.Name == "Pos" {
			continue
		}
		walkValue(name, v.Field(i), visit)
	}
}

func walkValue(name string, v reflect.Value, visit func(string, func() func())) {
	change := func(to reflect.Value) func() func() {
		return func() func() {
			old := reflect.New(v.Type()).Elem()
			old.Set(v)
			v.Set(to)
			return func() { v.Set(old) }
		}
	}
	switch x := v.Interface().(type) {
	case fleet.Val[string]:
		visit(name, change(reflect.ValueOf(fleet.Val[string]{V: x.V + "1", Set: true, Pos: x.Pos})))
		visit(name, change(reflect.ValueOf(fleet.Val[string]{})))
	case fleet.Val[int]:
		visit(name, change(reflect.ValueOf(fleet.Val[int]{V: x.V + 1, Set: true, Pos: x.Pos})))
	case fleet.Val[bool]:
		visit(name, change(reflect.ValueOf(fleet.Val[bool]{V: !x.V, Set: true, Pos: x.Pos})))
	case fleet.Val[fleet.Seconds]:
		visit(name, change(reflect.ValueOf(fleet.Val[fleet.Seconds]{V: x.V + 1, Set: true, Pos: x.Pos})))
	case *doc.Node:
		visit(name, change(reflect.ValueOf(doc.Strs("changed"))))
	default:
		walkComposite(name, v, change, visit)
	}
}

func walkComposite(name string, v reflect.Value, change func(reflect.Value) func() func(), visit func(string, func() func())) {
	switch v.Kind() {
	case reflect.Pointer:
		visit(name, change(reflect.Zero(v.Type())))
		if !v.IsNil() {
			walk(v.Elem(), visit)
		}
	case reflect.Struct:
		walk(v, visit)
	case reflect.Slice:
		visit(name, change(reflect.Zero(v.Type())))
		for i := range v.Len() {
			e := v.Index(i)
			if e.Kind() == reflect.Struct && strings.HasPrefix(e.Type().Name(), "Entry[") {
				e = e.FieldByName("V") // a name alone is seen in its map
			}
			walkValue(name, e, visit)
		}
	}
}

// TestMinimal changes one file or secret of a host at a time: the stamps of
// exactly the units that read it change, and those of the right kind.
func TestMinimal(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(cases + "/everything"))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	own := func(unit string) string { return unit + " restart" }
	want := map[string][]string{ // by path: the stamps that change with it
		"/etc/containers/containers.conf.d/50-gen.conf":                            {own("team-network.service")},
		"/etc/containers/systemd/container.d/10-all.conf":                          {own("demo-agent.service"), own("demo-app.service"), own("demo-cache.service"), own("team-app.service"), own("team-db.service"), own("team-report.service"), own("traefik-app.service")},
		"/etc/containers/systemd/demo-agent.container":                             {own("demo-agent.service")},
		"/etc/containers/systemd/demo-app.container":                               {own("demo-app.service")},
		"/etc/containers/systemd/demo-cache.container":                             {own("demo-cache.service")},
		"/etc/containers/systemd/demo-cache.volume":                                {own("demo-cache-volume.service")},
		"/etc/containers/systemd/demo-demo.image":                                  {own("demo-demo-image.service")},
		"/etc/containers/systemd/demo.network":                                     {own("demo-network.service")},
		"/etc/containers/systemd/team-app.container":                               {own("team-app.service")},
		"/etc/containers/systemd/team-db.container":                                {own("team-db.service")},
		"/etc/containers/systemd/team-report.container":                            {own("team-report.service")},
		"/etc/containers/systemd/team.network":                                     {own("team-network.service")},
		"/etc/containers/systemd/team.pod":                                         {own("team-pod.service")},
		"/etc/containers/systemd/traefik-app.container":                            {own("traefik-app.service")},
		"/etc/containers/systemd/traefik.network":                                  {own("traefik-network.service")},
		"/etc/demo/owned.json":                                                     nil, // nobody says to read it
		"/etc/motd":                                                                nil,
		"/etc/nftables.d/gen.nft":                                                  {"gen-firewall.service reload"},
		"/etc/ssh/sshd_config.d/50-own.conf":                                       {"ssh.service reload"},
		"/etc/sysctl.d/50-gen.conf":                                                {own("gen-sysctl.service")},
		"/etc/systemd/system/demo-sweep.service":                                   {own("demo-sweep.service")},
		"/etc/systemd/system/gen-firewall.service":                                 {own("gen-firewall.service")},
		"/etc/systemd/system/nftables.service":                                     nil, // masked
		"/etc/systemd/system/sysinit.target.d/50-gen-gen-firewall.service.conf":    nil,
		"/etc/systemd/system/gen-sysctl.service":                                   {own("gen-sysctl.service")},
		"/etc/systemd/system/gen-tmpfiles.service":                                 {own("gen-tmpfiles.service")},
		"/etc/systemd/system/podman-auto-update.timer":                             {own("podman-auto-update.timer")},
		"/etc/systemd/system/timers.target.d/50-gen-podman-auto-update.timer.conf": nil,
		"/etc/systemd/system/ssh.service.d/10-own.conf":                            {own("ssh.service")},
		"/etc/systemd/system/timers.target.d/50-gen-trim.timer.conf":               nil,
		"/etc/systemd/system/trim.service":                                         {own("trim.service")},
		"/etc/systemd/system/trim.timer":                                           {own("trim.timer")},
		"/etc/tmpfiles.d/gen-demo.conf":                                            {own("gen-tmpfiles.service")},
		"/etc/tmpfiles.d/gen-team.conf":                                            {own("gen-tmpfiles.service")},
		"/etc/tmpfiles.d/gen-traefik.conf":                                         {own("gen-tmpfiles.service")},
		"/srv/demo/readme.txt":                                                     nil,
		"/usr/local/etc/demo/app/etc/demo/live/rules.json":                         {"demo-app.service reload"},
		"/usr/local/etc/demo/app/etc/demo/main.ini":                                {own("demo-app.service")},
		"/usr/local/etc/demo/app/etc/demo/main.toml":                               {own("demo-app.service")},
		"/usr/local/etc/demo/app/etc/demo/main.yaml":                               {own("demo-app.service")},
		"/usr/local/etc/demo/app/etc/demo/seen/list.txt":                           nil, // watched
		"/usr/local/etc/demo/cache/etc/redis/live/redis.conf":                      {"demo-cache.service reload"},
		"/usr/local/etc/traefik/app/etc/traefik/routes/team.yml":                   nil, // watched
		"/usr/local/etc/traefik/app/etc/traefik/routes/traefik.yml":                nil, // watched
		"/usr/local/etc/traefik/app/etc/traefik/routes/_shared.yml":                nil, // watched
		"/usr/local/etc/traefik/app/etc/traefik/routes/_tls.yml":                   nil, // watched
		"/usr/local/etc/traefik/app/etc/traefik/routes/demo.yml":                   nil, // watched
		"/usr/local/etc/traefik/app/etc/traefik/traefik.yml":                       {own("traefik-app.service")},
		"/usr/local/share/demo.yaml":                                               nil, // watched
		"staging.demo.key":                                                         {own("demo-app.service")},
		"staging.demo.word":                                                        {own("demo-app.service")},
		"staging.one.token":                                                        {own("trim.timer")},
	}
	tr := render.Host(f, f.Hosts[0])
	base := stampsOf(tr)
	seen := map[string]bool{}
	compare := func(path string) {
		t.Helper()
		seen[path] = true
		var changed []string
		for stamp, value := range stampsOf(tr) {
			if base[stamp] != value {
				changed = append(changed, stamp)
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, want[path]) {
			t.Errorf("a change of %s changes the stamps %v, want %v", path, changed, want[path])
		}
	}
	for _, file := range tr.Files {
		if file.Unit != nil {
			comment := file.Unit.Comment
			file.Unit.Comment += " changed"
			compare(file.Path)
			file.Unit.Comment = comment
		} else {
			body := file.Body
			file.Body = append(slices.Clone(body), "changed"...)
			compare(file.Path)
			file.Body = body
		}
	}
	for _, secret := range tr.Secrets {
		payload := secret.Payload
		secret.Payload += "changed"
		compare(secret.Name)
		secret.Payload = payload
	}
	for path := range want {
		if !seen[path] {
			t.Errorf("there is no %s", path)
		}
	}
}

// TestMinimalRoutes: a route or metrics more, or one less, of a container that
// the proxy leads to restarts nothing; the first of a container restarts it alone.
func TestMinimalRoutes(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(cases + "/everything"))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	demo, _ := f.Hosts[0].Services.Get("demo")
	team, _ := f.Hosts[0].Services.Get("team")
	in := func(s *fleet.Service, name string) *fleet.Container { c, _ := s.Containers.Get(name); return c }
	val := func(s string) fleet.Val[string] { return fleet.Val[string]{V: s, Set: true} }
	route := func(c *fleet.Container) {
		r := &fleet.Route{Host: val("more.example.org"), Audience: val("internet"), Port: fleet.Val[int]{V: 8080, Set: true}}
		c.Routes = append(slices.Clone(c.Routes), fleet.Entry[*fleet.Route]{Name: "more", V: r})
	}
	metrics := func(c *fleet.Container) {
		m := &fleet.Metrics{Port: fleet.Val[int]{V: 9000, Set: true}, Path: val("/metrics")}
		c.Metrics = append(slices.Clone(c.Metrics), fleet.Entry[*fleet.Metrics]{Name: "more", V: m})
	}
	pod := []string{"team-pod.service restart"} // and systemd its containers with it
	for what, change := range map[string]struct {
		container *fleet.Container
		by        func(*fleet.Container)
		restarts  []string
	}{
		"a second route":    {in(demo, "app"), route, nil},
		"further metrics":   {in(demo, "app"), metrics, nil},
		"a route less":      {in(demo, "app"), func(c *fleet.Container) { c.Routes = nil }, nil}, // its metrics remain
		"a first route":     {in(demo, "cache"), route, []string{"demo-cache.service restart"}},
		"first metrics":     {in(demo, "cache"), metrics, []string{"demo-cache.service restart"}},
		"the last of a pod": {in(team, "app"), func(c *fleet.Container) { c.Routes = nil }, pod}, // a pod has one network for all
		"a second of a pod": {in(team, "app"), route, nil},
	} {
		base := stampsOf(render.Host(f, f.Hosts[0]))
		was := *change.container
		change.by(change.container)
		var changed []string
		for stamp, value := range stampsOf(render.Host(f, f.Hosts[0])) {
			if base[stamp] != value {
				changed = append(changed, stamp)
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, change.restarts) {
			t.Errorf("%s changes the stamps %v, want %v", what, changed, change.restarts)
		}
		*change.container = was
	}
}

func stampsOf(tr *tree.Tree) map[string]string {
	out := map[string]string{}
	tr.Close()
	for _, u := range tr.Units() {
		out[u.Name+" restart"], out[u.Name+" reload"] = u.Restart, u.Reload
	}
	return out
}

// TestReadme: what the README shows on the left is the host that it shows on the right.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.ReadFile(filepath.Join(repository, "hosts/vps2.cue"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(readme), "```cue\n")
	block, _, _ = strings.Cut(block, "```")
	words := func(s string) string {
		return strings.Join(strings.Fields(strings.NewReplacer("{", " { ", "}", " } ").Replace(s)), " ")
	}
	if !strings.Contains(words(string(host)), words(block)) {
		t.Errorf("the README shows\n%s\nand hosts/vps2.cue has\n%s", block, host)
	}
}
