package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mixed writes about a gigabyte in many small files and some large ones, as a tar; the small ones are
// of words, and the large ones have nothing to compress. Only some of them differ between versions.
func mixed(out io.Writer, version uint64) error {
	w := tar.NewWriter(out)
	var failed error
	put := func(name string, content []byte) {
		header := &tar.Header{Name: name, Mode: 0o600, Uid: 999, Gid: 999, Size: int64(len(content)), ModTime: time.Unix(1_700_000_000+int64(version), 0)}
		if failed == nil {
			failed = w.WriteHeader(header)
		}
		if failed == nil {
			_, failed = w.Write(content)
		}
	}
	for i := range uint64(12_000) {
		r := rand.New(rand.NewPCG(i, 0))
		if i%20 == 0 {
			r = rand.New(rand.NewPCG(i, version))
		} else if version > 0 {
			continue
		}
		var text bytes.Buffer
		for size := r.IntN(32 << 10); text.Len() < size; {
			fmt.Fprintf(&text, "%d ", r.IntN(1000))
		}
		put(fmt.Sprintf("small-%05d", i), text.Bytes())
	}
	for i := range uint64(20) {
		if i > 0 && version > 0 {
			continue
		}
		content := make([]byte, 40<<20)
		_, _ = rand.NewChaCha8([32]byte{byte(i), byte(version)}).Read(content)
		put(fmt.Sprintf("large-%02d", i), content)
	}
	return errors.Join(failed, w.Close())
}

// TestBackupTable prints what hosts/README.md says of each way: for how long the application is down,
// and how fast a backup and a restore are, with a gigabyte of mixed files, or of rows that hold them.
func TestBackupTable(t *testing.T) {
	onlyInLong(t)
	b := newBucket(t, "15m", "vps1")
	var table strings.Builder
	for _, way := range []struct{ name, service string }{{"stop", "slow"}, {"snapshot", "shop"}, {"dump", "hedgedoc"}} {
		b.grow(way.service, 0)
		first, downFirst := b.timed(way.service)
		size, err := strconv.ParseFloat(b.metric("vps1", "gen_backup_size_bytes", way.service), 64)
		if err != nil || size < 900e6 {
			t.Fatalf("%s: there are %v bytes in its backup (%v)", way.service, size, err)
		}
		b.grow(way.service, 1)
		second, downSecond := b.timed(way.service)
		begin := time.Now()
		b.on("vps1", "gen-backup", "restore", way.service, "--replace")
		back := time.Since(begin).Seconds()
		speed := func(seconds float64) string { return fmt.Sprintf("%.0f s, %.0f MB/s", seconds, size/1e6/seconds) }
		fmt.Fprintf(&table, "| `%s` | %.1f s | %.1f s | %s | %s | %s |\n", way.name, downFirst, downSecond, speed(first), speed(second), speed(back))
		b.on("vps1", "sh", "-ec", `systemctl stop "$1-*.service"; rm -rf "/srv/$1"/* "/srv/$1/.before"`, "sh", way.service) // room for the next
	}
	t.Logf("| | down, first | down, second | first backup | second backup | restore |\n|---|---|---|---|---|---|\n%s", table.String())
}

// grow gives a service a version of the mixed files, beside its database or in it.
func (b *bucket) grow(service string, version uint64) {
	b.Helper()
	c := exec.Command("../../.ci/host/lab", "sh", b.dir, "vps1", "sh", "-ec", `mkdir -p "$1"; tar -xf - -C "$1"; chown -R 999:999 "$1"`, "sh", "/srv/"+service+"/db/mixed")
	from, to := io.Pipe()
	go func() { to.CloseWithError(mixed(to, version)) }()
	c.Stdin = from
	if said, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, said)
	}
	if service != "hedgedoc" {
		return
	}
	b.postgres(service, `create table if not exists mixed (name text primary key, content bytea);
		insert into mixed select name, pg_read_binary_file('/var/lib/postgresql/data/mixed/' || name) from pg_ls_dir('/var/lib/postgresql/data/mixed') as name
		on conflict (name) do update set content = excluded.content`)
	b.on("vps1", "rm", "-r", "/srv/hedgedoc/db/mixed")
}

// timed makes a backup, and says how long it took and how long its container was down, from the
// moment that it was told to stop until it was healthy again.
func (b *bucket) timed(service string) (took, down float64) {
	b.Helper()
	moment := func(property string) float64 {
		n, err := strconv.ParseFloat(strings.TrimSpace(b.on("vps1", "systemctl", "show", "-p", property, "--value", service+"-db.service")), 64)
		if err != nil {
			b.Fatal(err)
		}
		return n / 1e6
	}
	before := moment("ActiveEnterTimestampMonotonic")
	begin := time.Now()
	b.good(service)
	took = time.Since(begin).Seconds()
	b.eventually(service+" is healthy", func() bool {
		_, err := b.try("sh", b.dir, "vps1", "systemctl", "is-active", "-q", service+"-db.service")
		return err == nil
	})
	if up := moment("ActiveEnterTimestampMonotonic"); up != before {
		down = up - moment("ActiveExitTimestampMonotonic")
	}
	return took, down
}
