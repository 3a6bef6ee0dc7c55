package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
)

// restore is how the data of each service comes back, in the order in which
// they need each other. The proxy is last: until then nobody is served.
func (r *runbook) restore() {
	kept := r.inOrder(r.kept())
	empty := slices.DeleteFunc(slices.Clone(r.host.Services), func(s fleet.Entry[*fleet.Service]) bool {
		return len(s.V.Volumes) == 0 || slices.ContainsFunc(kept, func(k fleet.Entry[*fleet.Service]) bool { return k.Name == s.Name })
	})
	if len(kept)+len(empty) == 0 {
		return
	}
	r.title(2, "Restore")
	if len(empty) > 0 {
		r.say("\nThese begin empty, and that is all there is to do:\n")
		for _, s := range empty {
			var whys []string
			for _, v := range s.V.Volumes {
				whys = append(whys, reason(v.Name, v.V.Why))
			}
			r.say("- %s (%s)", s.Name, strings.Join(whys, "; "))
		}
	}
	if len(kept) == 0 {
		return
	}
	if why := r.host.Backups.Why; why.Set && !r.host.Backups.Enabled.V {
		r.say("\nNothing of it is backed up: %s.", plain(why.V))
	} else if r.host.Environment.V != "production" && len(r.fleet.BackedUp(r.host)) == 0 {
		r.say("\nNothing of it is backed up, for it is no production host. Leave the rest of this part out if it may begin empty.")
	}
	if len(kept) > 1 {
		r.say("\nIn this order: %s.", strings.Join(each(serviceNames(kept), plain), ", "))
	}
	if r.closesDoors(kept) {
		r.say("\nFirst keep people out, lest they use what is still empty. A push would let them in again.")
		r.shell("", r.on("systemctl stop", strings.Join(r.running(r.service(r.proxy)), " ")))
	}
	if n := len(r.fleet.BackedUp(r.host)); n > 1 && n == len(kept) {
		r.say("\nOne command does it for all of them, in that order; or do it one by one, as below, if some are worth more haste or need care.")
		r.shell("", r.on("gen-backup restore --all --replace"))
	}
	for _, s := range kept {
		r.restoreOne(s)
	}
	r.restorePart(kept)
	if r.closesDoors(kept) && kept[len(kept)-1].Name != r.proxy {
		r.title(3, "At the end")
		r.shell("", r.on("systemctl start", strings.Join(r.running(r.service(r.proxy)), " "))+"\tpeople come in")
	}
}

// closesDoors reports whether the proxy leads to something that comes back.
func (r *runbook) closesDoors(kept []fleet.Entry[*fleet.Service]) bool {
	return r.proxy != "" && slices.ContainsFunc(kept, func(s fleet.Entry[*fleet.Service]) bool { return s.Name != r.proxy })
}

func (r *runbook) service(name string) fleet.Entry[*fleet.Service] {
	s, _ := r.host.Services.Get(name)
	return fleet.Entry[*fleet.Service]{Name: name, V: s}
}

// restoreOne is how one service comes back; what is there is set aside, not lost.
func (r *runbook) restoreOne(s fleet.Entry[*fleet.Service]) {
	r.title(3, "%s", s.Name)
	if len(s.V.Lines) > 0 {
		r.say("\nIts data must be of these lines: %s.", strings.Join(accepted(s.V), "; "))
	}
	if len(s.V.Restore) > 0 {
		r.say("\nMind:\n")
		for _, step := range s.V.Restore {
			r.say("- %s", plain(step.V))
		}
	}
	if r.backedUp(s.Name) {
		r.say("\n1. Bring back the newest backup. What is there is set aside. The command stops the service, fills its volumes and its databases, starts it, and ends when it is healthy.")
		r.shell("   ", r.on("gen-backup restore "+s.Name+" --replace"))
		r.say("\n2. Remove what was set aside when all is well.")
		r.shell("   ", r.on("rm -rf", data+s.Name+"/.before")+"\tlater")
		return
	}
	next := r.steps()
	next("Stop it, set aside what is there, and make its directories anew.")
	aside := []string{"cd " + data + s.Name}
	var later []string
	for _, v := range backedUp(s.V) {
		aside = append(aside, fmt.Sprintf("mv -T %s %[1]s.old", v.Name))
		later = append(later, VolumeDir(s.Name, v.Name)+".old")
	}
	r.shell("   ", r.on("systemctl stop", strings.Join(r.stopped(s), " ")),
		r.on("'"+strings.Join(aside, " && ")+"'"), r.on("systemctl restart", tmpfilesUnit))
	if rows := fillRows(s.V); len(rows) > 0 {
		next("Put the newest backup in place, with owners and modes as they were:\n")
		for _, row := range rows {
			r.say("   - %s", row)
		}
	}
	for _, c := range ordered(s.V) {
		if d := c.V.Database; d != nil {
			next("Start its database server, which makes the database %s of the user %s anew, empty. Import the newest dump, in the container %s.",
				code(d.Name.V), code(d.User.V), code(fleet.ContainerName(s.Name, c.Name)))
			r.shell("   ", r.on("systemctl start", ContainerUnit(s.Name, c.Name)))
		}
	}
	next("Start it: the command ends when it is ready. Remove what was set aside when all is well.")
	r.shell("   ", r.on("systemctl start", strings.Join(append(r.running(s), timersOf(s.V)...), " ")),
		r.on("rm -rf", strings.Join(later, " "))+"\tlater")
}

// restorePart is how less than the newest backup of all of it comes back, by the example of a service
// that has files.
func (r *runbook) restorePart(kept []fleet.Entry[*fleet.Service]) {
	files := func(v fleet.Entry[*fleet.Volume]) bool { return v.V.Backup.V != "dump" && v.V.Backup.V != "none" }
	i := slices.IndexFunc(kept, func(s fleet.Entry[*fleet.Service]) bool {
		return r.backedUp(s.Name) && slices.ContainsFunc(s.V.Volumes, files)
	})
	if i < 0 {
		return
	}
	name := kept[i].Name
	volume := kept[i].V.Volumes[slices.IndexFunc(kept[i].V.Volumes, files)].Name
	r.title(3, "Older, or less than all")
	r.say("\nBy the example of %s. Times are UTC. Each can be done again if it fails; what was there before stays in `.before` until one has ended well.", name)
	r.shell("",
		r.on("gen-backup list "+name)+"\tall snapshots there are",
		r.on("gen-backup restore "+name+" --at 2026-11-22T23:00:00Z --replace")+"\tas it was then",
		r.on("gen-backup restore "+name+" --volume "+volume+" --replace")+"\tone volume",
		r.on("gen-backup restore "+name+" --into /root/look")+"\tto look at, beside what runs",
		r.on("gen-backup restore "+name+" --file "+volume+"/NAME --into /root/look")+"\tone file or directory",
		r.on("gen-backup restore --all --replace")+"\tall services of this host")
}

// attacked is the way back when somebody used the host's key against its backups.
func (r *runbook) attacked() {
	if len(r.fleet.BackedUp(r.host)) == 0 {
		return
	}
	r.title(2, "After an attack on backups")
	r.say("\nWho has this host has its key, which can hide and overwrite what is in the object store and remove nothing: what was there stays for %d days. TIME is before it happened, in UTC, such as 2026-11-22T23:00:00Z.", r.fleet.Store.Lock.V)
	r.say("\n1. Build the machine anew, as one that somebody broke into: see [Rebuild](#rebuild-from-nothing). Leave out its data.")
	r.say("2. Copy every repository of the fleet, as it was at TIME, to a fresh prefix. Each command reads the operator's key of the object store, the access key on the first line, the secret key on the second. Never type it on a machine that somebody may still be in.")
	var commands, pushes []string
	for _, h := range r.fleet.Hosts {
		for _, s := range r.fleet.BackedUp(h) {
			commands = append(commands, sshTo(h, loginAt(h), "", "gen-backup rescue "+s.Name+" TIME again/"))
		}
		if len(r.fleet.BackedUp(h))+len(r.fleet.Drills(h)) > 0 {
			pushes = append(pushes, pushTo(h, loginAt(h), ""))
		}
	}
	r.shell("   ", commands...)
	r.say("\n3. Say `prefix:` as they end by saying, in `store:` of the fleet, and compile. Give each key in the object store its new policy, such as %s, and push.", code("out/fleet/store/"+r.host.Name.V+".json"))
	r.shell("   ", append([]string{"gen -o out"}, pushes...)...)
	r.say("\n4. Bring the data back here: see [Restore](#restore).")
}

// accepted are the lines that the data of a service may be of.
func accepted(s *fleet.Service) (out []string) {
	for _, l := range s.Lines {
		fact := l.Name + " " + code(l.V.Line.V)
		for _, a := range l.V.Accepts {
			fact += " or " + code(a.V)
		}
		out = append(out, fact)
	}
	return out
}

// stopped are the units to stop, so that nothing of a service runs or is started.
func (r *runbook) stopped(s fleet.Entry[*fleet.Service]) []string {
	units := timersOf(s.V)
	for _, c := range slices.Backward(ordered(s.V)) {
		units = append(units, ContainerUnit(s.Name, c.Name))
	}
	return units
}

func timersOf(s *fleet.Service) (names []string) {
	for _, u := range s.Units {
		if strings.HasSuffix(u.Name, ".timer") {
			names = append(names, u.Name)
		}
	}
	return names
}

// backedUp are the volumes of a service with a backup.
func backedUp(s *fleet.Service) (out []fleet.Entry[*fleet.Volume]) {
	for _, v := range s.Volumes {
		if v.V.Backup.V != "none" {
			out = append(out, v)
		}
	}
	return out
}

// fillRows are the volumes that come back as files. A dumped one comes back by its database.
func fillRows(s *fleet.Service) (rows []string) {
	for _, v := range s.Volumes {
		if v.V.Backup.V != "dump" && v.V.Backup.V != "none" {
			rows = append(rows, fmt.Sprintf("%s: owner %s, mode %s; %s", code(VolumeDir(s.Name.V, v.Name)), v.V.Owner.V, v.V.Mode.V, backups[v.V.Backup.V]))
		}
	}
	return rows
}

// ordered are the containers of a service, each after those it needs.
func ordered(s *fleet.Service) fleet.Map[*fleet.Container] {
	return sorted(s.Containers, func(c fleet.Entry[*fleet.Container]) (after []string) { return c.V.Needs.Names() })
}

// inOrder are services of the host, each after those it needs, and the proxy after all.
func (r *runbook) inOrder(services []fleet.Entry[*fleet.Service]) []fleet.Entry[*fleet.Service] {
	return sorted(services, func(s fleet.Entry[*fleet.Service]) (after []string) {
		for _, o := range r.host.Services {
			if o.Name != s.Name && o.Name != r.proxy && (s.Name == r.proxy || r.needsService(s.V, o)) {
				after = append(after, o.Name)
			}
		}
		return after
	})
}

// needsService reports whether a service calls another, or is told one of its names or addresses.
func (r *runbook) needsService(s *fleet.Service, o fleet.Entry[*fleet.Service]) bool {
	if slices.ContainsFunc(s.Calls, func(c fleet.Val[string]) bool { return c.V == o.Name }) {
		return true
	}
	for _, at := range r.answersAt(o.Name) {
		if mentions(s, at) {
			return true
		}
	}
	own := routeNames(s)
	return slices.ContainsFunc(routeNames(o.V), func(name string) bool { return !slices.Contains(own, name) && mentions(s, "://"+name) })
}

// answersAt are the addresses and ports at which others reach a service in the mesh.
func (r *runbook) answersAt(service string) (at []string) {
	for _, k := range r.outward(service) {
		for _, a := range r.dialled(k) {
			if slices.Contains(r.meshed(), a) {
				at = append(at, joined(a, k.Port))
			}
		}
	}
	return at
}

func routeNames(s *fleet.Service) (names []string) {
	for _, c := range s.Containers {
		for _, route := range c.V.Routes {
			names = append(names, route.V.Host.V)
		}
	}
	return names
}

// sorted are entries each after those it names, and else in their own order. A
// circle is entered where it is met first.
func sorted[T any](all []fleet.Entry[T], after func(fleet.Entry[T]) []string) (out []fleet.Entry[T]) {
	seen := map[string]bool{}
	var visit func(e fleet.Entry[T])
	visit = func(e fleet.Entry[T]) {
		if seen[e.Name] {
			return
		}
		seen[e.Name] = true
		first := after(e)
		for _, o := range all {
			if slices.Contains(first, o.Name) {
				visit(o)
			}
		}
		out = append(out, e)
	}
	for _, e := range all {
		visit(e)
	}
	return out
}

// mentions reports whether what a service is told has a text in it.
func mentions(s *fleet.Service, text string) bool {
	has := func(v string) bool { return strings.Contains(v, text) }
	return slices.ContainsFunc(s.Containers, func(c fleet.Entry[*fleet.Container]) bool {
		return slices.ContainsFunc(values(c.V.Command), has) || slices.ContainsFunc(values(c.V.Entrypoint), has) ||
			slices.ContainsFunc(c.V.Env, func(e fleet.Entry[fleet.Val[string]]) bool { return has(e.V.V) }) ||
			slices.ContainsFunc(c.V.Files, func(f fleet.Entry[*fleet.File]) bool {
				return has(f.V.Text.V) || slices.ContainsFunc([]*doc.Node{f.V.JSON, f.V.YAML, f.V.TOML, f.V.INI}, func(n *doc.Node) bool { return says(n, has) })
			})
	})
}

// says reports whether a value in a document is of a kind.
func says(n *doc.Node, is func(string) bool) bool {
	if n == nil {
		return false
	}
	return is(n.Scalar) || slices.ContainsFunc(n.Items, func(i *doc.Node) bool { return says(i, is) }) ||
		slices.ContainsFunc(n.Fields, func(f doc.Field) bool { return says(f.Value, is) })
}

func serviceNames(all []fleet.Entry[*fleet.Service]) (names []string) {
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

// move is how a service goes to another host. Its directory is copied while it
// runs nowhere, so there are never two writers.
func (r *runbook) move() {
	var moves, stays []fleet.Entry[*fleet.Service]
	for _, s := range r.host.Services {
		if r.staysBecause(s) == "" {
			moves = append(moves, s)
		} else {
			stays = append(stays, s)
		}
	}
	if len(moves) == 0 {
		return
	}
	h, to, next := r.host, r.candidates(), r.steps()
	named, secret := len(r.worldly(r.leading)) > 0, r.haveSecrets(moves)
	r.title(2, "Move a service away")
	if len(stays) > 0 {
		var why []string
		for _, s := range stays {
			why = append(why, s.Name+" "+r.staysBecause(s))
		}
		r.say("\nNot all can: %s.", strings.Join(why, ", "))
	}
	if len(to) == 0 {
		r.say("\nNo other %s host can take one: make it first, with a page of its own in `hosts/`%s, and print this page anew.", h.Environment.V, when(secret, " and `gen secret init-host NAME`"))
		return
	}
	r.say("\nTo %s. Nobody is served by it between the third step and the last.", oneOf(hostNames(to)))
	lacks := r.lacks(moves)
	for _, o := range to {
		if lacks := lacks(o); len(lacks) > 0 {
			r.say("\n%s first: %s.", o.Name.V, strings.Join(lacks, "; "))
		}
	}
	next(when(named, "The day before, lower the TTL of the service's names, which stand below.", "Tell people who use it."))
	next("Move its part of `services:` from `%s` to the other host's page, %sand compile.", page(h.Pos.Filename()),
		when(secret, "encrypt its secrets to that host with the command below, which also says what to rotate if this host is not yours any more, "))
	r.shell("   ", "gen check\tsays nothing", "gen -o out")
	if slices.ContainsFunc(moves, func(s fleet.Entry[*fleet.Service]) bool { return r.backedUp(s.Name) }) {
		r.say("\n   Give %s the policy that gen now writes for the other host, so that its key reaches the backups.", code(r.fleet.Store.Endpoint.V))
	}
	next("Push here first: the service stops and does not come back at boot. Its data stays.")
	r.shell("   ", pushTo(h, r.at(), ""))
	next("Copy its data with the command below, to where there is none yet. `uname -m` must print the same on both, for databases are copied as they are.")
	var theres, pushes []string
	for _, o := range to {
		theres = append(theres, "there() { "+sshTo(o, loginAt(o), "", `"$@"`)+"; }\tto "+o.Name.V)
		pushes = append(pushes, pushTo(o, loginAt(o), "")+"\tto "+o.Name.V)
	}
	if len(to) > 1 {
		r.say("   Say in the same shell where to, with one of these:")
		r.shell("   ", theres...)
	}
	next("Push there: it starts with its data.")
	r.shell("   ", pushes...)
	next("%s as in [Checks](#checks). Until then there is a way back: undo the change of step 2, push there, then here.",
		when(named, "Lead its names there (`out/fleet/dns.md`), and look at it", "Look at it"))
	next("After some weeks, when the other host has backups of it, remove its directory below `/srv` here.")
	r.say("\nFor each service, the commands of steps 2 and 4:")
	for _, s := range moves {
		r.moveOne(s, to)
	}
	r.restoreThere(moves, to)
}

// restoreThere is how services come back on another host when this one is gone.
func (r *runbook) restoreThere(moves []fleet.Entry[*fleet.Service], to []*fleet.Host) {
	var commands []string
	for _, s := range r.inOrder(moves) {
		command := "gen-backup restore " + s.Name + " --replace"
		switch {
		case !r.backedUp(s.Name):
		case len(to) == 1:
			commands = append(commands, sshTo(to[0], loginAt(to[0]), "", command)+"\tto "+to[0].Name.V)
		default:
			commands = append(commands, "there "+command)
		}
	}
	if len(commands) == 0 {
		return
	}
	r.title(3, "When this host is gone")
	r.say("\nBackups belong to a service, not to a host: they come back on any that runs it. Leave out the third and the fourth step%s, and after the fifth say for each that moved:",
		when(len(to) > 1, " but for where to"))
	r.shell("", commands...)
	r.say("\nIf this machine appears again, push to it before it makes backups: two hosts would write to one repository.")
}

// lacks tells of another host what services that move need and do not find there.
func (r *runbook) lacks(moves []fleet.Entry[*fleet.Service]) func(*fleet.Host) []string {
	routed, mesh := false, false
	for _, s := range moves {
		routed = routed || len(routeNames(s.V)) > 0
		mesh = mesh || len(r.answersAt(s.Name)) > 0
	}
	return func(o *fleet.Host) (out []string) {
		proxy, _, _, ok := o.ProxyContainer()
		switch {
		case !routed:
		case !ok:
			out = append(out, "a service with a name needs a proxy there")
		case o.Internet != nil && !slices.ContainsFunc(o.Internet, func(v fleet.Val[string]) bool { return v.V == proxy }):
			out = append(out, "its `internet:` must name its proxy")
		}
		if mesh && o.Mesh == nil {
			out = append(out, "a service with a port in the mesh needs it to be there")
		}
		return out
	}
}

func (r *runbook) haveSecrets(services []fleet.Entry[*fleet.Service]) bool {
	return slices.ContainsFunc(services, func(s fleet.Entry[*fleet.Service]) bool { return len(r.secretsOf(s.Name)) > 0 })
}

// candidates are the hosts of the same environment.
func (r *runbook) candidates() (out []*fleet.Host) {
	for _, o := range r.fleet.Hosts {
		if o != r.host && o.Environment.V == r.host.Environment.V {
			out = append(out, o)
		}
	}
	return out
}

// staysBecause is why a service belongs to the machine, "" if it does not.
func (r *runbook) staysBecause(s fleet.Entry[*fleet.Service]) string {
	switch {
	case len(s.V.Containers) == 0:
		return "runs nowhere"
	case s.Name == r.proxy:
		return "leads to what runs here"
	case len(s.V.Volumes) == 0 && !slices.ContainsFunc(s.V.Containers, func(c fleet.Entry[*fleet.Container]) bool { return !c.V.HostNetwork.V }):
		return "looks at this machine"
	}
	return ""
}

// moveOne is what differs between the services.
func (r *runbook) moveOne(s fleet.Entry[*fleet.Service], to []*fleet.Host) {
	var commands, facts []string
	read := r.secretsOf(s.Name)
	for _, c := range r.fleet.Clients(r.host, s) { // what it shares with those that people log in to through it
		read = append(read, c.Host.SecretName(c.Service.Name, c.Login.Secret.V))
	}
	if len(read) > 0 {
		commands = append(commands, "gen secret rekey "+strings.Join(read, " "))
	}
	if slices.ContainsFunc(s.V.Volumes, func(v fleet.Entry[*fleet.Volume]) bool { return !v.V.Named.V }) {
		where, what := "/srv", s.Name
		if r.backedUp(s.Name) { // and that this data is the repository's
			where, what = "/", "srv/"+s.Name+" var/lib/gen/backup/"+s.Name
		}
		unpack := "tar --numeric-owner -C " + where + " -x"
		there := "there " + unpack
		if len(to) == 1 {
			there = sshTo(to[0], loginAt(to[0]), "", unpack) + "\tto " + to[0].Name.V
		}
		commands = append(commands, r.on("tar --numeric-owner -C "+where+" -c", what)+" | "+there)
	}
	for _, v := range s.V.Volumes {
		if v.V.Named.V {
			facts = append(facts, "podman's volume "+code(namedVolume(s.Name, v.Name))+" stays behind and is made anew there")
		}
	}
	if leading, together := r.namesOf(s); len(leading) > 0 {
		fact := when(len(names(leading)) == 1, "its name is ", "its names are ") + codes(names(leading))
		if len(together) > 0 {
			fact += ", which lead to " + strings.Join(together, ", ") + " too: move it with them"
		}
		facts = append(facts, fact)
	}
	if callers := r.callers(s); len(callers) > 0 {
		facts = append(facts, "its address in the mesh is in the settings of "+strings.Join(callers, ", ")+", and changes in step 2")
	}
	if len(commands) == 0 {
		facts = append(facts, "nothing travels but its definition")
	}
	about := s.Name
	if len(facts) > 0 {
		about += ": " + strings.Join(facts, "; ")
	}
	r.say("\n- %s", about)
	if len(commands) > 0 {
		r.shell("  ", commands...)
	}
}

// namesOf are the records that lead to a service here, and the other services
// here that they lead to as well.
func (r *runbook) namesOf(s fleet.Entry[*fleet.Service]) (out []record, together []string) {
	for _, rec := range r.leading {
		mine := false
		var others []string
		for _, p := range rec.by {
			if p.Host != r.host {
				continue
			}
			if mine = mine || p.Service.Name == s.Name; p.Service.Name != s.Name {
				others = append(others, p.Service.Name)
			}
		}
		if mine {
			out = append(out, rec)
			together = append(together, others...)
		}
	}
	slices.Sort(together)
	return out, slices.Compact(together)
}

// callers are the services of the fleet that call one, or are told its address.
func (r *runbook) callers(callee fleet.Entry[*fleet.Service]) (out []string) {
	at := r.answersAt(callee.Name)
	for _, h := range r.fleet.Hosts {
		for _, s := range h.Services {
			if (h != r.host || s.Name != callee.Name) && slices.ContainsFunc(at, func(a string) bool { return mentions(s.V, a) }) {
				out = append(out, s.Name+" on "+h.Name.V)
			}
		}
	}
	return out
}

// remove is how the host ends.
func (r *runbook) remove() {
	h, next := r.host, r.steps()
	r.title(2, "Remove the host for good")
	if len(r.kept()) > 0 {
		next("Move away what is to live on, and know where the data of the rest is.")
	}
	var gone []string
	for _, w := range r.wanted {
		if len(w.Uses) == 1 && w.Uses[0].Host == h && r.ends(w) {
			gone = append(gone, "hosts/secrets/"+w.Name+".age")
		}
	}
	if _, ok := r.fleet.Keys[h.Name.V]; ok {
		gone = append(gone, "hosts/keys/"+h.Name.V+".age", "hosts/keys/"+h.Name.V+".pub")
	}
	next("Take its page out of the repository: `%s: {…}` in `%s`%s. `gen check` names what still refers to it%s.", h.Name.V, page(h.Pos.Filename()),
		when(len(gone) > 0, ", and its own keys and secrets"), when(len(r.secrets()) > 0, ", and secrets that nobody uses any more"))
	var commands []string
	if len(gone) > 0 {
		commands = append(commands, "git rm "+strings.Join(gone, " "))
	}
	commands = append(commands, "gen check\tsays nothing when all is out", "gen -o out\tremoves out/"+h.Name.V)
	r.shell("   ", commands...)
	if shared := r.shared(); len(shared) > 0 {
		next("Other hosts use these secrets of it too. Encrypt them to those alone, and rotate what the command lists: this host could read them.")
		r.shell("   ", "gen secret rekey "+strings.Join(shared, " "))
	}
	if leading := r.leading; len(leading) > 0 {
		next("Remove the records that lead to it, except names that have moved:\n")
		r.records("   ", leading)
	}
	var others []string
	for _, o := range r.fleet.Hosts {
		if o != h && h.Mesh != nil && o.Mesh != nil {
			others = append(others, pushTo(o, loginAt(o), ""))
		}
	}
	if len(others) > 0 {
		next("Push the others in the mesh, so that they forget it:")
		r.shell("   ", others...)
		if peers := r.roaming(); len(peers) > 0 && tunnelled(r.fleet, h) {
			r.say("\n   %s has it as a peer until it gets what `gen mesh %s` then prints.", oneOf(peers), peers[0])
		}
	}
	if clients := r.knownTo(); len(clients) > 0 {
		next("Log in as an administrator where people logged in to what has gone with it, and remove its application and its provider. Nothing else forgets them:\n")
		r.say("%s", strings.Join(clients, "\n"))
	}
	if passwords := r.storeSecrets(); len(passwords) > 0 {
		next("Revoke its key at %s. Its backups stay in %s. They can be read with %s alone, which from now on is in the history of the repository: note the commit.",
			code(r.fleet.Store.Endpoint.V), code(r.fleet.Store.Bucket.V), codes(passwords))
	}
	next("Erase its disk, and give the machine back.")
}

// knownTo are the host's clients of providers elsewhere.
func (r *runbook) knownTo() (clients []string) {
	for _, l := range r.fleet.Logins() {
		if p := r.fleet.Provider(l.Login); l.Host == r.host && (p == nil || p.Host != r.host) {
			clients = append(clients, fmt.Sprintf("   - %s at %s", code(l.Login.Client.V), code(l.Login.Through.V)))
		}
	}
	return clients
}

// ends reports whether a secret belongs to what cannot move.
func (r *runbook) ends(w *fleet.Wanted) bool {
	if w.Owner == r.host.Name.V {
		return true
	}
	s, ok := r.host.Services.Get(w.Owner)
	return ok && r.staysBecause(fleet.Entry[*fleet.Service]{Name: w.Owner, V: s}) != ""
}

// shared are the secrets of the host that others use as well.
func (r *runbook) shared() []string {
	names := map[string]bool{}
	for _, w := range r.wanted {
		if len(w.Uses) > 1 && slices.ContainsFunc(w.Uses, func(u fleet.Use) bool { return u.Host == r.host }) {
			names[w.Name] = true
		}
	}
	return slices.SortedFunc(maps.Keys(names), cmp.Compare)
}
