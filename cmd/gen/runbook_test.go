package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gen.example/cmd/gen/internal/bundle"
	ledger "gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
)

// A paper is a host's runbook beside all that it may speak of.
type paper struct {
	*testing.T
	repo    string
	fleet   *fleet.Fleet
	host    *fleet.Host
	bundles map[string]bundle.Bundle
	text    string
	there   bool // it says what there is
}

// TestRunbook: all runbooks of this repository's fleet and of every case that
// compiles are true, whole and well-formed.
func TestRunbook(t *testing.T) {
	repos := []string{repository}
	for _, name := range caseNames(t) {
		repos = append(repos, filepath.Join(cases, name))
	}
	seen := 0
	for _, repo := range repos {
		f, bundles, fs := compile(repo)
		if len(fs) > 0 {
			continue
		}
		for _, h := range f.Hosts {
			seen++
			t.Run(filepath.Base(repo)+"/"+h.Name.V, func(t *testing.T) {
				p := &paper{T: t, repo: repo, fleet: f, host: h, bundles: bundles, text: string(bundles[h.Name.V]["RUNBOOK.md"].Body)}
				p.isTrue()
				p.isWhole()
				p.isWellFormed()
			})
		}
	}
	if seen < 20 {
		t.Errorf("only %d runbooks were seen", seen)
	}
}

// isTrue: whatever it names is there.
func (p *paper) isTrue() {
	p.namesUnits()
	p.namesPaths()
	p.namesSecrets()
	p.namesHostsOfURLs()
	p.knocksAtSockets()
	p.logsIn()
	for _, line := range p.commands() {
		p.command(line)
	}
}

// isWhole: nothing that burns with the host is forgotten.
func (p *paper) isWhole() {
	has := func(what string) {
		if !strings.Contains(p.text, what) {
			p.Errorf("it says nothing of %s", what)
		}
	}
	for _, s := range p.host.Services {
		has("| " + s.Name + " |")
		kept := false
		for _, v := range s.V.Volumes {
			has(v.Name)
			if v.V.Backup.V != "none" {
				kept = true
				if slices.ContainsFunc(p.fleet.BackedUp(p.host), func(b fleet.Entry[*fleet.Service]) bool { return b.Name == s.Name }) {
					has("gen-backup restore " + s.Name + " --replace")
					has("gen-backup rescue " + s.Name + " TIME again/")
				} else {
					has("mv -T " + v.Name + " " + v.Name + ".old")
				}
			}
		}
		for _, step := range s.V.Restore {
			if kept {
				has("- " + strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(step.V))
			}
		}
		for _, c := range s.V.Containers {
			if !c.V.Oneshot.V {
				has(" " + s.Name + "-" + c.Name + ".service")
			}
		}
	}
	for _, a := range []string{p.host.Address.V, p.host.Address6.V, p.host.SSH.Recovery.V} {
		has(a)
	}
}

// strange is what no line has: a place that every edit moves, a mistake of ours, a blank at the end.
var strange = regexp.MustCompile(`\.cue:[0-9]|%!| $`)

// isWellFormed: it can be printed, and its commands typed.
func (p *paper) isWellFormed() {
	inside, columns := false, 0
	for _, l := range strings.Split(p.text, "\n") {
		if strange.MatchString(l) {
			p.Errorf("a strange line: %q", l)
		}
		l = strings.TrimSpace(l)
		if strings.HasPrefix(l, "```") {
			inside = !inside
		}
		n := strings.Count(l, "|") - strings.Count(l, `\|`)
		switch {
		case inside || !strings.HasPrefix(l, "|"):
			columns = 0
		case columns == 0:
			columns = n
		case n != columns:
			p.Errorf("a row of %d instead of %d: %s", n-1, columns-1, l)
		}
	}
	if inside || !strings.HasSuffix(p.text, "\n") || strings.Contains(p.text, "\n\n\n") {
		p.Error("a fence is open, a blank line is too many, or the last line has no end")
	}
	c := exec.Command("sh", "-n")
	c.Stdin = strings.NewReader(strings.Join(p.blocks(), "\n"))
	if said, err := c.CombinedOutput(); err != nil {
		p.Errorf("a shell does not read its commands: %v: %s", err, said)
	}
}

// blocks are its commands as they stand.
func (p *paper) blocks() (out []string) {
	inside := false
	for _, l := range strings.Split(p.text, "\n") {
		if fence := strings.HasPrefix(strings.TrimSpace(l), "```"); fence {
			inside = !inside
		} else if inside {
			out = append(out, l)
		}
	}
	return out
}

// commands are the lines of its blocks without remarks, joined as a shell does,
// and one for each part of a pipe; and those in the table of addresses.
func (p *paper) commands() (out []string) {
	whole := strings.ReplaceAll(strings.Join(p.blocks(), "\n"), "\\\n", "")
	for _, l := range strings.Split(whole, "\n") {
		l, _, _ = strings.Cut(l, "  # ")
		for _, part := range strings.Split(l, " | ") {
			out = append(out, strings.Join(strings.Fields(part), " "))
		}
	}
	return out
}

func (p *paper) rows(list string, column int) (out []string) {
	for _, row := range strings.Split(string(p.bundles[p.host.Name.V][list].Body), "\n") {
		if fields := strings.Split(row, "\t"); len(fields) > column {
			out = append(out, fields[column])
		}
	}
	return out
}

func (p *paper) all(pattern string) []string {
	return regexp.MustCompile(pattern).FindAllString(p.text, -1)
}

func (p *paper) namesUnits() {
	units := p.rows("UNITS", 1)
	for _, name := range p.all(`[\w@.-]+\.(service|timer|path|socket|target)\b`) {
		if !slices.Contains(units, name) {
			p.Errorf("%s is not in UNITS", name)
		}
	}
}

// namesPaths: directories below /srv are made by the host, and files of the
// repository and of out/ are there.
func (p *paper) namesPaths() {
	made := map[string]bool{"/srv": true}
	for path, f := range p.bundles[p.host.Name.V] {
		if strings.HasPrefix(path, "rootfs/etc/tmpfiles.d/") {
			for _, l := range strings.Split(string(f.Body), "\n") {
				if fields := strings.Fields(l); len(fields) > 1 {
					made[fields[1]] = true
				}
			}
		}
	}
	for _, dir := range p.all(`/srv(/[\w.-]+)*`) {
		if !made[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(dir, "."), ".old"), "/.before")] {
			p.Errorf("nothing makes %s", dir)
		}
	}
	for _, path := range p.all(`\bhosts/[\w/.-]+\w`) {
		if _, there := readTree(p.T, p.repo)[path]; !there {
			p.Errorf("the repository has no %s", path)
		}
	}
	for _, path := range p.all(`\bout/[\w-]+/[\w./-]+\w`) {
		host, file, _ := strings.Cut(strings.TrimPrefix(path, "out/"), "/")
		b := p.bundles[host]
		// User data come with a push that does the same over ssh.
		userData, bootstraps := b["user-data"], strings.Contains(string(b["push"].Body), "--bootstrap")
		switch {
		case file == "user-data":
			if userData.Body != nil && !bootstraps {
				p.Error("push knows no --bootstrap")
			}
		case b[file].Body == nil:
			p.Errorf("gen does not write %s", path)
		}
	}
}

func (p *paper) namesSecrets() {
	there := p.rows("SECRETS", 0)
	for _, name := range p.all(`\b` + p.host.Environment.V + `\.[\w-]+\.[\w.-]*\w`) {
		if !fleet.Within(name, p.host.Domain.V) && !slices.Contains(there, strings.TrimSuffix(name, ".age")) {
			p.Errorf("%s is not in SECRETS", name)
		}
	}
}

// namesHostsOfURLs: what is asked for on the web is a name of this host.
func (p *paper) namesHostsOfURLs() {
	for _, url := range p.all("https?://[^/ `']+") {
		_, name, _ := strings.Cut(url, "://")
		if !p.named(name) {
			p.Errorf("%s is no name of a service here", url)
		}
	}
}

// named says whether a route or a record of a service here has a name.
func (p *paper) named(name string) bool {
	for at, r := range p.fleet.AllRoutes() {
		if at.Host == p.host && r.Host.V == name {
			return true
		}
	}
	return false
}

var (
	nc  = regexp.MustCompile(`nc -zv -w 5 (\S+) (\$p|[0-9]+)`)
	dig = regexp.MustCompile(`dig \+short (\S+) (A|AAAA)`)
	do  = regexp.MustCompile(`^for \w in (.*); do `)
)

// each are the words that a command is run for.
func each(command, word string) []string {
	if m := do.FindStringSubmatch(command); m != nil {
		return strings.Fields(m[1])
	}
	return []string{word}
}

// knocksAtSockets: each port is one of the ledger at that address, and each
// that others reach by TCP is knocked at.
func (p *paper) knocksAtSockets() {
	knocked := map[string]bool{}
	for _, c := range p.commands() {
		m := nc.FindStringSubmatch(c)
		if m == nil {
			continue
		}
		for _, port := range each(c, m[2]) {
			knocked[m[1]+" "+port] = true
		}
	}
	want := map[string]bool{}
	for _, s := range ledger.Of(p.fleet).On(p.host) {
		if s.Protocol == "tcp" && s.Address.IsValid() && !s.Address.IsLoopback() {
			for _, at := range p.addresses() {
				mesh := p.host.Mesh != nil && slices.Contains([]string{p.host.Mesh.Address.V, p.host.Mesh.Address6.V}, at)
				same := s.Address.IsUnspecified() || s.InMesh == mesh
				if same && netip.MustParseAddr(at).Is6() == s.Address.Is6() && (mesh && len(s.Mesh) > 0 || !mesh && len(s.Internet) > 0) {
					want[at+" "+strconv.Itoa(s.Port)] = true
				}
			}
		}
	}
	if p.host.SSH.Audience.V == "mesh" {
		want[p.host.Address.V+" "+strconv.Itoa(p.host.SSH.Port.V)] = true // it must not answer
	}
	for k := range want {
		if !knocked[k] {
			p.Errorf("nobody knocks at %s", k)
		}
	}
	for k := range knocked {
		if !want[k] {
			p.Errorf("nothing listens at %s", k)
		}
	}
}

// logsIn: push finds the host where the page does, also on the first installation.
func (p *paper) logsIn() {
	at := p.host.Address.V
	if p.host.SSH.Audience.V == "mesh" {
		at = p.host.Mesh.Address.V
	}
	want := fmt.Sprintf("%s\t%d\n", at, p.host.SSH.Port.V)
	if login := string(p.bundles[p.host.Name.V]["LOGIN"].Body); !strings.Contains("\n"+login, "\n"+want) || !strings.Contains(p.text, " root@"+at) {
		p.Errorf("LOGIN has no %q, but %q", want, login)
	}
}

func (p *paper) addresses() []string { return addressesOf(p.host) }

func addressesOf(h *fleet.Host) (out []string) {
	all := []fleet.Val[string]{h.Address, h.Address6}
	if h.Mesh != nil {
		all = append(all, h.Mesh.Address, h.Mesh.Address6)
	}
	for _, a := range all {
		if a.Set {
			out = append(out, a.V)
		}
	}
	return out
}

var (
	push  = regexp.MustCompile(`^(?:GEN_SSH='ssh[^']*' )?out/([\w-]+)/push (?:--(?:bootstrap|status) )?root@(\S+)$`)
	login = regexp.MustCompile(`root@([0-9a-f.:]+?)(?::[0-9]+)?(?:['\s]|$)`)
)

// command looks at one line: whether its program, its verbs and its arguments are known.
func (p *paper) command(line string) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return
	}
	for _, m := range login.FindAllStringSubmatch(line, -1) {
		if !slices.ContainsFunc(p.fleet.Hosts, func(h *fleet.Host) bool { return slices.Contains(addressesOf(h), m[1]) }) {
			p.Errorf("%s: no host has %s", line, m[1])
		}
	}
	for _, m := range dig.FindAllStringSubmatch(line, -1) {
		for _, name := range each(line, m[1]) {
			if !strings.Contains(zoneNames(p.bundles), " "+name+" ") {
				p.Errorf("%s: nothing here has that name", line)
			}
		}
	}
	if m := push.FindStringSubmatch(line); m != nil {
		i := slices.IndexFunc(p.fleet.Hosts, func(h *fleet.Host) bool { return h.Name.V == m[1] })
		if i < 0 || !slices.Contains(addressesOf(p.fleet.Hosts[i]), m[2]) {
			p.Errorf("%s: that is not the address of %s", line, m[1])
		}
		return
	}
	switch words[0] {
	case "gen":
		p.gen(line, words[1:])
	case "ssh", "ssh-keygen", "git", "nc", "dig", "for", "sudo", "wg", "nft", "systemctl", "(umask":
	case "there()":
		p.there = true
	default:
		if words[0] != "there" || !p.there {
			p.Errorf("%s: an unknown command", line)
		}
	}
}

// gen looks at a command of gen's by its own tables.
func (p *paper) gen(line string, words []string) {
	if i := slices.Index(words, ">"); i >= 0 {
		words = words[:i]
	}
	flags := (&command{}).options()
	words, err := longNames(flags, words)
	if err == nil {
		err = flags.Parse(words)
	}
	if err != nil {
		p.Errorf("%s: %v", line, err)
		return
	}
	if host := flags.Lookup("host"); host.Changed {
		if name := strings.Trim(host.Value.String(), "[]"); p.bundles[name] == nil {
			p.Errorf("%s: there is no host %s", line, name)
		}
	}
	args := flags.Args()
	if len(args) == 0 {
		return
	}
	if _, ok := verbNamed(args[0]); !ok {
		p.Errorf("%s: gen has no such verb", line)
	}
	switch args[0] {
	case "mesh":
		if _, ok := p.fleet.Mesh.Peers.Get(args[1]); !ok {
			p.Errorf("%s: there is no such peer", line)
		}
	case "secret":
		p.genSecret(line, args[1], args[2:])
	}
}

func (p *paper) genSecret(line, verb string, names []string) {
	v, ok := secretVerbs[verb]
	if !ok || v.names >= 0 && len(names) != v.names {
		p.Errorf("%s: gen secret takes that otherwise", line)
	}
	known := p.rows("SECRETS", 0)
	if verb == "identity" || verb == "init-host" {
		known = []string{p.host.Name.V}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			p.Errorf("%s: there is no %s", line, name)
		}
	}
}

// zoneNames are all names in the zone files, whole, between blanks.
func zoneNames(bundles map[string]bundle.Bundle) string {
	out, origin := " ", ""
	for _, l := range strings.Split(string(bundles["fleet"]["dns.zone"].Body), "\n") {
		fields := strings.Fields(l)
		switch {
		case len(fields) < 2 || fields[0] == ";":
		case fields[0] == "$ORIGIN":
			origin = strings.TrimSuffix(fields[1], ".")
		case fields[0] == "@":
			out += origin + " "
		default:
			out += fields[0] + "." + origin + " "
		}
	}
	return out
}
