package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A lab is fresh Debian 13 machines in namespaces, with the operator beside them.
type lab struct {
	*testing.T
	dir string
}

// small is the fleet that is changed, broken, killed and burned on its machines.
const small = cases + "/small"

// newLab makes the machines of the example's fleet, and takes them away at the end.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := emptyLab(t)
	for _, up := range [][]string{{"vps1", "203.0.113.10/24", "2001:db8::10/64"}, {"vps2", "203.0.113.20/24"}} {
		l.run(append([]string{"up", l.dir}, up...)...)
	}
	return l
}

// emptyLab has no machines yet. Those that come are taken away at the end.
func emptyLab(t *testing.T) *lab {
	t.Helper()
	script := absolute(t, "../../.ci/host/lab")
	if said, err := exec.Command(script, "ready").CombinedOutput(); err != nil {
		without(t, strings.TrimSpace(string(said)))
	}
	l := &lab{t, filepath.Join(t.TempDir(), "lab")}
	t.Cleanup(func() {
		if said, err := exec.Command(script, "down", l.dir).CombinedOutput(); err != nil {
			t.Errorf("lab down: %v\n%s", err, said)
		}
	})
	return l
}

// try runs a verb of the lab.
func (l *lab) try(args ...string) (string, error) {
	b, err := exec.Command("../../.ci/host/lab", args...).CombinedOutput()
	return string(b), err
}

func (l *lab) run(args ...string) string {
	l.Helper()
	said, err := l.try(args...)
	if err != nil {
		l.Fatalf("lab %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return said
}

// on runs a command on a host, at on the operator's machine.
func (l *lab) on(host string, command ...string) string {
	l.Helper()
	return l.run(append([]string{"sh", l.dir, host}, command...)...)
}

func (l *lab) operator(command ...string) string {
	l.Helper()
	return l.run(append([]string{"net", l.dir}, command...)...)
}

var addresses = map[string]string{"vps1": "203.0.113.10", "vps2": "203.0.113.20", "staging": "203.0.113.30", "one": "203.0.113.40"}

// passphrase is what the README says of the demonstration operator's identity.
const passphrase = "demonstration"

// identity is the README's command that brings a host its identity, also one
// that replaces a burned host.
func (l *lab) identity(host string) {
	l.Helper()
	l.identityOf(small, host)
}

func (l *lab) identityOf(repo, host string) {
	l.Helper()
	l.operator("sh", "-ec", fmt.Sprintf(
		`echo %s | GEN_TEST_AS_GEN=1 %s secret identity %s -C %s -i %s -passphrase - | ssh root@%s 'umask 077; mkdir -p /etc/gen; cat >/etc/gen/identity'`,
		passphrase, executable(l.T), host, absolute(l.T, repo), absolute(l.T, "../../hosts/keys/demonstration.identity"), addresses[host]))
}

// push compiles a repository and pushes it to a host, unmodified.
func (l *lab) push(repo, host string) string {
	l.Helper()
	said, err := l.tryPush(repo, host)
	if err != nil {
		l.Fatalf("push to %s: %v\n%s\n%s", host, err, said, l.on(host, "journalctl", "-n", "60", "--no-pager", "-o", "cat"))
	}
	return said
}

func (l *lab) tryPush(repo, host string, options ...string) (string, error) {
	l.Helper()
	return l.pushFrom([]string{"net", l.dir}, repo, host, options...)
}

// pushFrom pushes from a place, which is a verb of the lab and its arguments.
func (l *lab) pushFrom(place []string, repo, host string, options ...string) (string, error) {
	l.Helper()
	out := filepath.Join(l.TempDir(), "out")
	mustGen(l.T, "-C", repo, "-host", host, "-o", out)
	return l.try(slices.Concat(place, []string{filepath.Join(out, host, "push")}, options, []string{"root@" + addresses[host]})...)
}

// refuses pushes and checks the exit code, and some of what is said.
func (l *lab) refuses(repo string, code int, words string, options ...string) {
	l.Helper()
	said, err := l.tryPush(repo, "vps1", options...)
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) || exit.ExitCode() != code || !strings.Contains(said, words) {
		l.Fatalf("%v, want exit %d and %q\n%s", err, code, words, said)
	}
}

// invocations are the units of a host's bundle, each with the identity of its
// present run, without those that something else starts, such as a timer.
func (l *lab) invocations(host string) map[string]string {
	l.Helper()
	out := map[string]string{}
	for line := range strings.Lines(l.on(host, "sh", "-c",
		`for u in $(awk -F'\t' '$3 != "hold" {print $2}' /var/lib/gen/generations/$(cat /var/lib/gen/current)/UNITS); do echo "$u $(systemctl show -p InvocationID --value $u)"; done`)) {
		unit, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[unit] = id
	}
	if len(out) == 0 {
		l.Fatal("there are no units")
	}
	return out
}

// restarted are the units that run anew since before, sorted.
func (l *lab) restarted(host string, before map[string]string) (units []string) {
	l.Helper()
	for unit, id := range l.invocations(host) {
		if before[unit] != id {
			units = append(units, unit)
		}
	}
	slices.Sort(units)
	return units
}

// healthy checks that every unit of a host that install starts is active, and
// every container healthy that can be asked.
func (l *lab) healthy(host string) {
	l.Helper()
	held := strings.Fields(l.on(host, "sh", "-c", `awk -F'\t' '$3 != "up" {print $2}' /var/lib/gen/generations/$(cat /var/lib/gen/current)/UNITS`))
	for unit := range l.invocations(host) {
		if slices.Contains(held, unit) {
			continue
		}
		if state := strings.TrimSpace(l.on(host, "systemctl", "show", "-p", "ActiveState", "--value", unit)); state != "active" {
			l.Errorf("%s: %s is %s", host, unit, state)
		}
	}
	silent := l.on(host, "sh", "-c", "grep -l '^HealthCmd=none' /etc/containers/systemd/*.container || :")
	for line := range strings.Lines(l.on(host, "podman", "ps", "-a", "--format", "{{.Names}} {{.Status}}")) {
		name, _, _ := strings.Cut(line, " ")
		if strings.HasSuffix(name, "-infra") {
			continue // a pod's own, which only holds its network
		}
		if !strings.Contains(line, "(healthy)") && !strings.Contains(silent, "/"+name+".container") {
			l.Errorf("%s: %s", host, line)
		}
	}
}

// note is what HedgeDoc's stand-in says of a request through the proxy, its
// database and itself.
type note struct {
	Host     string
	UID, GID int
	Notes    int
	Headers  map[string]string
	Env      map[string]string
}

func (l *lab) request(host, address string) (n note) {
	l.Helper()
	said := l.operator("curl", "-sSk", "--max-time", "20", "--resolve", host+":443:"+address, "https://"+host+"/")
	if err := json.Unmarshal([]byte(said), &n); err != nil {
		l.Fatalf("%s: %v\n%s", host, err, said)
	}
	return n
}

// edit is a copy of the small fleet with a word of its file changed.
func (l *lab) edit(old, new string) (repo string) {
	l.Helper()
	repo = l.TempDir()
	if err := os.CopyFS(filepath.Join(repo, "hosts"), os.DirFS(filepath.Join(small, "hosts"))); err != nil {
		l.Fatal(err)
	}
	l.change(repo, old, new)
	return repo
}

// change replaces a word of a fleet's file that is there once.
func (l *lab) change(repo, old, new string) {
	l.Helper()
	const file = "hosts/fleet.cue"
	b, err := os.ReadFile(filepath.Join(repo, file))
	if err != nil || strings.Count(string(b), old) != 1 {
		l.Fatalf("%s: %q is not there once (%v)", file, old, err)
	}
	write(l.T, filepath.Join(repo, file), strings.Replace(string(b), old, new, 1))
}

// TestRealHost is the whole way: a fleet from CUE to healthy services on two
// fresh machines, and changes that restart what read them.
// What the tests do to Traefik's log: a change that one unit reads.
const (
	mail  = `{acme: email: "ada@example.org"}`
	quiet = `{acme: email: "ada@example.org", static: log: level: "WARN"}`
)

func TestRealHost(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots machines")
	}
	t.Parallel()
	l := newLab(t)

	if said, err := l.tryPush(small, "vps1"); err == nil || !strings.Contains(said, "identity") {
		t.Errorf("a host without its identity took the bundle: %v\n%s", err, said)
	}
	if left := l.on("vps1", "sh", "-c", "find /etc/containers/systemd -type f; podman secret ls -q"); left != "" {
		t.Errorf("a refused bundle left %s", left)
	}

	var wg sync.WaitGroup
	for _, host := range []string{"vps1", "vps2"} {
		l.identity(host)
		wg.Go(func() {
			if said, err := l.tryPush(small, host); err != nil {
				t.Errorf("push to %s: %v\n%s", host, err, said)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}

	t.Run("healthy", func(t *testing.T) {
		l := &lab{t, l.dir}
		l.healthy("vps1")
		l.healthy("vps2")
		if said := l.on("vps2", "curl", "-sS", "http://127.0.0.1:9100/metrics"); !strings.Contains(said, "node_uname_info") {
			t.Errorf("node_exporter says %.200s", said)
		}
		// The mesh is not up yet; its address is bound all the same.
		if said := l.on("vps2", "ss", "-Hltn", "src", "10.44.0.2:9100"); !strings.Contains(said, "LISTEN") {
			t.Error("nothing listens on 10.44.0.2:9100")
		}
	})

	t.Run("a request reaches the database", func(t *testing.T) {
		l := &lab{t, l.dir}
		for i, address := range []string{"203.0.113.10", "[2001:db8::10]"} {
			n := l.request("notes.example.org", address)
			if n.Notes != i+1 || n.UID != 10000 || n.GID != 10000 || n.Headers["X-Forwarded-Proto"] != "https" {
				t.Errorf("%s: %+v", address, n)
			}
			if from := n.Headers["X-Forwarded-For"]; from != []string{"203.0.113.1", "2001:db8::1"}[i] {
				t.Errorf("%s: the application sees the client as %s", address, from)
			}
		}
	})

	t.Run("metrics are on one port of the mesh", func(t *testing.T) {
		l := &lab{t, l.dir}
		// The mesh is not up yet: whoever dials its address must find it somewhere.
		l.on("vps1", "ip", "address", "add", "10.44.0.1/32", "dev", "lo")
		defer l.on("vps1", "ip", "address", "delete", "10.44.0.1/32", "dev", "lo")
		for path, want := range map[string]string{"hedgedoc/hedgedoc": "hedgedoc", "hedgedoc/postgres": "pg_up", "traefik/traefik": "traefik_config_last_reload_success"} {
			if said := l.on("vps1", "curl", "-sS", "http://10.44.0.1:9101/"+path); !strings.Contains(said, want) {
				t.Errorf("%s says %.200s", path, said)
			}
		}
	})

	t.Run("the same again changes nothing", func(t *testing.T) {
		l := &lab{t, l.dir}
		before := l.invocations("vps1")
		if said := l.push(small, "vps1"); strings.TrimSpace(said) != "nothing to do" {
			t.Errorf("it says %s", said)
		}
		if units := l.restarted("vps1", before); units != nil {
			t.Errorf("restarted: %v", units)
		}
	})

	t.Run("a changed config restarts one unit", func(t *testing.T) {
		l := &lab{t, l.dir}
		before := l.invocations("vps1")
		l.push(l.edit(mail, quiet), "vps1")
		if diff := cmp.Diff([]string{"traefik-app.service"}, l.restarted("vps1", before)); diff != "" {
			t.Errorf("restarted otherwise (+) than meant (-):\n%s", diff)
		}
		l.healthy("vps1")
	})

	t.Run("a changed route restarts nothing", func(t *testing.T) {
		l := &lab{t, l.dir}
		before := l.invocations("vps1")
		repo := l.edit(mail, quiet)
		l.change(repo, "catalog.#HedgeDoc", `catalog.#HedgeDoc & {containers: app: routes: pads: {host: "pads.example.org", port: 3000}}`)
		l.push(repo, "vps1")
		if units := l.restarted("vps1", before); units != nil {
			t.Errorf("restarted: %v", units)
		}
		l.operator("sh", "-c", "for i in $(seq 120); do curl -sfk --resolve pads.example.org:443:203.0.113.10 https://pads.example.org/_health && exit; sleep 0.5; done; exit 1")
	})

	t.Run("odd values arrive", func(t *testing.T) {
		l := &lab{t, l.dir}
		want := map[string]string{}
		var env strings.Builder
		for i, s := range odd {
			if strings.Contains(s, "\r\n") {
				continue // podman drops the carriage return, so check refuses it
			}
			name := fmt.Sprintf("CMD_ODD%d", i)
			want[name] = s
			fmt.Fprintf(&env, "%s: %s\n", name, cueString(s))
		}
		before := l.invocations("vps1")
		repo := l.edit("catalog.#HedgeDoc", "catalog.#HedgeDoc & {containers: app: env: {\n"+env.String()+"}}")
		words := slices.DeleteFunc(slices.Clone(odd), func(s string) bool { return s == "" || s == ";" })
		write(t, filepath.Join(repo, "hosts/odd.cue"), oddService(words))
		l.push(repo, "vps1")
		if diff := cmp.Diff([]string{"gen-tmpfiles.service", "hedgedoc-app.service", "odd-app.service", "odd-network.service", "traefik-app.service"}, l.restarted("vps1", before)); diff != "" {
			t.Errorf("restarted otherwise (+) than meant (-):\n%s", diff)
		}
		got := l.request("notes.example.org", "203.0.113.10").Env
		maps.DeleteFunc(got, func(k, _ string) bool { return !strings.HasPrefix(k, "CMD_ODD") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the program sees its environment otherwise (+) than meant (-):\n%s", diff)
		}
		args := strings.Split(strings.TrimSuffix(l.on("vps1", "cat", "/srv/odd/out/arguments"), "\x00"), "\x00")
		if diff := cmp.Diff(words, args); diff != "" {
			t.Errorf("the program sees its arguments otherwise (+) than meant (-):\n%s", diff)
		}
	})

	t.Run("a changed network is made anew", func(t *testing.T) {
		l := &lab{t, l.dir}
		l.push(small, "vps1")
		before := l.invocations("vps1")
		repo := l.edit("catalog.#HedgeDoc", `catalog.#HedgeDoc & {network: subnet: "10.99.0.0/24"}`)
		l.push(repo, "vps1")
		want := []string{"hedgedoc-app.service", "hedgedoc-db-exporter.service", "hedgedoc-db.service", "hedgedoc-network.service"}
		if diff := cmp.Diff(want, l.restarted("vps1", before)); diff != "" {
			t.Errorf("restarted otherwise (+) than meant (-):\n%s", diff)
		}
		if said := l.on("vps1", "podman", "network", "inspect", "hedgedoc"); !strings.Contains(said, "10.99.0.0/24") {
			t.Errorf("the network is still %s", said)
		}
		l.healthy("vps1")
	})

	t.Run("a pod shares one network", func(t *testing.T) {
		onlyInCI(t)
		l := &lab{t, l.dir}
		repo := l.edit("fleet: {", "fleet: {")
		write(t, filepath.Join(repo, "hosts/team.cue"), team)
		l.push(repo, "vps1")
		l.healthy("vps1")
		l.operator("sh", "-c", "for i in $(seq 120); do curl -sfk --resolve team.example.org:443:203.0.113.10 https://team.example.org/ | grep -x together && exit; sleep 0.5; done; exit 1")
		if said := l.on("vps1", "podman", "inspect", "-f", "{{.IsInfra}} {{.Pod}}", "team-infra"); !strings.HasPrefix(said, "true ") {
			t.Errorf("there is no pod: %s", said)
		}
		l.on("vps1", "curl", "-sf", "http://127.0.0.1:8089/")
		l.on("vps1", "systemctl", "start", "team-report.service") // a oneshot
		before := l.invocations("vps1")
		if said := l.push(repo, "vps1"); strings.TrimSpace(said) != "nothing to do" {
			t.Errorf("it says %s", said)
		}
		if units := l.restarted("vps1", before); units != nil {
			t.Errorf("restarted: %v", units)
		}
		l.push(small, "vps1")
		if said := l.on("vps1", "sh", "-c", "podman ps -a --format '{{.Names}}'; podman pod ls"); strings.Contains(said, "team") {
			t.Errorf("podman still has %s", said)
		}
	})

	t.Run("a removed service goes, its data stays", func(t *testing.T) {
		l := &lab{t, l.dir}
		repo := l.edit("hedgedoc: catalog.#HedgeDoc", "")
		if err := os.RemoveAll(filepath.Join(repo, "hosts/secrets")); err != nil { // nothing uses them any more
			t.Fatal(err)
		}
		before := l.invocations("vps1")
		l.push(repo, "vps1")
		for _, path := range []string{"/etc/containers/systemd/hedgedoc-app.container", "/etc/tmpfiles.d/gen-hedgedoc.conf"} {
			if _, err := l.try("sh", l.dir, "vps1", "test", "-e", path); err == nil {
				t.Errorf("%s is still there", path)
			}
		}
		if said := l.on("vps1", "sh", "-c", "podman ps -a --format '{{.Names}}'; podman secret ls -q; podman network ls --format '{{.Name}}'"); strings.Contains(said, "hedgedoc") {
			t.Errorf("podman still has %s", said)
		}
		l.on("vps1", "test", "-s", "/srv/hedgedoc/db/pgdata/PG_VERSION")
		if units := l.restarted("vps1", before); slices.Contains(units, "traefik-app.service") || slices.Contains(units, "node-app.service") {
			t.Errorf("restarted: %v", units)
		}
		l.push(small, "vps1")
		if n := l.request("notes.example.org", "203.0.113.10"); n.Notes < 3 {
			t.Errorf("the data did not come back: %+v", n)
		}
	})

	t.Run("secrets", l.secrets)

	t.Run("convergent", func(t *testing.T) {
		onlyInCI(t)
		l.convergent(t)
	})

	t.Run("what fails goes back", func(t *testing.T) {
		onlyInCI(t)
		l.goesBack(t)
	})

	t.Run("what locks out goes back", func(t *testing.T) {
		onlyInCI(t)
		l.locksOut(t)
	})

	t.Run("refused, and nothing changes", func(t *testing.T) {
		onlyInCI(t)
		l.refusals(t)
	})

	t.Run("two at once", func(t *testing.T) {
		onlyInCI(t)
		l.twoAtOnce(t)
	})

	t.Run("everything comes back after a power cut", func(t *testing.T) {
		onlyInCI(t)
		l := &lab{t, l.dir}
		l.push(small, "vps1")
		l.run("power-cut", l.dir, "vps1")
		l.run("boot", l.dir, "vps1")
		l.settle("vps1")
		l.healthy("vps1")
		if said := l.push(small, "vps1"); strings.TrimSpace(said) != "nothing to do" {
			t.Errorf("after a power cut, a push says %s", said)
		}
	})

	t.Run("a burned host gets its identity back in one command", func(t *testing.T) {
		onlyInCI(t)
		l := &lab{t, l.dir}
		l.run("down", l.dir, "vps1")
		l.run("up", l.dir, "vps1", "203.0.113.10/24", "2001:db8::10/64")
		l.identity("vps1")
		l.push(small, "vps1")
		l.healthy("vps1")
	})
}

// secrets are rotated, encrypted anew, and sent to a host with the wrong
// identity; nothing on the host shows one.
func (l *lab) secrets(t *testing.T) {
	l = &lab{t, l.dir}
	l.push(small, "vps1")
	repo := l.edit("fleet: {", "fleet: {")

	t.Run("one is rotated and one unit restarts", func(t *testing.T) {
		l := &lab{t, l.dir}
		before := l.invocations("vps1")
		l.keep(repo, "", "rotate", "hedgedoc.sessionsecret")
		l.push(repo, "vps1")
		if diff := cmp.Diff([]string{"hedgedoc-app.service"}, l.restarted("vps1", before)); diff != "" {
			t.Errorf("restarted otherwise (+) than meant (-):\n%s", diff)
		}
		l.healthy("vps1")
		if got, want := l.on("vps1", "sh", "-c", "cat /proc/$(podman inspect -f '{{.State.Pid}}' hedgedoc-app)/root/run/secrets/sessionsecret"), l.keep(repo, passphrase, "show", "hedgedoc.sessionsecret"); got != want {
			t.Error("the program sees another value than was made")
		}
	})

	t.Run("all are encrypted anew and nothing restarts", func(t *testing.T) {
		l := &lab{t, l.dir}
		before := l.invocations("vps1")
		old := readTree(t, filepath.Join(repo, "hosts/secrets"))
		l.keep(repo, passphrase, "rekey")
		for name, b := range readTree(t, filepath.Join(repo, "hosts/secrets")) {
			if old[name] == b {
				t.Errorf("%s is as it was", name)
			}
		}
		l.push(repo, "vps1")
		if units := l.restarted("vps1", before); units != nil {
			t.Errorf("restarted: %v", units)
		}
	})

	t.Run("the wrong identity is refused and nothing changes", func(t *testing.T) {
		l := &lab{t, l.dir}
		const state = "cat /var/lib/gen/current; ls /var/lib/gen/generations; podman secret ls --format '{{.ID}} {{.Name}}' | sort; find /etc/containers/systemd /var/lib/gen/stamps -type f -exec sha256sum {} + | sort"
		right := l.on("vps1", "cat", "/etc/gen/identity")
		before, was := l.invocations("vps1"), l.on("vps1", "sh", "-c", state)
		for what, spoil := range map[string]string{
			"another key":  "rm /etc/gen/identity; ssh-keygen -q -t ed25519 -N '' -f /etc/gen/identity",
			"no key":       "rm /etc/gen/identity",
			"an empty key": ": >/etc/gen/identity",
		} {
			l.on("vps1", "sh", "-c", spoil)
			if said, err := l.tryPush(l.changed(repo), "vps1"); err == nil || !strings.Contains(said, "identity") {
				t.Errorf("a host with %s took the bundle: %v\n%s", what, err, said)
			}
			if diff := cmp.Diff(was, l.on("vps1", "sh", "-c", state)); diff != "" {
				t.Errorf("a refused bundle changed\n%s", diff)
			}
			l.identity("vps1")
		}
		if units := l.restarted("vps1", before); units != nil {
			t.Errorf("restarted: %v", units)
		}
		if l.on("vps1", "cat", "/etc/gen/identity") != right {
			t.Error("the identity that came back is another one")
		}
	})

	t.Run("nothing shows a value", func(t *testing.T) {
		l := &lab{t, l.dir}
		places := map[string]string{
			"podman inspect":        "podman inspect $(podman ps -aq)",
			"podman secret inspect": "podman secret inspect $(podman secret ls -q)",
			"systemctl show":        "systemctl show '*'",
			"systemctl cat":         "systemctl cat '*' 2>/dev/null || :",
			"the journal":           "journalctl --no-pager -o export | tr -d '\\000'",
			"the processes":         "cat /proc/[0-9]*/cmdline | tr '\\000' ' '",
			"gen's own state":       "find /var/lib/gen /etc -type f -size -1000k ! -path /etc/gen/identity -exec cat {} + | tr -d '\\000'",
		}
		values := map[string]string{}
		for _, name := range []string{"db-password", "sessionsecret"} { // dbURL holds the former
			values[name] = l.keep(repo, passphrase, "show", "hedgedoc."+name)
		}
		for place, command := range places {
			said := l.on("vps1", "sh", "-c", command)
			if len(said) < 100 {
				t.Errorf("%s says only %q", place, said)
			}
			for name, value := range values {
				if seen := trace(said, value); seen != "" {
					t.Errorf("%s shows the value of %s", place, name)
				}
			}
		}
	})
	l.push(small, "vps1")
}

// keep runs gen secret in a repository, with the demonstration operator's identity.
func (l *lab) keep(repo, typed string, args ...string) string {
	l.Helper()
	args = append([]string{"secret"}, args...)
	if typed != "" {
		args = append(args, "-i", absolute(l.T, "../../hosts/keys/demonstration.identity"), "-passphrase", "-")
	}
	var stdout, stderr bytes.Buffer
	c := &command{stdin: strings.NewReader(typed), stdout: &stdout, stderr: &stderr, ask: askTerminal}
	if code := c.run(append(args, "-C", repo)); code != ok {
		l.Fatalf("gen %v: exit %d: %s", args, code, stderr.String())
	}
	return stdout.String()
}

// changed is a copy of a repository in which one value is new, so that there is something to install.
func (l *lab) changed(repo string) string {
	l.Helper()
	dir := l.TempDir()
	if err := os.CopyFS(dir, os.DirFS(repo)); err != nil {
		l.Fatal(err)
	}
	l.keep(dir, "", "rotate", "hedgedoc.sessionsecret")
	return dir
}

// convergent kills an install at several points and runs it again: it ends in
// the state of one that was never disturbed.
func (l *lab) convergent(t *testing.T) {
	l = &lab{t, l.dir}
	changed := l.edit("catalog.#HedgeDoc", `catalog.#HedgeDoc & {anonymous: true, network: subnet: "10.98.0.0/24"}`)
	l.change(changed, closed, opened)
	steps := []string{"restart"}
	if os.Getenv("GEN_LONG") != "" {
		steps = []string{"generation", "begin", "arm", "spoil", "line", "stop", "keep", "put", "remove", "daemon-reload", "network", "reload", "wait", "confirm", "restart", "start", "current"}
	}
	for i, step := range steps {
		repo := []string{changed, small}[i%2]
		out := filepath.Join(t.TempDir(), "out")
		mustGen(t, "-C", repo, "-host", "vps1", "-o", out)
		l.on("vps1", "sh", "-c", "echo '# by hand' >>/etc/sysctl.d/50-gen.conf")
		l.killAt(step, func() {
			if said, err := l.try("net", l.dir, filepath.Join(out, "vps1", "push"), "root@"+addresses["vps1"]); err == nil {
				t.Logf("the install outran its killer at %s:\n%s", step, said)
			}
		})
		if said, err := l.try("net", l.dir, filepath.Join(out, "vps1", "push"), "root@"+addresses["vps1"]); err != nil {
			t.Fatalf("after a kill at %s: %v\n%s", step, err, said)
		}
		l.healthy("vps1")
		l.matches(filepath.Join(out, "vps1"))
	}
	l.push(small, "vps1")
}

// killAt kills an install as its first step of that name is announced.
func (l *lab) killAt(step string, install func()) {
	l.Helper()
	l.on("vps1", "sh", "-c", fmt.Sprintf(`cat >/run/killer <<'END'
#!/bin/sh
journalctl -f -n 0 -t gen-install -o cat | while read -r line; do
	case $line in "step %s"*) pkill -9 -f 'sh /var/lib/gen/.*/install'; exit ;; esac
done
END
systemctl reset-failed killer.service 2>/dev/null || :
systemd-run -q --collect --unit=killer sh /run/killer; sleep 0.5`, step))
	install()
	l.on("vps1", "sh", "-c", "systemctl stop killer.service 2>/dev/null || :")
}

// goesBack pushes what does not get well: the former version comes back while
// the neighbours serve. A program whose data have moved on does not.
func (l *lab) goesBack(t *testing.T) {
	l = &lab{t, l.dir}
	old := withStore(t, l.edit("fleet: {", "fleet: {"), "store-1", "", "old")
	l.push(old, "vps1")
	before := l.invocations("vps1")

	t.Run("an unhealthy version, while its neighbours serve", func(t *testing.T) {
		l := &lab{t, l.dir}
		done, missed := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for {
				select {
				case <-done:
					missed <- n
					return
				case <-time.After(300 * time.Millisecond):
					if _, err := l.try("net", l.dir, "curl", "-sfk", "--max-time", "20", "--resolve", "notes.example.org:443:203.0.113.10", "https://notes.example.org/_health"); err != nil {
						n++
					}
				}
			}
		}()
		l.refuses(withStore(t, l.edit("fleet: {", "fleet: {"), "store-1", "", "FAILS"), 8, "store-front.service")
		close(done)
		if n := <-missed; n > 0 {
			t.Errorf("%d requests to a neighbour were not answered", n)
		}
		l.healthy("vps1")
		if diff := cmp.Diff([]string{"store-front.service"}, l.restarted("vps1", before)); diff != "" {
			t.Errorf("restarted otherwise (+) than meant (-):\n%s", diff)
		}
		if said := l.on("vps1", "podman", "inspect", "-f", "{{.Config.Env}}", "store-front"); !strings.Contains(said, "RELEASE=old") {
			t.Errorf("it runs with %s", said)
		}
	})

	t.Run("not with data that have moved one way", func(t *testing.T) {
		l := &lab{t, l.dir}
		l.refuses(withStore(t, l.edit("fleet: {", "fleet: {"), "store-2", `"store-1"`, "FAILS"), 8, "restore store")
		stopped := func() {
			t.Helper()
			for _, unit := range []string{"store-data.service", "store-front.service"} {
				if said, err := l.try("sh", l.dir, "vps1", "systemctl", "is-active", unit); err == nil {
					t.Errorf("%s is %s", unit, said)
				}
			}
			l.on("vps1", "systemctl", "is-active", "hedgedoc-app.service", "traefik-app.service")
		}
		stopped()
		l.on("vps1", "systemctl", "start", "store-data.service") // as a boot would
		stopped()
		l.refuses(old, 6, "store.data")
		l.push(withStore(t, l.edit("fleet: {", "fleet: {"), "store-2", `"store-1"`, "new"), "vps1")
		l.healthy("vps1")
	})
	l.push(small, "vps1")
}

// locksOut pushes a firewall that lets nobody in: it comes back, whatever
// happens to the install.
func (l *lab) locksOut(t *testing.T) {
	l = &lab{t, l.dir}
	l.push(small, "vps1")
	locked := l.edit(closed, `ssh: {audience: "mesh", recovery: "the console"}, `+closed)
	rules := func() string {
		return l.on("vps1", "sh", "-c", "nft -s list table inet gen; cat /etc/nftables.d/gen.nft")
	}
	before, units := rules(), l.invocations("vps1")
	same := func(t *testing.T) {
		t.Helper()
		deadline := time.Now().Add(90 * time.Second)
		for l.on("vps1", "sh", "-c", "ls /var/lib/gen | grep -E 'unconfirmed|pending' || :") != "" && time.Now().Before(deadline) {
			time.Sleep(time.Second)
		}
		if diff := cmp.Diff(before, rules()); diff != "" {
			t.Errorf("the firewall is not as before:\n%s", diff)
		}
		if said := l.on("vps1", "sh", "-c", "ls /etc/systemd/system | grep revert; systemctl list-units --all --no-legend 'gen-revert.*'"); said != "" {
			t.Errorf("left over: %s", said)
		}
		l.operator("ssh", "root@"+addresses["vps1"], "true")
	}

	l.refuses(locked, 11, "goes back", "--dead-man", "10")
	same(t)
	if restarted := l.restarted("vps1", units); restarted != nil {
		t.Errorf("restarted: %v", restarted)
	}
	t.Run("killed while it waits", func(t *testing.T) {
		l := &lab{t, l.dir}
		l.killAt("wait", func() { l.tryPush(locked, "vps1", "--dead-man", "10") })
		same(t)
	})
	t.Run("a power cut while it waits", func(t *testing.T) {
		l := &lab{t, l.dir}
		pushed := make(chan string)
		go func() {
			said, _ := l.tryPush(locked, "vps1", "--dead-man", "30")
			pushed <- said
		}()
		l.on("vps1", "sh", "-c", "until [ -e /run/gen/effective ]; do sleep 0.2; done")
		l.run("power-cut", l.dir, "vps1")
		l.try("boot", l.dir, "vps1") // it may look before ssh is let in again
		l.settle("vps1")
		same(t)
		l.healthy("vps1")
		if said := <-pushed; !strings.Contains(said, "waiting until a new connection") {
			t.Errorf("push said %s", said)
		}
	})
	t.Run("changed by hand it comes back as it was found", func(t *testing.T) {
		l := &lab{t, l.dir}
		l.on("vps1", "sh", "-ec", `printf 'table inet gen {\n\tset by-hand {\n\t\ttype inet_service\n\t}\n}\n' >>/etc/nftables.d/gen.nft; systemctl reload gen-firewall.service`)
		found, units := rules(), l.invocations("vps1")
		said, err := l.try("sh", l.dir, "vps1", "sh", "/var/lib/gen/incoming/install", "--dead-man", "3")
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 11 || !strings.Contains(said, "is back") {
			t.Errorf("it ends with %v\n%s", err, said)
		}
		if diff := cmp.Diff(found, rules()); diff != "" || !strings.Contains(found, "by-hand") {
			t.Errorf("the firewall is not as it was found:\n%s", diff)
		}
		l.push(small, "vps1")
		same(t)
		if restarted := l.restarted("vps1", units); restarted != nil {
			t.Errorf("restarted: %v", restarted)
		}
	})
	t.Run("confirmed it stays", func(t *testing.T) {
		l := &lab{t, l.dir}
		l.push(l.edit(closed, opened), "vps1")
		if !strings.Contains(rules(), "123") {
			t.Errorf("the firewall is %s", rules())
		}
		said, err := l.tryPush(small, "vps1", "--rollback") // a change of the firewall too
		if err != nil || !strings.Contains(said, "confirmed") {
			t.Errorf("%v\n%s", err, said)
		}
		same(t)
		if said, err = l.tryPush(small, "vps1", "--status"); err != nil || !strings.Contains(said, "active   hedgedoc-db.service (") {
			t.Errorf("%v\n%s", err, said)
		}
	})
	l.push(small, "vps1")
}

// refusals are those that a machine of files alone cannot show.
func (l *lab) refusals(t *testing.T) {
	l = &lab{t, l.dir}
	l.push(small, "vps1")
	const state = "cat /var/lib/gen/current; find /etc /usr/local /var/lib/gen/stamps -type f -exec sha256sum {} + | sort"
	before, units := l.on("vps1", "sh", "-c", state), l.invocations("vps1")
	quieter := l.edit(mail, quiet)

	l.on("vps1", "sh", "-c", "cp -a /var/lib/gen /run/aside; mount -t tmpfs -o size=20m tmpfs /var/lib/gen; cp -a /run/aside/. /var/lib/gen")
	l.refuses(quieter, 10, "too little disk space")
	l.on("vps1", "sh", "-c", "umount /var/lib/gen; rm -r /run/aside; touch -d '1 hour' /var/lib/gen/generations/$(cat /var/lib/gen/current)")
	l.refuses(quieter, 10, "set the clock")
	l.on("vps1", "sh", "-c", "touch /var/lib/gen/generations/*")
	l.refuses(l.edit(`hedgedoc: catalog.#HedgeDoc`, `hedgedoc: catalog.#HedgeDoc & {version: "1.99.0"}`), 7, "quay.io/hedgedoc/hedgedoc:1.99.0")
	if diff := cmp.Diff(before, l.on("vps1", "sh", "-c", state)); diff != "" {
		t.Errorf("a refused bundle changed\n%s", diff)
	}
	if restarted := l.restarted("vps1", units); restarted != nil {
		t.Errorf("restarted: %v", restarted)
	}
}

// twoAtOnce: while an install is under way, another of another bundle is refused, and the first
// ends as if nobody had come.
func (l *lab) twoAtOnce(t *testing.T) {
	l = &lab{t, l.dir}
	l.push(small, "vps1")
	first, second := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "out")
	slow := l.edit(mail, quiet)
	write(t, filepath.Join(slow, "hosts/slow.cue"), `package hosts

hosts: vps1: services: slow: containers: app: {
	image: "quay.io/prometheus/node-exporter:v1"
	user:  "65534:65534"
	entrypoint: ["/bin/sh", "-c", "trap exit TERM; sleep 20; touch /dev/shm/ready; while :; do sleep 1; done"]
	health: command: ["/bin/sh", "-c", "test -e /dev/shm/ready"]
	stop: "1s"
}
`)
	mustGen(t, "-C", slow, "-host", "vps1", "-o", first)
	mustGen(t, "-C", l.edit(closed, opened), "-host", "vps1", "-o", second)
	before := l.invocations("vps1")
	ended := make(chan string)
	go func() {
		said, err := l.try("net", l.dir, filepath.Join(first, "vps1/push"), "root@"+addresses["vps1"])
		ended <- fmt.Sprintf("%v\n%s", err, said)
	}()
	l.on("vps1", "sh", "-c", "for i in $(seq 300); do systemctl is-active slow-app.service | grep -qx activating && exit; sleep 0.1; done; exit 1")
	said, err := l.try("net", l.dir, filepath.Join(second, "vps1/push"), "root@"+addresses["vps1"])
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(said, "another install runs") {
		t.Errorf("the second ends with %v\n%s", err, said)
	}
	if said := <-ended; !strings.HasPrefix(said, "<nil>") || !strings.Contains(said, "is installed") {
		t.Errorf("the first ends with %s", said)
	}
	l.matches(filepath.Join(first, "vps1"))
	if diff := cmp.Diff([]string{"slow-app.service", "slow-network.service", "traefik-app.service"}, l.restarted("vps1", before)); diff != "" {
		t.Errorf("restarted otherwise (+) than meant (-):\n%s", diff)
	}
	l.healthy("vps1")
	if said, err := l.try("net", l.dir, filepath.Join(second, "vps1/push"), "root@"+addresses["vps1"]); err != nil {
		t.Errorf("after the first, the second ends with %v\n%s", err, said)
	}
	l.matches(filepath.Join(second, "vps1"))
}

// matches checks that a host has the files and stamps of a bundle, and no others of ours.
func (l *lab) matches(bundle string) {
	l.Helper()
	rows, err := os.ReadFile(filepath.Join(bundle, "MANIFEST"))
	if err != nil {
		l.Fatal(err)
	}
	for line := range strings.Lines(string(rows)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if got := strings.TrimSpace(l.on("vps1", "sh", "-c", `printf '%s %s' "$(stat -c '%04a %u:%g' "$1")" "$(sha256sum <"$1")"`, "sh", f[3])); got != f[0]+" "+f[1]+" "+f[2]+"  -" {
			l.Errorf("%s is %s, want %v", f[3], got, f)
		}
	}
	units, err := os.ReadFile(filepath.Join(bundle, "UNITS"))
	if err != nil {
		l.Fatal(err)
	}
	for line := range strings.Lines(string(units)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if f[2] == "hold" || f[3]+f[4] == "--" {
			continue
		}
		if got := strings.TrimSpace(l.on("vps1", "cat", "/var/lib/gen/stamps/"+f[1])); got != f[3]+"\t"+f[4] {
			l.Errorf("the stamp of %s is %q, want %v", f[1], got, f)
		}
	}
	if said := l.on("vps1", "find", "/etc", "/usr/local", "-name", ".gen.*"); said != "" {
		l.Errorf("left over: %s", said)
	}
}

// settle waits until a host has finished booting.
func (l *lab) settle(host string) {
	l.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for time.Now().Before(deadline) {
		said, _ := l.try("sh", l.dir, host, "systemctl", "is-system-running")
		if s := strings.TrimSpace(said); s == "running" || s == "degraded" {
			return
		}
		time.Sleep(time.Second)
	}
	l.Fatalf("%s does not finish booting: %s", host, l.on(host, "systemctl", "list-jobs"))
}

// onlyInCI leaves out what takes long where somebody waits for the tests.
func onlyInCI(t *testing.T) {
	t.Helper()
	if os.Getenv("GEN_REQUIRE") == "" {
		t.Skip("it is a part of .ci/run")
	}
}

// onlyInLong leaves out what takes long even there.
func onlyInLong(t *testing.T) {
	t.Helper()
	if os.Getenv("GEN_LONG") == "" {
		t.Skip("it is a part of .ci/long")
	}
}

// team is a pod of two programs that reach each other on localhost: one serves
// what it wrote to a volume of podman's own, the other asks for it.
const team = `package hosts

hosts: vps1: services: team: {
	pod: true
	images: web: image: "quay.io/prometheus/node-exporter:v1"
	containers: {
		web: {
			image: "quay.io/prometheus/node-exporter:v1"
			user:  "65534:65534"
			entrypoint: ["/bin/sh", "-c", "echo together >/cache/index.html; exec /bin/busybox httpd -f -p 8080 -h /cache"]
			volumes: cache: "/cache"
			health: command: ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/"]
			stop: "1s"
			ports: web: {container: 8080, host: 8089, audience: "host"}
			routes: web: {host: "team.example.org", port: 8080}
		}
		asks: {
			image: "quay.io/prometheus/node-exporter:v1"
			user:  "65534:65534"
			needs: web: true
			entrypoint: ["/bin/sh", "-c", "trap exit TERM; while :; do sleep 1; done"]
			health: command: ["wget", "-q", "-O", "/dev/null", "http://localhost:8080/"]
			stop: "2s"
		}
		report: {
			image:   "quay.io/prometheus/node-exporter:v1"
			user:    "65534:65534"
			oneshot: true
			entrypoint: ["/bin/wget", "-q", "-O", "/dev/null", "http://web:8080/"]
		}
	}
	volumes: cache: {owner: "65534:65534", named: true, backup: "none", why: "written at every start"}
}
`

// oddService writes down the arguments it is given, and is ready when it has.
func oddService(words []string) string {
	var command strings.Builder
	for _, w := range words {
		command.WriteString(cueString(w) + ", ")
	}
	return `package hosts

hosts: vps1: services: odd: {
	containers: app: {
		image: "quay.io/prometheus/node-exporter:v1"
		user:  "65534:65534"
		entrypoint: ["/bin/sh", "-c", "printf '%s\\0' \"$@\" >/out/part; mv /out/part /out/arguments; trap exit TERM; while :; do sleep 1; done", "sh"]
		command: [` + command.String() + `]
		volumes: out: "/out"
		health: command: ["/bin/sh", "-c", "test -s /out/arguments"]
	}
	volumes: out: {owner: "65534:65534", backup: "none", why: "written at every start"}
}
`
}

// cueString spells a string in CUE.
func cueString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
