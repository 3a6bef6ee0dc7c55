package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A vm is vps1 with a kernel of its own on the lab's segment, which boots, loses
// power and has limits of memory as a machine at a provider does.
type vm struct{ *fresh }

// newVM boots it for the first time, with the user-data of a bundle.
func newVM(t *testing.T, f *fresh, bundle string) *vm {
	t.Helper()
	v := &vm{f}
	t.Setenv("USERDATA", filepath.Join(bundle, "user-data"))
	v.vm("up", "203.0.113.10/24", "2001:db8::10/64")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the console ends with\n%s", tail(v.console(), 200))
		}
	})
	return v
}

func (v *vm) vm(verb string, args ...string) {
	v.Helper()
	if said, err := exec.Command("../../.ci/host/vm", append([]string{verb, v.dir, "vps1"}, args...)...).CombinedOutput(); err != nil {
		v.Fatalf("vm %s: %v\n%s", verb, err, said)
	}
}

func (v *vm) in(t *testing.T) *vm { return &vm{v.fresh.in(t)} }

// console is what it said since it was made, the journal among it.
func (v *vm) console() string { return read(v.T, filepath.Join(v.dir, "host/vps1/console")) }

// take pushes a bundle, with the operator's identity.
func (v *vm) take(bundle string, options ...string) (said string, code int) {
	v.Helper()
	return v.sh("GEN_IDENTITY=" + v.identity + " " + bundle + "/push " + strings.Join(options, " ") + " root@203.0.113.10")
}

// cutAt cuts the power while a bundle is installed, as the nth step of that name is announced.
func (v *vm) cutAt(step string, nth int, bundle string) {
	v.Helper()
	from := len(v.console())
	pushed := make(chan string)
	go func() {
		said, _ := v.take(bundle)
		pushed <- said
	}()
	steps := regexp.MustCompile(`step ` + step + `\b`)
	for deadline := time.Now().Add(5 * time.Minute); len(steps.FindAllString(v.console()[from:], nth)) < nth; time.Sleep(20 * time.Millisecond) {
		select {
		case said := <-pushed:
			v.Fatalf("it has no step %s (%d):\n%s", step, nth, said)
		default:
		}
		if time.Now().After(deadline) {
			v.Fatalf("it does not come to step %s (%d)", step, nth)
		}
	}
	v.run("power-cut", v.dir, "vps1")
	v.Logf("power was cut at step %s; the journal ends with\n%s", step, tail(v.console(), 3))
	v.run("boot", v.dir, "vps1")
	<-pushed
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// state is all that two ways to one bundle have alike.
func (v *vm) state() string {
	v.Helper()
	return v.on("vps1", "sh", "-c", `cd /var/lib/gen
find /etc/systemd /etc/containers /etc/nftables.d /etc/wireguard /etc/sysctl.d /etc/tmpfiles.d /usr/local -type f ! -path '/etc/containers/networks/*' | sort | xargs -d '\n' sha256sum
grep -H . stamps/* lines/*
ls -A | grep -Ex 'pending|unconfirmed.*|barred' || :
podman secret ls -q | xargs -r podman secret inspect -f '{{.Spec.Name}} {{index .Spec.Labels "gen.payload"}}' | sort
podman ps -a --format '{{.Names}} {{.Image}} {{.Networks}}' | sort
podman network ls -q | grep -vx podman | xargs podman network inspect -f '{{.Name}} {{range .Subnets}} {{.Subnet}}{{end}}'
nft -s list table inet gen; nft -s list table bridge gen
wg show wg0 allowed-ips; ip -brief address show wg0`)
}

// whole checks that each file of two bundles is there as one of them has it, or not at all.
func (v *vm) whole(former, target string) {
	v.Helper()
	sums := map[string][]string{}
	for _, bundle := range []string{former, target} {
		for line := range strings.Lines(read(v.T, filepath.Join(bundle, "MANIFEST"))) {
			f := strings.Split(strings.TrimSpace(line), "\t")
			sums[f[3]] = append(sums[f[3]], f[2])
		}
	}
	paths := make([]string, 0, len(sums))
	for path := range sums {
		paths = append(paths, path)
	}
	for line := range strings.Lines(v.on("vps1", append([]string{"sh", "-c", `for f; do [ ! -e "$f" ] || sha256sum "$f"; done`, "sh"}, paths...)...)) {
		sum, path, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if !slices.Contains(sums[path], sum) {
			v.Errorf("%s is neither the former file nor the new one:\n%s", path, v.on("vps1", "head", "-c", "300", path))
		}
	}
}

// notOld checks that no program has been started which the record of its line does not know.
func (v *vm) notOld(former string) {
	v.Helper()
	running := v.on("vps1", "sh", "-c", "podman inspect -f '{{.Config.Env}}' store-data | grep -o 'store-[0-9]' || :")
	recorded := v.on("vps1", "cat", "/var/lib/gen/lines/store.data")
	if running != recorded && strings.TrimSpace(recorded) == former {
		v.Errorf("%s ran on data that are recorded as %s", strings.TrimSpace(running), recorded)
	}
}

// meshed is a fleet small enough for emulation, whose hosts have a tunnel.
func (f *fresh) meshed() string {
	f.Helper()
	repo := f.copied(f.repo, hedgedoc, "")
	if err := os.RemoveAll(filepath.Join(repo, "hosts/secrets")); err != nil {
		f.Fatal(err)
	}
	write(f.T, filepath.Join(repo, "hosts/patient.cue"), patient)
	for i, host := range []string{"vps1", "vps2"} {
		key := strings.TrimSpace(f.keep(repo, "", "new", host+".wireguard", "-wireguard"))
		old := fmt.Sprintf("address: %q", []string{"10.44.0.1", "10.44.0.2"}[i])
		if i == 1 {
			old = fmt.Sprintf("address:  %q", "10.44.0.2")
		}
		f.change(repo, "mesh: "+old, fmt.Sprintf("mesh: {%s, publicKey: %q}", old, key))
	}
	return repo
}

func (f *fresh) copied(repo string, changes ...string) string {
	f.Helper()
	dir := f.TempDir()
	if err := os.CopyFS(dir, os.DirFS(repo)); err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		f.change(dir, changes[i], changes[i+1])
	}
	return dir
}

// program is a service whose data are of a line, and that takes memory or tasks without end when it
// is told to. It may have more that another version has not.
func program(line, more string) string {
	return fmt.Sprintf(`package hosts

hosts: vps1: services: store: {
	containers: data: {
		image: "quay.io/prometheus/node-exporter:v1"
		user:  "65534:65534"
		env: RELEASE: %[1]q
		entrypoint: ["/bin/sh", "-c", """
			trap exit TERM
			rm -f /told/*
			while :; do
				[ ! -e /told/memory ] || exec tail /dev/zero
				while [ -e /told/tasks ]; do sleep 1000 & done
				sleep 1
			done
			"""]
		memory: "128M"
		tasks:  64
		volumes: told: "/told"
		health: command: ["/bin/sh", "-c", "true"]
		stop: "1s"
	}
	volumes: told: {owner: "65534:65534", backup: "none", why: "only a test writes there"}
	lines: data: {line: %[1]q, accepts: ["*"], containers: data: true}
	%[2]s
}
`, line, more)
}

// patient are containers whose health may take its time: emulated, podman needs seconds to ask.
const patient = `package hosts

hosts: vps1: services: [string]: containers: [string]: health: {interval: "1h", timeout: "2m"}
`

// more has new files, and after them secrets, each of which podman makes sure is on the disk.
const more = `secrets: {one: about: "nothing", two: about: "nothing"}
	containers: data: {
		secrets: {one: {}, two: {}}
		files: "/etc/store/new": text: "all of it"
	}`

// TestVirtualMachine is a machine's life: made by user-data, rebooted, cut off in the middle of an
// install, and eaten up by one program.
func TestVirtualMachine(t *testing.T) {
	onlyInLong(t)
	f := newFresh(t)
	if said, err := exec.Command("../../.ci/host/vm", "ready").CombinedOutput(); err != nil {
		without(t, strings.TrimSpace(string(said)))
	}
	base := f.meshed()
	other := f.copied(base, mail, quiet)
	repos := map[string]string{
		"store-1": base,
		"store-2": other,
		"locked":  f.copied(base, closed, `ssh: {audience: "mesh", recovery: "the console"}, `+closed),
	}
	for name, service := range map[string]string{"store-1": program("store-1", ""), "store-2": program("store-2", more), "locked": program("store-1", "")} {
		write(t, filepath.Join(repos[name], "hosts/store.cue"), service)
	}
	for _, secret := range []string{"store.one", "store.two"} {
		f.keep(other, "", "new", secret)
	}
	bundles, states := map[string]string{}, map[string]string{}
	for name, repo := range repos {
		bundles[name] = f.bundle(repo, "vps1")
	}
	v := newVM(t, f, bundles["store-1"])

	// runs checks that all of a bundle runs, as it does wherever it was installed undisturbed.
	runs := func(v *vm, bundle string) {
		v.Helper()
		v.healthy("vps1")
		if now := v.state(); states[bundle] == "" {
			states[bundle] = now
		} else if diff := cmp.Diff(states[bundle], now); diff != "" {
			v.Errorf("it is otherwise (+) than after an undisturbed install of %s (-):\n%s", bundle, diff)
		}
	}
	installs := func(v *vm, bundle string) {
		v.Helper()
		if said, code := v.take(bundles[bundle]); code != 0 {
			v.Fatalf("install of %s: exit %d\n%s", bundle, code, said)
		}
		runs(v, bundle)
	}

	t.Run("user-data makes it ready on a real boot", func(t *testing.T) {
		v := v.in(t)
		if said := v.on("vps1", "cloud-init", "status", "--wait", "--format", "json"); !strings.Contains(said, `"status": "done"`) || !strings.Contains(said, `"errors": []`) {
			t.Errorf("cloud-init: %s", said)
		}
		v.ready("vps1", "vps1")
		v.on("vps1", "sh", "-c", "grep -q /dev/vda /proc/mounts && ! systemd-detect-virt -q --container")
	})
	t.Run("push brings all that it runs", func(t *testing.T) {
		v := v.in(t)
		f.wants(0, "is installed", "GEN_IDENTITY="+v.identity+" "+bundles["store-2"]+"/push --host-key "+v.hostKey("vps1")+" root@203.0.113.10")
		runs(v, "store-2")
		if said := v.on("vps1", "sh", "-c", "ip -details link show wg0; lsmod"); !strings.Contains(said, "wireguard") || strings.Contains(said, "tun ") {
			t.Errorf("the tunnel is not the kernel's: %s", said)
		}
		installs(v, "store-1")
	})
	if t.Failed() {
		return
	}
	t.Run("it comes back from a reboot by itself", func(t *testing.T) {
		v := v.in(t)
		v.vm("reboot")
		runs(v, "store-1")
		before := v.invocations("vps1")
		if said, code := v.take(bundles["store-1"]); code != 0 || strings.TrimSpace(said) != "nothing to do" {
			t.Errorf("exit %d: %s", code, said)
		}
		if units := v.restarted("vps1", before); units != nil {
			t.Errorf("restarted: %v", units)
		}
		v.on("vps1", "touch", "/etc/cloud/cloud-init.disabled") // it has nothing more to do, and takes long for that
	})
	t.Run("a program that takes too much falls alone", func(t *testing.T) {
		v := v.in(t)
		for _, most := range [][2]string{
			{"memory", "oom-kill:constraint=CONSTRAINT_MEMCG.*/store-data.service"},
			{"tasks", "fork rejected by pids controller in .*/store-data.service"},
		} {
			what, sign := most[0], most[1]
			before := v.invocations("vps1")
			v.on("vps1", "touch", "/srv/store/told/"+what)
			v.until("vps1", "journalctl -k -q --no-pager | grep '"+sign+"'")
			v.until("vps1", "[ ! -e /srv/store/told/"+what+" ] && systemctl is-active store-data.service")
			if diff := cmp.Diff([]string{"store-data.service"}, v.restarted("vps1", before)); diff != "" {
				t.Errorf("%s: restarted otherwise (+) than meant (-):\n%s", what, diff)
			}
			v.healthy("vps1")
		}
	})
	t.Run("power is cut in the middle of an install", func(t *testing.T) {
		former, target := "store-1", "store-2"
		for _, cut := range []struct {
			step string
			nth  int
		}{{"put podman:store", 2}, {"daemon-reload", 1}, {"restart", 1}, {"current", 1}} {
			t.Run(cut.step, func(t *testing.T) {
				v := v.in(t)
				v.cutAt(cut.step, cut.nth, bundles[target])
				v.whole(bundles[former], bundles[target])
				v.notOld(former)
				installs(v, target)
			})
			former, target = target, former
		}
	})
	t.Run("power is cut while a change of the firewall waits", func(t *testing.T) {
		v := v.in(t)
		v.cutAt("wait", 1, bundles["locked"])
		v.until("vps1", "! ls /var/lib/gen | grep -E 'unconfirmed|pending'")
		v.settle("vps1")
		runs(v, "store-1")
	})
}
