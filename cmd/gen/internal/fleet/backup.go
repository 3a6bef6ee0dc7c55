package fleet

import (
	"cmp"
	"slices"

	"cuelang.org/go/cue/token"
)

// Where a host has what its backups need. Services are files of their lists;
// keys and passwords are secrets.
const (
	BackupLists = "/etc/gen-backup/services/"
	DrillLists  = "/etc/gen-backup/drills/"
	BackupOrder = "/etc/gen-backup/order"

	backupKeys      = "/etc/gen-backup/keys/"
	drillKeys       = "/etc/gen-backup/drill/"
	backupPasswords = "/etc/gen-backup/passwords/"
	drillPasswords  = "/etc/gen-backup/drill/passwords/"
)

// Secrets that gen asks for by itself.
const (
	BackupPassword = "backup-password" // a service's
	backupAccess   = "backup-access-key"
	backupSecret   = "backup-secret-key"
	backupPing     = "backup-ping"
	drillAccess    = "drill-access-key"
	drillSecret    = "drill-secret-key"
)

// StoreKeys are the secrets of a host that the object store makes.
var StoreKeys = []string{backupAccess, backupSecret, drillAccess, drillSecret}

// AtRest is how a volume is copied at rest on a host, by the best that its file system can.
func (h *Host) AtRest() string {
	if h.Backups.Snapshots.Set {
		return "snapshot"
	}
	return "stop"
}

// Kept reports whether something of a service is to be backed up.
func (s *Service) Kept() bool {
	return slices.ContainsFunc(s.Volumes, func(v Entry[*Volume]) bool { return v.V.Backup.V != "none" })
}

// BacksUp reports whether a service of a host has a repository in the fleet's store.
func (f *Fleet) BacksUp(h *Host, s *Service) bool {
	return f.Store != nil && h.Backups.Enabled.V && s.Kept()
}

// BackedUp are the services of a host with a repository in the fleet's store.
func (f *Fleet) BackedUp(h *Host) (out []Entry[*Service]) {
	for _, s := range h.Services {
		if f.BacksUp(h, s.V) {
			out = append(out, s)
		}
	}
	return out
}

// A Drill is a service whose backups another host tries.
type Drill struct {
	Host    *Host // where the service runs
	Service Entry[*Service]
	Pos     token.Pos // who asked for it
}

// Drills are those that a host does, sorted by service.
func (f *Fleet) Drills(h *Host) (out []Drill) {
	for _, name := range h.Backups.Drills {
		for _, o := range f.Hosts {
			if o.Name.V != name.V || o == h {
				continue
			}
			for _, s := range f.BackedUp(o) {
				out = append(out, Drill{o, s, name.Pos})
			}
		}
	}
	slices.SortFunc(out, func(a, b Drill) int { return cmp.Compare(a.Service.Name, b.Service.Name) })
	return slices.CompactFunc(out, func(a, b Drill) bool { return a.Service.Name == b.Service.Name })
}

// BackupPrefix is where in the bucket a service's repository is. It is the
// environment's, so that staging cannot write to production's.
func (f *Fleet) BackupPrefix(h *Host, service string) string {
	return f.Store.Prefix.V + h.Environment.V + "/" + service + "/"
}

// BackupIdentity is who a service is to Kopia, on whatever host it runs.
func (f *Fleet) BackupIdentity(service string) string { return service + "@" + f.Domain.V }

// DrillPassword is where the password of another host's service is.
func DrillPassword(service string) string { return drillPasswords + service }

// AskForBackupKeys adds to services and hosts the secrets that their backups
// need, unless they declare them.
func (f *Fleet) AskForBackupKeys() {
	for _, h := range f.Hosts {
		kept := f.BackedUp(h)
		for _, s := range kept {
			ask(&s.V.Secrets, BackupPassword, "encrypts the repository of its backups: without it none can be read", true, 40, backupPasswords+s.Name, f.Store.Bucket.Pos)
		}
		if len(kept) > 0 {
			ask(&h.Secrets, backupAccess, "the object store's name for the key of this host's backups", false, 20, backupKeys+"access-key", f.Store.Bucket.Pos)
			ask(&h.Secrets, backupSecret, "the object store's key of this host's backups, which can neither delete a version nor change a lock", false, 40, backupKeys+"secret-key", f.Store.Bucket.Pos)
			if h.Backups.Ping.V {
				ask(&h.Secrets, backupPing, "the address that is told how backups went, without the check's name: https://hc-ping.com/KEY", false, 40, backupKeys+"ping", h.Backups.Ping.Pos)
			}
		}
		if drills := f.Drills(h); len(drills) > 0 {
			ask(&h.Secrets, drillAccess, "the object store's name for the key of this host's drills", false, 20, drillKeys+"access-key", drills[0].Pos)
			ask(&h.Secrets, drillSecret, "the object store's key of this host's drills, which can only read", false, 40, drillKeys+"secret-key", drills[0].Pos)
		}
	}
}

func ask(secrets *Map[*Secret], name, about string, stable bool, length int, file string, pos token.Pos) {
	if _, own := secrets.Get(name); own {
		return
	}
	val := func(s string) Val[string] { return Val[string]{V: s, Pos: pos, Set: true} }
	*secrets = append(*secrets, Entry[*Secret]{Name: name, Pos: pos, V: &Secret{
		About:  val(about),
		Stable: Val[bool]{V: stable, Pos: pos, Set: true},
		Length: Val[int]{V: length, Pos: pos, Set: true},
		Files:  Map[*SecretFile]{{Name: file, Pos: pos, V: &SecretFile{Owner: val("0:0"), Mode: val("0400")}}},
	}})
	slices.SortFunc(*secrets, func(a, b Entry[*Secret]) int { return cmp.Compare(a.Name, b.Name) })
}
