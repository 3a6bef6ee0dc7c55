package render

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
)

// A runbook is a host on paper, for the day on which nothing else is left of it.
// Each part of it is there only if it is true of the host.
type runbook struct {
	bytes.Buffer
	fleet   *fleet.Fleet
	host    *fleet.Host
	sockets []*exposure.Socket // of the host
	leading []record           // to the host
	wanted  []*fleet.Wanted    // of the fleet
	proxy   string             // the service that leads names to the others, "" without one
}

// Runbook is how a host is built anew from nothing, how its services come back,
// move away, and how it ends.
func (r *Renderer) Runbook(h *fleet.Host) []byte {
	b := r.book(h)
	b.write()
	return slices.Clone(b.Bytes())
}

// book is what a runbook is written from, still empty.
func (r *Renderer) book(h *fleet.Host) *runbook {
	b := &runbook{fleet: r.fleet, host: h, sockets: r.ledger.On(h), wanted: r.wanted}
	b.leading = r.leading(append(b.public(), b.meshed()...))
	b.proxy, _, _, _ = h.ProxyContainer()
	return b
}

func (r *runbook) write() {
	h := r.host
	r.say("<!-- %s -->", madeBy("hosts."+h.Name.V))
	r.title(1, "%s, on paper", h.Name.V)
	r.say("\nHow %s comes back when it has burned, and how it is taken apart. Print it, and keep it where it does not burn with the host or with your laptop. Commands run on your own machine, in the repository.", h.Name.V)
	r.facts()
	r.atHand()
	r.wayIn()
	r.rebuild()
	r.restore()
	r.attacked()
	r.checks()
	r.alarms()
	r.move()
	r.remove()
}

func (r *runbook) say(format string, args ...any) { fmt.Fprintf(r, format+"\n", args...) }

func (r *runbook) title(depth int, format string, args ...any) {
	r.say("\n"+strings.Repeat("#", depth)+" "+format, args...)
}

// steps says the items of a numbered list, one with each call.
func (r *runbook) steps() func(format string, args ...any) {
	step := 0
	return func(format string, args ...any) {
		step++
		r.say("\n%d. "+format, append([]any{step}, args...)...)
	}
}

// when is a text where something is so, and another, or none, where it is not.
func when(is bool, yes string, no ...string) string {
	if is {
		return yes
	}
	return strings.Join(no, "")
}

// shell is a block of commands. What follows a tab says what to expect of one,
// or for whom it is.
func (r *runbook) shell(indent string, commands ...string) {
	width := 0
	for _, c := range commands {
		if line, remark, _ := strings.Cut(c, "\t"); remark != "" && len(line) < widestCommand {
			width = max(width, len(line))
		}
	}
	r.say("\n%s```sh", indent)
	for _, c := range commands {
		line, remark, _ := strings.Cut(c, "\t")
		lines := folded(line)
		last := &lines[len(lines)-1]
		switch {
		case remark == "":
		case len(lines) > 1:
			*last += "  # " + remark
		default:
			*last = fmt.Sprintf("%-*s  # %s", width, *last, remark)
		}
		r.say("%s%s", indent, strings.Join(lines, " \\\n"+indent+"    "))
	}
	r.say("%s```", indent)
}

// A command that is at least so long does not move the remarks of others, and
// one that is longer than a sheet of paper is wide goes on in another line.
const widestCommand, paper = 72, 92

// folded are the lines of a command, which a shell joins by the backslashes
// between them. It is cut after pipes and at blanks outside quotes.
func folded(command string) (lines []string) {
	if len(command) <= paper {
		return []string{command}
	}
	line, quote := "", false
	for _, word := range strings.Split(command, " ") {
		if line != "" && !quote && len(line)+len(word) >= paper {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
		quote = quote != (strings.Count(word, "'")%2 == 1)
		if word == "|" && !quote {
			lines, line = append(lines, line), ""
		}
	}
	return append(lines, line)
}

// table is one of Markdown; a cell is text that plain or code made.
func (r *runbook) table(rows ...[]string) {
	r.say("")
	for i, row := range rows {
		r.say("| %s |", strings.Join(row, " | "))
		if i == 0 {
			r.say("|%s", strings.Repeat("---|", len(row)))
		}
	}
}

func (r *runbook) facts() {
	h := r.host
	rows := [][]string{{"", ""},
		{"system", code(h.OS.V)},
		{"environment", h.Environment.V + ", " + plain(h.Domain.V)},
		{"address", codes(r.public())},
	}
	add := func(name, cell string) {
		if cell != "" {
			rows = append(rows, []string{name, cell})
		}
	}
	if inner := r.inner(); inner != "" {
		add("behind a NAT, it has", inner)
	}
	if h.Mesh != nil {
		add("in the mesh", codes(r.meshed())+" on "+code(r.fleet.Mesh.Interface.V))
	}
	add("SSH", fmt.Sprintf("port %d, for %s", h.SSH.Port.V, r.login()))
	add("memory", r.memory())
	for _, blank := range []string{"provider, type of machine, disk", "where the repository is"} {
		add(blank+" (by hand)", "…")
	}
	r.title(2, "What it is")
	r.table(rows...)
	if len(h.Services) == 0 {
		r.say("\nNo services run on it.")
		return
	}
	rows = [][]string{{"service", "what it is", "who reaches it", "lines of its data", "data"}}
	for _, s := range h.Services {
		rows = append(rows, []string{s.Name, sentence(s.V), orDash(r.reached(s)), orDash(lineNames(s.V)), orDash(places(s.V))})
	}
	r.table(rows...)
	for _, s := range h.Services {
		if l := s.V.Login; l != nil {
			r.say("\nPeople log in to %s through %s. While that is down: %s.", s.Name, l.Through.V, plain(cmp.Or(l.Otherwise.V, "nobody does")))
		}
	}
}

// public are the addresses that the world dials.
func (r *runbook) public() []string { return set(r.host.Address, r.host.Address6) }

// meshed are those in the mesh.
func (r *runbook) meshed() []string {
	if r.host.Mesh == nil {
		return nil
	}
	return set(r.host.Mesh.Address, r.host.Mesh.Address6)
}

// inner are the addresses of the machine itself, if they are others than the world dials.
func (r *runbook) inner() string {
	h := r.host
	if h.Listen.V == h.Address.V && (!h.Listen6.Set || h.Listen6.V == h.Address6.V) {
		return ""
	}
	return codes(set(h.Listen, h.Bind6()))
}

// login is who can log in.
func (r *runbook) login() string {
	h := r.host
	var who []string
	switch {
	case len(h.SSH.From) > 0:
		who = append(who, values(h.SSH.From)...)
	case h.SSH.Audience.V == "internet":
		who = append(who, "the internet")
	}
	if peers := r.peers(); len(peers) > 0 {
		who = append(who, "the mesh ("+strings.Join(peers, ", ")+")")
	}
	return strings.Join(who, " and ")
}

// peers are those in the mesh that can log in.
func (r *runbook) peers() (names []string) {
	for _, s := range r.sockets {
		if s.Kind == exposure.Login {
			names = append(names, s.Mesh...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// closed reports whether the internet at large cannot log in.
func (r *runbook) closed() bool {
	return r.host.SSH.Audience.V == "mesh" || len(r.host.SSH.From) > 0
}

// memory is the most that the containers may take together.
func (r *runbook) memory() string {
	sum, without := 0, 0
	for _, s := range r.host.Services {
		for _, c := range s.V.Containers {
			m := mebibytes(c.V.Memory.V)
			if sum += m; m == 0 {
				without++
			}
		}
	}
	switch {
	case sum == 0:
		return ""
	case without > 0:
		return fmt.Sprintf("its containers with a limit may take %.1f GiB together, and %d have none", float64(sum)/1024, without)
	}
	return fmt.Sprintf("its containers may take %.1f GiB together at most", float64(sum)/1024)
}

// mebibytes are those of a size as systemd writes it, 0 for no size.
func mebibytes(size string) (n int) {
	if size == "" {
		return 0
	}
	fmt.Sscanf(size, "%d", &n)
	switch size[len(size)-1] {
	case 'T':
		return n << 20
	case 'G':
		return n << 10
	case 'M':
		return n
	case 'K':
		return n >> 10
	}
	return n >> 20
}

// reached is by what names and ports people and programs reach a service.
func (r *runbook) reached(s fleet.Entry[*fleet.Service]) string {
	var out, open, mesh []string
	for _, c := range s.V.Containers {
		for _, route := range c.V.Routes {
			out = append(out, route.V.Host.V+when(route.V.Audience.V == "mesh", " in the mesh"))
		}
	}
	for _, k := range r.outward(s.Name) {
		port := fmt.Sprintf("%d/%s", k.Port, k.Protocol)
		switch {
		case len(k.Internet) > 0 && !slices.Contains(open, port):
			open = append(open, port)
		case len(k.Internet) == 0 && !slices.Contains(mesh, port):
			mesh = append(mesh, port)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(open) > 0 {
		out = append(out, "ports "+strings.Join(open, ", "))
	}
	if len(mesh) > 0 {
		out = append(out, "in the mesh "+strings.Join(mesh, ", "))
	}
	return strings.Join(out, "<br>")
}

// outward are the sockets of a service that others than this host reach.
func (r *runbook) outward(service string) (out []*exposure.Socket) {
	for _, k := range r.sockets {
		if k.Service == service && (k.Kind == exposure.Published || k.Kind == exposure.Bound) && len(k.Internet)+len(k.Mesh) > 0 {
			out = append(out, k)
		}
	}
	return out
}

func lineNames(s *fleet.Service) string {
	var out []string
	for _, l := range s.Lines {
		out = append(out, l.V.Line.V)
	}
	return strings.Join(out, "<br>")
}

// places are where a service's data is.
func places(s *fleet.Service) string {
	var out []string
	for _, v := range s.Volumes {
		at := VolumeDir(s.Name.V, v.Name)
		if v.V.Named.V {
			at = "podman's volume " + namedVolume(s.Name.V, v.Name)
		}
		if v.V.Backup.V == "none" {
			at += " (no backup)"
		}
		out = append(out, at)
	}
	return strings.Join(out, "<br>")
}

// atHand is what rebuilding this host really takes.
func (r *runbook) atHand() {
	h := r.host
	r.title(2, "What to have at hand")
	r.say("\n- The repository, at the commit that ran here, and `gen`, `ssh`, `rsync`%s%s and `nc`.",
		when(len(r.secrets()) > 0, ", `age`"), when(len(r.leading) > 0, ", `dig`, `curl`"))
	r.say("- The machine's console, where you make it: to compare its key, and to look when the network fails.")
	if names := r.secrets(); len(names) > 0 {
		r.say("- Your age identity and its passphrase%s. It opens the host's own, `hosts/keys/%s.age`, which opens %s. Tell gen once where it is: `export GEN_IDENTITY=FILE`.",
			operators(r.fleet), h.Name.V, when(len(names) == 1, "the one secret here", fmt.Sprintf("the %d secrets here", len(names))))
	}
	r.say("- An ssh key that root on the new machine accepts.")
	if zones := r.zones(); len(zones) > 0 {
		r.say("- Your login where the DNS of %s is served: names there lead to this host.", codes(zones))
	}
	if peers := r.roaming(); h.Mesh != nil && len(peers) > 0 {
		r.say("- A machine of yours in the mesh (%s): some of this is for the mesh alone.", strings.Join(peers, ", "))
	}
	switch {
	case len(r.kept()) == 0:
	case len(r.fleet.BackedUp(r.host)) == 0:
		r.say("- A copy of the data, if you have one elsewhere: nothing on this host reaches an object store.")
	default:
		r.say("- The bucket %s at %s, where the backups are. What opens it, `gen secret show` prints: %s.",
			code(r.fleet.Store.Bucket.V), code(r.fleet.Store.Endpoint.V), codes(r.storeSecrets()))
	}
}

func operators(f *fleet.Fleet) string {
	if len(f.Operators) < 2 {
		return ""
	}
	return " (that of one operator: " + strings.Join(f.Operators.Names(), ", ") + ")"
}

// secrets are the names of those that the host decrypts.
func (r *runbook) secrets() (names []string) {
	for _, w := range r.wanted {
		if slices.ContainsFunc(w.Uses, func(u fleet.Use) bool { return u.Host == r.host }) {
			names = append(names, w.Name)
		}
	}
	return names
}

// secretsOf are the names of those that belong to a service or the host itself.
func (r *runbook) secretsOf(owner string) (names []string) {
	for _, name := range r.secrets() {
		if strings.HasPrefix(name, r.host.Environment.V+"."+owner+".") {
			names = append(names, name)
		}
	}
	return names
}

// leading are the records that lead to some addresses, or tell others of them.
func (r *Renderer) leading(addresses []string) (out []record) {
	var all []int
	for _, a := range addresses {
		all = append(all, r.telling[canonical(a)]...)
	}
	slices.Sort(all)
	for _, i := range slices.Compact(all) {
		out = append(out, r.records[i])
	}
	return out
}

// telling are the records that have an address in their data, as an SPF has
// ip4:ADDRESS, by address.
func telling(records []record) map[string][]int {
	by := map[string][]int{}
	for i, rec := range records {
		for word := range strings.FieldsFuncSeq(rec.data, func(c rune) bool { return strings.ContainsRune(" \"/,", c) }) {
			for _, spf := range []string{"ip4:", "ip6:"} {
				if _, address, ok := strings.Cut(word, spf); ok {
					word = address
				}
			}
			by[word] = append(by[word], i)
		}
	}
	return by
}

func (r *runbook) zones() (zones []string) {
	for _, rec := range r.leading {
		if !slices.Contains(zones, rec.zone) {
			zones = append(zones, rec.zone)
		}
	}
	return zones
}

// roaming are the peers that reach the host by the mesh and are no host.
func (r *runbook) roaming() []string {
	if r.fleet.Mesh == nil {
		return nil
	}
	return r.fleet.Mesh.Peers.Names()
}

// kept are the services with data that is worth a backup.
func (r *runbook) kept() (out []fleet.Entry[*fleet.Service]) {
	for _, s := range r.host.Services {
		if slices.ContainsFunc(s.V.Volumes, func(v fleet.Entry[*fleet.Volume]) bool { return v.V.Backup.V != "none" }) {
			out = append(out, s)
		}
	}
	return out
}

// storeSecrets are the names of the secrets that open the backups.
func (r *runbook) storeSecrets() (names []string) {
	for _, s := range r.fleet.BackedUp(r.host) {
		names = append(names, r.host.SecretName(s.Name, fleet.BackupPassword))
	}
	return names
}

// backedUp reports whether a service has a repository in the store.
func (r *runbook) backedUp(service string) bool {
	return slices.ContainsFunc(r.fleet.BackedUp(r.host), func(s fleet.Entry[*fleet.Service]) bool { return s.Name == service })
}

func set(all ...fleet.Val[string]) (out []string) {
	for _, v := range all {
		if v.Set {
			out = append(out, v.V)
		}
	}
	return out
}

func codes(all []string) string { return strings.Join(each(all, code), ", ") }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// oneOf is one of several, by name.
func oneOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
