package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
)

// inEach runs a shell script over files of a host in Debian 13: they are in /mnt.
func inEach(t *testing.T, pattern, script string, wrong func(said string, err error) bool) {
	t.Helper()
	seen := 0
	for _, host := range goldenHosts(t) {
		files, err := filepath.Glob(filepath.Join(host, "rootfs", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			seen++
			said, err := inDebian13(t, filepath.Dir(f), "unshare", "--net", "sh", "-ec", script, "sh", "/mnt/"+filepath.Base(f))
			if wrong(said, err) {
				t.Errorf("%s: %v\n%s", f, err, said)
			}
		}
	}
	if seen == 0 {
		t.Errorf("there is no %s in golden/", pattern)
	}
}

// TestFirewallsAreRead loads every firewall in golden/ with Debian 13's nft, and
// once more over itself: nothing of the former one stays.
func TestFirewallsAreRead(t *testing.T) {
	inEach(t, "etc/nftables.d/gen.nft", `nft -c -f "$1"; nft -f "$1"; nft list ruleset >/tmp/once; nft -f "$1"; nft list ruleset | cmp - /tmp/once`,
		func(said string, err error) bool { return err != nil || said != "" })
}

// TestTunnelsAreRead gives every tunnel in golden/ to WireGuard's own parser, as
// a start and as a reload do. It fails at the interface, which is not there,
// only after it has read all.
func TestTunnelsAreRead(t *testing.T) {
	parsed := func(said string, _ error) bool { return !onlyNoDevice(said) }
	const key = `echo "[Interface]" && echo "PrivateKey = 2Ay+gN+m9bjpD5FflD/UHWccN0SYkk8XMrofrm23nEk="`
	for _, more := range []string{"", " && " + key} {
		inEach(t, "etc/wireguard/*.conf", `sed s/vpn.example.org/203.0.113.10/ "$1" >/tmp/wg0.conf; chmod 0600 /tmp/wg0.conf; { wg-quick strip /tmp/wg0.conf`+more+`; } | timeout 30 wg setconf nodev0 /dev/stdin || true`, parsed)
	}
}

// onlyNoDevice is what wg says of a configuration that is right, by the kernel's
// reason: it has no such interface, or no WireGuard.
func onlyNoDevice(said string) bool {
	line, more, _ := strings.Cut(said, "\n")
	return strings.HasPrefix(line, "Unable to modify interface: ") && more == ""
}

// TestPeersAreRead does it with what gen mesh prints.
func TestPeersAreRead(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(cases + "/exposure"))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	for _, name := range f.Mesh.Peers.Names() {
		for _, key := range []string{"", "2Ay+gN+m9bjpD5FflD/UHWccN0SYkk8XMrofrm23nEk="} {
			dir := t.TempDir()
			if err := os.WriteFile(dir+"/wg0.conf", []byte(strings.ReplaceAll(render.Peer(f, name, key), "vpn.example.org", "203.0.113.10")), 0o600); err != nil {
				t.Fatal(err)
			}
			said, _ := inDebian13(t, dir, "unshare", "--net", "sh", "-ec", `wg-quick strip /mnt/wg0.conf | timeout 30 wg setconf nodev0 /dev/stdin || true`)
			if !onlyNoDevice(said) {
				t.Errorf("%s: %s", name, said)
			}
		}
	}
}
