package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
)

// TestExampleFleet brings this repository's own fleet to fresh machines. The
// programs that can be had run for real; the others are played by a stand-in,
// which refuses to start without what upstream needs, and tells what it was
// given: that must be what the definition says.
func TestExampleFleet(t *testing.T) {
	onlyInCI(t)
	if testing.Short() {
		t.Skip("it boots machines")
	}
	t.Parallel()
	l := newLab(t)
	f, fs := load.Fleet(os.DirFS(repository))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	hosts := []string{"vps1", "vps2"}
	if os.Getenv("GEN_LONG") != "" {
		l.run("up", l.dir, "staging", addresses["staging"]+"/24")
		hosts = append(hosts, "staging")
	}
	l.joins("laptop", "203.0.113.99/24", "2001:db8::99/64")
	var wg sync.WaitGroup
	for _, host := range hosts {
		l.identityOf(repository, host)
		way := []string{"net", l.dir}
		if host == "vps2" { // from now on SSH to it is for the mesh alone
			way = []string{"at", l.dir, "laptop"}
		}
		wg.Go(func() {
			if said, err := l.pushFrom(way, repository, host); err != nil {
				t.Errorf("push to %s: %v\n%s", host, err, said)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, h := range f.Hosts {
		if slices.Contains(hosts, h.Name.V) {
			t.Run(h.Name.V, func(t *testing.T) { (&lab{t, l.dir}).runsAsMeant(h) })
		}
	}
	if t.Failed() {
		return
	}

	t.Run("people reach what they use", func(t *testing.T) {
		l := &lab{t, l.dir}
		for address, want := range map[string]string{
			"https://cloud.example.org/status.php":               `"maintenance":false`,
			"https://matrix.example.org/_matrix/client/versions": `"versions"`,
			"https://example.org/.well-known/matrix/server":      `"m.server"`,
			"https://notes.example.org/_health":                  `"ready":true`,
		} {
			if said := l.web(address); !strings.Contains(said, want) {
				t.Errorf("%s says %q, want %s", address, said, want)
			}
		}
		for address, want := range map[string]string{
			"https://auth.example.org/-/health/live/":                           "200 ",
			"https://notes.example.org/metrics":                                 "404 ",
			"https://matrix.example.org/_synapse/admin/v1":                      "404 ",
			"https://cloud.example.org/.well-known/carddav":                     "301 https://cloud.example.org/remote.php/dav/",
			"https://cloud.example.org/.well-known/webfinger?resource=acct:a@b": "301 https://cloud.example.org/index.php/.well-known/webfinger?resource=acct:a@b",
		} {
			if said := l.web(address, "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"); said != want {
				t.Errorf("%s says %q, want %q", address, said, want)
			}
		}
	})

	t.Run("who logs people in is asked", func(t *testing.T) { (&lab{t, l.dir}).logins(f, hosts) })

	t.Run("everything is watched", func(t *testing.T) { (&lab{t, l.dir}).watched(f, hosts) })

	t.Run("the same again changes nothing", func(t *testing.T) {
		l := &lab{t, l.dir}
		for host, way := range map[string][]string{ // SSH to vps2 is for the mesh alone
			"vps1": {"net", l.dir, "root@203.0.113.10"}, "vps2": {"at", l.dir, "laptop", "root@10.44.0.2"},
		} {
			out := filepath.Join(l.TempDir(), "out")
			mustGen(l.T, "-C", repository, "-host", host, "-o", out)
			if said, err := l.try(slices.Insert(way, len(way)-1, filepath.Join(out, host, "push"))...); err != nil || strings.TrimSpace(said) != "nothing to do" {
				t.Errorf("%s: %v, and it says %s", host, err, said)
			}
		}
	})

	t.Run("a peer more is noticed by nobody else", func(t *testing.T) {
		l := &lab{t, l.dir}
		repo := l.TempDir()
		if err := os.CopyFS(filepath.Join(repo, "hosts"), os.DirFS(filepath.Join(repository, "hosts"))); err != nil {
			t.Fatal(err)
		}
		phone := "peers: phone: {address: \"10.44.0.101\", publicKey: \"t1toxqo7Pm5OPsqcOUmUH9XAqPNPJN3kx5mfbm/8z00=\"}\n\t\tpeers: laptop:"
		fleetFile := filepath.Join(repo, "hosts/fleet.cue")
		write(t, fleetFile, strings.Replace(read(t, fleetFile), "peers: laptop:", phone, 1))
		key, before := l.on("vps1", "wg", "show", "wg0", "private-key"), l.invocations("vps1")
		pings := make(chan string)
		go func() {
			said, _ := l.try("at", l.dir, "laptop", "busybox", "ping", "-q", "-i", "0.1", "-c", "100", "10.44.0.1")
			pings <- said
		}()
		if said := l.push(repo, "vps1"); !strings.Contains(said, "reload   wg-quick@wg0.service") {
			t.Errorf("push says %s", said)
		}
		if said := <-pings; !strings.Contains(said, " 0% packet loss") {
			t.Errorf("through the tunnel: %s", said)
		}
		if units := l.restarted("vps1", before); units != nil {
			t.Errorf("restarted: %v", units)
		}
		if now := l.on("vps1", "wg", "show", "wg0", "private-key"); now != key {
			t.Error("the tunnel has another key")
		}
		if said := l.on("vps1", "wg", "show", "wg0", "allowed-ips"); !strings.Contains(said, "10.44.0.101/32") {
			t.Errorf("its peers are %s", said)
		}
	})
}

// laptopKey is the private half of the key of the example's laptop. It opens
// nothing but test hosts: a fleet of one's own that has this peer is a finding.
const laptopKey = "2Ay+gN+m9bjpD5FflD/UHWccN0SYkk8XMrofrm23nEk="

// joins brings a peer of the example's mesh up that is no host, by what gen mesh prints.
func (l *lab) joins(peer string, addresses ...string) {
	l.Helper()
	dir := l.TempDir()
	if err := os.WriteFile(dir+"/key", []byte(laptopKey), 0o600); err != nil {
		l.Fatal(err)
	}
	conf, code := gen(l.T, "mesh", peer, "-C", repository, "-key", dir+"/key")
	if code != ok {
		l.Fatal(conf)
	}
	if err := os.WriteFile(dir+"/wg0.conf", []byte(conf), 0o600); err != nil {
		l.Fatal(err)
	}
	l.run(append([]string{"peer", l.dir, peer}, addresses...)...)
	l.run("at", l.dir, peer, "wg-quick", "up", dir+"/wg0.conf")
}

// TestTwoOfEach runs every service that keeps something twice on one machine.
func TestTwoOfEach(t *testing.T) {
	onlyInLong(t)
	const repo = cases + "/two-of-each"
	l := newLab(t)
	l.run("up", l.dir, "one", addresses["one"]+"/24")
	l.identityOf(repo, "one")
	l.push(repo, "one")
	f, fs := load.Fleet(os.DirFS(repo))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	l.runsAsMeant(f.Hosts[0])
}

// web asks vps1 from outside, with further options of curl's.
func (l *lab) web(address string, options ...string) string {
	l.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(address, "https://"), "/")
	return l.operator(append([]string{"curl", "-sSk", "--max-time", "20", "--resolve", host + ":443:" + addresses["vps1"], address}, options...)...)
}

// logins checks that services to which people log in through a provider have the
// same secret as it, and reach it from within their own networks.
func (l *lab) logins(f *fleet.Fleet, hosts []string) {
	l.Helper()
	seen := 0
	for _, c := range f.Logins() {
		if !slices.Contains(hosts, c.Host.Name.V) {
			continue
		}
		p := f.Provider(c.Login)
		secret := []string{"podman", "secret", "inspect", "--showsecret", "-f", "{{.SecretData}}", c.Service.Name + "." + c.Login.Secret.V}
		here, there := l.on(c.Host.Name.V, secret...), l.on(p.Host.Name.V, secret...)
		if here != there || len(strings.TrimSpace(here)) < 40 {
			l.Errorf("%s on %s and %s have different secrets of it, or none", c.Service.Name, c.Host.Name.V, c.Login.Through.V)
		}
		said := l.on(c.Host.Name.V, "sh", "-ec", `pid=$(podman inspect -f '{{.State.Pid}}' `+fleet.ContainerName(c.Service.Name, "app")+`)
nsenter -t "$pid" -n curl -sSk --max-time 20 -o /dev/null -w '%{http_code}' --resolve `+c.Login.Through.V+":443:"+p.Host.Address.V+" https://"+c.Login.Through.V+"/-/health/ready/")
		if said != "200" {
			l.Errorf("%s on %s asks %s and gets %q", c.Service.Name, c.Host.Name.V, c.Login.Through.V, said)
		}
		seen++
	}
	if seen < 2 {
		l.Errorf("only %d services have a login", seen)
	}
}

// runsAsMeant checks that all of a host is healthy, and that stand-ins were
// given what their definitions say. What only a timer starts is started.
func (l *lab) runsAsMeant(h *fleet.Host) {
	l.Helper()
	l.healthy(h.Name.V)
	played := 0
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			unit := s.Name + "-" + c.Name + ".service"
			if c.V.Oneshot.V {
				l.on(h.Name.V, "systemctl", "start", unit)
			}
			said := l.on(h.Name.V, "sh", "-c", "journalctl -u "+unit+" -o cat --no-pager | grep '^standin: ' | tail -n 1 || :")
			if said == "" {
				continue // a real program
			}
			played++
			var saw given
			if err := json.Unmarshal([]byte(strings.TrimPrefix(said, "standin: ")), &saw); err != nil {
				l.Fatalf("%s: %v\n%s", unit, err, said)
			}
			l.Run(unit, func(t *testing.T) { saw.is(t, s.V, c.V) })
		}
	}
	if played == 0 {
		l.Error("no program is played by a stand-in")
	}
}

// given is what a stand-in tells of where it finds itself.
type given struct {
	UID, GID     int
	WorksAs      string // once it has dropped what it was started with
	Caps         []string
	NoNewPrivs   bool
	RootReadOnly bool
	Env          map[string]string
	Mounts       map[string]struct {
		Owner, Mode string
		Writable    bool
	}
	Secrets map[string]struct {
		Mode, Owner, Error string
		Bytes              int
	}
}

// is compares it with a definition.
func (g given) is(t *testing.T, s *fleet.Service, c *fleet.Container) {
	if user := fmt.Sprintf("%d:%d", g.UID, g.GID); user != c.User.V {
		t.Errorf("it runs as %s, want %s", user, c.User.V)
	}
	want := []string{}
	for _, k := range c.Capabilities {
		want = append(want, k.V)
	}
	slices.Sort(want)
	slices.Sort(g.Caps)
	if diff := cmp.Diff(want, append([]string{}, g.Caps...)); diff != "" {
		t.Errorf("it has other capabilities (+) than meant (-):\n%s", diff)
	}
	if !g.NoNewPrivs || g.RootReadOnly == c.Writable.Set {
		t.Errorf("new privileges are off: %v; the root is read-only: %v", g.NoNewPrivs, g.RootReadOnly)
	}
	for _, e := range c.Env {
		if got := g.Env[e.Name]; got != e.V.V && !strings.HasPrefix(got, "sha256:") {
			t.Errorf("%s is %q, want %q", e.Name, got, e.V.V)
		}
	}
	for _, v := range c.Volumes {
		volume, _ := s.Volumes.Get(v.Name)
		if got := g.Mounts[v.V.V]; got.Owner != volume.Owner.V || got.Mode != volume.Mode.V {
			t.Errorf("%s is of %s with mode %s, want %s with %s", v.V.V, got.Owner, got.Mode, volume.Owner.V, volume.Mode.V)
		}
	}
	for _, file := range c.Files {
		if got, ok := g.Mounts[file.Name]; file.V.On.V == "restart" && (!ok || got.Writable || got.Mode != file.V.Mode.V) {
			t.Errorf("%s is %+v", file.Name, got)
		}
	}
	for _, e := range c.Secrets {
		path, owner := "/run/secrets/"+e.Name, c.User.V
		if e.V.Path.Set {
			path = e.V.Path.V
		}
		if e.V.Owner.Set {
			owner = e.V.Owner.V
		}
		got, ok := g.Secrets[path]
		switch {
		case e.V.Env.Set && g.Env[e.V.Env.V] == "":
			t.Errorf("the secret %s is in no variable %s", e.Name, e.V.Env.V)
		case !e.V.Env.Set && (!ok || got.Owner != owner || got.Mode != e.V.Mode.V),
			// crond is root, and its jobs are who reads.
			!e.V.Env.Set && g.WorksAs == owner && (got.Error != "" || got.Bytes == 0):
			t.Errorf("the secret %s at %s is %+v, want mode %s of %s", e.Name, path, got, e.V.Mode.V, owner)
		}
	}
}
