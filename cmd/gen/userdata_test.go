package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/secret"
)

// userDataHosts are the hosts in golden/, whose user-data is written as it is for them.
func userDataHosts(t *testing.T) (files []string) {
	t.Helper()
	for _, host := range goldenHosts(t) {
		files = append(files, filepath.Join(host, "user-data"))
	}
	return files
}

// TestUserDataIsAccepted: Debian 13's cloud-init has nothing against any user-data.
func TestUserDataIsAccepted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, file := range userDataHosts(t) {
		write(t, filepath.Join(dir, fmt.Sprintf("%03d", i)), read(t, file))
	}
	said, err := inDebian13(t, dir, "sh", "-c", `for f in /mnt/*; do cloud-init schema --config-file "$f" || exit; done`)
	if n := strings.Count(said, "Valid schema"); err != nil || n != len(userDataHosts(t)) || strings.Contains(strings.ToLower(said), "deprecat") {
		t.Errorf("cloud-init: %v\n%s", err, said)
	}
}

// TestUserDataIsSmallAndReadable: it fits every provider's limit, all that it
// does is the script that push --bootstrap runs, and shellcheck reads that.
func TestUserDataIsSmallAndReadable(t *testing.T) {
	t.Parallel()
	checker := tool(t, "shellcheck")
	for _, file := range userDataHosts(t) {
		text := read(t, file)
		if len(text) > render.UserDataLimit {
			t.Errorf("%s has %d bytes", file, len(text))
		}
		var config struct {
			Hostname   string
			RunCmd     [][]string                                    `yaml:"runcmd"`
			WriteFiles []struct{ Path, Content, Permissions string } `yaml:"write_files"`
		}
		if err := yaml.Unmarshal([]byte(text), &config); err != nil || len(config.WriteFiles) != 1 || len(config.RunCmd) != 1 {
			t.Fatalf("%s: %v, %+v", file, err, config)
		}
		script := config.WriteFiles[0]
		if host := filepath.Base(filepath.Dir(file)); config.Hostname != host || !slices.Equal(config.RunCmd[0], []string{"sh", script.Path}) {
			t.Errorf("%s: %+v", file, config)
		}
		if taken := bootstrapScript(t, filepath.Dir(file)); taken != script.Content {
			t.Errorf("%s: push takes another script than cloud-init:\n%s", file, cmp.Diff(script.Content, taken))
		}
		parts := []string{script.Content}
		if _, fetch, ok := strings.Cut(script.Content, "put /var/lib/gen/fetch <<'END'\n"); ok {
			fetch, _, _ = strings.Cut(fetch, "END\n")
			parts = append(parts, fetch)
		}
		for _, part := range parts {
			c := exec.Command(checker, "-")
			c.Stdin = strings.NewReader(part)
			if said, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", file, err, said)
			}
		}
	}
}

// bootstrapScript is what push --bootstrap sends, by the very line of push.
func bootstrapScript(t *testing.T, host string) string {
	t.Helper()
	for line := range strings.Lines(read(t, "internal/bundle/push")) {
		if sed, _, ok := strings.Cut(strings.TrimSpace(line), " user-data |"); ok {
			c := exec.Command("sh", "-c", sed+" user-data")
			c.Dir = host
			b, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", sed, err, b)
			}
			return string(b)
		}
	}
	t.Fatal("push does not take a script from user-data")
	return ""
}

// TestPushRefuses: what is wrong here is said before anybody is asked.
func TestPushRefuses(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	mustGen(t, "-C", small, "-host", "vps1", "-o", out)
	push := filepath.Join(out, "vps1/push")
	refuses := func(want int, text string, args ...string) {
		t.Helper()
		for _, shell := range [][]string{{"dash"}, {"busybox", "sh"}, {"bash", "--posix"}} {
			if _, err := exec.LookPath(shell[0]); err != nil {
				without(t, shell[0])
			}
			c := exec.Command(shell[0], slices.Concat(shell[1:], []string{push}, args)...)
			c.Env = append(os.Environ(), "GEN_SSH=ssh -F none -p 1 -o UserKnownHostsFile="+filepath.Join(out, "known"))
			said, err := c.CombinedOutput()
			if code := c.ProcessState.ExitCode(); err == nil || code != want || !strings.Contains(string(said), text) {
				t.Errorf("%v: push %v: exit %d and not %d with %q:\n%s", shell, args, code, want, text, said)
			}
		}
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"--help"}, {"-i"}, {"--host-key"}, {"--bootstrap", "--identity", "a"}} {
		refuses(1, "usage: push", args...)
	}
	for _, args := range [][]string{{}, {"--bootstrap"}, {"--host-key", "SHA256:x"}, {"--identity"}} {
		refuses(255, "was not reached: ssh: connect to host", append(args, "root@127.0.0.1")...)
	}
	write(t, filepath.Join(out, "vps1/UNITS"), "")
	refuses(3, "UNITS: FAILED", "root@127.0.0.1")
}

// Fresh machines, and an operator who has an ssh key in the fleet and an age identity.
type fresh struct {
	*lab
	repo, identity string
	known          string // the operator's known_hosts
}

func newFresh(t *testing.T) *fresh {
	t.Helper()
	l := emptyLab(t)
	l.operator("true") // makes the operator's key
	f := &fresh{lab: l, identity: filepath.Join(t.TempDir(), "identity"), known: filepath.Join(t.TempDir(), "known_hosts")}
	write(t, f.identity, demonstrationIdentity(t))
	f.repo = f.edit("operators: demonstration: age:", fmt.Sprintf("operators: demonstration: ssh: [%s]\n\toperators: demonstration: age:",
		cueString(strings.TrimSpace(read(t, filepath.Join(l.dir, "id.pub"))))))
	return f
}

// demonstrationIdentity is the example's identity without its passphrase.
func demonstrationIdentity(t *testing.T) string {
	t.Helper()
	ids, err := secret.Identities([]byte(read(t, "../../hosts/keys/demonstration.identity")), func() (string, error) { return passphrase, nil })
	if err != nil {
		t.Fatal(err)
	}
	return ids[0].(*age.X25519Identity).String() + "\n"
}

func (f *fresh) in(t *testing.T) *fresh {
	return &fresh{&lab{t, f.dir}, f.repo, f.identity, f.known}
}

// bundle compiles a host of a repository.
func (f *fresh) bundle(repo, host string) (dir string) {
	f.Helper()
	out := filepath.Join(f.TempDir(), "out")
	mustGen(f.T, "-C", repo, "-host", host, "-o", out)
	return filepath.Join(out, host)
}

// up makes a machine that gets this user-data, or none and lets the operator in.
func (f *fresh) up(name, userData string, addresses ...string) {
	f.Helper()
	c := exec.Command("../../.ci/host/lab", append([]string{"up", f.dir, name}, addresses...)...)
	if userData != "" {
		c.Env = append(os.Environ(), "USERDATA="+userData)
	}
	if said, err := c.CombinedOutput(); err != nil {
		f.Fatalf("lab up: %v\n%s", err, said)
	}
}

// sh runs a script as the operator, whose ssh remembers host keys as anybody's does.
func (f *fresh) sh(script string) (said string, code int) {
	f.Helper()
	c := exec.Command("../../.ci/host/lab", "net", f.dir, "setsid", "-w", "sh", "-c", script)
	c.Env = append(os.Environ(), "GEN_SSH=ssh -o BatchMode=no -o UserKnownHostsFile="+f.known)
	b, err := c.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		f.Fatal(err)
	}
	return string(b), c.ProcessState.ExitCode()
}

// wants runs a script that ends with a code and says something.
func (f *fresh) wants(code int, text, script string) (said string) {
	f.Helper()
	said, got := f.sh(script)
	if got != code || !strings.Contains(said, text) {
		f.Fatalf("%s: exit %d and not %d with %q:\n%s", script, got, code, text, said)
	}
	return said
}

// hostKey is the fingerprint that a machine's console shows.
func (f *fresh) hostKey(name string) string {
	f.Helper()
	return strings.Fields(f.on(name, "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"))[1]
}

// ready checks what user-data, or push --bootstrap, made of a machine.
func (f *fresh) ready(name, host string) {
	f.Helper()
	if got := strings.TrimSpace(f.on(name, "uname", "-n")); got != host {
		f.Errorf("it is called %s", got)
	}
	if said := f.on(name, "cat", "/root/.ssh/authorized_keys"); strings.Count(said, " gen:demonstration\n") != 1 {
		f.Errorf("root's keys are\n%s", said)
	}
	sshd := f.on(name, "sshd", "-T")
	for _, line := range []string{"passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin without-password"} {
		if !strings.Contains(sshd, line+"\n") {
			f.Errorf("sshd does not say %s", line)
		}
	}
	apt := f.on(name, "apt-config", "dump")
	for _, line := range []string{`APT::Periodic::Unattended-Upgrade "1";`, `Unattended-Upgrade::Automatic-Reboot "false";`} {
		if !strings.Contains(apt, line+"\n") {
			f.Errorf("apt does not say %s", line)
		}
	}
	timer := f.on(name, "systemctl", "show", "apt-daily-upgrade.timer")
	for _, line := range []string{"ActiveState=active", "Persistent=no", "OnCalendar=*-*-* 05:15:00 ;"} {
		if !strings.Contains(timer, line) {
			f.Errorf("the timer of upgrades does not say %s:\n%s", line, timer)
		}
	}
	if said := f.on(name, "sh", "-c", "find / -xdev -name '*.part'"); said != "" {
		f.Errorf("left over: %s", said)
	}
}

// TestFreshMachine is the README's way from a fresh machine to a running host,
// by user-data and without it, and what must not work on it.
func TestFreshMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots machines")
	}
	onlyInCI(t)
	t.Parallel()
	f := newFresh(t)
	vps1 := f.bundle(f.repo, "vps1")
	f.up("vps1", filepath.Join(vps1, "user-data"), "203.0.113.10/24", "2001:db8::10/64")
	push := filepath.Join(vps1, "push")
	const to = " root@203.0.113.10"

	t.Run("user-data made it ready", func(t *testing.T) {
		f := f.in(t)
		var status struct {
			Status string
			Errors []string
		}
		said, _ := f.try("sh", f.dir, "vps1", "cloud-init", "status", "--wait", "--format", "json")
		if err := json.Unmarshal([]byte(said), &status); err != nil || status.Status != "done" || len(status.Errors) > 0 {
			t.Errorf("cloud-init: %v %+v\n%s", err, status, f.on("vps1", "cat", "/var/log/cloud-init-output.log"))
		}
		f.ready("vps1", "vps1")
	})
	t.Run("an unknown host key is shown, and nobody logs in", func(t *testing.T) {
		f := f.in(t)
		f.wants(21, f.hostKey("vps1"), push+" -i "+f.identity+to)
		f.wants(21, f.hostKey("vps1"), push+" --host-key SHA256:ZZZZ"+to)
		if b, err := os.ReadFile(f.known); err == nil && len(b) > 0 {
			t.Errorf("known_hosts is %s", b)
		}
		f.on("vps1", "test", "!", "-e", "/var/lib/gen/incoming")
	})
	t.Run("at a terminal ssh asks, and remembers", func(t *testing.T) {
		f := f.in(t)
		said := f.wants(5, "the host has no identity", fmt.Sprintf("{ sleep 3; echo yes; sleep 3; } | script -qec '%s%s' /dev/null", push, to)) // what is typed before the question does not count
		if !strings.Contains(said, f.hostKey("vps1")) || !strings.Contains(read(t, f.known), "203.0.113.10") {
			t.Errorf("known_hosts is %s, and it says\n%s", read(t, f.known), said)
		}
	})
	t.Run("an identity that does not open the host's sends nothing", func(t *testing.T) {
		f := f.in(t)
		f.wants(20, "nothing was ever pushed to root@203.0.113.10", push+" --status"+to)
		other, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		wrong := filepath.Join(t.TempDir(), "wrong")
		write(t, wrong, other.String()+"\n")
		f.wants(5, "nothing was sent", push+" -i "+wrong+to)
		f.on("vps1", "sh", "-c", "! ls /etc/gen/identity /var/lib/gen/incoming 2>/dev/null")
	})
	t.Run("push brings the identity, and all is healthy", func(t *testing.T) {
		f := f.in(t)
		f.wants(0, "", "GEN_IDENTITY="+f.identity+" "+push+to)
		if said := f.on("vps1", "sh", "-c", "stat -c '%a %u' /etc/gen/identity; ls -A /etc/gen"); said != "600 0\nidentity\n" {
			t.Errorf("the identity is %s", said)
		}
		f.on("vps1", "sh", "-c", "! ls /var/lib/gen/incoming/identity.age /var/lib/gen/incoming/user-data 2>/dev/null")
		f.healthy("vps1")
		f.wants(0, "nothing to do", push+to)
	})
	t.Run("a changed host key is refused", func(t *testing.T) {
		f := f.in(t)
		f.on("vps1", "sh", "-ec", "rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh")
		said := f.wants(21, "another host key than the one known", push+to)
		if !strings.Contains(said, f.hostKey("vps1")) {
			t.Errorf("it does not show the key: %s", said)
		}
		f.wants(0, "nothing to do", push+" --host-key "+f.hostKey("vps1")+to)
		f.wants(0, "nothing to do", "busybox sh "+push+to)
	})
	t.Run("the script again, after operators have changed", func(t *testing.T) {
		f := f.in(t)
		f.on("vps1", "sh", "-ec", "echo 'ssh-ed25519 AAAA theirs' >>/root/.ssh/authorized_keys; echo 'ssh-ed25519 AAAA gen:gone' >>/root/.ssh/authorized_keys")
		f.wants(0, "push can install here", push+" --bootstrap"+to)
		f.ready("vps1", "vps1")
		if said := f.on("vps1", "cat", "/root/.ssh/authorized_keys"); !strings.Contains(said, " theirs\n") || strings.Contains(said, "gen:gone") {
			t.Errorf("root's keys are\n%s", said)
		}
		f.healthy("vps1")
	})
}

// TestFreshMachineWithoutCloudInit: a provider gave it another name and a
// password, and push does the rest.
func TestFreshMachineWithoutCloudInit(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots machines")
	}
	onlyInCI(t)
	t.Parallel()
	f := newFresh(t)
	f.change(f.repo, closed, "ssh: port: 2222, "+closed)
	f.up("v1234", "", "203.0.113.10/24", "2001:db8::10/64")
	f.on("v1234", "sh", "-ec", `rm -rf /root/.ssh /etc/ssh/sshd_config.d/*
		mv /usr/bin/rsync /root/
		echo root:"a password" | chpasswd
		echo 'PermitRootLogin yes' >>/etc/ssh/sshd_config
		systemctl reload ssh
		: >/var/lib/dpkg/updates/0000`) // as if dpkg had been cut off
	askpass := filepath.Join(t.TempDir(), "askpass")
	write(t, askpass, "#!/bin/sh\necho 'a password'\n")
	if err := os.Chmod(askpass, 0o755); err != nil {
		t.Fatal(err)
	}
	typed := "export SSH_ASKPASS=" + askpass + " SSH_ASKPASS_REQUIRE=force; "
	push := filepath.Join(f.bundle(f.repo, "vps1"), "push")
	const to = " root@203.0.113.10"
	f.wants(21, "not known here", push+" --bootstrap"+to)
	f.wants(20, "the machine lacks rsync", typed+push+" --host-key "+f.hostKey("v1234")+to)
	f.on("v1234", "mv", "/root/rsync", "/usr/bin/") // there is no archive that it could come from
	// sshd moves with this bundle: LOGIN says where to, and the key is known from the first contact.
	f.wants(0, "push: it answered at root@203.0.113.10, port 2222", typed+push+" --bootstrap -i "+f.identity+to)
	f.ready("v1234", "vps1")
	f.healthy("v1234")
	if said, code := f.sh("export SSH_ASKPASS=" + askpass + " SSH_ASKPASS_REQUIRE=force; $GEN_SSH -p 2222 -o PubkeyAuthentication=no root@203.0.113.10 true"); code != 255 || !strings.Contains(said, "Permission denied (publickey)") {
		t.Errorf("the password is still good: %d %s", code, said)
	}
}

// TestFirstBundleIsFetched: a machine fetches its first bundle by itself, and
// installs it when its identity arrives.
func TestFirstBundleIsFetched(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots machines")
	}
	onlyInCI(t)
	t.Parallel()
	f := newFresh(t)
	f.change(f.repo, `address6: "2001:db8::10"`, "address6: \"2001:db8::10\"\n\tbundle: \"http://203.0.113.1:8080/vps1.tar.gz\"")
	vps1, web := f.bundle(f.repo, "vps1"), t.TempDir()
	server := exec.Command("../../.ci/host/lab", "net", f.dir, "busybox", "httpd", "-f", "-p", "8080", "-h", web)
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })

	// At first another bundle is there.
	pack := func(dir string) {
		t.Helper()
		if said, err := exec.Command("sh", "-c", fmt.Sprintf("tar -C %s -czf %s/part . && mv %[2]s/part %[2]s/vps1.tar.gz", dir, web)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	pack(f.bundle(small, "vps2"))
	f.up("vps1", filepath.Join(vps1, "user-data"), "203.0.113.10/24", "2001:db8::10/64")
	f.until("vps1", "journalctl -u gen-fetch.service | grep 'another bundle than user-data was made with'")
	pack(vps1)
	f.until("vps1", "test -f /var/lib/gen/incoming/SHA256SUMS")
	if got := f.on("vps1", "sh", "-c", "ls -A /var/lib/gen; ls /var/lib/gen/incoming"); strings.Contains(got, "fetched") || strings.Contains(got, "push") || strings.Contains(got, "current") {
		t.Errorf("before the identity there is\n%s", got)
	}
	f.wants(0, "passphrase", fmt.Sprintf("{ sleep 5; echo %s; sleep 5; } | script -qec '%s/push --identity -i %s --host-key %s root@203.0.113.10' /dev/null",
		passphrase, vps1, absolute(t, "../../hosts/keys/demonstration.identity"), f.hostKey("vps1")))
	f.until("vps1", "test -f /var/lib/gen/current")
	f.healthy("vps1")
	f.wants(0, "nothing to do", vps1+"/push root@203.0.113.10")
	f.run("halt", f.dir, "vps1")
	f.run("boot", f.dir, "vps1")
	f.settle("vps1")
	f.healthy("vps1")
}

// until waits for a command to succeed on a host.
func (f *fresh) until(host, command string) {
	f.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for time.Now().Before(deadline) {
		if _, err := f.try("sh", f.dir, host, "sh", "-c", command); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
	f.Fatalf("it does not come to %s\n%s", command, f.on(host, "journalctl", "-n", "80", "--no-pager", "-o", "cat"))
}
