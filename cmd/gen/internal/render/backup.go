package render

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// Both scripts say where they have what they share.
var (
	//go:embed backup/gen-backup
	backupScript string
	//go:embed backup/gen-drill
	drillScript string
	//go:embed backup/shared
	sharedScript string
)

const (
	backupPath = "/usr/local/sbin/gen-backup"
	drillPath  = "/usr/local/sbin/gen-drill"
	backupRun  = "/bin/sh " + backupPath
	drillRun   = "/bin/sh " + drillPath
)

// script is one of them, whole.
func (r *runbook) script(path, text string) *tree.File {
	whole := strings.Replace(text, ". shared\n", sharedScript, 1)
	return &tree.File{Path: path, Mode: "0755", Owner: "0:0", Body: []byte(whole), On: "watch", Pos: r.fleet.Store.Bucket.Pos}
}

// recoverUnit starts what a backup stopped, if it was killed with all that it had started.
func recoverUnit(service string) string { return "gen-recover-" + service + ".service" }

// recoverAll tells, after a boot, of the backups that the machine went down in.
const recoverAll = "gen-recover.service"

func drillUnit(service string) string { return "gen-drill-" + service }

// backups are the script that makes backups and brings them back, a list of
// each service, and what runs it: one after the other, so that no two stop the
// same or share the line to the store, and when the service has started, so that
// there is something to dump, and nothing that is stopped waits to be started.
func (r *runbook) backups() (files []*tree.File) {
	kept := r.inOrder(r.fleet.BackedUp(r.host))
	if len(kept) == 0 {
		return nil
	}
	files = append(files, r.script(backupPath, backupScript))
	files = append(files, r.afterBoot()...)
	files = append(files, r.exclusive()...)
	var order strings.Builder
	before := []string{"network-online.target", recoverAll}
	for _, s := range kept {
		order.WriteString(s.Name + "\n")
		files = append(files, r.list(s))
		files = append(files, r.backupUnits(s, slices.Concat(before, r.running(s)))...)
		before = []string{"network-online.target", recoverAll, fleet.BackupUnit(s.Name) + ".service"}
	}
	return append(files, &tree.File{Path: fleet.BackupOrder, Mode: "0644", Owner: "0:0", Body: []byte(order.String()), On: "watch", Pos: r.host.Pos})
}

// drills are the script that tries backups of other hosts, and the same for each service.
func (r *runbook) drills() (files []*tree.File) {
	drills := r.fleet.Drills(r.host)
	if len(drills) == 0 {
		return nil
	}
	files = append(files, r.script(drillPath, drillScript))
	before := []string{"network-online.target"}
	for _, d := range drills {
		files = append(files, r.drillList(d))
		files = append(files, r.drillUnits(d, before)...)
		before = []string{"network-online.target", drillUnit(d.Service.Name) + ".service"}
	}
	return files
}

// rows are a list for the script: a kind and fields with tabs between them.
type rows struct{ strings.Builder }

func (r *rows) add(kind string, fields ...string) {
	r.WriteString(kind + "\t" + strings.Join(fields, "\t") + "\n")
}

// store are the rows that say where a service's repository is.
func (r *rows) store(f *fleet.Fleet, h *fleet.Host, service, keys, password string) {
	s := f.Store
	r.add("image", s.Kopia.V)
	r.add("endpoint", s.Endpoint.V)
	if s.Region.Set {
		r.add("region", s.Region.V)
	}
	r.add("bucket", s.Bucket.V)
	r.add("prefix", f.BackupPrefix(h, service))
	r.add("identity", f.BackupIdentity(service))
	r.add("keys", keys)
	r.add("password", password)
}

// list is what the script must know of a service.
func (r *runbook) list(s fleet.Entry[*fleet.Service]) *tree.File {
	b, l := r.host.Backups, &rows{}
	l.WriteString("# " + madeBy("services."+s.Name) + "\n")
	l.store(r.fleet, r.host, s.Name, "keys", "passwords/"+s.Name)
	l.add("limit", strconv.Itoa(int(b.Limit.V)))
	if b.Ping.V {
		l.add("ping", r.host.Environment.V+"-"+s.Name)
	}
	if b.Snapshots.Set && slices.ContainsFunc(s.V.Volumes, func(v fleet.Entry[*fleet.Volume]) bool { return v.V.Backup.V == "snapshot" }) {
		l.add("snapshots", b.Snapshots.V)
	}
	k := r.fleet.Store.Keep
	for _, p := range []string{"--compression=zstd", "--keep-latest=7", "--keep-hourly=0", fmt.Sprintf("--keep-daily=%d", k.Daily.V),
		fmt.Sprintf("--keep-weekly=%d", k.Weekly.V), fmt.Sprintf("--keep-monthly=%d", k.Monthly.V), "--keep-annual=0"} {
		l.add("policy", p)
	}
	for _, v := range backedUp(s.V) {
		for _, dir := range v.V.Without {
			l.add("policy", "--add-ignore=/"+v.Name+"/"+dir.V)
		}
	}
	for _, v := range backedUp(s.V) {
		l.add("volume", v.Name, v.V.Backup.V, v.V.Owner.V, v.V.Mode.V)
	}
	for _, d := range Dumped(s.V) {
		l.add("database", d.Volume, d.Database.Engine.V, fleet.ContainerName(s.Name, d.Container), d.Database.Name.V, d.Database.User.V, strings.Join(values(d.Database.Without), " "))
	}
	for _, name := range timersOf(s.V) {
		l.add("stop", name)
	}
	for _, c := range slices.Backward(ordered(s.V)) {
		if halts(s.V, c) {
			l.add("stop", ContainerUnit(s.Name, c.Name))
		}
	}
	for _, name := range r.stopped(s) {
		l.add("all", name)
	}
	for _, name := range append(r.running(s), timersOf(s.V)...) {
		l.add("start", name)
	}
	for _, line := range s.V.Lines {
		l.add("line", line.Name, map[bool]string{true: "dump", false: "files"}[remade(s.V, line.V)])
	}
	for _, c := range ordered(s.V) {
		for _, step := range c.V.Restored {
			l.add("after", fleet.ContainerName(s.Name, c.Name), or(step.User, "-"), shellWords(values(step.Command)))
		}
	}
	return &tree.File{Path: fleet.BackupLists + s.Name, Mode: "0644", Owner: "0:0", Body: []byte(l.String()), On: "watch", Pos: s.Pos}
}

// or is a value where there is one.
func or(v fleet.Val[string], none string) string {
	if v.V == "" {
		return none
	}
	return v.V
}

// shellWords are words as a shell reads them.
func shellWords(words []string) string {
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// A Dump is a database that its own container dumps.
type Dump struct {
	Volume, Container string
	Database          *fleet.Database
	Server            *fleet.Container
}

// Dumped are the databases of a service that are dumped, each in the place of the volume of its files.
func Dumped(s *fleet.Service) (out []Dump) {
	for _, c := range s.Containers {
		if c.V.Database == nil {
			continue
		}
		for _, m := range c.V.Volumes {
			if v, ok := s.Volumes.Get(m.Name); ok && v.Backup.V == "dump" {
				out = append(out, Dump{m.Name, c.Name, c.V.Database, c.V})
			}
		}
	}
	return out
}

// AtRest reports whether a container must be stopped for a copy of what it mounts.
func AtRest(s *fleet.Service, c *fleet.Container) bool {
	return slices.ContainsFunc(c.Volumes, func(m fleet.Entry[fleet.Val[string]]) bool {
		v, ok := s.Volumes.Get(m.Name)
		return ok && (v.Backup.V == "stop" || v.Backup.V == "snapshot")
	})
}

// halts reports whether a backup stops a container: for a copy of what it mounts, or because it
// needs one that is stopped, which systemd would start again with it.
func halts(s *fleet.Service, c fleet.Entry[*fleet.Container]) bool {
	return AtRest(s, c.V) || !dumps(s, c.Name) && slices.ContainsFunc(c.V.Needs.Names(), func(name string) bool {
		needed, ok := s.Containers.Get(name)
		return ok && halts(s, fleet.Entry[*fleet.Container]{Name: name, V: needed})
	})
}

// remade reports whether the data of a line comes back by a dump, into a
// database that is made anew.
func remade(s *fleet.Service, l *fleet.Line) bool {
	return slices.ContainsFunc(Dumped(s), func(d Dump) bool {
		_, guarded := l.Containers.Get(d.Container)
		return guarded
	})
}

// endMargin is what the end of a backup may take: containers are told to stop
// and to start, and a snapshot of the file system is removed.
const endMargin = 10 * 60

func (r *runbook) backupUnits(s fleet.Entry[*fleet.Service], after []string) []*tree.File {
	b, pos := r.host.Backups, s.Pos
	stem, from := fleet.BackupUnit(s.Name), madeBy("services."+s.Name)
	u := &unit.File{Comment: from}
	head := u.Section("Unit")
	head.Add("Description", unit.Text(titled(s.V)+": backup"), s.V.Title.Pos)
	head.Add("Wants", "network-online.target", pos)
	head.Add("After", strings.Join(after, " "), pos)
	head.Add("OnFailure", recoverUnit(s.Name), pos)
	body := u.Section("Service")
	body.Add("Type", "oneshot", pos)
	body.Add("ExecStart", backupRun+" run "+s.Name, pos)
	body.Add("ExecStopPost", backupRun+" end "+s.Name, pos)
	body.Add("TimeoutStartSec", span(b.Window.V), b.Window.Pos)
	body.Add("TimeoutStopSec", span(endMargin), pos)
	body.Add("KillMode", "mixed", pos)

	rec := &unit.File{Comment: from}
	rec.Section("Unit").Add("Description", unit.Text(titled(s.V)+": start what its backup stopped"), s.V.Title.Pos)
	rec.Section("Service").Add("Type", "oneshot", pos)
	rec.Section("Service").Add("ExecStart", backupRun+" recover "+s.Name, pos)
	return append([]*tree.File{
		{Path: UnitPath(stem + ".service"), Mode: "0644", Owner: "0:0", Unit: u, Want: "hold", Pos: pos},
		{Path: UnitPath(recoverUnit(s.Name)), Mode: "0644", Owner: "0:0", Unit: rec, Want: "hold", Pos: pos},
	}, timer(stem, titled(s.V)+": backup, every day", "*-*-* "+b.At.V+":00", "services."+s.Name, b.At.Pos)...)
}

// afterBoot is the unit that tells of what a boot found unfinished.
func (r *runbook) afterBoot() []*tree.File {
	pos := r.host.Backups.At.Pos
	definition := "hosts." + r.host.Name.V + ".backups"
	u := &unit.File{Comment: madeBy(definition)}
	head := u.Section("Unit")
	head.Add("Description", "tell of backups that the machine went down in", pos)
	head.Add("ConditionPathExistsGlob", "/var/lib/gen/backup/*/begun", pos)
	head.Add("Wants", "network-online.target", pos)
	head.Add("After", "network-online.target", pos)
	u.Section("Service").Add("Type", "oneshot", pos)
	u.Section("Service").Add("ExecStart", backupRun+" recover --all", pos)
	u.Section("Install").Add("WantedBy", "multi-user.target", pos)
	return []*tree.File{
		{Path: UnitPath(recoverAll), Mode: "0644", Owner: "0:0", Unit: u, Want: "hold", Pos: pos},
		boot(recoverAll, unit.Line{Value: "multi-user.target", Pos: pos}, "Wants", definition),
	}
}

// timer is a timer for the service of the same stem, with the drop-in that boots it.
func timer(stem, about, when, definition string, pos token.Pos) []*tree.File {
	name := stem + ".timer"
	u := &unit.File{Comment: madeBy(definition)}
	u.Section("Unit").Add("Description", unit.Text(about), pos)
	t := u.Section("Timer")
	t.Add("OnCalendar", when, pos)
	t.Add("AccuracySec", "1s", pos) // those of one time are started together, and systemd puts them in order
	t.Add("Persistent", "true", pos)
	u.Section("Install").Add("WantedBy", "timers.target", pos)
	return []*tree.File{
		{Path: UnitPath(name), Mode: "0644", Owner: "0:0", Unit: u, Pos: pos},
		boot(name, unit.Line{Value: "timers.target", Pos: pos}, "Wants", definition),
	}
}

// exclusive keeps podman's auto-update and the upgrade of packages, which may
// restart containers or the host, from beginning while a backup runs.
func (r *runbook) exclusive() (files []*tree.File) {
	const lock = "/usr/bin/flock /run/gen/backup/lock "
	for _, own := range []struct{ unit, command string }{
		{"podman-auto-update.service", "/usr/bin/podman auto-update"},
		{"apt-daily-upgrade.service", "/usr/lib/apt/apt.systemd.daily install"},
	} {
		pos := r.host.Backups.At.Pos
		u := &unit.File{Comment: madeBy("hosts." + r.host.Name.V + ".backups")}
		s := u.Section("Service")
		s.Add("ExecStart", "", pos)
		s.Add("ExecStart", lock+own.command, pos)
		s.Add("ExecStartPre", "/usr/bin/mkdir -p /run/gen/backup", pos)
		files = append(files, &tree.File{Path: UnitPath(own.unit + ".d/50-gen-backup.conf"), Mode: "0644", Owner: "0:0", Unit: u, On: "watch", Pos: pos})
	}
	return files
}

// drillList is what the script must know of a service of another host.
func (r *runbook) drillList(d fleet.Drill) *tree.File {
	l := &rows{}
	l.WriteString("# " + madeBy("hosts."+r.host.Name.V+".backups.drills") + "\n")
	l.store(r.fleet, d.Host, d.Service.Name, "drill", "drill/passwords/"+d.Service.Name)
	l.add("limit", strconv.Itoa(int(r.host.Backups.Window.V)))
	l.add("fresh", strconv.Itoa(int(d.Host.Backups.Fresh.V)))
	for _, v := range backedUp(d.Service.V) {
		l.add("volume", v.Name)
	}
	s := d.Service
	for _, db := range Dumped(s.V) {
		l.add("database", db.Volume, db.Database.Engine.V, fleet.ContainerName(s.Name, db.Container), db.Server.Image.V,
			or(db.Server.User, "-"), db.Database.Name.V, db.Database.User.V, shellWords(values(db.Server.Command)))
	}
	for _, c := range ordered(s.V) {
		for _, step := range c.V.Drill {
			image, user, mounts := c.V.Image.V, or(step.User, or(c.V.User, "-")), seen(s.V, c.V)
			if dumps(s.V, c.Name) {
				image, user, mounts = "-", or(step.User, "-"), "-"
			}
			l.add("check", fleet.ContainerName(s.Name, c.Name), image, user, mounts, shellWords(values(step.Command)))
		}
	}
	return &tree.File{Path: fleet.DrillLists + d.Service.Name, Mode: "0644", Owner: "0:0", Body: []byte(l.String()), On: "watch", Pos: d.Pos}
}

// seen are the volumes with a backup that a container mounts, and where.
func seen(s *fleet.Service, c *fleet.Container) string {
	var mounts []string
	for _, m := range c.Volumes {
		if v, ok := s.Volumes.Get(m.Name); ok && v.Backup.V != "none" && v.Backup.V != "dump" {
			mounts = append(mounts, m.Name+":"+m.V.V)
		}
	}
	return cmp.Or(strings.Join(mounts, ","), "-")
}

// dumps reports whether a container dumps its database.
func dumps(s *fleet.Service, container string) bool {
	return slices.ContainsFunc(Dumped(s), func(d Dump) bool { return d.Container == container })
}

func (r *runbook) drillUnits(d fleet.Drill, after []string) []*tree.File {
	stem, definition := drillUnit(d.Service.Name), "hosts."+r.host.Name.V+".backups.drills"
	u := &unit.File{Comment: madeBy(definition)}
	head := u.Section("Unit")
	head.Add("Description", unit.Text(titled(d.Service.V)+": try the newest backup"), d.Pos)
	head.Add("Wants", "network-online.target", d.Pos)
	head.Add("After", strings.Join(after, " "), d.Pos)
	body := u.Section("Service")
	body.Add("Type", "oneshot", d.Pos)
	body.Add("ExecStart", drillRun+" run "+d.Service.Name, d.Pos)
	body.Add("ExecStopPost", drillRun+" end "+d.Service.Name, d.Pos)
	body.Add("TimeoutStartSec", span(r.host.Backups.Window.V+endMargin), r.host.Backups.Window.Pos)
	body.Add("TimeoutStopSec", span(endMargin), d.Pos)
	body.Add("KillMode", "mixed", d.Pos)
	return append([]*tree.File{{Path: UnitPath(stem + ".service"), Mode: "0644", Owner: "0:0", Unit: u, Want: "hold", Pos: d.Pos}},
		timer(stem, titled(d.Service.V)+": try the newest backup, every week", r.host.Backups.DrillAt.V+":00", definition, r.host.Backups.DrillAt.Pos)...)
}

// backupImages are those that backups and drills of a host run.
func backupImages(f *fleet.Fleet, h *fleet.Host) (out []string) {
	drills := f.Drills(h)
	if len(f.BackedUp(h))+len(drills) > 0 {
		out = append(out, f.Store.Kopia.V)
	}
	for _, d := range drills {
		for _, c := range d.Service.V.Containers {
			if len(c.V.Drill) > 0 || dumps(d.Service.V, c.Name) {
				out = append(out, c.V.Image.V)
			}
		}
	}
	return out
}
