package fleet

import (
	"cmp"
	"maps"
	"regexp"
	"slices"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/agefile"
)

// A Ciphertext is one age file of the repository.
type Ciphertext struct {
	Bytes   []byte
	Payload string        // hex SHA-256 of every byte after the header's MAC line
	Age     *agefile.File // nil if it is not an age file
	Wrong   error         // what it is instead
}

// A Key is a host's identity as the repository has it.
type Key struct {
	Public  string      // the line in <host>.pub, "" without one
	Tag     string      // how age files name it, "" if the line is no key
	Wrong   error       // why not
	Private *Ciphertext // <host>.age, nil without one
}

// A Wanted secret is one that the fleet asks for. It is used by hosts of one
// environment, and by several only if they run the same service.
type Wanted struct {
	Name   string // of its ciphertext
	Owner  string // the service or host it belongs to
	Short  string // its name there
	Secret *Secret
	Uses   []Use
}

// A Use of a secret by a host; At is where the user wrote it: the secret, what
// declares it, the host.
type Use struct {
	Host *Host
	At   []token.Pos
}

// Own is the first use by a host that runs the owner, or is it: others may share
// a secret, such as a provider with its clients.
func (w *Wanted) Own() Use {
	for _, u := range w.Uses {
		if _, runs := u.Host.Services.Get(w.Owner); runs || u.Host.Name.V == w.Owner {
			return u
		}
	}
	return w.Uses[0]
}

// Command is how a value is made, by a verb of gen secret.
func (w *Wanted) Command(verb string) string {
	command := "gen secret " + verb + " " + w.Name
	if w.Secret.Form.Set {
		return "printf '" + w.Secret.Form.V + "' | " + command + " -stdin"
	}
	if w.Secret.WireGuard {
		return command + " -wireguard"
	}
	return command
}

// Wanted are the secrets that the fleet asks for, sorted by name, each with its
// hosts in their order.
func (f *Fleet) Wanted() []*Wanted {
	byName := map[string]*Wanted{}
	add := func(h, of *Host, owner string, secrets Map[*Secret], near ...token.Pos) {
		for _, e := range secrets {
			name := of.SecretName(owner, e.Name)
			w := byName[name]
			if w == nil {
				w = &Wanted{Name: name, Owner: owner, Short: e.Name, Secret: e.V}
				byName[name] = w
			}
			if n := len(w.Uses); n == 0 || w.Uses[n-1].Host != h {
				w.Uses = append(w.Uses, Use{h, append([]token.Pos{e.Pos}, near...)})
			}
		}
	}
	for _, h := range f.Hosts {
		add(h, h, h.Name.V, h.Secrets, h.Pos)
		for _, s := range h.Services {
			add(h, h, s.Name, s.V.Secrets, s.Pos, h.Pos)
			for _, c := range f.Clients(h, s) {
				if secret, ok := c.Service.V.Secrets.Get(c.Login.Secret.V); ok {
					add(h, c.Host, c.Service.Name, Map[*Secret]{{Name: c.Login.Secret.V, Pos: c.Login.Secret.Pos, V: secret}}, c.Service.Pos, c.Host.Pos)
				}
			}
		}
		for _, d := range f.Drills(h) {
			if password, ok := d.Service.V.Secrets.Get(BackupPassword); ok {
				add(h, d.Host, d.Service.Name, Map[*Secret]{{Name: BackupPassword, Pos: d.Pos, V: password}}, d.Pos, h.Pos)
			}
		}
	}
	var all []*Wanted
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all
}

var secretName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?$`)

// IsSecretName reports whether a secret may have that name, which becomes a part of a file's.
func IsSecretName(name string) bool { return len(name) <= 63 && secretName.MatchString(name) }

// SecretName is the name of a secret's ciphertext in the repository: its
// environment, the service or host it belongs to, and its own name. Production
// and staging never share one, and a service keeps its secrets when it moves.
func (h *Host) SecretName(owner, secret string) string {
	return h.Environment.V + "." + owner + "." + secret
}

// TunnelKey is where a host has the private half of its key in the mesh.
func (f *Fleet) TunnelKey() string { return "/etc/wireguard/" + f.Mesh.Interface.V + ".key" }

// TunnelSecret is the name of a host's secret that is its key in the mesh.
const TunnelSecret = "wireguard"

// AskForTunnelKey adds to a host's secrets the private half of its key in the
// mesh, unless the host declares one itself.
func (f *Fleet) AskForTunnelKey(h *Host) {
	if f.Mesh == nil || h.Mesh == nil {
		return
	}
	if _, own := h.Secrets.Get(TunnelSecret); own {
		return
	}
	pos := cmp.Or(h.Mesh.PublicKey.Pos, h.Mesh.Address.Pos)
	val := func(s string) Val[string] { return Val[string]{V: s, Pos: pos, Set: true} }
	h.Secrets = append(h.Secrets, Entry[*Secret]{Name: TunnelSecret, Pos: pos, V: &Secret{
		About:     val("the private half of the host's key in the mesh"),
		WireGuard: true,
		Files: Map[*SecretFile]{{Name: f.TunnelKey(), Pos: pos, V: &SecretFile{
			Owner: val("0:0"), Mode: val("0400"), Units: []Val[string]{val(f.TunnelUnit())},
		}}},
	}})
	slices.SortFunc(h.Secrets, func(a, b Entry[*Secret]) int { return cmp.Compare(a.Name, b.Name) })
}
