package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBackupsDisturbed: what people and other programs do in the middle of a backup or a restore, and
// what has changed since the snapshot that is brought back.
func TestBackupsDisturbed(t *testing.T) {
	onlyInLong(t)
	t.Parallel()
	b := newBucket(t, "15m", "vps1")
	b.fill(1, "hedgedoc", "slow")
	b.toldOfGood("hedgedoc", "slow")
	t.Run("a backup", func(t *testing.T) { b.in(t).disturbed() })
	t.Run("no turn, and no limit", func(t *testing.T) { b.in(t).limited() })
	t.Run("half a restore", func(t *testing.T) { b.in(t).half() })
	t.Run("another shape", func(t *testing.T) { b.in(t).reshaped() })
	t.Run("missed", func(t *testing.T) { b.in(t).missed() })
}

// disturbed: who looks at what there is, starts or stops something during a backup neither breaks it
// nor makes it worthless unnoticed, and what was about to run does so afterwards.
func (b *bucket) disturbed() {
	b.Helper()
	// A backup has opened the repository, and waits for an install. Its container takes its time.
	b.on("vps1", "sh", "-ec", `mkdir -p /run/systemd/system/slow-db.service.d
		printf '[Service]\nExecStartPost=/bin/sleep 15\n' >/run/systemd/system/slow-db.service.d/test.conf
		systemctl daemon-reload
		systemd-run -q --unit=test-install flock /run/gen/lock sleep 1h
		systemctl start --no-block gen-backup-slow`)
	b.eventually("the backup waits", func() bool {
		_, err := b.try("sh", b.dir, "vps1", "sh", "-c", "grep -qx flock /proc/$(pgrep -P $(systemctl show -p MainPID --value gen-backup-slow) flock)/comm && [ -e /run/gen/backup/slow.backup/config/repository.config ]")
		return err == nil
	})
	before := b.on("vps1", "gen-backup", "list", "slow")
	b.on("vps1", "gen-backup", "restore", "slow", "--into", "/root/meanwhile")
	b.on("vps1", "sh", "-ec", `systemctl restart --no-block slow-db
		until systemctl show -p SubState --value slow-db | grep -qx start-post; do sleep 0.1; done
		systemctl stop test-install`)
	b.eventually("the backup is over", func() bool {
		return strings.TrimSpace(b.on("vps1", "systemctl", "show", "-p", "ActiveState", "--value", "gen-backup-slow")) == "inactive"
	})
	if after := b.on("vps1", "gen-backup", "list", "slow"); !strings.HasPrefix(after, before) || strings.Count(after, "\n") != strings.Count(before, "\n")+1 {
		b.Errorf("there were the snapshots\n%sand a backup makes of them\n%s", before, after)
	}
	b.eventually("what was about to run does", func() bool {
		_, err := b.try("sh", b.dir, "vps1", "systemctl", "is-active", "-q", "slow-db")
		return err == nil
	})
	b.on("vps1", "sh", "-ec", "rm -r /run/systemd/system/slow-db.service.d; systemctl daemon-reload")

	// What is copied at rest is started in the middle of it.
	last := b.metric("vps1", "gen_backup_last_success_timestamp_seconds", "slow")
	b.stopsAt("slow", "[ -e /run/gen/backup/slow.backup/starts ]")
	b.on("vps1", "systemctl", "start", "slow-db")
	b.thaws()
	b.toldOfFailure("slow", last, "1")
	if said := b.on("vps1", "journalctl", "-u", "gen-backup-slow", "-n", "20", "-o", "cat", "--no-pager"); !strings.Contains(said, "was started while it was copied") {
		b.Errorf("it fails otherwise:\n%s", said)
	}
	b.toldOfGood("slow")
}

// limited: a run that does not get its turn is a failure as any other. No limit of runs ends a restore.
func (b *bucket) limited() {
	b.Helper()
	const list = "/etc/gen-backup/services/slow"
	b.on("vps1", "sh", "-ec", `cp "$1" /root/list; sed -i 's/^\(limit.\).*/\11/' "$1"; systemd-run -q --unit=test-backup flock /run/gen/backup/lock sleep 1h; sleep 1`, "sh", list)
	b.told("slow")
	if b.now("slow") {
		b.Error("a backup is made beside another one")
	}
	if pings := b.told("slow"); !slices.Equal(pings, []string{"1"}) || b.metric("vps1", "gen_backup_success", "slow") != "0" {
		b.Errorf("the monitor was told %v of a run that did not get its turn", pings)
	}
	b.on("vps1", "systemctl", "stop", "test-backup")
	want := b.contents("slow")
	b.on("vps1", "gen-backup", "restore", "slow", "--replace")
	if diff := cmp.Diff(want, b.contents("slow")); diff != "" {
		b.Errorf("what came back (+) is not what there was (-):\n%s", diff)
	}
	b.on("vps1", "mv", "/root/list", list)
}

// half: a restore that fails in the middle is done again, and what there was before the first one is
// still set aside. Nothing of it is backed up in between.
func (b *bucket) half() {
	b.Helper()
	b.good("hedgedoc")
	want := b.contents("hedgedoc")
	b.on("vps1", "sh", "-ec", "echo dear >/srv/hedgedoc/uploads/dear; systemctl mask --runtime --now hedgedoc-db")
	for range 2 {
		if said, err := b.try("sh", b.dir, "vps1", "gen-backup", "restore", "hedgedoc", "--replace"); err == nil {
			b.Errorf("a restore without a database succeeds:\n%s", said)
		}
		b.told("hedgedoc")
		if b.now("hedgedoc") {
			b.Error("half of a restore is backed up")
		}
		if pings := b.told("hedgedoc"); !slices.Equal(pings, []string{"start", "4"}) {
			b.Errorf("the monitor was told %v of half a restore", pings)
		}
	}
	b.on("vps1", "systemctl", "unmask", "--runtime", "hedgedoc-db")
	b.on("vps1", "gen-backup", "restore", "hedgedoc", "--replace")
	if diff := cmp.Diff(want, b.contents("hedgedoc")); diff != "" {
		b.Errorf("what came back (+) is not what there was (-):\n%s", diff)
	}
	if said := b.on("vps1", "cat", "/srv/hedgedoc/.before/uploads/dear"); said != "dear\n" {
		b.Errorf("what was set aside is %q", said)
	}
	b.toldOfGood("hedgedoc")
}

// reshaped: the service has a volume that the snapshot has not, which begins empty. A dump is not put
// where files are to be.
func (b *bucket) reshaped() {
	b.Helper()
	const list = "/etc/gen-backup/services/hedgedoc"
	want := b.contents("hedgedoc")
	b.on("vps1", "sh", "-ec", `cp "$1" /root/list; printf 'volume\tlater\tcopy\t10000:10000\t0700\n' >>"$1"; mkdir /srv/hedgedoc/later; touch /srv/hedgedoc/later/x`, "sh", list)
	b.on("vps1", "gen-backup", "restore", "hedgedoc", "--replace")
	if had := b.on("vps1", "sh", "-c", "cat /srv/hedgedoc/later/* 2>/dev/null; ls /srv/hedgedoc/.before/later"); had != "x\n" {
		b.Errorf("a volume that no snapshot has and what was in it are %q", had)
	}
	runs := b.on("vps1", "systemctl", "show", "-p", "InvocationID", "hedgedoc-db", "hedgedoc-app")
	for what, edit := range map[string]string{"db is a dump in the snapshot, and a stop here": `s/^\(volume.db.\)dump/\1stop/`, "the snapshot has no later": ""} {
		b.on("vps1", "sed", "-i", edit, list)
		if said, err := b.try("sh", b.dir, "vps1", "gen-backup", "restore", "hedgedoc", "--replace", "--volume", map[bool]string{true: "later", false: "db"}[edit == ""]); err == nil || !strings.Contains(said, what) {
			b.Errorf("%s: %v\n%s", what, err, said)
		}
	}
	if now := b.on("vps1", "systemctl", "show", "-p", "InvocationID", "hedgedoc-db", "hedgedoc-app"); now != runs {
		b.Error("what is refused has stopped something")
	}
	if diff := cmp.Diff(want, b.contents("hedgedoc")); diff != "" {
		b.Errorf("what is there (+) is not what was (-):\n%s", diff)
	}
	b.on("vps1", "sh", "-ec", `mv /root/list "$1"; rm -rf /srv/hedgedoc/later`, "sh", list)
}

// missed: the machine was off when a backup was due. It is made up for at the boot, and does not keep
// from starting what has not started yet.
func (b *bucket) missed() {
	b.Helper()
	before := time.Now().Unix()
	b.told("slow")
	b.on("vps1", "sh", "-ec", `mkdir /etc/systemd/system/slow-db.service.d
		printf '[Service]\nExecStartPost=/bin/sleep 15\n' >/etc/systemd/system/slow-db.service.d/test.conf
		touch -d '2 days ago' /var/lib/systemd/timers/stamp-gen-backup-slow.timer`)
	b.run("halt", b.dir, "vps1")
	b.run("boot", b.dir, "vps1")
	b.eventually("it is made up for", func() bool {
		last, err := strconv.ParseInt(b.metric("vps1", "gen_backup_last_success_timestamp_seconds", "slow"), 10, 64)
		return err == nil && last >= before
	})
	if pings := b.told("slow"); !slices.Equal(pings, []string{"start", "0"}) {
		b.Errorf("the monitor was told %v", pings)
	}
	b.eventually("the service runs", func() bool {
		_, err := b.try("sh", b.dir, "vps1", "systemctl", "is-active", "-q", "slow-db")
		return err == nil
	})
}
