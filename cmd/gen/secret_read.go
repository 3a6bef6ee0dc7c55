package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"filippo.io/age"

	"gen.example/cmd/gen/internal/agefile"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/secret"
)

// show prints a value, byte for byte.
func (k *keeper) show() error {
	w, err := k.find(k.args[0])
	if err != nil {
		return err
	}
	file, err := k.ciphertext(w)
	if err != nil {
		return err
	}
	return k.print(secretPath(w.Name), file)
}

// hostIdentity prints what a host needs at /etc/gen/identity.
func (k *keeper) hostIdentity() error {
	h, err := k.host(k.args[0])
	if err != nil {
		return err
	}
	private := k.fleet.Keys[h.Name.V].Private
	if private == nil {
		return secret.Refuse("gen secret init-host "+h.Name.V, "%s has no identity in the repository", h.Name.V)
	}
	return k.print(keyPath(h.Name.V), private.Bytes)
}

func keyPath(host string) string { return load.KeysDir + "/" + host + ".age" }

func (k *keeper) print(path string, file []byte) error {
	ids, err := k.identities()
	if err != nil {
		return err
	}
	plain, err := secret.Open(file, ids)
	if err != nil {
		return cannotOpen(path, err)
	}
	_, err = k.stdout.Write(plain)
	return err
}

func cannotOpen(path string, err error) error {
	hint := ""
	if err == secret.ErrNotYours {
		hint = "another operator can: gen secret rekey, with their identity"
	}
	return secret.Refuse(hint, "%s: %v", path, err)
}

// list prints every secret that the fleet asks for or has.
func (k *keeper) list() error {
	t := tabwriter.NewWriter(k.stdout, 0, 0, 2, ' ', 0)
	for _, row := range inventory(k.fleet) {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// inventory are the secrets by name: whether they are there, for which hosts,
// and what uses them.
func inventory(f *fleet.Fleet) (rows [][]string) {
	left := maps.Clone(f.Ciphertexts)
	for _, w := range f.Wanted() {
		state := "missing"
		if _, there := left[w.Name]; there {
			state = "present"
		}
		if w.Secret.Stable.V {
			state += ", stable"
		}
		delete(left, w.Name)
		var hosts []string
		for _, u := range w.Uses {
			hosts = append(hosts, u.Host.Name.V)
		}
		rows = append(rows, []string{w.Name, state, strings.Join(hosts, ", "), strings.Join(users(w), ", ")})
	}
	for name := range left {
		rows = append(rows, []string{name, "unused", "-", "-"})
	}
	slices.SortFunc(rows, slices.Compare)
	return rows
}

// users are the containers that read a secret, and the files it is written to.
func users(w *fleet.Wanted) (names []string) {
	for _, u := range w.Uses {
		if s, ok := u.Host.Services.Get(w.Owner); ok {
			for _, c := range s.Containers {
				if _, reads := c.V.Secrets.Get(w.Short); reads {
					names = append(names, fleet.ContainerName(w.Owner, c.Name))
				}
			}
		}
	}
	for _, f := range w.Secret.Files {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return []string{"-"}
	}
	return names
}

// rekey encrypts the file keys of secrets to their present readers. Everything
// is computed before anything is written.
func (k *keeper) rekey() error {
	ids, err := k.identities()
	if err != nil {
		return err
	}
	jobs, err := k.jobs()
	if err != nil {
		return err
	}
	out := make([][]byte, len(jobs))
	for i, j := range jobs {
		if out[i], err = secret.Rekey(j.file, ids, j.to); err != nil {
			return cannotOpen(j.path, err)
		}
	}
	for i, j := range jobs {
		if err := k.write(j.path, out[i]); err != nil {
			return err
		}
	}
	k.left(jobs, out)
	return nil
}

// A job is a file to encrypt anew.
type job struct {
	path   string
	file   []byte
	to     []age.Recipient
	advice string // what to do if somebody is no longer among its readers
}

// jobs are the files of the secrets named, or all, with the hosts' identities.
func (k *keeper) jobs() (jobs []job, err error) {
	wanted := slices.DeleteFunc(slices.Clone(k.wanted), func(w *fleet.Wanted) bool {
		_, there := k.fleet.Ciphertexts[w.Name]
		return !there // check says so
	})
	if len(k.args) > 0 {
		wanted = nil
		for _, name := range k.args {
			w, err := k.find(name)
			if err != nil {
				return nil, err
			}
			wanted = append(wanted, w)
		}
	}
	for _, w := range wanted {
		file, err := k.ciphertext(w)
		if err != nil {
			return nil, err
		}
		to, err := k.readers(w)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job{secretPath(w.Name), file, to, "gen secret rotate " + w.Name})
	}
	for _, host := range slices.Sorted(maps.Keys(k.fleet.Keys)) {
		private := k.fleet.Keys[host].Private
		if private == nil || private.Age == nil || len(k.args) > 0 {
			continue
		}
		to, err := secret.Readers(k.fleet)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job{keyPath(host), private.Bytes, to, "gen secret init-host -force " + host})
	}
	return jobs, nil
}

// left says what those who are no longer readers still know: a new header does
// not take away what was read.
func (k *keeper) left(jobs []job, out [][]byte) {
	hosts := map[string]string{}
	for host, key := range k.fleet.Keys {
		hosts[key.Tag] = host
	}
	for i, j := range jobs {
		before, _ := agefile.Parse(j.file)
		after, _ := agefile.Parse(out[i])
		var gone []string
		for _, tag := range before.Tags() {
			if !slices.Contains(after.Tags(), tag) {
				who := hosts[tag]
				if who == "" {
					who = "an identity that is gone"
				}
				gone = append(gone, who)
			}
		}
		if before.Count(agefile.X25519) > after.Count(agefile.X25519) {
			gone = append(gone, "a former operator")
		}
		gone = append(gone, before.Others()...)
		if len(gone) > 0 {
			fmt.Fprintf(k.stderr, "gen: %s: %s could read it and still knows it\n    hint: %s\n", j.path, strings.Join(slices.Compact(gone), ", "), j.advice)
		}
	}
}

// verify decrypts everything, with the operator's identity and with those of
// the hosts. Headers only tell for whom a file claims to be.
func (k *keeper) verify() error {
	ids, err := k.identities()
	if err != nil {
		return err
	}
	v := &verification{keeper: k, ids: ids, hosts: map[string]secret.Host{}}
	for _, name := range slices.Sorted(maps.Keys(k.fleet.Keys)) {
		v.host(name)
	}
	for _, w := range k.wanted {
		v.secret(w)
	}
	if v.wrong {
		return errSaid
	}
	return nil
}

type verification struct {
	*keeper
	ids   []age.Identity
	hosts map[string]secret.Host // whose identities are right
	wrong bool
}

func (v *verification) say(path, format string, args ...any) {
	v.wrong = true
	fmt.Fprintf(v.stderr, "gen: %s: %s\n", path, fmt.Sprintf(format, args...))
}

func (v *verification) host(name string) {
	key := v.fleet.Keys[name]
	if key.Private == nil {
		v.say(keyPath(name), "it is not there")
		return
	}
	plain, err := secret.Open(key.Private.Bytes, v.ids)
	if err != nil {
		v.say(keyPath(name), "%v", err)
		return
	}
	h, err := secret.ParseHost(plain)
	if err != nil || h.Tag != key.Tag {
		v.say(keyPath(name), "it is not the private half of %s/%s.pub", load.KeysDir, name)
		return
	}
	v.hosts[name] = h
}

func (v *verification) secret(w *fleet.Wanted) {
	path := secretPath(w.Name)
	c, there := v.fleet.Ciphertexts[w.Name]
	if !there {
		v.say(path, "it is not there")
		return
	}
	value, err := secret.Open(c.Bytes, v.ids)
	if err != nil {
		v.say(path, "%v", err)
	}
	for _, u := range w.Uses {
		if w.Secret.WireGuard && err == nil && secret.WireGuardPublic(value) != u.Host.Mesh.PublicKey.V {
			v.say(path, "its public half is not mesh: publicKey: of %s", u.Host.Name.V)
		}
	}
	for _, u := range w.Uses {
		h, known := v.hosts[u.Host.Name.V]
		if !known {
			v.say(path, "%s has no identity that could be tried", u.Host.Name.V)
		} else if _, err := secret.Open(c.Bytes, []age.Identity{h}); err != nil {
			v.say(path, "%s cannot read it: %v", u.Host.Name.V, err)
		}
	}
}
