package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// updated are three services whose programs say in their image which release they are. A release that
// is bad never gets well. The tag of web and tool follows a line; the data of store move one way.
const updated = `package hosts

fleet: {
	domain: "example.org"
	operators: demonstration: age: "age1hyr6gw64me2jj74pd4jlq30f9w6gl098sfdq4f4x8u46wrpdz5sq4k0stm"
}
hosts: vps1: {os: "debian-13", address: "203.0.113.10"}
hosts: vps1: services: [=~"^(web|tool|store)$"]: containers: [string]: {
	user: "65534:65534"
	entrypoint: ["/bin/sh", "-c", "trap exit TERM; while :; do sleep 1; done"]
	health: command: ["/bin/sh", "-c", "[ $RELEASE != bad ]"]
	start: "15s"
	stop:  "1s"
	tags: {follow: "[0-9]+"}
}
hosts: vps1: services: {
	web: containers: {
		app: {image: "registry.example.org/web:1", update: "minor"}
		front: {image: "registry.example.org/front:1", needs: app: true}
	}
	tool: containers: app: {image: "registry.example.org/tool:1", update: "minor"}
	store: {
		containers: data: image: "registry.example.org/store:1"
		lines: data: {line: "store-1", containers: data: true}
	}
}
`

// TestAutoUpdate: of newer images that podman's auto-update finds, as the shipped timer starts it, one
// that gets well stays, and one that does not goes back while what needs it runs on. What is not to
// be updated is not touched. That one went back is a failed unit, until a run without it.
func TestAutoUpdate(t *testing.T) {
	if testing.Short() {
		t.Skip("it boots a machine")
	}
	onlyInCI(t)
	t.Parallel()
	l := emptyLab(t)
	l.run("up", l.dir, "vps1", "203.0.113.10/24")
	l.registry("203.0.113.1:5000")
	l.on("vps1", "sh", "-c", `printf '[[registry]]\nprefix = "registry.example.org"\nlocation = "203.0.113.1:5000"\ninsecure = true\n[[registry]]\nlocation = "203.0.113.1:5000"\ninsecure = true\n' >/etc/containers/registries.conf.d/50-test.conf`)
	for _, image := range []string{"web", "front", "tool", "store"} {
		l.release(image, "old")
	}
	repo := t.TempDir()
	write(t, filepath.Join(repo, "hosts/fleet.cue"), updated)
	l.push(repo, "vps1")
	l.healthy("vps1")

	l.release("web", "bad")
	for _, image := range []string{"front", "tool", "store"} {
		l.release(image, "new")
	}
	before := l.invocations("vps1")
	// It is due: a timer that is persistent makes good for what it missed.
	l.on("vps1", "sh", "-ec", "touch -d '2 days ago' /var/lib/systemd/timers/stamp-podman-auto-update.timer; systemctl restart podman-auto-update.timer")
	l.on("vps1", "sh", "-c", "for i in $(seq 120); do journalctl -q -u podman-auto-update.service --grep 'Finished|Failed' && exit; sleep 1; done; systemctl list-timers; systemctl status podman-auto-update.service; systemctl list-jobs; journalctl -n 100; exit 1")

	for container, want := range map[string]string{"web-app": "old", "web-front": "old", "tool-app": "new", "store-data": "old"} {
		if said := l.on("vps1", "podman", "inspect", "-f", "{{.Config.Env}}", container); !strings.Contains(said, "RELEASE="+want) {
			t.Errorf("%s runs with %s and not %s", container, said, want)
		}
	}
	if diff := cmp.Diff([]string{"podman-auto-update.timer", "tool-app.service", "web-app.service"}, l.restarted("vps1", before)); diff != "" {
		t.Errorf("restarted otherwise (+) than meant (-):\n%s", diff)
	}
	l.healthy("vps1")
	for _, row := range []string{`web-app.service .* registry\.example\.org/web:1 .* rolled back`, `tool-app.service .* registry\.example\.org/tool:1 .* true`} {
		l.on("vps1", "journalctl", "-q", "-u", "podman-auto-update.service", "--grep", row)
	}
	l.failed("podman-auto-update.service")
	l.updates(`gen_update_rolled_back{name="web-app.service"} 1`, `gen_update_pending{name="web-app.service"} 1`, `gen_update_pending{name="tool-app.service"} 0`)
	if said := l.push(repo, "vps1"); strings.TrimSpace(said) != "nothing to do" {
		t.Errorf("after it, a push says %s", said)
	}

	l.release("web", "good")
	l.on("vps1", "systemctl", "start", "podman-auto-update.service")
	l.failed()
	l.healthy("vps1")
	l.updates(`gen_update_rolled_back{name="web-app.service"} 1`, `gen_update_pending{name="web-app.service"} 0`, `gen_update_pending{name="tool-app.service"} 0`)
}

// updates checks what node_exporter is told of updates by the example's own script.
func (l *lab) updates(lines ...string) {
	l.Helper()
	script := read(l.T, "../../golden/fleet/vps1/rootfs/usr/local/libexec/node-updates")
	l.on("vps1", "sh", "-c", script)
	told := l.on("vps1", "cat", "/var/lib/prometheus/node-exporter/gen_updates.prom")
	for _, line := range lines {
		if !strings.Contains(told, line+"\n") {
			l.Errorf("node_exporter is not told %s, but\n%s", line, told)
		}
	}
	if n := strings.Count(told, "gen_update_rolled_back{"); n != 1 {
		l.Errorf("%d were rolled back:\n%s", n, told)
	}
}

// failed checks which units are.
func (l *lab) failed(units ...string) {
	l.Helper()
	if got := strings.Fields(l.on("vps1", "sh", "-c", "systemctl --failed --no-legend --plain | cut -d ' ' -f 1")); !slices.Equal(got, units) {
		l.Errorf("failed units are %v and not %v", got, units)
	}
}

// registry serves images at an address of the operator's.
func (l *lab) registry(address string) {
	l.Helper()
	c := exec.Command("../../.ci/host/lab", "net", l.dir, executable(l.T))
	c.Env = append(os.Environ(), "GEN_TEST_AS_REGISTRY="+address)
	if err := c.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { c.Process.Kill(); c.Wait() })
	l.operator("sh", "-c", "for i in $(seq 600); do curl -sf http://"+address+"/v2/ && exit; sleep 0.1; done; exit 1")
}

// release puts a program's release where its tag then leads. The host, which has podman, makes it.
func (l *lab) release(image, release string) {
	l.Helper()
	l.on("vps1", "sh", "-ec", fmt.Sprintf(`podman create -q --name new quay.io/prometheus/node-exporter:v1 >/dev/null
podman commit -q --change 'ENV RELEASE=%[2]s' new localhost/new >/dev/null
podman push -q localhost/new 203.0.113.1:5000/%[1]s:1
podman rm -f new >/dev/null; podman rmi localhost/new >/dev/null`, image, release))
}
