package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// onLVM is a machine with a kernel of its own; its /srv is ext4 on a volume of LVM.
func onLVM(b *bucket, name string) {
	b.Helper()
	c := exec.Command("../../.ci/host/vm", "up", b.dir, name, addresses[name]+"/24")
	c.Env = append(os.Environ(), "DATA=3G")
	if said, err := c.CombinedOutput(); err != nil {
		b.Fatalf("vm up: %v\n%s", err, said)
	}
	b.knows(name)
	b.on(name, "sh", "-ec", `touch /etc/cloud/cloud-init.disabled
		hostnamectl set-hostname "$1"
		vgcreate -q data /dev/vdd
		lvcreate -q -L 512M -n srv data
		mkfs.ext4 -q /dev/data/srv
		echo '/dev/data/srv /srv ext4 defaults 0 2' >>/etc/fstab
		systemctl daemon-reload
		mount /srv`, "sh", name)
}

// TestBackupOnLVM: a snapshot of LVM, of a volume and of a thin one, brings a database back; what the
// power left of one goes, and one that overflows is no backup.
func TestBackupOnLVM(t *testing.T) {
	onlyInLong(t)
	b := &bucket{lab: emptyLab(t), home: "vps1", machine: onLVM}
	if said, err := exec.Command("../../.ci/host/vm", "ready").CombinedOutput(); err != nil {
		without(t, strings.TrimSpace(string(said)))
	}
	b.repo = b.copied(`backups: {snapshots: "btrfs", ping: true, limit: "2m"}`, `backups: {snapshots: "lvm", ping: true, limit: "1h"}`)
	for _, service := range []string{"traefik: catalog.#Traefik & {acme: email: \"ada@example.org\"}\n", "hedgedoc: catalog.#HedgeDoc & {exporters: false}\n", "wiki: #Wiki\n",
		"slow: #Shop & {volumes: db: {backup: \"stop\", without: [\"lost\"]}}\n"} {
		b.change(b.repo, service, "\n")
	}
	write(t, filepath.Join(b.repo, "hosts/patient.cue"), patient)
	for _, service := range []string{"hedgedoc", "slow", "traefik", "wiki"} {
		files, err := filepath.Glob(filepath.Join(b.repo, "hosts/secrets/production."+service+".*.age"))
		for _, file := range files {
			err = errors.Join(err, os.Remove(file))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b.serve("vps1")
	b.fill(1, "shop")

	volumes := func(b *bucket) string { return b.on("vps1", "lvs", "--noheadings", "-o", "lv_name") }
	comesBack := func(t *testing.T) {
		b := b.in(t)
		before := volumes(b)
		want := b.contents("shop")
		b.toldOfGood("shop")
		if now := volumes(b); now != before {
			t.Errorf("of the volumes\n%sa backup leaves\n%s", before, now)
		}
		b.loses("shop")
		b.on("vps1", "gen-backup", "restore", "shop")
		if diff := cmp.Diff(want, b.contents("shop")); diff != "" {
			t.Errorf("what came back (+) is not what was lost (-):\n%s", diff)
		}
	}
	t.Run("volume", comesBack)
	t.Run("power", func(t *testing.T) {
		b := b.in(t)
		before := volumes(b)
		b.toldOfGood("shop") // what was lost before knew of no success
		last := b.metric("vps1", "gen_backup_last_success_timestamp_seconds", "shop")
		b.stopsAt("shop", "mountpoint -q /srv/.gen-backup-shop")
		b.run("power-cut", b.dir, "vps1")
		b.thaws()
		begin := time.Now()
		b.run("boot", b.dir, "vps1")
		b.toldOfFailure("shop", last, "fail")
		t.Logf("it ran again, and its failure was told, %.0f s after the machine was started", time.Since(begin).Seconds())
		if now := volumes(b); now != before {
			t.Errorf("of the volumes\n%sthere are now\n%s", before, now)
		}
		b.toldOfGood("shop")
	})
	t.Run("overflow", func(t *testing.T) {
		b := b.in(t)
		last := b.metric("vps1", "gen_backup_last_success_timestamp_seconds", "shop")
		b.stopsAt("shop", "mountpoint -q /srv/.gen-backup-shop")
		// More is written than a fifth of the volume.
		b.on("vps1", "sh", "-ec", "head -c 150M /dev/urandom >/srv/big; sync; rm /srv/big")
		b.thaws()
		b.toldOfFailure("shop", last, "1")
		b.toldOfGood("shop")
	})
	t.Run("thin volume", func(t *testing.T) {
		b := b.in(t)
		b.on("vps1", "sh", "-ec", `systemctl stop shop-db
			sed -i 's/.*thin_check_executable = .*/thin_check_executable = ""/' /etc/lvm/lvm.conf
			lvcreate -q -T -L 1G -V 512M -n thin data/pool
			mkfs.ext4 -q /dev/data/thin
			mount /dev/data/thin /mnt
			cp -a /srv/. /mnt
			umount /mnt /srv
			mount /dev/data/thin /srv
			systemctl start shop-db`)
		comesBack(t)
	})
}
