package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBackupCutOff: power is cut, or the disk is full, in the middle of a backup of each kind.
// Afterwards the service runs, the failure is told, nothing of it is left, and the next one is good.
func TestBackupCutOff(t *testing.T) {
	onlyInLong(t)
	t.Parallel()
	b := newBucket(t, "5m", "vps1")
	services := []string{"slow", "shop", "wiki"}
	b.fill(1, services...)
	// Enough for a dump to have no room.
	b.mariadb("create table big (v longtext); insert into big with recursive s as (select 1 as n union all select n + 1 from s where n < 300) select repeat(md5(n), 1000) from s")
	for _, s := range services {
		b.toldOfGood(s)
	}

	// What is there when the power goes: it is stopped, there is a snapshot, there is a dump.
	for s, there := range map[string]string{
		"slow": "[ -s /run/gen/backup/slow.backup/stopped ] && ! systemctl is-active -q slow-db",
		"shop": "[ -e /srv/.gen-backup-shop/shop ]",
		"wiki": "[ -s /srv/wiki/.backup/db/wiki.dump ]",
	} {
		t.Run("power/"+s, func(t *testing.T) {
			b := b.in(t)
			last := b.metric("vps1", "gen_backup_last_success_timestamp_seconds", s)
			b.told(s)
			b.stopsAt(s, there)
			b.run("power-cut", b.dir, "vps1")
			b.thaws()
			begin := time.Now()
			b.run("boot", b.dir, "vps1")
			b.toldOfFailure(s, last, "fail")
			t.Logf("%s ran again, and its failure was told, %.0f s after the machine was started", s, time.Since(begin).Seconds())
			b.toldOfGood(s)
		})
	}

	for _, s := range services {
		t.Run("disk full/"+s, func(t *testing.T) {
			b := b.in(t)
			last := b.metric("vps1", "gen_backup_last_success_timestamp_seconds", s)
			before := b.on("vps1", "sh", "-c", "gen-backup list "+s+" 2>/dev/null")
			b.told(s)
			b.on("vps1", "sh", "-c", `cd /srv; for size in 64M 1M 64k 4k; do
				while fallocate -l $size "full.$(date +%s%N)" 2>/dev/null; do :; done; done; sync`)
			failed := !b.now(s)
			b.on("vps1", "sh", "-c", "rm -f /srv/full.*; sync")
			if s == "wiki" && !failed {
				t.Error("a dump without room is a good backup")
			}
			if failed {
				b.toldOfFailure(s, last, "1")
				if now := b.on("vps1", "sh", "-c", "gen-backup list "+s+" 2>/dev/null"); now != before {
					t.Errorf("a restore would take something of a backup that failed: it had\n%sand has\n%s", before, now)
				}
			}
			b.toldOfGood(s)
		})
	}
	for _, s := range services {
		b.eventually(s+" runs", func() bool {
			_, err := b.try("sh", b.dir, "vps1", "systemctl", "is-active", "-q", s+"-db.service")
			return err == nil
		})
	}
}

// stopsAt begins a backup and freezes the store when a condition holds, so that it goes no further.
// One that is over before comes again.
func (b *bucket) stopsAt(service, there string) {
	b.Helper()
	for range 10 {
		b.told(service)
		said, err := b.try("sh", b.dir, "vps1", "sh", "-c", `systemctl start --no-block "gen-backup-$1"
			while [ -n "$(systemctl list-jobs --no-legend "gen-backup-$1.service")" ] || systemctl is-active -q "gen-backup-$1"; do
				if `+there+`; then echo there; exit; fi
			done`, "sh", service)
		if err == nil && strings.TrimSpace(said) == "there" {
			b.signal(syscall.SIGSTOP)
			if _, err := b.try("sh", b.dir, "vps1", "sh", "-c", there); err == nil {
				return
			}
			b.thaws()
		}
	}
	b.Fatal("it is never seen there")
}

// thaws lets the store go on.
func (b *bucket) thaws() { b.signal(syscall.SIGCONT) }

func (b *bucket) signal(s os.Signal) {
	b.Helper()
	if err := b.server.Process.Signal(s); err != nil {
		b.Fatal(err)
	}
}
