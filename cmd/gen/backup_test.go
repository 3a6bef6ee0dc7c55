package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const backups = cases + "/backups"

// A bucket is a real S3 server with object lock at the operator's place, with
// the keys and policies that gen writes for it, and a monitor that is told of runs.
type bucket struct {
	*lab
	repo   string // the fleet's
	out    string // what gen writes for it
	server *exec.Cmd
	pings  string // the monitor's log
	home   string // the host that has the services

	machine func(b *bucket, name string) // makes a fresh host
}

// newBucket makes it, and vps1 with a /srv of btrfs, and vps2. A backup may take as long as limit.
func newBucket(t *testing.T, limit string, hosts ...string) *bucket {
	t.Helper()
	b := &bucket{lab: emptyLab(t), home: "vps1", machine: onBtrfs}
	b.repo = b.copied(`limit: "2m"`, `limit: "`+limit+`"`)
	b.serve(hosts...)
	return b
}

// serve begins the fleet's life.
func (b *bucket) serve(hosts ...string) {
	b.Helper()
	t, l, minio := b.T, b.lab, tool(b.T, "minio")
	b.out = filepath.Join(t.TempDir(), "out")
	mustGen(t, "-C", b.repo, "-o", b.out)
	certs := filepath.Join(l.dir, "certs")
	if err := os.MkdirAll(certs, 0o755); err != nil {
		t.Fatal(err)
	}
	b.must("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", certs+"/private.key", "-out", certs+"/public.crt", "-days", "30",
		"-subj", "/CN=s3.example.org", "-addext", "subjectAltName=DNS:s3.example.org,IP:203.0.113.1")
	for _, host := range hosts {
		b.machine(b, host)
	}

	b.server = exec.Command("../../.ci/host/lab", "net", l.dir, "env", "MINIO_ROOT_USER=operator", "MINIO_ROOT_PASSWORD=operator-secret",
		minio, "server", "--quiet", "--certs-dir", certs, "--address", "203.0.113.1:443", filepath.Join(l.dir, "s3"))
	b.background(b.server)
	b.monitor()

	b.eventually("the S3 server answers", func() bool {
		_, err := b.tryMC("alias", "set", "op", "https://203.0.113.1", "operator", "operator-secret")
		return err == nil
	})
	b.script(b.out, "create")
	for who, key := range map[string]string{"vps1": "vps1.backup", "vps2-drill": "vps2.drill"} {
		b.user(b.repo, b.out, who, key)
	}
	for _, host := range hosts {
		b.identityOf(b.repo, host)
		b.push(b.repo, host)
	}
}

// script runs the bucket's script of a fleet's output, as the operator.
func (b *bucket) script(out, action string) string {
	b.Helper()
	said, err := b.tryScript(out, action)
	if err != nil {
		b.Fatalf("bucket %s: %v\n%s", action, err, said)
	}
	return said
}

func (b *bucket) tryScript(out, action string) (string, error) {
	return b.try("net", b.dir, "env", "PATH="+filepath.Dir(tool(b.T, "mc"))+":"+os.Getenv("PATH"), "MC_CONFIG_DIR="+b.config(), "SSL_CERT_FILE="+b.dir+"/certs/public.crt",
		"sh", filepath.Join(out, "fleet/store/bucket"), action, "op")
}

// user makes who has a key of the fleet's, with the policy that gen writes.
func (b *bucket) user(repo, out, who, key string) {
	b.Helper()
	access := strings.TrimSpace(b.keep(repo, passphrase, "show", "production."+key+"-access-key"))
	b.mc("admin", "user", "add", "op", access, b.keep(repo, passphrase, "show", "production."+key+"-secret-key"))
	b.policy(out, who, who, access)
}

// policy gives a key the policy of somebody.
func (b *bucket) policy(out, who, name, access string) {
	b.Helper()
	b.mc("admin", "policy", "create", "op", name, filepath.Join(out, "fleet/store", who+".json"))
	b.mc("admin", "policy", "attach", "op", name, "--user", access)
}

// copied is a copy of the fleet with a word of its file changed.
func (b *bucket) copied(old, new string) (repo string) {
	b.Helper()
	from := b.repo
	if from == "" {
		from = backups
	}
	repo = b.TempDir()
	if err := os.CopyFS(filepath.Join(repo, "hosts"), os.DirFS(filepath.Join(from, "hosts"))); err != nil {
		b.Fatal(err)
	}
	b.change(repo, old, new)
	return repo
}

// knows tells a host where the S3 server is.
func (b *bucket) knows(name string) {
	b.Helper()
	crt, err := os.ReadFile(filepath.Join(b.dir, "certs/public.crt"))
	if err != nil {
		b.Fatal(err)
	}
	b.on(name, "sh", "-ec", "echo 203.0.113.1 s3.example.org >>/etc/hosts; printf '%s' \"$1\" >>/etc/ssl/certs/ca-certificates.crt", "sh", string(crt))
}

// onBtrfs is a host in the lab; vps1's /srv is btrfs.
func onBtrfs(b *bucket, name string) {
	b.Helper()
	b.run("up", b.dir, name, addresses[name]+"/24")
	b.knows(name)
	if name != "vps1" {
		return
	}
	b.on(name, "truncate", "-s", "12G", "/var/disk")
	b.on(name, "mkfs.btrfs", "-q", "/var/disk")
	loop := strings.TrimSpace(b.must("losetup", "-f", "--show", filepath.Join(b.dir, "host/vps1/upper/var/disk")))
	b.Cleanup(func() { b.must("losetup", "-d", loop) }) // when it is not mounted any more
	b.on(name, "sh", "-ec", `printf '%s\n' "$1" >/etc/systemd/system/test-srv.service; systemctl enable --now test-srv.service`, "sh", fmt.Sprintf(`[Unit]
DefaultDependencies=no
Before=local-fs.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'mknod %[1]s b 7 %[2]s; mount %[1]s /srv'
[Install]
WantedBy=local-fs.target`, loop, strings.TrimPrefix(loop, "/dev/loop")))
}

func (b *bucket) must(name string, args ...string) string {
	b.Helper()
	said, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, said)
	}
	return string(said)
}

func (b *bucket) background(c *exec.Cmd) {
	b.Helper()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
	})
}

func (b *bucket) config() string { return filepath.Join(b.dir, "mc") }

func (b *bucket) tryMC(args ...string) (string, error) {
	mc := tool(b.T, "mc")
	return b.try(append([]string{"net", b.dir, "env", "MC_CONFIG_DIR=" + b.config(), "SSL_CERT_FILE=" + b.dir + "/certs/public.crt", mc}, args...)...)
}

func (b *bucket) mc(args ...string) string {
	b.Helper()
	said, err := b.tryMC(args...)
	if err != nil {
		b.Fatalf("mc %v: %v\n%s", args, err, said)
	}
	return said
}

func (b *bucket) secret(name string) string {
	b.Helper()
	return b.keep(b.repo, passphrase, "show", "production."+name)
}

// monitor writes down what it is asked for, as a program of the lab's.
func (b *bucket) monitor() {
	b.Helper()
	b.pings = filepath.Join(b.dir, "pings")
	c := exec.Command("../../.ci/host/lab", "net", b.dir, "env", "GEN_TEST_MONITOR="+b.pings, executable(b.T))
	b.background(c)
	b.eventually("the monitor answers", func() bool {
		_, err := b.try("net", b.dir, "curl", "-fsS", "http://203.0.113.1:8000/ping/hello")
		return err == nil
	})
}

// serveMonitor is this test binary as that program.
func serveMonitor(file string) {
	var mu sync.Mutex
	l, err := net.Listen("tcp", "203.0.113.1:8000")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			fmt.Fprintln(f, r.URL.Path)
			f.Close()
		}
	}))
}

// told are the pings of a service since the monitor was last asked.
func (b *bucket) told(service string) (out []string) {
	b.Helper()
	log, _ := os.ReadFile(b.pings)
	for line := range strings.Lines(string(log)) {
		if rest, ok := strings.CutPrefix(line, "/ping/production-"+service+"/"); ok {
			out = append(out, strings.TrimSpace(rest))
		}
	}
	if err := os.Remove(b.pings); err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	return out
}

func (b *bucket) eventually(what string, is func() bool) {
	b.Helper()
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if is() {
			return
		}
	}
	b.Fatalf("it is not so that %s\n%s", what, b.on(b.home, "journalctl", "-n", "80", "--no-pager", "-o", "cat"))
}

// metric is a service's value of a metric, "" without one.
func (b *bucket) metric(host, name, service string) string {
	b.Helper()
	said := b.on(host, "sh", "-c", "cat /var/lib/prometheus/node-exporter/*.prom 2>/dev/null || :")
	for line := range strings.Lines(said) {
		if value, ok := strings.CutPrefix(line, name+`{service="`+service+`"} `); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// now makes a backup, and reports whether it went well.
func (b *bucket) now(service string) bool {
	_, err := b.try("sh", b.dir, b.home, "gen-backup", "now", service)
	return err == nil
}

func (b *bucket) good(service string) {
	b.Helper()
	if !b.now(service) {
		b.Fatalf("no backup of %s\n%s", service, b.on(b.home, "journalctl", "-u", "gen-backup-"+service, "-n", "60", "--no-pager", "-o", "cat"))
	}
}

var stores = []string{"hedgedoc", "shop", "slow", "traefik", "wiki"}

// postgres runs SQL in a database of vps1, as its owner.
func (b *bucket) postgres(service, sql string) string {
	b.Helper()
	user := "shop"
	if service == "hedgedoc" {
		user = service
	}
	return b.on(b.home, "podman", "exec", service+"-db", "psql", "-AtqU", user, "-c", sql)
}

func (b *bucket) mariadb(sql string) string {
	b.Helper()
	return b.on(b.home, "podman", "exec", "wiki-db", "sh", "-c", `MYSQL_PWD=$(cat "$MARIADB_ROOT_PASSWORD_FILE") mariadb -Nu root wiki -e "$1"`, "sh", sql)
}

// fill writes into services what is to come back: a seed makes it differ.
func (b *bucket) fill(seed int, services ...string) {
	b.Helper()
	for _, s := range services {
		switch s {
		case "traefik":
			b.on(b.home, "sh", "-ec", `cd /srv/traefik/acme; echo "$1" >"seed $1"; chmod 0600 "seed $1"`, "sh", fmt.Sprint(seed))
		case "wiki":
			b.mariadb(fmt.Sprintf("create table if not exists t (id int, v varchar(40)); create table if not exists sessions (id int); insert into sessions values (1); insert into t values (%d, md5(%[1]d)), (%[1]d + 1, 'ä')", seed*10))
		default:
			b.postgres(s, fmt.Sprintf("create table if not exists t (id int, v text); insert into t select g + 1000 * %d, md5((g + %[1]d)::text) from generate_series(1, 1000) g", seed))
		}
		switch s {
		case "shop":
			b.postgres(s, "create table if not exists sessions (id int)")
		case "hedgedoc":
			b.postgres(s, `create table if not exists "SequelizeMeta" (name text); insert into "SequelizeMeta" values ('one')`)
			b.on(b.home, "sh", "-ec", `cd /srv/hedgedoc/uploads; mkdir -p "d $1"; head -c 200000 /dev/urandom >"d $1/ü"; : >"d $1/empty"; ln -sf ü "d $1/link"; chmod 0640 "d $1/ü"; chown -hR 10000:10000 .; chown 33:34 "d $1/ü"`, "sh", fmt.Sprint(seed))
		}
	}
}

// files are all that can be seen of those in a directory, but for a proxy's account, which it writes anew.
func (b *bucket) files(dir string) string {
	b.Helper()
	return b.on(b.home, "sh", "-ec", `cd "$1"; find . -type f ! -name acme.json -exec sha256sum {} + | sort; find . ! -name acme.json -printf '%p %U:%G %m %l\n' | sort; find . -type f ! -name acme.json -printf '%p %T@\n' | sort`, "sh", dir)
}

// contents are what is in services: rows, files with owners and modes.
func (b *bucket) contents(services ...string) map[string]string {
	b.Helper()
	out := map[string]string{}
	for _, s := range services {
		switch s {
		case "traefik":
			out[s] = b.files("/srv/traefik/acme")
		case "wiki":
			out[s] = b.mariadb("select * from t order by id")
		default:
			out[s] = b.postgres(s, "select * from t order by id")
		}
		if s == "hedgedoc" {
			out["uploads"] = b.files("/srv/hedgedoc/uploads")
		}
	}
	return out
}

// toldOfGood makes backups, of which the monitor and the metrics are told that they went well.
func (b *bucket) toldOfGood(services ...string) {
	b.Helper()
	for _, s := range services {
		b.told(s)
		before := time.Now().Unix()
		b.good(s)
		if pings := b.told(s); !slices.Equal(pings, []string{"start", "0"}) {
			b.Errorf("%s: the monitor was told %v", s, pings)
		}
		last, err := strconv.ParseInt(b.metric("vps1", "gen_backup_last_success_timestamp_seconds", s), 10, 64)
		if err != nil || last < before {
			b.Errorf("%s: its last success is at %d (%v), it ran at %d", s, last, err, before)
		}
		if b.metric("vps1", "gen_backup_success", s) != "1" || b.metric("vps1", "gen_backup_size_bytes", s) == "" || b.metric("vps1", "gen_backup_files", s) == "0" {
			b.Errorf("%s: its metrics are not of a good run", s)
		}
	}
}

// TestBackup is the short way: two backups of a service whose database is dumped
// and of one that is stopped, what they have deleted, and everything is back.
func TestBackup(t *testing.T) {
	onlyInCI(t)
	t.Parallel()
	b := newBucket(t, "15m", "vps1")
	some := []string{"hedgedoc", "slow"}
	b.fill(1, some...)
	b.toldOfGood(some...)
	b.fill(2, some...)
	b.on("vps1", "sh", "-ec", `cd /srv/slow/db; mkdir lost found lost/deep; echo x | tee lost/x lost/deep/x found/lost; chown -R 999:999 lost found`)
	want := b.contents(some...)
	b.toldOfGood(some...)
	for _, s := range some {
		b.loses(s)
		if b.now(s) {
			t.Errorf("%s: nothing is backed up over what there was", s)
		}
		if pings := b.told(s); !slices.Equal(pings, []string{"start", "4"}) || b.metric("vps1", "gen_backup_success", s) != "0" {
			t.Errorf("%s: the monitor was told %v of a refused run", s, pings)
		}
		b.on("vps1", "gen-backup", "restore", s)
	}
	if diff := cmp.Diff(want, b.contents(some...)); diff != "" {
		t.Errorf("what came back (+) is not what was deleted (-):\n%s", diff)
	}
	if said := b.on("vps1", "sh", "-c", "cd /srv/slow/db; ls -d lost found/lost 2>/dev/null || :"); said != "found/lost\n" {
		t.Errorf("of what no backup holds, and of what is called alike, there is %q", said)
	}
	b.healthy("vps1")

	t.Run("keep", func(t *testing.T) {
		b := b.in(t)
		b.on("vps1", "rm", "-r", "/var/lib/gen/backup/slow")
		if b.now("slow") {
			t.Error("data that nobody knows is backed up over what there was")
		}
		b.on("vps1", "gen-backup", "keep", "slow")
		b.good("slow")
	})
	t.Run("order", func(t *testing.T) { b.in(t).inOrder() })
	t.Run("updates wait", func(t *testing.T) {
		for _, unit := range []string{"podman-auto-update.service", "apt-daily-upgrade.service"} {
			b.in(t).waits(unit)
		}
	})
}

// loses takes a service's data away, and all that is known of its backups.
func (b *bucket) loses(service string) {
	b.Helper()
	b.on("vps1", "sh", "-ec", `systemctl stop "$1-*.service"; rm -rf "/srv/$1"/* "/var/lib/gen/backup/$1"; systemctl reset-failed gen-tmpfiles; systemctl restart gen-tmpfiles`, "sh", service)
}

// inOrder: backups whose timers are due at once are made one after the other, each after those it needs.
func (b *bucket) inOrder() {
	b.Helper()
	order := strings.Fields(b.on("vps1", "cat", "/etc/gen-backup/order"))
	if want := []string{"hedgedoc", "shop", "slow", "wiki", "traefik"}; !slices.Equal(order, want) {
		b.Errorf("the order is %v, want %v", order, want)
	}
	var timers []string
	for _, s := range slices.Backward(order) {
		timers = append(timers, "gen-backup-"+s+".timer")
	}
	began := b.on("vps1", append([]string{"sh", "-ec", `at=$(date -d '+15 seconds' '+%F %T'); cut -d. -f1 /proc/uptime
		for timer; do
			mkdir -p "/run/systemd/system/$timer.d"
			printf '[Timer]\nOnCalendar=\nOnCalendar=%s\n' "$at" >"/run/systemd/system/$timer.d/test.conf"
		done
		systemctl daemon-reload
		systemctl restart "$@"`, "sh"}, timers...)...)
	start, err := strconv.ParseInt(strings.TrimSpace(began), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	ended := start * 1_000_000
	for _, s := range order {
		var from, to int64
		b.eventually(s+" is backed up", func() bool {
			said := b.on("vps1", "systemctl", "show", "-p", "ExecMainStartTimestampMonotonic", "-p", "ExecMainExitTimestampMonotonic", "--value", "gen-backup-"+s+".service")
			_, err := fmt.Sscan(said, &from, &to)
			return err == nil && from > start*1_000_000 && to > from
		})
		if from < ended {
			b.Errorf("%s began at %d µs, and the one before it ended at %d", s, from, ended)
		}
		ended = to
	}
}

// waits: a unit that may restart containers does nothing as long as a backup runs.
func (b *bucket) waits(unit string) {
	b.Helper()
	show := func(property string) string {
		return strings.TrimSpace(b.on("vps1", "systemctl", "show", "-p", property, "--value", unit))
	}
	// It holds what a backup holds.
	b.on("vps1", "systemd-run", "-q", "--unit=test-backup", "flock", "/run/gen/backup/lock", "sleep", "1h")
	b.eventually("the lock is held", func() bool {
		_, err := b.try("sh", b.dir, "vps1", "flock", "-n", "/run/gen/backup/lock", "true")
		return err != nil
	})
	b.on("vps1", "systemctl", "start", "--no-block", unit)
	b.eventually(unit+" waits for it", func() bool {
		said, _ := b.try("sh", b.dir, "vps1", "sh", "-c", "cat /proc/$(systemctl show -p MainPID --value "+unit+")/comm")
		return strings.TrimSpace(said) == "flock"
	})
	time.Sleep(2 * time.Second)
	procs := b.on("vps1", "sh", "-c", "cat /proc/$(cat /sys/fs/cgroup$(systemctl show -p ControlGroup --value "+unit+")/cgroup.procs)/comm")
	if state := show("ActiveState"); state != "activating" || procs != "flock\n" {
		b.Errorf("%s: while the lock is held, it is %s with %q", unit, state, procs)
	}
	b.on("vps1", "systemctl", "stop", "test-backup")
	b.eventually(unit+" is done", func() bool { return show("ActiveState") != "activating" })
	// What it then does may fail in a lab, by an exit code of its own: there is no registry.
	if code := show("ExecMainCode"); code != "1" {
		b.Errorf("%s: it ended otherwise than by itself: %s", unit, code)
	}
}

// TestBackups is the whole way: two backups, the machine destroyed, a fresh one,
// and everything is back; a drill elsewhere; and the store's own locks against
// somebody who has all that the host has.
func TestBackups(t *testing.T) {
	onlyInLong(t)
	t.Parallel()
	b := newBucket(t, "15m", "vps1", "vps2")
	b.fill(1, stores...)
	b.toldOfGood(stores...)
	b.fill(2, stores...)
	want := b.contents(stores...)
	for _, s := range stores {
		b.good(s)
	}

	t.Run("drill", func(t *testing.T) {
		b := b.in(t)
		for _, s := range stores {
			b.on("vps2", "systemctl", "start", "gen-drill-"+s)
			if b.metric("vps2", "gen_drill_success", s) != "1" || b.metric("vps2", "gen_drill_last_success_timestamp_seconds", s) == "" {
				t.Errorf("%s: its metrics are not of a good drill", s)
			}
			if said := b.on("vps2", "cat", "/var/lib/gen/drill/"+s+"/size"); !regexp.MustCompile(`^[1-9][0-9]* [1-9][0-9]*\n$`).MatchString(said) {
				t.Errorf("%s: what it counted is %q", s, said)
			}
		}
		fails := func(service, why string) {
			t.Helper()
			_, err := b.try("sh", b.dir, "vps2", "systemctl", "start", "gen-drill-"+service)
			said := b.on("vps2", "journalctl", "-I", "-u", "gen-drill-"+service, "--no-pager", "-o", "cat")
			if err == nil || b.metric("vps2", "gen_drill_success", service) != "0" || !strings.Contains(said, why) {
				t.Errorf("%s: it passes its drill, or fails otherwise than that %s: %v\n%s", service, why, err, said)
			}
		}
		b.on("vps2", "sh", "-c", `echo "99999999999 9" >/var/lib/gen/drill/shop/size`)
		fails("shop", "and had 9 of 99999999999")
		// The service does not find what it looks for.
		b.postgres("hedgedoc", `truncate "SequelizeMeta"`)
		b.good("hedgedoc")
		fails("hedgedoc", "SequelizeMeta")
		// Whoever only lists such a dump finds nothing wrong: the function does not find its table.
		b.postgres("hedgedoc", `insert into "SequelizeMeta" values ('two'); create table low (id int); insert into low values (1);
			create function known(i int) returns bool language sql as 'select exists (select 1 from low where id = i)';
			create table high (id int check (known(id))); insert into high values (1)`)
		b.good("hedgedoc")
		fails("hedgedoc", "the dump of hedgedoc does not load")
		b.postgres("hedgedoc", "drop table high; drop function known; drop table low")
		b.good("hedgedoc")
		b.on("vps2", "systemctl", "start", "gen-drill-hedgedoc")
		// What once held files must; what never did need not.
		b.on("vps1", "sh", "-ec", "cd /srv/hedgedoc; mkdir aside; mv uploads/* aside")
		b.good("hedgedoc")
		fails("hedgedoc", "uploads is empty")
		b.on("vps2", "sh", "-c", "gen-drill accept hedgedoc")
		b.on("vps2", "systemctl", "start", "gen-drill-hedgedoc")
		b.on("vps1", "sh", "-ec", "cd /srv/hedgedoc; mv aside/* uploads; rmdir aside")
		b.good("hedgedoc")
		if left := b.on("vps2", "sh", "-c", "ls -d /var/tmp/gen-drill-* 2>/dev/null; podman ps -aq; podman volume ls -q; :"); left != "" {
			t.Errorf("drills leave %s", left)
		}
	})

	t.Run("data is not overwritten unasked", func(t *testing.T) {
		b := b.in(t)
		if said, err := b.try("sh", b.dir, "vps1", "gen-backup", "restore", "shop"); err == nil || !strings.Contains(said, "--replace") {
			t.Errorf("restore over data: %v\n%s", err, said)
		}
		if diff := cmp.Diff(want, b.contents(stores...)); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("one file, and an older snapshot to look at", func(t *testing.T) {
		b := b.in(t)
		b.on("vps1", "gen-backup", "restore", "hedgedoc", "--file", "uploads/d 1", "--into", "/root/one")
		b.on("vps1", "cmp", "/root/one/d 1/ü", "/srv/hedgedoc/uploads/d 1/ü")
		first := strings.Fields(b.on("vps1", "sh", "-c", "gen-backup list hedgedoc 2>/dev/null"))
		b.on("vps1", "gen-backup", "restore", "hedgedoc", "--at", first[1], "--into", "/root/old")
		if had := b.on("vps1", "ls", "/root/old/uploads"); strings.Contains(had, "d 2") || !strings.Contains(had, "d 1") {
			t.Errorf("the older snapshot has %s", had)
		}
	})

	t.Run("one volume", func(t *testing.T) {
		b := b.in(t)
		later := b.postgres("hedgedoc", "insert into t values (0, 'later') returning id, v")
		b.on("vps1", "rm", "-r", "/srv/hedgedoc/uploads/d 1")
		if said, err := b.try("sh", b.dir, "vps1", "gen-backup", "restore", "hedgedoc", "--volume", "upload", "--replace"); err == nil || !strings.Contains(said, "no volume upload") {
			t.Errorf("restore of a volume that there is not: %v\n%s", err, said)
		}
		b.on("vps1", "gen-backup", "restore", "hedgedoc", "--volume", "uploads", "--replace")
		if now := b.postgres("hedgedoc", "delete from t where id = 0 returning id, v"); now != later {
			t.Errorf("the database has %q after %q was written", now, later)
		}
		if diff := cmp.Diff(want, b.contents(stores...)); diff != "" {
			t.Errorf("what is there (+) is not what was (-):\n%s", diff)
		}
	})

	t.Run("burned", func(t *testing.T) {
		b := b.in(t)
		b.run("down", b.dir, "vps1")
		b.machine(b, "vps1")
		b.identityOf(b.repo, "vps1")
		b.push(b.repo, "vps1")
		if b.now("shop") {
			t.Error("an empty service is backed up over the one that burned")
		}
		b.on("vps1", "gen-backup", "restore", "--all", "--replace")
		if diff := cmp.Diff(want, b.contents(stores...)); diff != "" {
			t.Errorf("what came back (+) is not what burned (-):\n%s", diff)
		}
		if said := b.postgres("shop", "select said from back"); strings.TrimSpace(said) != "it's back" {
			t.Errorf("the service's own step said %q", said)
		}
		if line := b.on("vps1", "cat", "/var/lib/gen/lines/shop.db"); line != "postgres-17\n" {
			t.Errorf("the line of what came back is %q", line)
		}
		b.healthy("vps1")
		for _, s := range stores {
			b.good(s)
		}
	})

	t.Run("attack", func(t *testing.T) { b.in(t).attack(want) })
}

func (b *bucket) in(t *testing.T) *bucket {
	c := *b
	c.lab = &lab{t, b.dir}
	return &c
}

// attack has the host's key and the repository's password, and does its worst.
func (b *bucket) attack(want map[string]string) {
	before := time.Now().UTC().Format(time.RFC3339)
	time.Sleep(2 * time.Second)
	b.mc("alias", "set", "host", "https://203.0.113.1", b.secret("vps1.backup-access-key"), b.secret("vps1.backup-secret-key"))
	const object = "host/backups/production/shop/kopia.repository"
	old := strings.TrimSpace(b.mc("ls", "--versions", "--json", "op/backups/production/shop/kopia.repository"))
	_, id, _ := strings.Cut(old, `"versionId":"`)
	id, _, _ = strings.Cut(id, `"`)
	if id == "" {
		b.Fatalf("there are no versions: %s", old)
	}
	for what, args := range map[string][]string{
		"delete a version":            {"rm", "--version-id", id, object},
		"delete it past the lock":     {"rm", "--version-id", id, "--bypass", object},
		"lock for a century":          {"retention", "set", "governance", "36500d", object},
		"shorten the lock":            {"retention", "set", "governance", "1d", "--bypass", object},
		"clear the lock":              {"retention", "clear", object},
		"hold":                        {"legalhold", "set", object},
		"suspend versions":            {"version", "suspend", "host/backups"},
		"change the default":          {"retention", "set", "--default", "governance", "1d", "host/backups"},
		"expire":                      {"ilm", "rule", "add", "--noncurrent-expire-days", "1", "host/backups"},
		"remove the bucket":           {"rb", "--force", "host/backups"},
		"open it":                     {"anonymous", "set", "public", "host/backups"},
		"read another's":              {"cat", "host/backups/staging/shop/kopia.repository"},
		"write where it runs nothing": {"cp", b.pings + ".x", "host/backups/production/other/x"},
	} {
		write(b.T, b.pings+".x", "x")
		if said, err := b.tryMC(args...); err == nil {
			b.Errorf("the host's key can %s:\n%s", what, said)
		}
	}
	// With the repository's password: to delete every snapshot and what is then of no use.
	b.kopia("wiki", "snapshot", "delete", "--all-snapshots-for-source=wiki@example.org:/srv/wiki", "--delete")
	b.kopia("wiki", "maintenance", "run", "--full", "--safety=none")
	if left := b.on("vps1", "sh", "-c", "gen-backup list wiki 2>/dev/null"); left != "" {
		b.Errorf("the attacker leaves %s", left)
	}
	// What is allowed: to put delete markers and new versions over everything.
	write(b.T, b.pings+".x", "junk")
	for _, s := range stores {
		b.mc("rm", "--recursive", "--force", "host/backups/production/"+s+"/")
		b.mc("cp", b.pings+".x", "host/backups/production/"+s+"/kopia.repository")
		if b.now(s) {
			b.Errorf("a backup of %s into a wiped repository succeeds", s)
		}
	}
	// The way back: what there was goes to a fresh prefix, and the fleet names that.
	for _, s := range stores {
		b.run("sh", b.dir, "vps1", "sh", "-ec", `printf 'operator\noperator-secret\n' | gen-backup rescue "$1" "$2" again/`, "sh", s, before)
	}
	repo := b.copied(`bucket: "backups"`, `bucket: "backups", prefix: "again/"`)
	out := filepath.Join(b.TempDir(), "out")
	mustGen(b.T, "-C", repo, "-o", out)
	b.policy(out, "vps1", "again", b.secret("vps1.backup-access-key"))
	b.push(repo, "vps1")
	for _, s := range stores {
		b.loses(s)
	}
	b.on("vps1", "gen-backup", "restore", "--all", "--replace")
	if diff := cmp.Diff(want, b.contents(stores...)); diff != "" {
		b.Errorf("what was rescued (+) is not what was attacked (-):\n%s", diff)
	}
	b.healthy("vps1")
	for _, s := range stores {
		b.good(s)
	}
}

// kopia does in a service's repository what who has the host can do there.
func (b *bucket) kopia(service string, words ...string) {
	b.Helper()
	b.on("vps1", append([]string{"sh", "-ec", `service=$1; shift; dir=$(mktemp -d)
		export KOPIA_PASSWORD="$(cat /etc/gen-backup/passwords/$service)" AWS_ACCESS_KEY_ID="$(cat /etc/gen-backup/keys/access-key)" AWS_SECRET_ACCESS_KEY="$(cat /etc/gen-backup/keys/secret-key)"
		kopia() { podman run --rm --network=host --env=KOPIA_PASSWORD --env=AWS_ACCESS_KEY_ID --env=AWS_SECRET_ACCESS_KEY \
			--volume=/etc/ssl/certs:/etc/ssl/certs:ro --volume="$dir:/app/config" docker.io/kopia/kopia:0.23.1 "$@"; }
		kopia repository connect s3 --endpoint=s3.example.org --bucket=backups --prefix="production/$service/" --override-username="$service" --override-hostname=example.org
		kopia "$@"`, "sh", service}, words...)...)
}

// toldOfFailure: the service runs within a bounded time, the failure is told, and nothing is left of the run.
func (b *bucket) toldOfFailure(service, last string, pings ...string) {
	b.Helper()
	b.eventually(service+" runs again", func() bool {
		said, err := b.try("sh", b.dir, "vps1", "systemctl", "is-active", service+"-db.service")
		return err == nil && strings.TrimSpace(said) == "active"
	})
	b.eventually("the end has come", func() bool {
		_, err := b.try("sh", b.dir, "vps1", "sh", "-c", "! test -e /var/lib/gen/backup/"+service+"/begun")
		return err == nil
	})
	if got := b.metric("vps1", "gen_backup_success", service); got != "0" {
		b.Errorf("%s: success is %q", service, got)
	}
	if got := b.metric("vps1", "gen_backup_last_success_timestamp_seconds", service); got != last {
		b.Errorf("%s: the last success was at %s, and is at %q", service, last, got)
	}
	// A run that is killed at once had no time to tell that it begins, and its end may be told twice.
	got := slices.Compact(slices.DeleteFunc(b.told(service), func(p string) bool { return p == "start" }))
	if len(got) != 1 || !slices.Contains(pings, got[0]) {
		b.Errorf("%s: the monitor was told %v, want one of %v", service, got, pings)
	}
	if said := b.on("vps1", "sh", "-c", "ls -d /srv/.gen-backup-* /srv/*/.backup 2>/dev/null; podman ps -aq --filter name=gen-backup-; :"); said != "" {
		b.Errorf("%s: it left %s", service, said)
	}
}

// TestBackupsMove: a host burns, and what ran on it comes back on another one, whose backups go on
// where the first one's ended.
func TestBackupsMove(t *testing.T) {
	onlyInLong(t)
	t.Parallel()
	b := newBucket(t, "15m", "vps1", "vps2")
	moved := []string{"slow", "wiki"} // files at rest, and a dump
	for seed := range 2 {
		b.fill(seed+1, moved...)
		for _, s := range moved {
			b.good(s)
		}
	}
	want := b.contents(moved...)
	history := map[string]string{}
	for _, s := range moved {
		history[s] = b.on("vps1", "sh", "-c", "gen-backup list "+s+" 2>/dev/null")
	}
	b.run("down", b.dir, "vps1")

	slow := "slow: #Shop & {volumes: db: {backup: \"stop\", without: [\"lost\"]}}"
	repo := b.copied(slow, "")
	b.change(repo, "wiki: #Wiki\n", "\n")
	b.change(repo, `backups: drills: ["vps1"]`, `backups: drills: ["vps1"]
	services: {wiki: #Wiki, `+slow+`}`)
	b.keep(repo, passphrase, "rekey")
	for _, part := range []string{"access", "secret"} {
		b.keep(repo, "", "new", "vps2.backup-"+part+"-key")
	}
	out := filepath.Join(t.TempDir(), "out")
	mustGen(t, "-C", repo, "-o", out)
	b.user(repo, out, "vps2", "vps2.backup")
	b.push(repo, "vps2")
	b.home = "vps2"
	for _, s := range moved {
		if b.now(s) {
			t.Errorf("%s: nothing is backed up over what there was", s)
		}
	}
	b.on("vps2", "gen-backup", "restore", "--all", "--replace")
	if diff := cmp.Diff(want, b.contents(moved...)); diff != "" {
		t.Errorf("what came to another host (+) is not what burned (-):\n%s", diff)
	}
	b.healthy("vps2")
	for _, s := range moved {
		b.good(s)
		now := b.on("vps2", "sh", "-c", "gen-backup list "+s+" 2>/dev/null")
		if !strings.HasPrefix(now, history[s]) || strings.Count(now, "\n") != strings.Count(history[s], "\n")+1 {
			t.Errorf("%s: its history was\n%sand goes on as\n%s", s, history[s], now)
		}
	}
}

// TestBackupsFail breaks a backup at every kind of step. Whatever happens, the
// service runs again, and the failure is told.
func TestBackupsFail(t *testing.T) {
	onlyInLong(t)
	t.Parallel()
	b := newBucket(t, "2m", "vps1")
	services := []string{"slow", "shop", "wiki"}
	b.fill(1, services...)
	last := map[string]string{}
	again := func(b *bucket, service string) { // it was a success
		last[service] = b.metric("vps1", "gen_backup_last_success_timestamp_seconds", service)
		b.told(service)
	}
	for _, s := range services {
		b.good(s)
		again(b, s)
	}
	afterwards := func(t *testing.T, service string, pings ...string) {
		b.in(t).toldOfFailure(service, last[service], pings...)
	}
	for _, s := range services {
		t.Run("wrong password/"+s, func(t *testing.T) {
			b := b.in(t)
			b.on("vps1", "sh", "-c", "cp /etc/gen-backup/passwords/"+s+" /root/right; echo wrong >/etc/gen-backup/passwords/"+s)
			if b.now(s) {
				t.Error("it succeeds")
			}
			b.on("vps1", "cp", "/root/right", "/etc/gen-backup/passwords/"+s)
			afterwards(t, s, "1")
		})
		t.Run("frozen store/"+s, func(t *testing.T) {
			b := b.in(t)
			ctx, stop := context.WithCancel(t.Context())
			var freezer sync.WaitGroup
			// It freezes when the containers are stopped, or the dump is made.
			freezer.Go(func() {
				for ctx.Err() == nil {
					if _, err := b.try("sh", b.dir, "vps1", "test", "-e", "/run/gen/backup/"+s+".backup/stopped", "-o", "-e", "/srv/"+s+"/.backup"); err == nil {
						_ = b.server.Process.Signal(syscall.SIGSTOP)
						return
					}
				}
			})
			begin := time.Now()
			ok := b.now(s)
			stop()
			freezer.Wait()
			_ = b.server.Process.Signal(syscall.SIGCONT)
			if ok {
				again(b, s)
				t.Skip("it was over before the store froze")
			}
			t.Logf("%s was over after %.0f s, of 120 allowed", s, time.Since(begin).Seconds())
			afterwards(t, s, "124", "1") // it gives up by itself, or in a handshake
		})
		for _, step := range []string{"begun", "stopped", "volumes", "json"} {
			t.Run("killed at "+step+"/"+s, func(t *testing.T) {
				b := b.in(t)
				if step == "stopped" && s == "wiki" {
					t.Skip("nothing of it is stopped")
				}
				// The whole group dies at once, with whatever would have tidied up. A step that goes by unseen comes again.
				kill := func() bool {
					_, err := b.try("sh", b.dir, "vps1", "sh", "-c", `systemctl start "gen-backup-$1" & run=$!
						until [ -e "/run/gen/backup/$1.backup/$2" ] || [ -e "/var/lib/gen/backup/$1/$2" ]; do kill -0 $run || exit; sleep 0.01; done
						for i in $(seq 20); do systemctl kill --kill-whom=all --signal=KILL "gen-backup-$1" || :; sleep 0.05; done
						! wait $run`, "sh", s, step)
					return err == nil
				}
				for try := 1; !kill(); try++ {
					if try == 10 {
						t.Fatal("it is never seen there")
					}
					again(b, s)
				}
				afterwards(t, s, "fail")
			})
		}
		t.Run("disk full/"+s, func(t *testing.T) {
			b := b.in(t)
			// Kopia's cache and its configuration have no room.
			b.on("vps1", "sh", "-c", "rm -rf /var/lib/gen/backup-cache/"+s+"; mkdir -p /var/lib/gen/backup-cache/"+s+"; mount -t tmpfs -o size=4k tmpfs /var/lib/gen/backup-cache/"+s+"; head -c 4096 /dev/zero >/var/lib/gen/backup-cache/"+s+"/full")
			ok := b.now(s)
			b.on("vps1", "umount", "/var/lib/gen/backup-cache/"+s)
			if ok {
				again(b, s)
				return // Kopia does without
			}
			afterwards(t, s, "1")
		})
	}
}
