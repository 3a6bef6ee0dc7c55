package render

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
)

// at is where the host is logged in to once it is installed: in the mesh where
// the internet is shut out.
func (r *runbook) at() string { return loginAt(r.host) }

func loginAt(h *fleet.Host) string {
	if h.SSH.Audience.V == "mesh" && h.Mesh != nil {
		return h.Mesh.Address.V
	}
	return h.Address.V
}

// logins are the addresses at which somebody can log in once the host is
// installed, each with its port: those that the world dials before those in the mesh.
func (r *runbook) logins() (open []string) {
	var inMesh []string
	for _, s := range r.sockets {
		if s.Kind != exposure.Login {
			continue
		}
		for _, at := range r.dialled(s) {
			row := fmt.Sprintf("%s\t%d", at, s.Port)
			if slices.Contains(r.meshed(), at) {
				inMesh = append(inMesh, row)
			} else {
				open = append(open, row)
			}
		}
	}
	return append(open, inMesh...)
}

// sshTo is a command on a host; without words it is the login itself. Options
// are those of ssh besides the port.
func sshTo(h *fleet.Host, at, options string, words ...string) string {
	if h.SSH.Port.V != 22 {
		options += fmt.Sprintf(" -p %d", h.SSH.Port.V)
	}
	return strings.TrimSpace("ssh" + options + " root@" + at + " " + strings.Join(words, " "))
}

func (r *runbook) on(words ...string) string { return sshTo(r.host, r.at(), "", words...) }

// pushTo brings a host's bundle to it.
func pushTo(h *fleet.Host, at, options string, words ...string) string {
	if h.SSH.Port.V != 22 {
		options += fmt.Sprintf(" -p %d", h.SSH.Port.V)
	}
	push := strings.Join(slices.Concat([]string{"out/" + h.Name.V + "/push"}, words, []string{"root@" + at}), " ")
	if options != "" {
		push = "GEN_SSH='ssh" + options + "' " + push
	}
	return push
}

// page is the file in which the user wrote something.
func page(filename string) string {
	if strings.HasPrefix(filename, "hosts/") {
		return filename
	}
	return "hosts/"
}

// wayIn is how to log in to a host that the internet cannot.
func (r *runbook) wayIn() {
	h := r.host
	if !r.closed() {
		return
	}
	r.title(2, "Getting in")
	r.say("\nSSH is closed to the internet. From the first installation on, these are the ways in, the best first:")
	if peers := r.roaming(); len(peers) > 0 && tunnelled(r.fleet, h) {
		r.say("\n- From %s, in the mesh:", oneOf(peers))
		r.shell("  ", "sudo wg-quick up "+r.fleet.Mesh.Interface.V, sshTo(h, h.Mesh.Address.V, ""))
	} else if h.Mesh != nil {
		r.say("\n- From the mesh (%s):", strings.Join(r.peers(), ", "))
		r.shell("  ", sshTo(h, h.Mesh.Address.V, ""))
	}
	if len(h.SSH.From) > 0 {
		r.say("\n- From %s, without the mesh:", codes(values(h.SSH.From)))
		r.shell("  ", sshTo(h, h.Address.V, ""))
	}
	if hops := r.hops(); len(hops) > 0 {
		r.say("\n- Through a host that is in the mesh and open to you; push takes the same way:")
		var commands []string
		for _, o := range hops {
			commands = append(commands, sshTo(h, h.Mesh.Address.V, " -J "+hop(o)), pushTo(h, h.Mesh.Address.V, " -J "+hop(o)))
		}
		r.shell("  ", commands...)
	}
	if h.SSH.Recovery.Set {
		r.say("\n- When the mesh is down: %s. Become root there, by a rescue system if root has no password. %sThe last command opens SSH **and all else**; `systemctl restart %s` shuts it again.", plain(h.SSH.Recovery.V), when(tunnelled(r.fleet, h), "The tunnel may want to be started anew. "), firewallUnit)
		commands := []string{"nft delete table inet gen"}
		if tunnelled(r.fleet, h) {
			commands = []string{"wg show " + r.fleet.Mesh.Interface.V, "systemctl restart " + r.fleet.TunnelUnit(), commands[0]}
		}
		r.shell("  ", commands...)
	}
	r.lostLaptop()
}

// hop is a host on the way, as ssh -J takes it.
func hop(h *fleet.Host) string {
	to := "root@" + h.Address.V
	if h.SSH.Port.V != 22 {
		to += ":" + strconv.Itoa(h.SSH.Port.V)
	}
	return to
}

// hops are the hosts that the internet can log in to and that can log in here.
func (r *runbook) hops() (out []*fleet.Host) {
	for _, o := range r.fleet.Hosts {
		if slices.Contains(r.peers(), o.Name.V) && o.SSH.Audience.V == "internet" && len(o.SSH.From) == 0 {
			out = append(out, o)
		}
	}
	return out
}

func (r *runbook) lostLaptop() {
	peers := r.roaming()
	if len(peers) == 0 || !tunnelled(r.fleet, r.host) {
		return
	}
	name := peers[0]
	p, _ := r.fleet.Mesh.Peers.Get(name)
	r.say("\nIf %s is lost, make a key for a new one. What `wg pubkey` prints is its `publicKey:` in `%s`. The host learns of it by a push, which must go another way%s:", oneOf(peers), page(p.Pos.Filename()),
		when(len(r.hops())+len(r.host.SSH.From) == 0, ": open SSH at the console first, as above"))
	commands := []string{
		"(umask 077; wg genkey > ~/" + name + ".key); wg pubkey < ~/" + name + ".key",
		fmt.Sprintf("gen mesh %s -key ~/%[1]s.key > ~/%s.conf\tits /etc/wireguard/%[2]s.conf", name, r.fleet.Mesh.Interface.V),
		"gen -host " + r.host.Name.V + " -o out",
	}
	push := pushTo(r.host, r.host.Address.V, "")
	if hops := r.hops(); len(hops) > 0 {
		push = pushTo(r.host, r.host.Mesh.Address.V, " -J "+hop(hops[0]))
	}
	r.shell("", append(commands, push)...)
}

// rebuild is the way from nothing to a host that runs, still without its data.
func (r *runbook) rebuild() {
	h, next := r.host, r.steps()
	r.title(2, "Rebuild from nothing")
	next("**The old machine stays off.** If it can still run, power it off in the console%s.", when(len(r.kept()) > 0, ": two that write the same data are worse than none"))
	if len(r.secrets()) > 0 {
		r.brokenInto(next)
	}
	next("**A machine**, %s, called %s, with %s if the provider lets you keep %s. Give it `out/%s/user-data` as its user data; where the provider takes none, your ssh key for root.",
		code(h.OS.V), code(h.Name.V), codes(r.public()), when(len(r.public()) > 1, "them", "it"), h.Name.V)
	r.shell("   ", "gen -host "+h.Name.V+" -o out")
	if h.Bundle.Set {
		r.say("\n   It looks for its first bundle where `bundle:` says, for what `tar -C out/%s -czf FILE .` packs. The push below does without.", h.Name.V)
	}
	r.newAddress(next)
	next("**Its key** is a new one. Forget the old, and compare the new with what the console shows for `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`.")
	var forget []string
	for _, name := range r.known() {
		forget = append(forget, "ssh-keygen -R "+name)
	}
	r.shell("   ", append(forget, "ssh root@"+h.Address.V+" true")...)
	r.firstPush(next)
	if kept := r.kept(); len(kept) > 0 {
		if len(r.fleet.BackedUp(r.host)) > 0 {
			next("**The data**, service by service: see [Restore](#restore). Until then the services are there and empty: go on at once.")
		} else {
			next("**The data** was on the machine alone. If you have a copy, it goes where [Restore](#restore) says; if not, the services begin empty.")
		}
	}
	next("**Look at all of it**: see [Checks](#checks).")
}

// brokenInto is what changes if others know what the host knew.
func (r *runbook) brokenInto(next func(string, ...any)) {
	next("**If somebody broke into it**, and only then: what it knew is known. Make a new identity, and rotate what the second command lists, each by its hint. What refuses, because data were written with it, is for when the data are back.")
	commands := []string{"gen secret init-host -force " + r.host.Name.V, "gen secret rekey"}
	for _, key := range fleet.StoreKeys {
		name := r.host.SecretName(r.host.Name.V, key)
		if r.fleet.Store != nil && slices.Contains(r.secrets(), name) {
			commands = append(commands, "gen secret edit "+name+"\ta new one from "+r.fleet.Store.Endpoint.V+"; revoke the old there")
		}
	}
	r.shell("   ", append(commands, "gen -o out"+when(len(r.fleet.Hosts) > 1, "\tand push the other hosts too"))...)
}

// firstPush installs everything. From then on the way in may be another.
func (r *runbook) firstPush(next func(string, ...any)) {
	h := r.host
	fresh := "root@" + h.Address.V
	push := "out/" + h.Name.V + "/push"
	next("**Push**, when the machine has done what its user data says.%s", r.movesLogin())
	commands := []string{"ssh " + fresh + " cloud-init status --wait\tstatus: done", push + " " + fresh}
	if r.closed() && loginAt(h) != h.Address.V && len(r.roaming()) > 0 && tunnelled(r.fleet, h) {
		commands = append([]string{"sudo wg-quick up " + r.fleet.Mesh.Interface.V + "\ton " + oneOf(r.roaming())}, commands...)
	}
	r.shell("   ", commands...)
	r.say("\n   Only where it took no user data, this does what that would have done, and pushes:")
	r.shell("   ", push+" --bootstrap "+fresh)
	about := "Push refuses a machine that is not called " + code(h.Name.V) + ", and ends without an error when every unit runs"
	if len(r.secrets()) > 0 {
		about = "Push brings the host its identity, with which it opens its secrets: `age` decrypts it on your machine. " + about
	}
	if n := len(pulled(r.fleet, h)); n > 0 {
		about += fmt.Sprintf(" and is healthy; %s pulled first, so be patient", when(n == 1, "one image is", fmt.Sprintf("%d images are", n)))
	}
	r.say("\n   %s. If it fails, it says why; mend that and push again, as often as you like.", about)
	r.shell("   ", r.on("systemctl --failed --no-legend")+"\tprints nothing",
		r.on("journalctl -t gen-install -n 50")+"\twhat was done, if something is odd")
	if h.Mesh != nil && !tunnelled(r.fleet, h) {
		r.say("\n   The mesh is not made by gen: bring %s up with %s by its own means, or what listens there is reached by nobody.", code(r.fleet.Mesh.Interface.V), codes(r.meshed()))
	}
}

// movesLogin says where the first push moves SSH to.
func (r *runbook) movesLogin() (about string) {
	h := r.host
	if h.SSH.Port.V != 22 {
		about = fmt.Sprintf(" From then on sshd listens on port %d.", h.SSH.Port.V)
	}
	if r.closed() && loginAt(h) != h.Address.V {
		about += " It closes SSH to the internet, and takes all back within a minute if you do not reach the host by another way: be in the mesh before. From then on the ways in are those of [Getting in](#getting-in), where ssh asks once more for the same key."
	}
	return about
}

// known are the names by which ssh may know the host.
func (r *runbook) known() (names []string) {
	for _, a := range append(r.public(), r.meshed()...) {
		names = append(names, a)
		if r.host.SSH.Port.V != 22 {
			names = append(names, fmt.Sprintf("'[%s]:%d'", a, r.host.SSH.Port.V))
		}
	}
	return names
}

// newAddress is who must learn of another address: records, other hosts, peers.
func (r *runbook) newAddress(next func(string, ...any)) {
	h := r.host
	next("**If it has another address**, and only then: write it as `address:` into `%s`%s, and print this page anew (`gen -host %s -o out`): its commands then have the right one.", page(h.Pos.Filename()),
		when(h.Address6.Set, ", and `address6:` likewise"), h.Name.V)
	if r.inner() != "" {
		r.say("\n   Behind the NAT, its own is `listen:`%s.", when(h.Listen6.Set, " and `listen6:`"))
	}
	if leading := r.worldly(r.leading); len(leading) > 0 {
		r.say("\n   These records get the new one:\n")
		r.records("   ", leading)
	}
	var others []string
	for _, o := range r.fleet.Hosts {
		if o != h && tunnelled(r.fleet, h) && tunnelled(r.fleet, o) {
			others = append(others, pushTo(o, loginAt(o), ""))
		}
	}
	if tunnelled(r.fleet, h) {
		for _, p := range r.fleet.Mesh.Peers {
			others = append(others, fmt.Sprintf("gen mesh %s > ~/%s.conf\tfor %[1]s's /etc/wireguard/%[2]s.conf", p.Name, r.fleet.Mesh.Interface.V))
		}
	}
	if len(others) > 0 {
		r.say("\n   The others in the mesh dial it there. Tell them when this host runs:")
		r.shell("   ", append([]string{"gen -o out"}, others...)...)
	}
}

// worldly are the records that do not lead into the mesh.
func (r *runbook) worldly(all []record) []record {
	return slices.DeleteFunc(slices.Clone(all), func(rec record) bool { return rec.mesh })
}

// records are a list of them: the names of each that say the same.
func (r *runbook) records(indent string, all []record) {
	for _, g := range alike(all) {
		r.say("%s- %s %s: %s", indent, g[0].kind, code(g[0].data), codes(names(g)))
	}
}

// alike are records grouped by their type and data, in the order of the first of each.
func alike(all []record) (groups [][]record) {
	for _, rec := range all {
		i := slices.IndexFunc(groups, func(g []record) bool { return g[0].kind == rec.kind && g[0].data == rec.data })
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], rec)
	}
	return groups
}

func names(all []record) (out []string) {
	for _, rec := range all {
		if !slices.Contains(out, rec.name) {
			out = append(out, rec.name)
		}
	}
	return out
}

// tunnelled reports whether gen makes the host's tunnel.
func tunnelled(f *fleet.Fleet, h *fleet.Host) bool {
	return f.Mesh != nil && h.Mesh != nil && h.Mesh.PublicKey.Set
}

// checks are what to look at when all is in place, and what to see.
func (r *runbook) checks() {
	r.title(2, "Checks")
	h := r.host
	units := []string{firewallUnit}
	if tunnelled(r.fleet, h) {
		units = append(units, r.fleet.TunnelUnit())
	}
	for _, s := range h.Services {
		units = append(units, r.running(s)...)
	}
	commands := []string{
		pushTo(h, r.at(), "", "--status") + "\tends without an error: all is as installed",
		r.on("systemctl --failed --no-legend") + "\tprints nothing",
		r.on("systemctl is-active", strings.Join(units, " ")) +
			"\tprints active, and nothing else, " + when(len(units) == 1, "once", fmt.Sprintf("%d times", len(units))),
	}
	if timers := r.timers(); len(timers) > 0 {
		commands = append(commands, r.on("systemctl list-timers", strings.Join(timers, " "))+"\teach has a NEXT")
	}
	r.say("\nOn the host:")
	r.shell("", commands...)
	r.meshChecks()
	r.webChecks()
	r.socketChecks()
}

// running are the units of a service that are active all the time.
func (r *runbook) running(s fleet.Entry[*fleet.Service]) (units []string) {
	for _, c := range ordered(s.V) {
		if !c.V.Oneshot.V {
			units = append(units, ContainerUnit(s.Name, c.Name))
		}
	}
	return units
}

// timers are those of services and the host, of its backups and drills, and podman's.
func (r *runbook) timers() (names []string) {
	for _, u := range r.host.AllUnits() {
		if strings.HasSuffix(u.Name, ".timer") {
			names = append(names, u.Name)
		}
	}
	for _, s := range r.fleet.BackedUp(r.host) {
		names = append(names, fleet.BackupUnit(s.Name)+".timer")
	}
	for _, d := range r.fleet.Drills(r.host) {
		names = append(names, drillUnit(d.Service.Name)+".timer")
	}
	if len(updates(r.fleet, r.host)) > 0 {
		names = append(names, "podman-auto-update.timer")
	}
	slices.Sort(names)
	return names
}

func (r *runbook) meshChecks() {
	h := r.host
	if h.Mesh == nil {
		return
	}
	var commands []string
	for _, o := range r.fleet.Hosts {
		if o != h && o.Mesh != nil {
			commands = append(commands, r.on("ping -c 1", o.Mesh.Address.V)+"\t"+o.Name.V+" answers")
		}
	}
	if tunnelled(r.fleet, h) {
		commands = append(commands, r.on("wg show", r.fleet.Mesh.Interface.V, "latest-handshakes")+"\ta number other than 0 for each peer that is up")
	}
	if len(commands) > 0 {
		r.say("\nThe mesh:")
		r.shell("", commands...)
	}
}

// webChecks ask what people use: the probes of the services, and the names that
// no probe asks for.
func (r *runbook) webChecks() {
	h := r.host
	curl := "curl -fsS "
	if h.Environment.V != "production" {
		curl = "curl -fksS " // its certificates are of an authority that nobody trusts
	}
	rows := [][]string{{"service", "command", "must"}}
	for _, s := range h.Services {
		probed := map[string]bool{}
		for _, p := range s.V.Probes {
			probed[hostOf(p.V.URL.V)] = true
			must := "succeed"
			if p.V.Body.Set {
				must = "say " + code(p.V.Body.V)
			}
			rows = append(rows, []string{s.Name, code(curl + quoted(p.V.URL.V)), must})
		}
		for _, c := range s.V.Containers {
			for _, route := range c.V.Routes {
				if !probed[route.V.Host.V] {
					probed[route.V.Host.V] = true
					rows = append(rows, []string{s.Name, code(strings.Replace(curl, "-f", "-", 1) + "-o /dev/null -w '%{http_code}\\n' " + quoted(r.url(route.V))), r.below500(route.V)})
				}
			}
		}
	}
	if len(rows) > 1 {
		r.say("\nWhat people use:")
		r.table(rows...)
	}
	var digs []string
	for _, g := range alike(r.leading) {
		if g[0].kind == "A" || g[0].kind == "AAAA" {
			digs = append(digs, each1("n", names(g), "dig +short $n "+g[0].kind)+"\t"+g[0].data)
		}
	}
	if len(digs) > 0 {
		r.say("\nThe names:")
		r.shell("", digs...)
	}
}

// below500 is what a name without a probe must do.
func (r *runbook) below500(route *fleet.Route) string {
	must := "print a number below 500"
	if route.Audience.V == "mesh" {
		must += "; only in the mesh"
	}
	return must
}

// url is the address of a route.
func (r *runbook) url(route *fleet.Route) string {
	path := "/"
	if len(route.Paths) > 0 {
		path = route.Paths[0].V
	}
	scheme, port := "https", ""
	if p, ok := ProxyPorts(r.host).Get(EntryPoints(route)[0].V); ok {
		if route.Audience.V == "mesh" && !p.TLS.V {
			scheme = "http"
		}
		if usual := map[string]int{"http": 80, "https": 443}[scheme]; p.Host.V != usual {
			port = ":" + strconv.Itoa(p.Host.V)
		}
	}
	return scheme + "://" + route.Host.V + port + path
}

func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// quoted is a word that a shell reads as it is.
func quoted(word string) string {
	if strings.ContainsAny(word, " '\"$&;|<>()*?[]#~=%!\\`{}") {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}

// each1 is a command for every word, with the word as a variable of the shell.
func each1(name string, words []string, command string) string {
	if len(words) == 1 {
		return strings.ReplaceAll(command, "$"+name, words[0])
	}
	return fmt.Sprintf("for %s in %s; do %s; done", name, strings.Join(words, " "), command)
}

// A knock is at ports of one address, from outside or by one peer.
type knock struct {
	peer, at, remark string
	ports            []string
}

// socketChecks knock on what the ledger says is open, and on SSH where it is shut.
func (r *runbook) socketChecks() {
	h := r.host
	var all []*knock
	add := func(k knock, port int) {
		i := slices.IndexFunc(all, func(o *knock) bool { return o.peer == k.peer && o.at == k.at && o.remark == k.remark })
		if i < 0 {
			all = append(all, &k)
			i = len(all) - 1
		}
		if p := strconv.Itoa(port); !slices.Contains(all[i].ports, p) {
			all[i].ports = append(all[i].ports, p)
		}
	}
	for _, s := range r.sockets {
		if s.Protocol != "tcp" {
			continue
		}
		for _, at := range r.dialled(s) {
			switch {
			case slices.Contains(r.meshed(), at):
				add(knock{peer: r.asks(s.Mesh), at: at, remark: "open"}, s.Port)
			case s.Kind == exposure.Login && len(h.SSH.From) > 0:
				add(knock{at: at, remark: "open to " + strings.Join(values(h.SSH.From), " and ") + " alone"}, s.Port)
			default:
				add(knock{at: at, remark: "open"}, s.Port)
			}
		}
	}
	if h.SSH.Audience.V == "mesh" && len(h.SSH.From) == 0 {
		add(knock{at: h.Address.V, remark: "must fail: SSH is shut"}, h.SSH.Port.V)
	}
	for _, peer := range append([]string{""}, append(r.roaming(), hostNames(r.fleet.Hosts)...)...) {
		var commands []string
		for _, k := range all {
			if k.peer == peer {
				commands = append(commands, each1("p", k.ports, "nc -zv -w 5 "+k.at+" $p")+"\t"+k.remark)
			}
		}
		if len(commands) > 0 {
			r.say("\nIts ports, %s:", when(peer == "", "from outside", "from "+peer+", in the mesh"))
			r.shell("", commands...)
		}
	}
}

// asks is the peer that is to knock, of those that may: one with a person before it if there is one.
func (r *runbook) asks(peers []string) string {
	for _, name := range r.roaming() {
		if slices.Contains(peers, name) {
			return name
		}
	}
	return peers[0]
}

func hostNames(all []*fleet.Host) (names []string) {
	for _, h := range all {
		names = append(names, h.Name.V)
	}
	return names
}

// dialled are the addresses at which those outside the host ask for a socket.
func (r *runbook) dialled(s *exposure.Socket) (at []string) {
	h := r.host
	if !s.Address.IsValid() || s.Address.IsLoopback() {
		return nil
	}
	public, mesh := h.Address, fleet.Val[string]{}
	if h.Mesh != nil {
		mesh = h.Mesh.Address
	}
	if s.Address.Is6() {
		public = h.Address6
		if h.Mesh != nil {
			mesh = h.Mesh.Address6
		}
	}
	if len(s.Internet) > 0 {
		at = append(at, set(public)...)
	}
	if len(s.Mesh) > 0 && (s.Address.IsUnspecified() || s.InMesh) {
		at = append(at, set(mesh)...)
	}
	return at
}

// joined is an address with a port, as programs write it.
func joined(address string, port int) string {
	return netip.AddrPortFrom(netip.MustParseAddr(address), uint16(port)).String()
}
