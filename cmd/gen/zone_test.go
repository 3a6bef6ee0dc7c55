package main

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/check"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
)

// goldenZones are the files dns.zone in golden/, each with the repository it comes from.
func goldenZones(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"../../golden/fleet/fleet/dns.zone": repository}
	found, err := filepath.Glob(cases + "/*/want/fleet/dns.zone")
	if err != nil || len(found) < 3 {
		t.Fatal(found, err)
	}
	for _, file := range found {
		all[file] = strings.TrimSuffix(file, "/want/fleet/dns.zone")
	}
	return all
}

// TestZonesAreServed gives every zone in golden/, with the SOA and NS that
// whoever serves it adds, to BIND's own reader, and reads back what it would serve.
func TestZonesAreServed(t *testing.T) {
	for file, repo := range goldenZones(t) {
		t.Run(filepath.Base(repo), func(t *testing.T) {
			f, fs := load.Fleet(os.DirFS(repo))
			if len(fs) > 0 {
				t.Fatal(fs)
			}
			served(t, f, read(t, file))
		})
	}
}

// served compares what BIND reads of zones with what a fleet needs.
func served(t *testing.T, f *fleet.Fleet, zones string) {
	t.Helper()
	checker, compiler := tool(t, "named-checkzone"), tool(t, "named-compilezone")
	var got []string
	blocks := strings.Split(zones, "\n$ORIGIN ")[1:]
	if len(blocks) != 1+len(f.Zones) {
		t.Errorf("there are %d zones, want %d", len(blocks), 1+len(f.Zones))
	}
	for _, block := range blocks {
		origin, body, _ := strings.Cut(block, "\n")
		zone := strings.TrimSuffix(origin, ".")
		file := filepath.Join(t.TempDir(), "zone")
		write(t, file, "$TTL 300\n$ORIGIN "+origin+"\n@ IN SOA ns.invalid. admin.invalid. 1 7200 3600 1209600 300\n@ IN NS ns.invalid.\n"+body)
		// Only this zone is looked at, and whatever is odd is an error.
		strict := []string{"-i", "local", "-k", "fail", "-m", "fail", "-M", "fail", "-S", "fail", "-n", "fail", "-r", "fail", "-T", "ignore"}
		said, err := exec.Command(checker, append(strict, zone, file)...).CombinedOutput()
		if want := "zone " + zone + "/IN: loaded serial 1\nOK\n"; err != nil || string(said) != want {
			t.Errorf("%v\n%s", err, said)
			continue
		}
		text, err := exec.Command(compiler, append(strict, "-q", "-s", "full", "-F", "text", "-o", "-", zone, file)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			g := regexp.MustCompile(`^(\S+)\.\s+300\s+IN\s+(\S+)\s+(.*)\n$`).FindStringSubmatch(line)
			if g == nil {
				t.Fatalf("BIND writes %q", line)
			}
			if g[2] != "SOA" && g[2] != "NS" {
				got = append(got, zone+": "+g[1]+" "+g[2]+" "+octetsOf(g[3]))
			}
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(recordsOf(f), got); diff != "" {
		t.Errorf("other records are served (+) than meant (-):\n%s", diff)
	}
}

// recordsOf are the records of a fleet, sorted, straight from what it declares.
func recordsOf(f *fleet.Fleet) (all []string) {
	add := func(name, kind, data string) {
		zone := ""
		for _, z := range append(f.Zones, f.Domain) {
			if strings.HasSuffix("."+name, "."+z.V) && len(z.V) > len(zone) {
				zone = z.V
			}
		}
		all = append(all, zone+": "+name+" "+kind+" "+octetsOf(data))
	}
	world := map[string]bool{}
	for _, r := range f.AllRoutes() {
		world[r.Host.V] = world[r.Host.V] || r.Audience.V == "internet"
	}
	for p, r := range f.AllRoutes() {
		four, six := p.Host.Address, p.Host.Address6
		if !world[r.Host.V] {
			four, six = p.Host.Mesh.Address, p.Host.Mesh.Address6
		}
		add(r.Host.V, "A", four.V)
		proxy, _, _, _ := p.Host.ProxyContainer()
		if s, _ := p.Host.Services.Get(proxy); six.Set && s.Network.Subnet6.Set {
			add(r.Host.V, "AAAA", netip.MustParseAddr(six.V).String())
		}
	}
	for _, r := range f.AllRecords() {
		add(r.Name, r.V.Type.V, r.V.Data.V)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// octetsOf is data with every escape as three digits.
func octetsOf(data string) string {
	return regexp.MustCompile(`\\["\\]`).ReplaceAllStringFunc(data, func(s string) string { return fmt.Sprintf(`\%03d`, s[1]) })
}

// TestZoneDataIsRead: whatever data the check lets through, BIND reads as it
// was meant, and what would end its line or its zone is not let through.
func TestZoneDataIsRead(t *testing.T) {
	f, fs := load.Fleet(fstest.MapFS{"hosts/fleet.cue": {Data: []byte(`package hosts

import "gen.example/schema"

fleet: domain: "example.org"
hosts: one: {
	os:      "debian-13"
	address: "203.0.113.1"
	services: odd: schema.#Service & {records: "_odd._tcp.example.org": [{type: "TXT", data: "\"\""}]}
}
`)}})
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	long := strings.Repeat("x", 255)
	names := []string{"", ".", "example.com", "example.com.", "a.example.com.", "-a.example.com.", "a-.example.com.", "_a.example.com.", "a..example.com.", "1.2.3.4", "1.2.3.4.",
		"A.example.com.", "*.example.com.", "@", long[:63] + ".example.com.", long[:64] + ".example.com.", strings.Repeat("a.", 126) + "a.", strings.Repeat("a.", 127) + "a.", `a\.b.example.com.`, "a.example.com. ; x", "a.example.com.\n@ A 192.0.2.1"}
	data := map[string][]string{"CNAME": names, "TXT": nil, "CAA": nil, "MX": nil, "SRV": nil}
	for _, n := range names {
		data["MX"] = append(data["MX"], "10 "+n, "0 "+n, "65535 "+n, "65536 "+n, "-1 "+n, "010 "+n)
		data["SRV"] = append(data["SRV"], "0 0 1 "+n, "0 0 65535 "+n, "0 65536 1 "+n, "0 0 x "+n)
	}
	texts := []string{long, long + "x", strings.Repeat(`\001`, 255), strings.Repeat(`\001`, 256), `\`, `\\`, `\"`, `"`, `\"\`, `\256`, `\25`, `\2a5`, `\255`, `\;`, `\ä`, `x" "y`, `x""y`, `x"  "y`, `x" ; y`, "(", ")", "$INCLUDE /etc/passwd", `";"`, "\x00"}
	for _, s := range append(texts, odd...) {
		data["TXT"] = append(data["TXT"], s, `"`+s+`"`)
		data["CAA"] = append(data["CAA"], `0 issue "`+s+`"`, `0 contactphone "`+s+`"`, `0 `+s+` "x"`, s+` issue ";"`)
	}
	data["CAA"] = append(data["CAA"], `0 issue ";"`, `128 issue "example.net; a=b"`, `0 iodef "mailto:a@example.org"`, `256 issue ";"`, `0 ISSUE ";"`, `0 issue ;`)
	service := f.Hosts[0].Services[0].V
	owners := map[string]string{"CAA": "c%d.example.org", "CNAME": "_a%d.example.org", "MX": "m%d.example.org", "SRV": "_s%d._tcp.example.org", "TXT": "_t%d.example.org"}
	var through fleet.Map[[]*fleet.Record]
	for _, kind := range slices.Sorted(maps.Keys(data)) {
		let := 0
		for i, d := range data[kind] {
			r := &fleet.Record{Type: fleet.Val[string]{V: kind, Set: true}, Data: fleet.Val[string]{V: d, Set: true}}
			owner := fleet.Entry[[]*fleet.Record]{Name: fmt.Sprintf(owners[kind], i), V: []*fleet.Record{r}}
			service.Records = fleet.Map[[]*fleet.Record]{owner}
			if len(check.Fleet(f)) == 0 {
				through = append(through, owner)
				let++
			}
		}
		if let < 3 || let == len(data[kind]) {
			t.Errorf("%s: %d of %d are let through", kind, let, len(data[kind]))
		}
	}
	service.Records = through
	for _, file := range render.Fleet(f).Files {
		if file.Path == "/dns.zone" {
			served(t, f, string(file.Bytes()))
		}
	}
}
