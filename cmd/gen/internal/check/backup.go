package check

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/render"
)

const (
	day  = 24 * 60 * 60
	week = 7 * day
)

// backups checks when a host's backups are made, how old they may get, who
// tries them, and that they could be brought back.
func (c *hostChecker) backups() {
	b, kept := c.host.Backups, c.fleet.BackedUp(c.host)
	if b.Why.Set {
		c.line(b.Why.V, "the reason why nothing is backed up", at(b.Why.Pos, c.host.Pos))
	}
	if c.fleet.Store != nil && !b.Enabled.V && c.host.Environment.V == "production" && strings.TrimSpace(b.Why.V) == "" {
		c.find(finding.Backup, at(b.Enabled.Pos, c.host.Pos), "nothing on it is backed up, and there is no reason why").
			Hintf("say backups: why: \"…\"")
	}
	if c.fleet.Store == nil && b.Enabled.V && !c.fleet.Partial {
		c.nowhere()
	}
	c.drills()
	if len(kept) == 0 {
		return
	}
	c.atHome()
	c.schedule()
	c.timers()
	for _, s := range kept {
		c.restorable(s)
	}
	for _, s := range c.host.Services {
		c.onlyHere(s)
	}
}

// nowhere finds data of production in a fleet without a store.
func (c *hostChecker) nowhere() {
	for _, s := range c.host.Services {
		if s.V.Kept() {
			c.find(finding.Backup, at(c.host.Backups.Enabled.Pos, s.Pos, c.host.Pos), "%s keeps data that is to be backed up, and the fleet has no store", s.Name).
				Hintf("say fleet: store: {endpoint: \"…\", bucket: \"…\"}, or at the host backups: {enabled: false, why: \"…\"}")
			return // the others are no other news
		}
	}
}

// atHome finds a store that is served by what it keeps: it burns with it.
func (c *hostChecker) atHome() {
	endpoint := c.fleet.Store.Endpoint
	for _, s := range c.host.Services {
		for _, cont := range s.V.Containers {
			for _, r := range cont.V.Routes {
				if r.V.Host.V == endpoint.V {
					c.find(finding.Store, at(endpoint.Pos, c.fleet.Store.Bucket.Pos), "it is backed up to %s, which is its own %s", endpoint.V, s.Name).
						And(r.V.Host.Pos).Hintf("a backup is somewhere else: with a provider, or on a host whose own backups are not in it (backups: enabled: false)")
				}
			}
		}
	}
}

// passing are directories that no restart of the machine leaves as they were.
var passing = regexp.MustCompile(`^/(dev|proc|run|sys|tmp)(/|$)`)

// onlyHere finds data that is in no volume: nothing would bring it back.
func (c *hostChecker) onlyHere(s fleet.Entry[*fleet.Service]) {
	for _, cont := range s.V.Containers {
		for _, m := range cont.V.Mounts {
			if m.V.Writable.V && !passing.MatchString(m.V.Host.V) {
				c.find(finding.Restore, at(m.Pos, cont.Pos, s.Pos), "%s: %s writes to %s of the host, which is in no backup", s.Name, cont.Name, m.V.Host.V).
					Hintf("make it a volume of the service")
			}
		}
	}
}

// clock is a time of day in seconds.
func clock(hhmm string) int {
	h, _ := strconv.Atoi(hhmm[:2])
	m, _ := strconv.Atoi(hhmm[3:])
	return h*3600 + m*60
}

// schedule checks that nothing else begins that stops services while backups
// may run, and that ages and limits fit together.
func (c *hostChecker) schedule() {
	b, h := c.host.Backups, c.host
	during := func(t string) bool {
		return (clock(t)-clock(b.At.V)+day)%day < int(b.Window.V)
	}
	const move = "choose another time, or a shorter backups: window"
	if during(c.fleet.UpdateTime.V) {
		c.find(finding.Schedule, at(b.At.Pos, c.fleet.UpdateTime.Pos, h.Pos), "backups may run from %s for %s, and podman's auto-update begins at %s", b.At.V, spell(b.Window.V), c.fleet.UpdateTime.V).
			And(c.fleet.UpdateTime.Pos).Hintf(move)
	}
	if h.Upgrades.Automatic.V && during(h.Upgrades.Time.V) {
		c.find(finding.Schedule, at(b.At.Pos, h.Upgrades.Time.Pos, h.Pos), "backups may run from %s for %s, and upgrades begin at %s", b.At.V, spell(b.Window.V), h.Upgrades.Time.V).
			And(h.Upgrades.Time.Pos).Hintf(move)
	}
	if b.Limit.V > b.Window.V {
		c.find(finding.Schedule, at(b.Limit.Pos, b.Window.Pos, h.Pos), "one backup may take %s, and all of them together %s", spell(b.Limit.V), spell(b.Window.V)).
			Hintf("say a longer backups: window, or a shorter limit")
	}
	if b.Window.V >= day {
		c.find(finding.Schedule, at(b.Window.Pos, h.Pos), "backups may run for %s, and begin every day", spell(b.Window.V)).Hintf("say a shorter backups: window")
	}
	if int(b.Fresh.V) < day+int(b.Window.V) {
		c.find(finding.Schedule, at(b.Fresh.Pos, h.Pos), "a backup is too old after %s, and the next one may end %s later", spell(b.Fresh.V), spell(fleet.Seconds(day)+b.Window.V)).
			Hintf("say backups: fresh: \"%dh\" or more: a day and the window", (day+int(b.Window.V)+3599)/3600)
	}
}

// timers checks those of the host's and its services' own units against backups: what both stop,
// and what a backup keeps from being done.
func (c *hostChecker) timers() {
	c.timersIn(c.host.Units, "", c.host.Pos)
	for _, s := range c.host.Services {
		own := ""
		if c.fleet.BacksUp(c.host, s.V) {
			own = s.Name
		}
		c.timersIn(s.V.Units, own, s.Pos)
	}
}

// timersIn checks timers that are there together, in a service whose backups stop them if it is named.
func (c *hostChecker) timersIn(units fleet.Map[*fleet.Unit], stoppedBy string, near token.Pos) {
	b := c.host.Backups
	for _, timer := range units {
		stem, is := strings.CutSuffix(timer.Name, ".timer")
		if !is || !c.duringBackups(timer.V) {
			continue
		}
		where := at(timer.Pos, near, c.host.Pos)
		if stoppedBy != "" && !says(timer.V, "Timer", "Persistent", "true", "yes", "on", "1") {
			c.find(finding.Schedule, where, "%s: what %s begins may be left out: backups, which stop it, may run from %s for %s", stoppedBy, timer.Name, b.At.V, spell(b.Window.V)).
				Hintf("choose another time, or say Persistent: true")
		}
		job := stem + ".service"
		if named := valuesOf(timer.V, "Timer", "Unit"); len(named) > 0 {
			job = named[0]
		}
		if u, ok := units.Get(job); ok {
			if what := c.stops(u); what != "" {
				c.find(finding.Schedule, where, "%s stops %s, and so may backups, from %s for %s", job, what, b.At.V, spell(b.Window.V)).
					Hintf("choose another time for %s, or a shorter backups: window", timer.Name)
			}
		}
	}
}

// duringBackups reports whether a timer may come while backups run.
func (c *hostChecker) duringBackups(timer *fleet.Unit) bool {
	b := c.host.Backups
	if len(valuesOf(timer, "Timer", "OnUnitActiveSec"))+len(valuesOf(timer, "Timer", "OnUnitInactiveSec")) > 0 {
		return true
	}
	return slices.ContainsFunc(valuesOf(timer, "Timer", "OnCalendar"), func(event string) bool {
		return slices.ContainsFunc(due(event), func(s span) bool {
			begin := (s.from - clock(b.At.V) + day) % day // seconds after backups do
			return begin < int(b.Window.V) || begin+s.to-s.from >= day
		})
	})
}

// stopping is a command that stops units or containers.
var stopping = regexp.MustCompile(`\b(systemctl|podman)\b.*\b(stop|restart|try-restart|reload-or-restart|kill|pause|rm)\b(.*)`)

// stops is what a unit stops that backups of the host stop too, "" for nothing.
func (c *hostChecker) stops(job *fleet.Unit) string {
	var words []string
	for _, key := range []string{"ExecStartPre", "ExecStart", "ExecStartPost", "ExecStop", "ExecStopPost"} {
		for _, command := range valuesOf(job, "Service", key) {
			if m := stopping.FindStringSubmatch(command); m != nil {
				words = append(words, strings.Fields(strings.NewReplacer("'", " ", `"`, " ", ";", " ").Replace(m[3]))...)
			}
		}
	}
	words = append(words, strings.Fields(strings.Join(valuesOf(job, "Unit", "Conflicts"), " "))...)
	for _, s := range c.fleet.BackedUp(c.host) {
		for _, cont := range s.V.Containers {
			name := fleet.ContainerName(s.Name, cont.Name)
			if render.AtRest(s.V, cont.V) && (slices.Contains(words, name) || slices.Contains(words, render.ContainerUnit(s.Name, cont.Name))) {
				return name
			}
		}
	}
	return ""
}

// valuesOf are those of a key of a unit.
func valuesOf(u *fleet.Unit, section, key string) (out []string) {
	keys, _ := u.Sections.Get(section)
	vs, _ := keys.Get(key)
	for _, v := range vs {
		out = append(out, v.V)
	}
	return out
}

// says reports whether the last value of a key is one of these.
func says(u *fleet.Unit, section, key string, one ...string) bool {
	vs := valuesOf(u, section, key)
	return len(vs) > 0 && slices.Contains(one, strings.ToLower(vs[len(vs)-1]))
}

// spell is a span of time as the user writes it.
func spell(s fleet.Seconds) string {
	switch {
	case s%3600 == 0:
		return strconv.Itoa(int(s/3600)) + "h"
	case s%60 == 0:
		return strconv.Itoa(int(s/60)) + "m"
	}
	return strconv.Itoa(int(s)) + "s"
}

// drills checks that there is something to try, elsewhere.
func (c *hostChecker) drills() {
	for _, name := range c.host.Backups.Drills {
		i := slices.IndexFunc(c.fleet.Hosts, func(h *fleet.Host) bool { return h.Name.V == name.V })
		where := at(name.Pos, c.host.Pos)
		switch {
		case name.V == c.host.Name.V:
			c.find(finding.Store, where, "it would try its own backups").Hintf("a drill proves something where the data is not: let another host do it")
		case i < 0 && !c.fleet.Partial:
			c.find(finding.Store, where, "it is to try the backups of %s, and there is no such host", name.V).
				Hint = finding.DidYouMean(name.V, hostNames(c.fleet), "")
		case i >= 0 && !c.fleet.Partial && len(c.fleet.BackedUp(c.fleet.Hosts[i])) == 0:
			c.find(finding.Store, where, "it is to try the backups of %s, which has none", name.V).Hintf("leave it out of drills")
		}
	}
}

func hostNames(f *fleet.Fleet) (names []string) {
	for _, h := range f.Hosts {
		names = append(names, h.Name.V)
	}
	return names
}

// bare is a name that needs no quotes in SQL and none in a shell.
var bare = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// restorable checks that the script could bring a service back.
func (c *hostChecker) restorable(s fleet.Entry[*fleet.Service]) {
	for _, d := range render.Dumped(s.V) {
		cont, _ := s.V.Containers.Get(d.Container)
		for _, name := range []fleet.Val[string]{d.Database.Name, d.Database.User} {
			if !bare.MatchString(name.V) {
				c.find(finding.Restore, at(name.Pos, cont.Pos, s.Pos), "%s: %q is no name that a dump and a restore can use", s.Name, name.V).
					Hintf("letters, digits and underscores")
			}
		}
		if render.AtRest(s.V, cont) {
			c.find(finding.Restore, at(cont.Pos, s.Pos), "%s: %s dumps its database and is stopped for another of its volumes: it can do only one of them", s.Name, d.Container).
				Hintf("give that volume backup: \"copy\" or \"none\", or let no database write to it")
		}
	}
	for _, v := range s.V.Volumes {
		if len(v.V.Without) > 0 && v.V.Backup.V == "dump" {
			c.find(finding.Restore, at(v.V.Without[0].Pos, v.Pos, s.Pos), "%s's volume %s is dumped: no directory of it is in its backups", s.Name, v.Name).
				Hintf("database: without: names tables whose rows are left out")
		}
	}
	for _, cont := range s.V.Containers {
		for _, step := range slices.Concat(cont.V.Restored, cont.V.Drill) {
			if len(step.Command) == 0 {
				c.find(finding.Restore, at(step.User.Pos, cont.Pos, s.Pos), "%s: a step of %s has no command", s.Name, cont.Name).Hintf("command: [\"php\", \"occ\", …]")
			}
			for _, word := range step.Command {
				c.line(word.V, s.Name+": a step of "+cont.Name, at(word.Pos, cont.Pos, s.Pos))
			}
		}
	}
}

// repositories checks that each has one writer. Staging cannot write to
// production's: the environment begins the name.
func (c *checker) repositories() {
	writer := map[string]*fleet.Host{}
	for _, h := range c.fleet.Hosts {
		for _, s := range c.fleet.BackedUp(h) {
			prefix := c.fleet.BackupPrefix(h, s.Name)
			if first := writer[prefix]; first != nil {
				other, _ := first.Services.Get(s.Name)
				c.find(finding.Store, at(s.Pos, h.Pos), "%s: %s is backed up to %s, and so is %s's", h.Name.V, s.Name, prefix, first.Name.V).And(other.Pos).
					Hintf("give one of them another name")
			}
			writer[prefix] = h
		}
	}
}

// retention checks that what is locked stays so until somebody has noticed that
// the rest is gone: a day of maintenance, the age at which an alert fires, a
// week between drills, and a week for people.
func (c *checker) retention() {
	if c.fleet.Store == nil {
		return
	}
	own := &hostChecker{checker: c, host: &fleet.Host{Name: fleet.Val[string]{V: "fleet"}}}
	own.reference(c.fleet.Store.Kopia.V, "store", at(c.fleet.Store.Kopia.Pos, c.fleet.Pos))
	lock, notice, who := c.fleet.Store.Lock.V*day, 0, ""
	for _, h := range c.fleet.Hosts {
		if len(c.fleet.BackedUp(h)) == 0 {
			continue
		}
		late := int(h.Backups.Fresh.V)
		if slices.ContainsFunc(c.fleet.Hosts, func(o *fleet.Host) bool {
			return slices.ContainsFunc(o.Backups.Drills, func(d fleet.Val[string]) bool { return d.V == h.Name.V })
		}) {
			late = max(late, week)
		}
		if late > notice {
			notice, who = late, h.Name.V
		}
	}
	if need := day + notice + week; who != "" && lock < need {
		c.find(finding.Store, at(c.fleet.Store.Lock.Pos, c.fleet.Store.Bucket.Pos), "backups are locked for %d days, and a loss at %s may be noticed and mended in %d", c.fleet.Store.Lock.V, who, (need+day-1)/day).
			Hintf("say store: lock: %d or more: a day between maintenances, the time until an alert or a drill, and a week for you", (need+day-1)/day)
	}
}
