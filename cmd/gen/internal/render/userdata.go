package render

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
	"text/template"

	"gen.example/cmd/gen/internal/fleet"
)

// UserDataLimit is the largest user-data in bytes. The smallest limit of a
// provider's is 16 KB (EC2), and some count what it becomes in base64.
const UserDataLimit = 12 << 10

//go:embed bootstrap
var bootstrap string

var bootstrapTemplate = template.Must(template.New("bootstrap").
	Funcs(template.FuncMap{"join": strings.Join, "wrap": wrapped}).Parse(bootstrap))

// A machine is what bootstrap is told of a host.
type machine struct {
	Name              string
	Operators, Keys   []string // those who have ssh keys; lines of authorized_keys
	Packages          []string
	Automatic, Reboot bool
	Time, Swap        string
	Bundle, Sums      string // where the first bundle is, and the hash of its SHA256SUMS
	Identity          bool   // whether the bundle can be installed only with one
}

// UserData is what a fresh machine gets from cloud-init: the script that makes
// it a host, and what cloud-init itself must know to leave the script's work
// alone. push --bootstrap takes the script from it, so it comes last. The hash
// of the bundle's SHA256SUMS counts only if the host fetches its first bundle.
func UserData(f *fleet.Fleet, h *fleet.Host, sums string) []byte {
	var script strings.Builder
	if err := bootstrapTemplate.Execute(&script, newMachine(f, h, sums)); err != nil {
		panic(err) // the template is ours and writes to memory
	}
	var b strings.Builder
	b.WriteString("#cloud-config\n" +
		"# " + madeBy("hosts."+h.Name.V) + " Give it to a fresh Debian 13 where the provider asks for\n" +
		"# user-data. It holds no secret. push --bootstrap runs the script below over ssh instead.\n" +
		"hostname: \"" + h.Name.V + "\"\n" +
		"disable_root: false\n" +
		"runcmd:\n" +
		"  - [sh, /var/lib/gen/bootstrap]\n" +
		"write_files:\n" +
		"  - path: /var/lib/gen/bootstrap\n" +
		"    permissions: \"0700\"\n" +
		"    content: |\n")
	for line := range strings.Lines(script.String()) {
		if line != "\n" {
			line = "      " + line
		}
		b.WriteString(line)
	}
	return []byte(b.String())
}

func newMachine(f *fleet.Fleet, h *fleet.Host, sums string) machine {
	m := machine{
		Name: h.Name.V, Packages: packages(h),
		Automatic: h.Upgrades.Automatic.V, Reboot: h.Upgrades.Reboot.V, Time: h.Upgrades.Time.V, Swap: h.Swap.V,
		Bundle: h.Bundle.V, Sums: sums, Identity: len(secrets(f, h)) > 0,
	}
	for _, o := range f.Operators {
		for _, key := range o.V.SSH {
			m.Keys = append(m.Keys, fleet.BareKey(key.V)+" gen:"+o.Name)
		}
		if len(o.V.SSH) > 0 {
			m.Operators = append(m.Operators, o.Name)
		}
	}
	return m
}

// packages are the Debian packages that a bundle of the host needs, and may need
// when the host joins the mesh. What podman
// only recommends is named, because the rest of that is a compiler's worth:
// aardvark-dns answers for names of containers, catatonit holds a pod's network.
func packages(h *fleet.Host) []string {
	names := map[string]bool{}
	for _, name := range []string{"aardvark-dns", "age", "ca-certificates", "catatonit", "crun", "netavark", "nftables", "podman", "rsync", "wireguard-tools"} {
		names[name] = true
	}
	if h.Upgrades.Automatic.V {
		names["unattended-upgrades"] = true
	}
	if h.Bundle.Set || h.Backups.Ping.V {
		names["curl"] = true
	}
	switch h.Backups.Snapshots.V {
	case "btrfs":
		names["btrfs-progs"] = true
	case "lvm":
		names["lvm2"] = true
	}
	for _, p := range h.Packages {
		names[p.V] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// wrapped are words as the last of a command's, on lines that can be read.
func wrapped(words []string) string {
	var b strings.Builder
	width := 0
	for _, w := range words {
		if width += len(w) + 1; width > 80 {
			b.WriteString("\\\n\t")
			width = len(w) + 1
		}
		b.WriteString(w + " ")
	}
	return strings.TrimSuffix(b.String(), " ")
}
