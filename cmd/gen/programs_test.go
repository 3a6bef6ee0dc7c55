package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"gen.example/cmd/gen/internal/finding"
)

// Here programs judge what gen writes for them. A program that is not at hand
// is stood in for by a table of the names it knows, in .ci/judges/fields.

// A container is a quadlet of golden/ as podman reads it.
type container struct {
	file    string            // in golden/
	rootfs  string            // its host's
	image   string            // without registry and tag
	command []string          // what follows the image
	env     []string          // names, of secrets too
	secrets []string          // paths in the container
	mounts  map[string]string // path in the container -> on the host
}

// containersOf are all in golden/ whose image is of that name; there must be some.
func containersOf(t *testing.T, image string) []container {
	t.Helper()
	all := slices.DeleteFunc(containers(t), func(c container) bool { return c.image != image })
	if len(all) == 0 {
		t.Fatalf("no golden runs %s", image)
	}
	return all
}

func containers(t *testing.T) (all []container) {
	t.Helper()
	for _, host := range goldenHosts(t) {
		found, err := filepath.Glob(filepath.Join(host, "rootfs/etc/containers/systemd/*.container"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			all = append(all, container{file: file, rootfs: filepath.Join(host, "rootfs")})
		}
	}
	c := exec.Command(tool(t, "unitcat-"+podmans[0]))
	for i := range all {
		c.Args = append(c.Args, all[i].file)
	}
	b, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(bytes.NewReader(b))
	for i := range all {
		var sections map[string]map[string]reading
		if err := answers.Decode(&sections); err != nil {
			t.Fatal(err)
		}
		all[i].read(sections["Container"])
	}
	return all
}

func (c *container) read(keys map[string]reading) {
	_, c.image, _ = strings.Cut(keys["Image"].Last, "/")
	c.image, _, _ = strings.Cut(c.image, ":")
	c.env = slices.Sorted(maps.Keys(keys["Environment"].KeyVal))
	for _, word := range keys["Exec"].LastArgs {
		c.command = append(c.command, bare(word))
	}
	for _, secret := range keys["Secret"].Raw {
		_, target, _ := strings.Cut(secret, "target=")
		target, _, _ = strings.Cut(target, ",")
		if strings.Contains(secret, "type=env") {
			c.env = append(c.env, target)
		} else {
			c.secrets = append(c.secrets, target)
		}
	}
	c.mounts = map[string]string{}
	for _, mount := range keys["Volume"].Raw {
		if f := strings.Split(mount, ":"); len(f) > 1 {
			c.mounts[f[1]] = f[0]
		}
	}
}

// root is a directory as the container sees its own, less the image.
func (c container) root(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	c.mount(t, root)
	return root
}

// mount puts what gen mounts there, and something at the path of each secret.
func (c container) mount(t *testing.T, root string) {
	t.Helper()
	for to, from := range c.mounts {
		from, to := filepath.Join(c.rootfs, from), filepath.Join(root, to)
		info, err := os.Stat(from)
		switch {
		case err != nil: // a volume, which is empty
			err = os.MkdirAll(to, 0o755)
		case info.IsDir(): // it hides what the image has there
			err = errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from)))
		default:
			copyFile(t, from, to)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range c.secrets {
		write(t, filepath.Join(root, secret), "secret")
	}
}

// judge lets a program look at what the container has, where it has it, and
// gives what it said.
func (c container) judge(t *testing.T, program string, args ...string) (said string) {
	t.Helper()
	root := c.root(t)
	copyFile(t, tool(t, program), filepath.Join(root, "judge", program))
	return c.run(t, root, "/judge/"+program, args...)
}

func (c container) run(t *testing.T, root, program string, args ...string) (said string) {
	t.Helper()
	b, err := inRoot(t, root, program, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %s %v: %v\n%s", c.file, program, args, err, b)
	}
	return string(b)
}

// inRoot is a command in a directory as its root, and in no network.
func inRoot(t *testing.T, root, program string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		without(t, "root, to run "+program+" in a directory")
	}
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir, c.Env = "/", []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWNET}
	return c
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	write(t, to, string(b))
	if err := os.Chmod(to, 0o755); err != nil {
		t.Fatal(err)
	}
}

// flag is what the container's command gives a flag.
func (c container) flag(t *testing.T, name string) string {
	t.Helper()
	for _, word := range c.command {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	t.Fatalf("%s has no %s", c.file, name)
	return ""
}

// TestPrometheusAcceptsItsFiles: promtool has nothing against prometheus.yml,
// the rules and the scrapes, nor against any file that they name.
func TestPrometheusAcceptsItsFiles(t *testing.T) {
	for _, c := range containersOf(t, "prometheus/prometheus") {
		c.judge(t, "promtool", "check", "config", "--lint=all", "--lint-fatal", c.flag(t, "--config.file"))
	}
}

// TestAlertmanagerAcceptsItsFiles: amtool has nothing against alertmanager.yml,
// and its routes lead to receivers.
func TestAlertmanagerAcceptsItsFiles(t *testing.T) {
	for _, c := range containersOf(t, "prometheus/alertmanager") {
		file := c.flag(t, "--config.file")
		c.judge(t, "amtool", "check-config", file)
		if said := c.judge(t, "amtool", "config", "routes", "show", "--config.file="+file); !strings.Contains(said, "receiver: ") {
			t.Errorf("%s: amtool sees no route:\n%s", c.file, said)
		}
	}
}

// TestBlackboxExporterAcceptsItsFiles: it takes its command and its modules.
func TestBlackboxExporterAcceptsItsFiles(t *testing.T) {
	for _, c := range containersOf(t, "prometheus/blackbox-exporter") {
		c.judge(t, "blackbox_exporter", append(c.command, "--config.check")...)
	}
}

// TestPostgresAcceptsItsSettings asks PostgreSQL itself, of whatever version is
// at hand, for a setting's value: to answer, it reads all that it is given.
func TestPostgresAcceptsItsSettings(t *testing.T) {
	root := unpacked(t, "postgres")
	write(t, filepath.Join(root, "empty/postgresql.conf"), "")
	settings := 0
	for _, c := range containersOf(t, "library/postgres") {
		settings += len(c.command)
		args := append([]string{"-C", "max_connections", "-D", "/empty"}, c.command...)
		c.run(t, root, "/usr/lib/postgresql/17/bin/postgres", args...)
	}
	if settings == 0 {
		t.Error("no golden has a setting of PostgreSQL")
	}
}

// TestMariaDBAcceptsItsSettings: before it prints its help, it reads all files.
func TestMariaDBAcceptsItsSettings(t *testing.T) {
	root := unpacked(t, "mariadb")
	settings := 0
	for _, c := range containersOf(t, "library/mariadb") {
		c.mount(t, root)
		help, err := inRoot(t, root, "/usr/sbin/mariadbd", append(c.command, "--user=root", "--verbose", "--help")...).Output()
		if exit, failed := err.(*exec.ExitError); failed {
			t.Errorf("%s: %s", c.file, exit.Stderr)
		}
		settings += bytes.Count(help, []byte("READ-COMMITTED"))
	}
	if settings == 0 {
		t.Error("no golden has a setting of MariaDB that it reads")
	}
}

// TestServersStart: servers take their commands and files, and become ready.
func TestServersStart(t *testing.T) {
	for _, s := range []struct{ name, image, program, ready string }{
		{"alertmanager", "prometheus/alertmanager", "/bin/alertmanager", "Listening on"},
		{"prometheus", "prometheus/prometheus", "/bin/prometheus", "Server is ready"},
		{"valkey", "valkey/valkey", "/usr/local/bin/valkey-server", "Ready to accept connections"},
	} {
		t.Run(s.name, func(t *testing.T) {
			for _, c := range containersOf(t, s.image) {
				root := unpacked(t, s.name)
				c.mount(t, root)
				server := inRoot(t, root, s.program, c.command...)
				if said, ok := becomes(t, server, s.ready); !ok {
					t.Errorf("%s: %s does not become ready:\n%s", c.file, s.name, said)
				}
			}
		})
	}
}

// becomes starts a server, and stops it when it has said that it is ready.
func becomes(t *testing.T, server *exec.Cmd, ready string) (said string, ok bool) {
	t.Helper()
	log, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = server.Stdout
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(log); !ok && lines.Scan(); {
		said += lines.Text() + "\n"
		ok = strings.Contains(lines.Text(), ready)
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	server.Wait()
	return said, ok
}

// unpacked is a new root of an image that test hosts run.
func unpacked(t *testing.T, image string) (root string) {
	t.Helper()
	root = t.TempDir()
	if said, err := exec.Command("tar", "-C", root, "-xf", tool(t, "../images/"+image+".tar")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return root
}

// TestProgramsKnowTheirFields looks at documents field by field.
func TestProgramsKnowTheirFields(t *testing.T) {
	for _, p := range []struct{ table, image, files string }{
		{"authentik-blueprint", "goauthentik/server", "/blueprints/custom/*.yaml"},
		{"grafana-dashboard", "grafana/grafana", "/etc/grafana/dashboards/*/*.json"},
		{"grafana-dashboards", "grafana/grafana", "/etc/grafana/provisioning/dashboards/*.yaml"},
		{"grafana-datasources", "grafana/grafana", "/etc/grafana/provisioning/datasources/*.yaml"},
		{"nextcloud-config", "library/nextcloud", "/etc/nextcloud/config.json"},
		{"synapse", "element-hq/synapse", "/etc/synapse/homeserver.yaml"},
		{"synapse-log", "element-hq/synapse", "/etc/synapse/log.yaml"},
	} {
		t.Run(p.table, func(t *testing.T) {
			known := fieldsOf(t, p.table)
			for file, text := range filesOf(t, p.image, p.files) {
				var document any
				if err := yaml.Unmarshal([]byte(text), &document); err != nil {
					t.Fatal(file, err)
				}
				known.walk(t, file, nil, document)
			}
		})
	}
}

// TestAuthentikAcceptsItsBlueprints: every entry has what the schema of
// Authentik's API demands of it, and nothing besides. The schema comes by npm, so
// only .ci/long requires it.
func TestAuthentikAcceptsItsBlueprints(t *testing.T) {
	if os.Getenv("GEN_LONG") == "" {
		t.Setenv("GEN_REQUIRE", "")
	}
	checker := tool(t, "authentik-check")
	one := filepath.Join(t.TempDir(), "blueprint.yaml")
	var all []string
	var text string
	for _, text = range filesOf(t, "goauthentik/server", "/blueprints/custom/*.yaml") {
		all = append(all, filepath.Join(t.TempDir(), "blueprint.yaml"))
		write(t, all[len(all)-1], text)
	}
	if said, err := exec.Command(checker, all...).CombinedOutput(); err != nil || len(all) < 3 {
		t.Errorf("of %d blueprints: %v\n%s", len(all), err, said)
	}
	for was, is := range map[string]string{ // what it must not take
		"authorization_flow":         "authentication_flow",
		"matching_mode: strict":      "matching_mode: exact",
		"- authorization_code":       "- code",
		"client_type":                "client_kind",
		"authentik_core.application": "authentik_core.app",
		"slug: ":                     "slug: 5 # ",
		"state: created":             "state: there",
		"designation: authorization": "designation: authorisation",
		"scope_name: ":               "scope: ",
	} {
		write(t, one, strings.ReplaceAll(text, was, is))
		if said, err := exec.Command(checker, one).CombinedOutput(); err == nil || !strings.Contains(text, was) {
			t.Errorf("it takes %q instead of %q: %s", is, was, said)
		}
	}
}

// filesOf are what gen mounts into containers of an image where the pattern
// says; there must be some.
func filesOf(t *testing.T, image, pattern string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, c := range containersOf(t, image) {
		root := c.root(t)
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			files[c.file+": "+strings.TrimPrefix(f, root)] = string(b)
		}
	}
	if len(files) == 0 {
		t.Fatalf("no golden has %s of %s", pattern, image)
	}
	return files
}

// environments are the tables of the environment variables that an image reads.
var environments = map[string]string{
	"element-hq/synapse":                    "synapse-env",
	"goauthentik/server":                    "authentik-env",
	"grafana/grafana":                       "grafana-env",
	"hedgedoc/hedgedoc":                     "hedgedoc-env",
	"kopia/kopia":                           "kopia-env",
	"library/mariadb":                       "mariadb-env",
	"library/nextcloud":                     "nextcloud-env",
	"library/postgres":                      "postgres-env",
	"navidys/prometheus-podman-exporter":    "podman-exporter-env",
	"oliver006/redis_exporter":              "redis-exporter-env",
	"prometheus/mysqld-exporter":            "mysqld-exporter-env",
	"prometheus/node-exporter":              "node-exporter-env",
	"prometheuscommunity/postgres-exporter": "postgres-exporter-env",
	"xperimental/nextcloud-exporter":        "nextcloud-exporter-env",
}

// catalogueCases hold what the catalogue writes, and nothing invented.
var catalogueCases = regexp.MustCompile(`/cases/(catalogue|environments|sso|two-of-each)/`)

// TestImagesReadTheirEnvironment: a program says nothing of a variable that it
// does not know.
func TestImagesReadTheirEnvironment(t *testing.T) {
	names := 0
	for _, c := range containers(t) {
		if strings.Contains(c.file, "/cases/") && !catalogueCases.MatchString(c.file) || len(c.env) == 0 {
			continue // other cases may run what nobody knows
		}
		table, ok := environments[c.image]
		if !ok {
			t.Errorf("%s: nobody has written down what %s reads: %v", c.file, c.image, c.env)
			continue
		}
		known := fieldsOf(t, table)
		for _, name := range c.env {
			known.check(t, c.file, name)
		}
		names += len(c.env)
	}
	if names == 0 {
		t.Error("no golden has environment variables")
	}
}

// TestHedgeDocReadsItsSecrets: it looks for files of certain names.
func TestHedgeDocReadsItsSecrets(t *testing.T) {
	known := fieldsOf(t, "hedgedoc-secrets")
	for _, c := range containersOf(t, "hedgedoc/hedgedoc") {
		for _, secret := range c.secrets {
			known.check(t, c.file, path.Base(secret))
		}
	}
}

// fields are the names that a program knows, level by level. A star is any name,
// at the end with all that is below it; a list is no level.
type fields [][]string

// fieldsOf reads a table: a name a line with dots between its levels, sorted, and
// a comment on where they are from. A dot within a name is written as \.
func fieldsOf(t *testing.T, table string) (all fields) {
	t.Helper()
	b, err := os.ReadFile("../../.ci/judges/fields/" + table + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(b), "# ") {
		t.Errorf("%s does not say where it is from", table)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
			levels := strings.Split(strings.ReplaceAll(line, `\.`, "\n"), ".")
			for i, level := range levels {
				levels[i] = strings.ReplaceAll(level, "\n", `\.`) // as path.Match takes it
			}
			all = append(all, levels)
		}
	}
	if !slices.IsSorted(lines) || len(slices.Compact(lines)) < len(all) || len(all) == 0 {
		t.Errorf("%s is not sorted, or has a line twice, or none", table)
	}
	return all
}

func (f fields) know(name []string) bool {
	return slices.ContainsFunc(f, func(line []string) bool {
		for i, level := range name {
			if i == len(line) {
				return line[i-1] == "*"
			}
			if match, err := path.Match(line[i], level); err != nil || !match {
				return false
			}
		}
		return true
	})
}

// check blames a name that the program does not know, and finds the one meant.
func (f fields) check(t testing.TB, file string, name ...string) bool {
	t.Helper()
	if f.know(name) {
		return true
	}
	var like []string
	for _, line := range f {
		if n := len(name) - 1; len(line) > n && slices.Equal(line[:n], name[:n]) {
			like = append(like, strings.ReplaceAll(line[n], `\.`, "."))
		}
	}
	like = slices.Compact(like)
	known := "it knows " + strings.Join(like[:min(len(like), 20)], ", ")
	t.Errorf("%s: no such field: %s: %s", file, strings.Join(name, "."), finding.DidYouMean(name[len(name)-1], like, known))
	return false
}

// walk checks every field of a document, none below an unknown one.
func (f fields) walk(t testing.TB, file string, at []string, value any) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			f.walk(t, file, at, v)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if name := append(slices.Clone(at), key); f.check(t, file, name...) {
				f.walk(t, file, name, value[key])
			}
		}
	}
}

// TestFieldsAreBlamed: the tables' own judge.
func TestFieldsAreBlamed(t *testing.T) {
	known := fields{{"a", "b"}, {"a", "list", "c"}, {"open", "*"}, {"some", "*", "d"}, {"word_*"}}
	for document, want := range map[string]string{
		`{a: {b: 1}, open: {x: {y: 1}}, some: {x: {d: 1}}, word_x: 1}`: ``,
		`{a: {list: [{c: 1}, {c: 2}]}, open: 1, word_: {}}`:            ``,
		`{a: {lits: []}}`:                  `a.lits: did you mean "list"?`,
		`{a: {b: {b: 1}}}`:                 `a.b.b: it knows `,
		`{some: {x: {e: 1}}}`:              `some.x.e`,
		`{some: {x: {d: {d: 1}}}}`:         `some.x.d.d`,
		`{aa: {wrong: 1}}`:                 `aa: did you mean "a"?`,
		`{a: {list: [{c: 1}, {word: 2}]}}`: `a.list.word: it knows c`,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(document), &value); err != nil {
			t.Fatal(err)
		}
		r := &recorder{TB: t}
		known.walk(r, "x", nil, value)
		if want == "" && r.said != "" || !strings.Contains(r.said, want) {
			t.Errorf("%s is blamed with %q, not %q", document, r.said, want)
		}
	}
}

type recorder struct {
	testing.TB
	said string
}

func (r *recorder) Helper()                        {}
func (r *recorder) Errorf(format string, a ...any) { r.said += fmt.Sprintf(format, a...) }

// TestFeedReadersTakeReleases: releases.opml is OPML 2.0, and a feed reader
// subscribes to every feed in it.
func TestFeedReadersTakeReleases(t *testing.T) {
	files, err := filepath.Glob("../../golden/fleet/fleet/releases.opml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden has release feeds (%v)", err)
	}
	reader := tool(t, "newsboat")
	for _, file := range files {
		home := t.TempDir()
		c := exec.Command(reader, "--import-from-opml="+absolute(t, file), "--url-file="+filepath.Join(home, "urls"))
		c.Env = append(os.Environ(), "HOME="+home)
		if said, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: newsboat: %v\n%s", file, err, said)
		}
		b, err := os.ReadFile(filepath.Join(home, "urls"))
		if err != nil {
			t.Fatal(err)
		}
		var read []string
		for line := range strings.Lines(string(b)) {
			url, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			read = append(read, url)
		}
		if diff := cmp.Diff(feedsOf(t, file), read); diff != "" {
			t.Errorf("%s: newsboat subscribes to other feeds (+) than it lists (-):\n%s", file, diff)
		}
	}
}

// feedsOf reads an OPML file as its specification has it.
func feedsOf(t *testing.T, file string) (urls []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var opml struct {
		XMLName xml.Name `xml:"opml"`
		Version string   `xml:"version,attr"`
		Title   string   `xml:"head>title"`
		Feeds   []struct {
			Type string `xml:"type,attr"`
			Text string `xml:"text,attr"`
			URL  string `xml:"xmlUrl,attr"`
		} `xml:"body>outline"`
	}
	if err := xml.Unmarshal(b, &opml); err != nil {
		t.Fatal(file, err)
	}
	if opml.Version != "2.0" || opml.Title == "" || len(opml.Feeds) == 0 {
		t.Errorf("%s is no OPML 2.0 with a title and feeds: %+v", file, opml)
	}
	for _, f := range opml.Feeds {
		if f.Type != "rss" || f.Text == "" || !strings.HasPrefix(f.URL, "https://") {
			t.Errorf("%s: %+v is no feed", file, f)
		}
		urls = append(urls, f.URL)
	}
	return urls
}
