package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A machine is the files of a Debian 13 and no more: programs run in it for the
// time of a command, and systemd and podman are testdata/standin. Its sh, its
// age, its nft, podman's generator and systemd-analyze are the real ones.
type machine struct {
	*testing.T
	root, dir string
	shell     string // what runs the scripts
}

// newMachine makes vps1 of the small fleet, with its identity and all images.
func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		without(t, "root, to enter a Debian 13")
	}
	m := &machine{t, tool(t, "../rootfs"), t.TempDir(), "sh"}
	for _, dir := range []string{"upper", "overlay", "root", "bundle"} {
		if err := os.MkdirAll(filepath.Join(m.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("testdata/standin")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(m.dir, "upper/standin/programs/standin"), string(b))
	write(t, filepath.Join(m.dir, "upper/etc/gen/identity"), smallIdentity(t))
	write(t, filepath.Join(m.dir, "upper/var/lib/gen/HOST"), "vps1\n")
	m.must(`cd /standin/programs; chmod 0755 standin; for p in systemctl journalctl logger podman; do ln standin $p; done
mkdir -p /run/systemd/system /run/sshd /standin/active; ssh-keygen -A >/dev/null; touch /standin/active/ssh.service`)
	return m
}

// smallIdentity is that of vps1, decrypted once as its operator would.
func smallIdentity(t *testing.T) string {
	t.Helper()
	id, err := identityOnce()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var identityOnce = sync.OnceValues(func() (string, error) {
	var stdout, stderr bytes.Buffer
	c := &command{stdin: strings.NewReader(passphrase), stdout: &stdout, stderr: &stderr, ask: askTerminal}
	if code := c.run([]string{"secret", "identity", "vps1", "-C", small, "-i", "../../hosts/keys/demonstration.identity", "-passphrase", "-"}); code != ok {
		return "", errors.New(stderr.String())
	}
	return stdout.String(), nil
})

// run runs a command of the machine's sh.
func (m *machine) run(command string) (said string, code int) {
	m.Helper()
	const enter = `mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/overlay,volatile" overlay "$2/root"
rm -rf "$2/overlay/work"/incompat
mount -t proc proc "$2/root/proc"; mount --rbind /dev "$2/root/dev"; mount --bind "$2/bundle" "$2/root/mnt"
exec setsid -w chroot "$2/root" env -i PATH=/standin/programs:/usr/sbin:/usr/bin sh -c "$3"`
	if err := os.RemoveAll(filepath.Join(m.dir, "overlay", "work", "incompat")); err != nil {
		m.Fatal(err)
	}
	c := exec.Command("unshare", "--mount", "--net", "sh", "-ec", enter, "sh", m.root, m.dir, command)
	b, err := c.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		m.Fatal(err)
	}
	return string(b), c.ProcessState.ExitCode()
}

func (m *machine) must(command string) string {
	m.Helper()
	said, code := m.run(command)
	if code != 0 {
		m.Fatalf("%s: exit %d\n%s", command, code, said)
	}
	return said
}

// bring makes the bundle of a repository and lays it where push would.
func (m *machine) bring(repo string) {
	m.Helper()
	out := filepath.Join(m.TempDir(), "out")
	mustGen(m.T, "-C", repo, "-host", "vps1", "-o", out)
	if err := os.RemoveAll(filepath.Join(m.dir, "bundle/vps1")); err != nil {
		m.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(m.dir, "bundle/vps1"), os.DirFS(filepath.Join(out, "vps1"))); err != nil {
		m.Fatal(err)
	}
	m.must("rm -rf /var/lib/gen/incoming; cp -R /mnt/vps1 /var/lib/gen/incoming")
}

// install runs the script, without waiting for anybody to confirm.
func (m *machine) install(options string) (said string, code int) {
	m.Helper()
	return m.run(m.script(options + " --dead-man 0"))
}

func (m *machine) script(options string) string {
	return m.shell + " /var/lib/gen/incoming/install " + options
}

// expect runs the script and checks its exit code, and some of what it says.
func (m *machine) expect(options string, code int, words ...string) string {
	m.Helper()
	said, got := m.install(options)
	m.judge(options, said, got, code, words...)
	return said
}

func (m *machine) judge(what, said string, got, code int, words ...string) {
	m.Helper()
	if got != code {
		m.Fatalf("%q: exit %d, want %d\n%s", what, got, code, said)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			m.Errorf("%q says nothing of %q:\n%s", what, w, said)
		}
	}
}

// state is all that a refusal leaves as it is, and that two ways to the same end have alike.
func (m *machine) state() string {
	m.Helper()
	return m.must(`mkdir -p /var/lib/gen/stamps /var/lib/gen/lines /standin/secrets; find /etc /usr/local /srv /var/lib/gen/stamps /var/lib/gen/lines -type f ! -name '*-' | sort | xargs sha256sum
find /etc/systemd /etc/containers /usr/local -type d -empty | sort
find /standin/secrets -name label | sort | xargs grep -H . || :
cd /standin/active; ls | grep -vx gen-revert.timer || :; ls -A /var/lib/gen | grep -E 'pending|unconfirmed|barred' || :`)
}

// here is state with what no second way shares: runs and generations.
func (m *machine) here() string {
	m.Helper()
	return m.state() + m.must(`cat /standin/active/*; cat /var/lib/gen/current || :; ls -A /var/lib/gen/generations || :`)
}

// calls are what was asked to act since the last look.
func (m *machine) calls() string {
	m.Helper()
	return m.must("cat /standin/calls 2>/dev/null || :; rm -f /standin/calls")
}

// alter adds a line to a file of the bundle that was brought.
func (m *machine) alter(path, line string) {
	m.Helper()
	m.must(`cd /var/lib/gen/incoming; echo "` + line + `" >>rootfs/` + path + `; sum=$(sha256sum <rootfs/` + path + ` | cut -c -64)
awk -F '\t' -v OFS='\t' -v s=$sum '$4 == "/` + path + `" { $3 = s } { print }' MANIFEST >/tmp/m; cp /tmp/m MANIFEST
sed 's/^[0-9a-f]*  //' SHA256SUMS | xargs sha256sum >/tmp/s; cp /tmp/s SHA256SUMS`)
}

// smallWith is the small fleet with a word of its file changed.
func smallWith(t *testing.T, changes ...string) string {
	t.Helper()
	l := &lab{T: t}
	repo := l.edit("fleet: {", "fleet: {")
	for i := 0; i < len(changes); i += 2 {
		l.change(repo, changes[i], changes[i+1])
	}
	return repo
}

const (
	hedgedoc = "hedgedoc: catalog.#HedgeDoc"
	fails    = `hedgedoc: catalog.#HedgeDoc & {containers: app: env: FAILS: "1"}`
	closed   = `address:  "203.0.113.10"`
	opened   = `address:  "203.0.113.10", openings: time: {port: 123, protocol: "udp", unit: "chrony.service", audience: "internet"}`
)

// TestInstallRefuses: what can be refused is, and nothing is touched.
func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.bring(small)
	m.expect("", 0, "generation 1 is installed")
	m.must("rm /standin/images")
	quieter := smallWith(t, mail, quiet)
	const in = "/var/lib/gen/incoming/"
	const resum = "; cd " + in + "; sed 's/^[0-9a-f]*  //' SHA256SUMS | xargs sha256sum >/tmp/s; cp /tmp/s SHA256SUMS"
	for _, r := range []struct {
		what, spoil, options string
		code                 int
		words, heal          string
	}{
		{"an option it does not have", ":", "--pla", 1, "usage:", ""},
		{"a damaged bundle", "echo >>" + in + "UNITS", "", 3, "UNITS: FAILED", ""},
		{"half a bundle", "rm " + in + "SHA256SUMS", "", 3, "half a bundle", ""},
		{"a mixed bundle", "echo >" + in + "rootfs/etc/of-another", "", 3, "rootfs/etc/of-another: not in SHA256SUMS", ""},
		{"another host's bundle", "echo vps2 >" + in + "HOST" + resum, "", 3, "for vps2, and this host is vps1", ""},
		{"another system", "cp -L /usr/lib/os-release /tmp/o; rm /etc/os-release; sed s/13/12/ /tmp/o >/etc/os-release", "", 3, "not Debian 13", "ln -sf ../usr/lib/os-release /etc/os-release"},
		{"no systemd", "rmdir /run/systemd/system", "", 3, "systemd does not run", "mkdir /run/systemd/system"},
		{"a wrong identity", "cp /etc/gen/identity /tmp/i; rm /etc/gen/identity; ssh-keygen -q -t ed25519 -N '' -f /etc/gen/identity", "", 5, "does not decrypt", "cp /tmp/i /etc/gen/identity; rm /etc/gen/identity.pub"},
		{"a clock before the newest generation", "touch -d '1 hour' /var/lib/gen/generations/1", "", 10, "set the clock", "touch /var/lib/gen/generations/1"},
		{"a full disk", "mount -t tmpfs -o size=4m tmpfs /srv", "", 10, "/srv: 4 MiB free", ""},
		{"another install", "flock /run/gen/lock sleep 3 & sleep 0.2", "", 1, "another install runs", "sleep 3"},
		{"a registry that is down", "touch /standin/offline", "", 7, "docker.io/library/traefik", "rm /standin/offline"},
		{"a file that is not ours", "echo mine >/etc/sysctl.d/50-gen.conf; sed -i '/sysctl.d/d' /var/lib/gen/generations/1/MANIFEST", "", 4, "--adopt", "cp /var/lib/gen/generations/1/rootfs/etc/sysctl.d/50-gen.conf /etc/sysctl.d; cp /mnt/one/MANIFEST /var/lib/gen/generations/1"},
		{"a file where a directory belongs", "cp -a /usr/local/etc/traefik /tmp; rm -r /usr/local/etc/traefik; echo >/usr/local/etc/traefik", "--adopt", 4, "a file, where the bundle has a directory", "rm /usr/local/etc/traefik; cp -a /tmp/traefik /usr/local/etc"},
		{"a directory where a file belongs", "rm /etc/sysctl.d/50-gen.conf; mkdir /etc/sysctl.d/50-gen.conf; sed -i '/sysctl.d/d' /var/lib/gen/generations/1/MANIFEST", "--adopt", 4, "a directory, where the bundle has a file", "rmdir /etc/sysctl.d/50-gen.conf; cp -a /var/lib/gen/generations/1/rootfs/etc/sysctl.d/50-gen.conf /etc/sysctl.d; chmod 0644 /etc/sysctl.d/50-gen.conf; cp /mnt/one/MANIFEST /var/lib/gen/generations/1"},
		{"a quadlet that podman refuses", "sed -i 's/^.Container.$/&\\nFoo=bar/' " + in + "rootfs/etc/containers/systemd/node-app.container" + resum, "", 9, "podman does not take these quadlets", ""},
		{"a unit that systemd refuses", "echo Frobnicate=yes >>" + in + "rootfs/etc/systemd/system/gen-sysctl.service" + resum, "", 9, "Frobnicate", ""},
		{"a firewall that nft refuses", "echo 'table inet gen { chain x { what }' >>" + in + "rootfs/etc/nftables.d/gen.nft" + resum, "", 9, "gen.nft", ""},
		{"sshd files that sshd refuses", "cd " + in + "; cp HOST /tmp; mkdir -p rootfs/etc/ssh/sshd_config.d; echo 'Prot 2222' >rootfs/etc/ssh/sshd_config.d/50-gen.conf; printf '0644\\t0:0\\t%s\\t/etc/ssh/sshd_config.d/50-gen.conf\\n' $(sha256sum <rootfs/etc/ssh/sshd_config.d/50-gen.conf | cut -c -64) >>MANIFEST; echo rootfs/etc/ssh/sshd_config.d/50-gen.conf | sed 's/^/-  /' >>SHA256SUMS" + resum, "", 9, "/etc/ssh/sshd_config.d/50-gen.conf: line 1: Bad configuration option: Prot", ""},
		{"data of another line", "echo postgres-18 >/var/lib/gen/lines/hedgedoc.db", "", 6, "hedgedoc.db: here postgres-18, in the bundle postgres-17", "echo postgres-17 >/var/lib/gen/lines/hedgedoc.db"},
		{"a line by a name that is not", ":", "--force-line hedgedoc.cache", 1, "no data line hedgedoc.cache", ""},
		{"nothing to go back to", ":", "--rollback", 1, "no generation to go back to", ""},
	} {
		t.Run(r.what, func(t *testing.T) {
			m := &machine{t, m.root, m.dir, m.shell}
			m.bring(quieter)
			before := m.here()
			// What only lasts for a command, such as a mount or a lock, is judged within it.
			said, code := m.run("{ " + r.spoil + "; } >/dev/null 2>&1; " + m.script(r.options))
			m.judge(r.what, said, code, r.code, r.words)
			if strings.Contains(r.spoil, "generations/1/MANIFEST") {
				write(t, filepath.Join(m.dir, "bundle/one/MANIFEST"), read(t, filepath.Join(small, "want/vps1/MANIFEST")))
			}
			m.must(r.heal)
			if diff := cmp.Diff(before, m.here()); diff != "" {
				t.Errorf("a refused bundle changed\n%s", diff)
			}
		})
	}
}

// TestInstallPlans: --plan and --status say what is, and change nothing.
func TestInstallPlans(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.bring(small)
	before := m.state()
	m.expect("--plan", 2, "put      /etc/nftables.d/gen.nft (new)", "start    hedgedoc-app.service (new)", "pull     docker.io/library/traefik:v3.7 (not here)")
	m.expect("--status", 2, "nothing is installed")
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("a plan changed\n%s", diff)
	}
	m.expect("", 0, "pulling docker.io", "start gen-firewall.service", "generation 1 is installed")
	m.expect("--plan", 0, "nothing to do")
	m.expect("--status", 0, "vps1: generation 1, installed", "active   hedgedoc-db.service (3min ")
	m.must(m.script("--status") + " | head -n 1; [ -z \"$(ls /run/gen | grep status)\" ]") // whoever asked is gone, and so are the secrets
	m.must("mv /etc/gen/identity /tmp/i")
	m.expect("--status", 5, "active   hedgedoc-db.service", "does not decrypt")
	m.must("mv /tmp/i /etc/gen/identity")
	m.calls()
	if said := m.expect("", 0); said != "nothing to do\n" || m.calls() != "" {
		t.Errorf("the same again says %s", said)
	}

	m.must("echo by hand >>/etc/sysctl.d/50-gen.conf; rm /etc/containers/systemd/traefik.network /standin/active/node-app.service; echo 1 >>/standin/failed/node-app.service")
	m.expect("--status", 2, "drift    /etc/sysctl.d/50-gen.conf (changed by hand)", "drift    /etc/containers/systemd/traefik.network (missing)", "failed   node-app.service (3min", ", wanted up\n")
	m.expect("--plan", 2, "restart  gen-sysctl.service (a file was changed by hand)", "start    node-app.service (does not run)")
}

// TestInstallKeepsWhatIsNotIts: what was changed by hand or was not ours is kept aside.
func TestInstallKeepsWhatIsNotIts(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.shell = "busybox sh" // whose programs come before the system's
	m.bring(small)
	m.must("mkdir -p /etc/nftables.d; echo theirs >/etc/nftables.d/gen.nft; ln -s /nowhere /etc/sysctl.d/50-gen.conf; mkdir -p /standin/secrets/hedgedoc.dbURL; cd /standin/secrets/hedgedoc.dbURL; echo >label; echo their value >value")
	m.expect("", 4, "/etc/nftables.d/gen.nft", "/etc/sysctl.d/50-gen.conf", "podman:hedgedoc.dbURL", "--adopt")
	m.expect("--adopt", 0, "kept /var/lib/gen/kept/")
	if said := m.must("cd /var/lib/gen/kept/*; cat etc/nftables.d/gen.nft podman/hedgedoc.dbURL; readlink etc/sysctl.d/50-gen.conf"); said != "theirs\ntheir value\n/nowhere\n" {
		t.Errorf("kept: %s", said)
	}
	m.expect("--status", 0)

	m.must("rm -r /var/lib/gen/kept; echo '# by hand' >>/etc/containers/systemd/node-app.container; echo '# by hand' >>/etc/nftables.d/gen.nft; chmod 0600 /etc/tmpfiles.d/gen-hedgedoc.conf; rm /usr/local/etc/traefik/app/etc/traefik/traefik.yml; rm -r /standin/secrets/hedgedoc.dbURL")
	m.calls()
	m.expect("", 0, "(changed by hand)", "(missing)")
	if diff := cmp.Diff("daemon-reload\nreload gen-firewall.service\nrestart gen-tmpfiles.service\nrestart node-app.service\nrestart traefik-app.service\nrestart hedgedoc-app.service\n", m.calls()); diff != "" {
		t.Errorf("called otherwise (+) than meant (-):\n%s", diff)
	}
	m.must("cd /var/lib/gen/kept/*; grep -x '# by hand' etc/containers/systemd/node-app.container && grep -x '# by hand' etc/nftables.d/gen.nft")
	m.expect("--status", 0)

	// A secret that was changed by hand, and is rotated by the same push; others that are rotated are ours.
	repo := smallWith(t)
	write(t, filepath.Join(repo, "hosts/token.cue"), `package hosts

hosts: vps1: secrets: [string]: about: "a host's own"
hosts: vps1: secrets: {
	token: files: "/etc/store/token": {}
	other: files: "/etc/store/other": {}
}
`)
	all := []string{"vps1.token", "vps1.other", "hedgedoc.sessionsecret", "hedgedoc.db-password"}
	l := &lab{T: t}
	for _, name := range all[:2] {
		l.keep(repo, "", "new", name)
	}
	m.bring(repo)
	m.expect("", 0)
	m.must("rm -r /var/lib/gen/kept; cd /standin/secrets/hedgedoc.sessionsecret; echo >label; echo by hand >value; printf 'by hand' >/etc/store/token")
	for _, name := range all {
		l.keep(repo, "", "rotate", name)
	}
	m.bring(repo)
	if said := m.expect("", 0, "podman:hedgedoc.sessionsecret (changed by hand)", "podman:hedgedoc.db-password (changed)", "/etc/store/token (changed by hand)", "/etc/store/other (changed)"); strings.Count(said, "kept ") != 2 {
		t.Errorf("it kept other files than were changed by hand:\n%s", said)
	}
	if said := m.must("cd /var/lib/gen/kept/*; cat podman/hedgedoc.sessionsecret etc/store/token"); said != "by hand\nby hand" {
		t.Errorf("kept: %s", said)
	}
	m.expect("--status", 0)

	// What leaves the bundle leaves the host, but not what somebody wrote into it.
	m.must("rm -r /var/lib/gen/kept; echo '# mine' >>/etc/containers/systemd/hedgedoc-app.container")
	repo = smallWith(t, hedgedoc, "")
	if err := os.RemoveAll(filepath.Join(repo, "hosts/secrets")); err != nil {
		t.Fatal(err)
	}
	m.bring(repo)
	m.expect("", 0, "stop     hedgedoc-app.service")
	m.must("cd /var/lib/gen/kept/*; grep -x '# mine' etc/containers/systemd/hedgedoc-app.container; [ ! -e /etc/containers/systemd/hedgedoc-app.container ]")
}

// TestInstallGoesBack: a bundle whose unit fails leaves the host as it was.
func TestInstallGoesBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.bring(smallWith(t, hedgedoc, fails))
	m.expect("", 8, "hedgedoc-app.service: failed", "the journal of hedgedoc-app.service", "no other generation to go back to")
	m.bring(small)
	m.expect("", 0, "a former run did not finish", "generation 2 is installed")
	before := m.state()

	m.bring(smallWith(t, hedgedoc, fails, mail, quiet))
	m.must("rm /standin/journal")
	m.expect("", 8, "the journal of hedgedoc-app.service", "going back to generation 2", "generation 2 is back")
	m.must("grep 'restart  traefik-app.service (changed)' /standin/journal && grep -A 1 'exit 8 does not run' /standin/journal | grep hedgedoc-app.service") // who was cut off reads it there
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("the way back ends elsewhere\n%s", diff)
	}
	m.expect("--status", 0, "generation 2")

	// When the disk is full on the way back too, the next run ends it.
	m.must(`printf '#!/bin/sh\ncase "$*" in *generations/2*) echo no space left on device >&2; exit 1 ;; esac\nexec /usr/bin/cp "$@"\n' >/standin/programs/cp; chmod 0755 /standin/programs/cp`)
	m.expect("", 8, "no space left", "generation 2 could not be put back whole; push what mends it")
	m.must("rm /standin/programs/cp")

	m.bring(smallWith(t, mail, quiet))
	m.expect("", 0, "a former run did not finish", "generation 4 is installed")
	m.expect("--rollback", 0, "generation 2 is installed")
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("a rollback ends elsewhere\n%s", diff)
	}
	m.expect("--rollback", 1, "no generation to go back to")
	m.expect("", 0, "generation 4 is installed")

	// What did not run before is not a new bundle's fault.
	m.alter("etc/containers/systemd/node-app.container", "# FAILS")
	m.expect("", 0) // its stamp is as before: it runs on
	m.must("rm /standin/active/node-app.service")
	m.alter("etc/sysctl.d/50-gen.conf", "# more")
	said := m.expect("", 8, "node-app.service: failed")
	if strings.Contains(said, "going back") || !strings.Contains(m.must("cat /var/lib/gen/current /etc/sysctl.d/50-gen.conf"), "# more") {
		t.Errorf("it went back for what had failed before:\n%s", said)
	}
}

// withStore adds a service to a repository, whose program's data are of a line.
// With a word in its environment it may be another release, or one that fails.
func withStore(t *testing.T, repo, line, accepts, word string) string {
	t.Helper()
	write(t, filepath.Join(repo, "hosts/store.cue"), fmt.Sprintf(`package hosts

hosts: vps1: services: store: {
	containers: [string]: {
		image: "quay.io/prometheus/node-exporter:v1"
		user:  "65534:65534"
		entrypoint: ["/bin/sh", "-c", "trap exit TERM; while :; do sleep 1; done"]
		start: "10s"
		stop:  "1s"
	}
	containers: {
		data: {env: RELEASE: %[1]q, health: command: ["/bin/sh", "-c", "true"]}
		front: {env: RELEASE: %[3]q, needs: data: true, health: command: ["/bin/sh", "-c", "case $RELEASE in FAIL[S]) exit 1 ;; esac"]}
	}
	lines: data: {line: %[1]q, accepts: [%[2]s], containers: data: true}
	lines: front: {line: "front-1", containers: front: true}
}
`, line, accepts, word))
	return repo
}

// TestInstallNeverStartsOldOnNew: on the way back a service whose data have moved stays stopped,
// also at boot, until they are brought back.
func TestInstallNeverStartsOldOnNew(t *testing.T) {
	t.Parallel()
	old := func() string { return withStore(t, smallWith(t), "store-1", "", "old") }
	newer := func(word string) string { return withStore(t, smallWith(t), "store-2", `"store-1"`, word) }
	m := newMachine(t)
	m.bring(old())
	m.expect("", 0)
	m.bring(newer("FAILS"))
	m.expect("", 8, "generation 1 is back", "the data of store.data are of line store-2, and generation 1 accepts store-1", "store-data.service store-front.service", "    restore store")
	stopped := func() {
		t.Helper()
		m.must("cd /standin/active; [ ! -e store-data.service ] && [ ! -e store-front.service ] && [ -e hedgedoc-app.service ] && [ -e node-app.service ]")
		if said, code := m.run("/standin/programs/systemctl start store-data.service; [ ! -e /standin/active/store-data.service ]"); code != 0 {
			t.Errorf("a boot would start it: %s", said)
		}
	}
	stopped()
	m.expect("--status", 2, "store-data.service", "its data are of a newer line")
	m.bring(old())
	m.expect("", 6, "here store-2, in the bundle store-1")
	stopped()
	// Forced by name it runs again, as it does when its data were brought back.
	m.expect("--force-line store.data", 0, "store-data.service")
	m.must("cd /standin/active; [ -e store-data.service ] && [ -e store-front.service ] && [ ! -e /etc/systemd/system/store-data.service.d ]")
	m.expect("--status", 0)

	// A rollback that is asked for is no different.
	m.bring(newer("new"))
	m.expect("", 0)
	m.expect("--rollback", 8, "    restore store")
	stopped()
	m.must("echo store-1 >/var/lib/gen/lines/store.data")
	m.bring(old())
	m.expect("", 0, "store-data.service")

	// What was never started has moved nothing.
	m.bring(newer("new"))
	m.must("echo '#!/bin/false' >/standin/programs/install; chmod 0755 /standin/programs/install")
	m.expect("", 1, "going back to generation")
	m.must("rm /standin/programs/install; cd /standin/active; grep -x store-1 /var/lib/gen/lines/store.data && [ -e store-data.service ] && [ -e store-front.service ]")
}

// TestInstallKilledBeforeItMoves: a line is recorded before its units start. Killed between, a
// rollback leaves them running, unless one of them started meanwhile.
func TestInstallKilledBeforeItMoves(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.bring(withStore(t, smallWith(t), "store-1", "", "old"))
	m.expect("", 0)
	m.bring(withStore(t, smallWith(t), "store-2", `"store-1"`, "new"))
	m.save("start")
	m.must("rm -f /standin/steps")
	m.expect("", 0)
	m.must("grep -x store-2 /var/lib/gen/lines/store.data")
	journal := strings.Split(m.must("cat /standin/journal"), "\n")
	between := false
	for _, name := range []string{"step line store.data store-2", "step put /etc/containers/systemd/store-data.container", "step daemon-reload", "step restart store-data.service"} {
		k := stepNumber(t, journal, name)
		for _, began := range []string{":", "/standin/programs/systemctl restart store-data.service"} {
			m.load("start")
			m.run(fmt.Sprintf("rm -f /standin/steps; KILL=%d; export KILL; %s", k, m.script("--dead-man 0")))
			if at := m.must("tail -n 1 /standin/journal"); !strings.HasPrefix(at, name) {
				t.Fatalf("killed at %s, not at %s", at, name)
			}
			m.must(began)
			recorded := strings.TrimSpace(m.must("cat /var/lib/gen/lines/store.data"))
			if began == ":" || recorded == "store-1" {
				m.expect("--rollback", 0)
				m.must("cd /standin/active; grep -x store-1 /var/lib/gen/lines/store.data && [ -e store-data.service ] && [ -e store-front.service ] && [ ! -e /var/lib/gen/moving ]")
				between = between || recorded == "store-2"
			} else {
				m.expect("--rollback", 8, "    restore store")
				m.must("cd /standin/active; grep -x store-2 /var/lib/gen/lines/store.data && [ ! -e store-data.service ]")
			}
		}
	}
	if !between {
		t.Error("it was never killed between the record and the start")
	}
}

// stepNumber is which step of the last run has a name.
func stepNumber(t *testing.T, journal []string, name string) (n int) {
	t.Helper()
	for i := len(journal) - 1; i >= 0; i-- {
		if strings.HasPrefix(journal[i], "generation ") && i < len(journal)-2 {
			break // of the run before
		}
		if n > 0 && strings.HasPrefix(journal[i], "step ") {
			n++
		}
		if n == 0 && strings.HasPrefix(journal[i], name) {
			n = 1
		}
	}
	if n == 0 {
		t.Fatalf("there is no %s in\n%s", name, strings.Join(journal, "\n"))
	}
	return n
}

// TestInstallWaitsForTheOperator: a change of the firewall comes back unless it is confirmed.
func TestInstallWaitsForTheOperator(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.bring(small)
	wait := func(options, then string) (string, int) {
		return m.run(m.script(options) + " & install=$!; until [ -e /run/gen/effective ]; do kill -0 $install 2>/dev/null || exit 99; sleep 0.1; done; " + then + "; wait $install")
	}
	confirm := m.script("--confirm")

	empty := m.state()
	said, code := m.run(m.script("--dead-man 1"))
	m.judge("the first install", said, code, 11, "waiting for --confirm over a new connection, 1 s", "nobody confirmed", "generation 0 is back")
	if diff := cmp.Diff(empty, m.state()); diff != "" {
		t.Errorf("the first install that nobody confirmed left\n%s", diff)
	}
	said, code = wait("--dead-man 20", confirm)
	m.judge("the first install", said, code, 0, "confirmed", "is installed")
	m.must("[ ! -e /etc/systemd/system/gen-revert.service ] && [ ! -e /standin/active/gen-revert.timer ]")
	before := m.state()

	m.bring(smallWith(t, closed, opened))
	said, code = m.run(m.script("--dead-man 1"))
	m.judge("a change", said, code, 11, "going back to generation", "is back")
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("a change that nobody confirmed left\n%s", diff)
	}
	if said, code := m.run(confirm); code != 0 || !strings.Contains(said, "nothing waits") {
		t.Errorf("exit %d: %s", code, said)
	}

	// Killed while it waits: the timer takes it back, or the next boot does; both run this.
	wait("--dead-man 20", "kill -9 0")
	m.must("[ -e /standin/active/gen-revert.timer ] && [ -e /var/lib/gen/unconfirmed ]")
	revert := strings.TrimSpace(m.must("sed -n 's/^ExecStart=//p' /etc/systemd/system/gen-revert.service"))
	if said, code := m.run(revert); code != 0 || !strings.Contains(said, "is back") {
		t.Errorf("exit %d: %s", code, said)
	}
	if diff := cmp.Diff(before, m.state()); diff != "" {
		t.Errorf("the timer left\n%s", diff)
	}

	// Killed while it waits, and confirmed: it stays, and the next run goes on.
	wait("--dead-man 20", "kill -9 0")
	m.must(confirm)
	m.must(revert)
	said, code = m.run(m.script(""))
	m.judge("a confirmed change", said, code, 0)
	m.expect("--status", 0)
	m.must("grep 123 /etc/nftables.d/gen.nft")

	// What was changed by hand let the operator in: it is put back, and comes back unless that is confirmed.
	m.must("echo '# by hand' >>/etc/nftables.d/gen.nft; rm /etc/systemd/system/nftables.service; echo >/etc/nftables.d/theirs.nft")
	firewall := "head -n 1 /var/lib/gen/current; cat /etc/nftables.d/gen.nft"
	found := m.must(firewall)
	m.calls()
	said, code = m.run(m.script("--dead-man 1"))
	m.judge("a hand-edited firewall", said, code, 11, "gen.nft (changed by hand)", "waiting for --confirm", "going back to generation", "is back")
	if diff := cmp.Diff("daemon-reload\ndaemon-reload\nreload gen-firewall.service\ndaemon-reload\nreload gen-firewall.service\ndaemon-reload\n", m.calls()); diff != "" {
		t.Errorf("called otherwise (+) than meant (-):\n%s", diff)
	}
	if diff := cmp.Diff(found, m.must(firewall)); diff != "" {
		t.Errorf("the firewall is not as it was found:\n%s", diff)
	}
	m.expect("--status", 2, "drift    /etc/nftables.d/gen.nft (changed by hand)")
	wait("--dead-man 20", "kill -9 0")
	m.must("! grep 'by hand' /etc/nftables.d/gen.nft")
	m.must(revert)
	if diff := cmp.Diff(found, m.must(firewall)); diff != "" {
		t.Errorf("after a kill the firewall is not as it was found:\n%s", diff)
	}
	// Also where another bundle replaces it.
	m.bring(small)
	said, code = m.run(m.script("--dead-man 1"))
	m.judge("another firewall", said, code, 11, "is back")
	if diff := cmp.Diff(found, m.must(firewall)); diff != "" {
		t.Errorf("after another bundle the firewall is not as it was found:\n%s", diff)
	}
	m.bring(smallWith(t, closed, opened))
	said, code = wait("--dead-man 20", confirm)
	m.judge("a hand-edited firewall", said, code, 0, "confirmed")
	m.must("! grep 'by hand' /etc/nftables.d/gen.nft; grep 'by hand' /var/lib/gen/kept/*/etc/nftables.d/gen.nft; [ ! -e /var/lib/gen/network ]")
	m.expect("--status", 0)

	// A change of anything else asks nobody.
	m.bring(smallWith(t, closed, opened, mail, quiet))
	if said := m.must(m.script("")); strings.Contains(said, "--confirm") {
		t.Errorf("it waits:\n%s", said)
	}
}

// TestInstallConverges: killed at any step, a run that is repeated ends as one that was not.
func TestInstallConverges(t *testing.T) {
	t.Parallel()
	more := smallWith(t, mail, quiet, closed, opened, hedgedoc, `hedgedoc: catalog.#HedgeDoc & {anonymous: true}`, `node:     catalog.#NodeExporter`, "")
	broken := smallWith(t, hedgedoc, fails, mail, quiet, `node:     catalog.#NodeExporter`, "")
	for _, way := range []struct {
		name, first, then, options string
		code                       int
	}{
		{"install", small, more, "", 0},
		{"back", more, small, "", 0},
		{"failure", small, broken, "", 8},
		{"rollback", more, small, "--rollback", 0},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.bring(way.first)
			m.expect("", 0)
			if way.options == "--rollback" {
				m.bring(way.then)
				m.expect("", 0)
			}
			m.bring(way.then)
			m.save("start")
			m.must("rm -f /standin/steps")
			m.expect(way.options, way.code)
			want := m.state()
			steps := strings.TrimSpace(m.must("cat /standin/steps"))
			m.everyStep(steps, func(k int) {
				m.load("start")
				m.must("rm -f /standin/steps")
				if _, code := m.run(fmt.Sprintf("KILL=%d; export KILL; %s", k, m.script(way.options+" --dead-man 0"))); code == way.code {
					t.Errorf("it was not killed at step %d", k)
				}
				at := m.must("tail -n 1 /standin/journal")
				m.expect(way.options, way.code)
				if diff := cmp.Diff(want, m.state()); diff != "" {
					t.Errorf("killed at %sit ends otherwise (+) than undisturbed (-):\n%s", at, diff)
				}
			})
		})
	}
}

// TestInstallIsNeverBetween: killed at any step while a change of the network is under way, the host
// ends with the former one, by the timer or the next boot, or, once confirmed, with the new one.
func TestInstallIsNeverBetween(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.bring(small)
	m.expect("", 0)
	former := m.state()
	m.bring(smallWith(t, closed, opened, mail, quiet))
	m.save("start")
	way := m.script("--dead-man 30") + " & install=$!; until [ -e /run/gen/effective ] || ! kill -0 $install 2>/dev/null; do sleep 0.1; done; " + m.script("--confirm") + "; wait $install"
	m.must("rm -f /standin/steps; " + way)
	confirmed := m.state()
	steps := strings.TrimSpace(m.must("cat /standin/steps"))
	ends := map[string]int{}
	m.everyStep(steps, func(k int) {
		m.load("start")
		m.run(fmt.Sprintf("rm -f /standin/steps; KILL=%d; export KILL; %s", k, way))
		at := m.must("tail -n 1 /standin/journal")
		want, end := confirmed, "confirmed"
		if _, code := m.run("[ -e /var/lib/gen/unconfirmed ]"); code == 0 {
			want, end = former, "former"
			m.must("$(sed -n 's/^ExecStart=//p' /etc/systemd/system/gen-revert.service)")
		} else {
			m.must(way)
		}
		ends[end]++
		if diff := cmp.Diff(want, m.state()); diff != "" {
			t.Errorf("killed at %sit ends otherwise (+) than with the %s network (-):\n%s", at, end, diff)
		}
	})
	if len(ends) < 2 {
		t.Errorf("it ended with %v alone", ends)
	}
}

// everyStep is every step in .ci/long, and a handful elsewhere.
func (m *machine) everyStep(steps string, kill func(int)) {
	var n int
	if _, err := fmt.Sscan(steps, &n); err != nil || n < 10 {
		m.Fatalf("%q steps", steps)
	}
	stride := n/4 + 1
	if os.Getenv("GEN_LONG") != "" {
		stride = 1
	}
	for k := 1; k <= n && !m.Failed(); k += stride {
		kill(k)
	}
}

func (m *machine) save(name string) {
	m.Helper()
	if said, err := exec.Command("cp", "-a", filepath.Join(m.dir, "upper"), filepath.Join(m.dir, name)).CombinedOutput(); err != nil {
		m.Fatal(string(said))
	}
}

func (m *machine) load(name string) {
	m.Helper()
	for _, dir := range []string{"upper", "overlay"} {
		if err := os.RemoveAll(filepath.Join(m.dir, dir)); err != nil {
			m.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(m.dir, "overlay"), 0o755); err != nil {
		m.Fatal(err)
	}
	if said, err := exec.Command("cp", "-a", filepath.Join(m.dir, name), filepath.Join(m.dir, "upper")).CombinedOutput(); err != nil {
		m.Fatal(string(said))
	}
}
