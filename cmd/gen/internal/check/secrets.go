package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/agefile"
	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
)

// demonstration is the example's operator; anybody has the identity. It is at
// home under example.org, a name that nobody can own.
const demonstration = "age1hyr6gw64me2jj74pd4jlq30f9w6gl098sfdq4f4x8u46wrpdz5sq4k0stm"

// secrets checks ciphertexts by their headers alone. What they say is a lint
// against mistakes: a tag has 32 bits, and operators can only be counted. The
// proof is gen secret verify, and that a host decrypts all before it touches anything.
func (c *checker) secrets() {
	s := &secretChecker{checker: c, wanted: c.fleet.Wanted(), byTag: map[string]string{}, twice: map[string]bool{}, copies: map[string]bool{}}
	s.operators()
	s.keys()
	s.inTheClear()
	s.ciphertexts()
	s.shared()
	s.readers()
	s.counts()
}

type secretChecker struct {
	*checker
	wanted []*fleet.Wanted
	byTag  map[string]string // hosts by the tag of their own key
	twice  map[string]bool   // tags of keys that two hosts have
	copies map[string]bool   // secrets that are those of another environment
}

func secretFile(name string) string { return load.SecretsDir + "/" + name + ".age" }
func keyFile(host string) string    { return load.KeysDir + "/" + host }

// operators checks the people to encrypt to.
func (s *secretChecker) operators() {
	byKey := map[string]fleet.Entry[*fleet.Operator]{}
	for _, o := range s.fleet.Operators {
		where := at(o.V.Age.Pos, o.Pos)
		if err := agefile.Recipient(o.V.Age.V); err != nil {
			s.find(finding.Operator, where, "%s's age key is none: %v", o.Name, err).Hintf("it is the public key that age-keygen prints")
		}
		if first, ok := byKey[o.V.Age.V]; ok {
			s.find(finding.Operator, where, "%s and %s have the same age key", first.Name, o.Name).And(first.V.Age.Pos).
				Hintf("each person has an identity of their own: age-keygen")
		}
		byKey[o.V.Age.V] = o
		if d := s.fleet.Domain.V; o.V.Age.V == demonstration && d != "example.org" && !strings.HasSuffix(d, ".example.org") {
			s.find(finding.Demonstration, where, "%s is the example's operator, and everybody has that identity", o.Name).
				Hintf("make your own with age-keygen, put its public key here, and then make the identities and secrets anew:\ngen secret init-host -force HOST\ngen secret rotate NAME")
		}
	}
	if len(s.wanted) > 0 && len(s.fleet.Operators) == 0 {
		s.find(finding.Operator, at(s.fleet.Pos, s.fleet.Domain.Pos), "the fleet has secrets and no operator, so nobody could read them").
			Hintf("make an identity with age-keygen, and say fleet: operators: YOU: age: \"age1…\"")
	}
}

// keys checks the identities of the hosts that use secrets, and of those that have one.
func (s *secretChecker) keys() {
	for _, h := range s.fleet.Hosts {
		name := h.Name.V
		key, any := s.fleet.Keys[name]
		uses := slices.ContainsFunc(s.wanted, func(w *fleet.Wanted) bool {
			return slices.ContainsFunc(w.Uses, func(u fleet.Use) bool { return u.Host == h })
		})
		public, private := at(load.FilePos(keyFile(name)+".pub")), at(load.FilePos(keyFile(name)+".age"))
		switch {
		case !any && !uses:
			continue
		case !any:
			s.find(finding.HostKey, at(h.Pos), "%s uses secrets and has no identity", name).Hintf("make one: gen secret init-host %s", name)
		case key.Public == "" && key.Wrong == nil:
			s.find(finding.HostKey, private, "%s's identity has no public half", name).Hintf("bring %s.pub back, or make a new identity: gen secret init-host -force %s", keyFile(name), name)
		case key.Wrong != nil:
			s.find(finding.HostKey, public, "%s's public key is none: %v", name, key.Wrong).Hintf("bring it back, or make a new identity: gen secret init-host -force %s", name)
		case s.byTag[key.Tag] != "":
			s.twice[key.Tag] = true
			s.find(finding.HostKey, public, "%s and %s have the same identity", s.byTag[key.Tag], name).
				And(load.FilePos(keyFile(s.byTag[key.Tag])+".pub")).Hintf("make another: gen secret init-host -force %s", name)
		}
		switch {
		case any && key.Private == nil:
			s.find(finding.HostKey, public, "the private half of %s's identity is not in the repository, so nobody could bring it back", name).
				Hintf("bring %s.age back, or make a new identity: gen secret init-host -force %s", keyFile(name), name)
		case any && key.Private.Wrong != nil:
			s.find(finding.NotAge, private, "the file is not an age file: %v", key.Private.Wrong).Hintf("bring it back, or make a new identity: gen secret init-host -force %s", name)
		}
		if key.Tag != "" && s.byTag[key.Tag] == "" {
			s.byTag[key.Tag] = name
		}
	}
}

const leaked = "if it holds a secret in the clear, that secret is now in the repository's history: replace the secret itself"

func (s *secretChecker) inTheClear() {
	for _, file := range s.fleet.InTheClear {
		if strings.HasPrefix(file, load.KeysDir) {
			s.find(finding.NotAge, at(load.FilePos(file)), "a private key is in the clear").Hintf("it is now in the repository's history: replace the key itself")
		} else {
			s.find(finding.NotAge, at(load.FilePos(file)), "the file is not encrypted with age").Hintf(leaked)
		}
	}
}

// ciphertexts checks that the secrets that are wanted and those that are there are the same.
func (s *secretChecker) ciphertexts() {
	used := map[string]bool{}
	var missing []string
	for _, w := range s.wanted {
		used[w.Name] = true
		if _, ok := s.fleet.Ciphertexts[w.Name]; ok || !fleet.IsSecretName(w.Short) {
			continue
		}
		missing = append(missing, w.Name)
		use := w.Own()
		s.find(finding.NoCiphertext, use.At, "%s: %s's secret %s is not in the repository", use.Host.Name.V, w.Owner, w.Short).
			Hintf("it is: %s\n%s", w.Secret.About.V, w.Command("new"))
	}
	for _, name := range slices.Sorted(maps.Keys(s.fleet.Ciphertexts)) {
		place := at(load.FilePos(secretFile(name)))
		switch c := s.fleet.Ciphertexts[name]; {
		case c.Wrong == agefile.ErrArmored:
			s.find(finding.NotAge, place, "the file is armored, and age files here are binary").Hintf("encrypt it without -a")
		case c.Wrong != nil:
			s.find(finding.NotAge, place, "the file is not an age file: %v", c.Wrong).Hintf(leaked)
		case used[name] || s.fleet.Partial || s.ofLostDrills(name):
		case s.tunnelKey(name):
			s.find(finding.UnusedSecret, place, "nothing uses the secret %s: its host does not say its public half", name).
				Hintf("say mesh: publicKey: of the host; wg pubkey derives it from what gen secret show %s prints", name)
		default:
			s.find(finding.UnusedSecret, place, "nothing uses the secret %s", name).
				Hint = finding.DidYouMean(name, missing, "remove it: git rm "+secretFile(name))
		}
	}
}

// groups collect the secrets that one mistake concerns, so that it is one
// finding: somebody who is new is missing in many files.
type groups map[string][]*fleet.Wanted

func (g groups) add(key string, w *fleet.Wanted) { g[key] = append(g[key], w) }

func (g groups) keys() []string { return slices.Sorted(maps.Keys(g)) }

// named lists secrets, and rekey is the command that mends them.
func named(ws []*fleet.Wanted) (list, rekey string) {
	var names []string
	for _, w := range ws {
		names = append(names, w.Name)
	}
	if rekey = "gen secret rekey"; len(names) <= 3 {
		rekey += " " + strings.Join(names, " ")
	}
	return strings.Join(names, ", "), rekey
}

// readers checks for whom each secret is: the hosts that use it, and no others.
func (s *secretChecker) readers() {
	notFor, stranger := groups{}, groups{}
	for _, w := range s.wanted {
		c := s.fleet.Ciphertexts[w.Name]
		if c.Age == nil || s.copies[w.Name] {
			continue
		}
		tags, known := c.Age.Tags(), true
		for _, u := range w.Uses {
			tag := s.fleet.Keys[u.Host.Name.V].Tag
			own := s.byTag[tag] == u.Host.Name.V && !s.twice[tag]
			known = known && own // a host without a key of its own may be any of the strangers
			if own && !slices.Contains(tags, tag) {
				notFor.add(u.Host.Name.V, w)
			}
			tags = slices.DeleteFunc(tags, func(t string) bool { return t == tag })
		}
		for _, tag := range slices.Compact(tags) {
			host := s.byTag[tag]
			switch {
			case s.fleet.Partial || s.hangs(w, host):
			case host != "":
				stranger.add(host, w)
			case known:
				stranger.add("a key that no host has ("+tag+")", w)
			}
		}
		for _, kind := range c.Age.Others() {
			stranger.add("somebody unknown ("+kind+")", w)
		}
	}
	for _, host := range notFor.keys() {
		names, rekey := named(notFor[host])
		s.find(finding.NotForHost, useBy(notFor[host][0], host), "%s uses what is not encrypted to it: %s", host, names).Hintf("%s", rekey)
	}
	for _, who := range stranger.keys() {
		names, rekey := named(stranger[who])
		f := s.find(finding.ForStranger, at(load.FilePos(secretFile(stranger[who][0].Name))), "%s can read what it does not use: %s", who, names).
			Hintf("%s\nwhoever could read it knows it: if it was meant to be secret from them, then also gen secret rotate", rekey)
		for _, w := range stranger[who][1:] {
			f.And(load.FilePos(secretFile(w.Name)))
		}
	}
}

// hangs reports whether a host would use a secret if a reference led where it is
// meant to, which is a finding by itself: to a host whose backups it tries, or
// to the provider through which people log in.
func (s *secretChecker) hangs(w *fleet.Wanted, host string) bool {
	if w.Short == fleet.BackupPassword && s.triesNobody(host) {
		return true
	}
	return slices.ContainsFunc(w.Uses, func(u fleet.Use) bool {
		service, ok := u.Host.Services.Get(w.Owner)
		if !ok || service.Login == nil || service.Login.Secret.V != w.Short || s.fleet.Provider(service.Login) != nil {
			return false
		}
		_, ours := s.fleet.Zone(service.Login.Through.V)
		return ours
	})
}

// ofLostDrills reports whether a secret is the key of a host's drills that lead nowhere.
func (s *secretChecker) ofLostDrills(name string) bool {
	return slices.ContainsFunc(s.fleet.Hosts, func(h *fleet.Host) bool {
		return strings.HasPrefix(name, h.SecretName(h.Name.V, "drill-")) && s.triesNobody(h.Name.V)
	})
}

// triesNobody reports whether a host is to try the backups of one that there is not.
func (s *secretChecker) triesNobody(host string) bool {
	names := hostNames(s.fleet)
	i := slices.Index(names, host)
	return i >= 0 && slices.ContainsFunc(s.fleet.Hosts[i].Backups.Drills, func(d fleet.Val[string]) bool { return !slices.Contains(names, d.V) })
}

// useBy are the places of a secret's use by a host.
func useBy(w *fleet.Wanted, host string) []token.Pos {
	i := slices.IndexFunc(w.Uses, func(u fleet.Use) bool { return u.Host.Name.V == host })
	return w.Uses[i].At
}

// counts checks that operators are in the files, as well as a header can say:
// their stanzas do not tell whose they are.
func (s *secretChecker) counts() {
	want := len(s.fleet.Operators)
	if want == 0 {
		return
	}
	var files []string
	look := func(file string, c fleet.Ciphertext) {
		if c.Age != nil && c.Age.Count(agefile.X25519) != want {
			files = append(files, file)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(s.fleet.Keys)) {
		if c := s.fleet.Keys[host].Private; c != nil {
			look(keyFile(host)+".age", *c)
		}
	}
	for _, w := range s.wanted {
		look(secretFile(w.Name), s.fleet.Ciphertexts[w.Name])
	}
	if len(files) == 0 {
		return
	}
	s.find(finding.NotForOperators, at(s.fleet.Operators[0].Pos, s.fleet.Pos), "the fleet has %s, and these are encrypted to more or fewer: %s", operators(want), strings.Join(files, ", ")).
		Hintf("gen secret rekey")
}

func operators(n int) string {
	if n == 1 {
		return "one operator"
	}
	return fmt.Sprintf("%d operators", n)
}

// shared finds one ciphertext under the names of two environments.
func (s *secretChecker) shared() {
	first := map[string]*fleet.Wanted{}
	for _, w := range s.wanted {
		payload := s.fleet.Ciphertexts[w.Name].Payload
		other := first[payload]
		switch {
		case payload == "":
		case other == nil:
			first[payload] = w
		case other.Uses[0].Host.Environment.V != w.Uses[0].Host.Environment.V:
			s.copies[w.Name] = true
			s.find(finding.SharedSecret, at(load.FilePos(secretFile(w.Name))), "%s is a copy of %s", w.Name, other.Name).
				And(load.FilePos(secretFile(other.Name))).Hintf("give it a value of its own: gen secret rotate %s", w.Name)
		}
	}
}

// ownSecrets checks the names of the host's own secrets, which share theirs
// with those of a service that is called like the host.
func (c *hostChecker) ownSecrets() {
	c.secretFiles(c.host.Name.V, c.host.Secrets, c.host.Pos)
	for _, h := range c.fleet.Hosts {
		s, ok := h.Services.Get(c.host.Name.V)
		if !ok || h.Environment.V != c.host.Environment.V {
			continue
		}
		for _, e := range c.host.Secrets {
			if _, ok := s.Secrets.Get(e.Name); ok {
				c.find(finding.SecretName, at(e.Pos), "the host and the service %s on %s both have a secret %s, which would be one file", c.host.Name.V, h.Name.V, e.Name).
					And(s.Pos).Hintf("give one of them another name")
			}
		}
	}
}

// secretFiles checks the names of secrets and the places they go to.
func (c *hostChecker) secretFiles(owner string, secrets fleet.Map[*fleet.Secret], near token.Pos) {
	for _, s := range secrets {
		if !fleet.IsSecretName(s.Name) {
			c.find(finding.SecretName, at(s.Pos, near), "%q is no name for a secret", s.Name).Hintf("letters, digits, hyphens and underscores")
			continue
		}
		for _, f := range s.V.Files {
			c.hostPath(f.Name, "the secret's file", owner, at(f.Pos, s.Pos, near))
		}
	}
}

// tunnelKey reports whether a secret would be a host's key in the mesh.
func (c *checker) tunnelKey(name string) bool {
	return slices.ContainsFunc(c.fleet.Hosts, func(h *fleet.Host) bool {
		return h.Mesh != nil && !h.Mesh.PublicKey.Set && name == h.SecretName(h.Name.V, fleet.TunnelSecret)
	})
}
