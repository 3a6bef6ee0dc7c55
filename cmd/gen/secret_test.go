package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/agefile"
)

// A desk is a repository of its own, with an operator who has an identity.
type desk struct {
	*testing.T
	dir      string
	identity string   // the operator's file
	public   string   // age1…
	answers  []string // what is typed at the terminal
	said     []string // what every command but show and identity printed
}

// newDesk makes a fleet of two hosts; only one runs a service with secrets.
func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{T: t, dir: t.TempDir()}
	d.identity, d.public = operatorFile(t)
	d.declare("one")
	return d
}

// operatorFile is an identity as age-keygen writes it.
func operatorFile(t *testing.T) (file, public string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "identity")
	if said, err := exec.Command(tool(t, "age-keygen"), "-o", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	b, err := exec.Command(tool(t, "age-keygen"), "-y", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(b))
}

// declare says which hosts run the service, and who the operators are.
func (d *desk) declare(hosts string, operators ...string) {
	d.Helper()
	var b strings.Builder
	b.WriteString("package hosts\n\nimport \"gen.example/schema\"\n\nfleet: domain: \"example.org\"\n")
	for i, public := range append([]string{d.public}, operators...) {
		b.WriteString("fleet: operators: o" + string(rune('a'+i)) + ": age: \"" + public + "\"\n")
	}
	for i, name := range []string{"one", "two"} {
		b.WriteString("hosts: " + name + ": {os: \"debian-13\", address: \"203.0.113." + string(rune('1'+i)) + "\"}\n")
		if slices.Contains(strings.Fields(hosts), name) {
			b.WriteString("hosts: " + name + ": services: demo: #Demo\n")
		}
	}
	b.WriteString(`#Demo: {
	schema.#Service
	containers: app: {
		image: "docker.io/library/demo:1"
		health: command: ["demo", "ping"]
		secrets: {password: {}, pepper: {}, key: {}}
	}
	containers: other: {
		image: "docker.io/library/demo:1"
		health: command: ["demo", "ping"]
		secrets: token: {}
	}
	secrets: {
		password: about: "the password"
		pepper: {about: "all passwords were hashed with it", stable: true}
		key: about:   "a key"
		token: about: "a token"
	}
}
`)
	write(d.T, filepath.Join(d.dir, "hosts/fleet.cue"), b.String())
}

// try runs gen in the repository.
func (d *desk) try(stdin string, args ...string) (stdout, stderr string, code int) {
	d.Helper()
	var out, errs bytes.Buffer
	c := &command{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, ask: func(string) (string, error) {
		if len(d.answers) == 0 {
			return "", errors.New("there is no terminal")
		}
		a := d.answers[0]
		d.answers = d.answers[1:]
		return a, nil
	}}
	code = c.run(append(args, "-C", d.dir))
	d.said = append(d.said, errs.String())
	if len(args) < 2 || args[1] != "show" && args[1] != "identity" {
		d.said = append(d.said, out.String())
	}
	return out.String(), errs.String(), code
}

// secret runs a verb of gen secret that succeeds.
func (d *desk) secret(args ...string) (stdout string) { d.Helper(); return d.given("", args...) }

func (d *desk) given(stdin string, args ...string) (stdout string) {
	d.Helper()
	if slices.Contains([]string{"rekey", "verify", "show", "identity"}, args[0]) && !slices.Contains(args, "-i") {
		args = append(args, "-i", d.identity)
	}
	stdout, stderr, code := d.try(stdin, append([]string{"secret"}, args...)...)
	if code != ok {
		d.Fatalf("gen secret %v: exit %d: %s", args, code, stderr)
	}
	return stdout
}

// refused runs gen secret, which refuses and changes nothing.
func (d *desk) refused(code int, says, stdin string, args ...string) {
	d.Helper()
	before := readTree(d.T, d.dir)
	stdout, stderr, got := d.try(stdin, append([]string{"secret"}, args...)...)
	if got != code || !strings.Contains(stderr, says) || stdout != "" {
		d.Errorf("gen secret %v: exit %d, and it says %q and prints %q; want exit %d and %q", args, got, stderr, stdout, code, says)
	}
	if diff := cmp.Diff(before, readTree(d.T, d.dir)); diff != "" {
		d.Errorf("gen secret %v refused and changed\n%s", args, diff)
	}
}

// complete makes all identities and secrets.
func (d *desk) complete() {
	d.Helper()
	d.secret("init-host", "one")
	for _, name := range []string{"password", "pepper", "key", "token"} {
		d.secret("new", "demo."+name)
	}
	d.clean()
}

// clean checks that gen check has nothing to say.
func (d *desk) clean() {
	d.Helper()
	if _, said, code := d.try("", "check"); code != ok {
		d.Errorf("gen check: exit %d\n%s", code, said)
	}
}

// compiled is what the fleet compiles to.
func (d *desk) compiled() map[string]string {
	d.Helper()
	out := d.TempDir()
	if _, said, code := d.try("", "-o", out); code != ok {
		d.Fatalf("exit %d: %s", code, said)
	}
	return readTree(d.T, out)
}

func (d *desk) file(name string) string {
	d.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir, "hosts", name))
	if err != nil {
		d.Fatal(err)
	}
	return string(b)
}

// binary is a value with all that a careless program would change.
const binary = "\xff\x00\x01first line\r\n\tsecond\n\n  'quoted' \"$x\" %s\n\n"

// TestSecretValues: what goes in comes out, byte for byte.
func TestSecretValues(t *testing.T) {
	d := newDesk(t)
	d.secret("init-host", "one")
	for _, c := range []struct{ options, want string }{
		{"", `^[A-Za-z0-9]{40}$`},
		{"-length 64 -alphabet hex", `^[0-9a-f]{64}$`},
		{"-alphabet easy", `^[a-km-np-z2-9]{40}$`},
		{"-length 12 -alphabet ab-", `^[ab-]{12}$`},
		{"-alphabet digits -length=6", `^[0-9]{6}$`},
		{"-ssh", `^-----BEGIN OPENSSH PRIVATE KEY-----\n[^-]*-----END OPENSSH PRIVATE KEY-----\n$`},
		{"-wireguard", `^[A-Za-z0-9+/]{43}=$`},
	} {
		os.RemoveAll(filepath.Join(d.dir, "hosts/secrets"))
		public := d.secret(append([]string{"new", "demo.key"}, strings.Fields(c.options)...)...)
		got := d.secret("show", "production.demo.key")
		if !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("new %s makes %q, want %s", c.options, got, c.want)
		}
		switch c.options {
		case "-ssh":
			if want := keygen(t, "ssh-keygen", got); !strings.HasPrefix(public, want) {
				t.Errorf("the public half is %q, and ssh-keygen says %q", public, want)
			}
		case "-wireguard":
			if want := keygen(t, "wg", got); public != want+"\n" {
				t.Errorf("the public half is %q, and wg says %q", public, want)
			}
		}
	}
	for _, value := range []string{"x", "two\nlines", binary, strings.Repeat("long", 50000)} {
		d.given(value, "edit", "demo.key", "-stdin")
		if got := d.secret("show", "demo.key"); got != value {
			t.Errorf("%.40q went in and %.40q comes out", value, got)
		}
	}
	d.answers = []string{"it's typed", "it's typed"}
	d.secret("new", "demo.token", "-prompt")
	if got := d.secret("show", "demo.token"); got != "it's typed" {
		t.Errorf("what was typed comes out as %q", got)
	}
	_, said, _ := d.try("value\n", "secret", "edit", "demo.token", "-stdin")
	if !strings.Contains(said, "ends in a newline") {
		t.Errorf("a final newline is not remarked on: %s", said)
	}
}

// keygen is the public half of a private key, as its own program tells it.
func keygen(t *testing.T, program, private string) string {
	t.Helper()
	c := exec.Command(tool(t, program), "pubkey")
	if program == "ssh-keygen" {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(private), 0o600); err != nil {
			t.Fatal(err)
		}
		c = exec.Command(tool(t, program), "-y", "-f", file)
	}
	c.Stdin = strings.NewReader(private)
	b, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// TestSecretRefuses: every way to get it wrong, and nothing is changed.
func TestSecretRefuses(t *testing.T) {
	d := newDesk(t)
	d.refused(misused, "one has no identity", "", "new", "demo.key")
	d.complete()
	other, _ := operatorFile(t)
	noKey := filepath.Join(t.TempDir(), "not-a-key")
	write(t, noKey, "AGE-SECRET-KEY-1OOPS\n")
	t.Setenv("GEN_IDENTITY", "")
	for _, c := range []struct {
		args, stdin, says string
		code              int
	}{
		{"", "", "say what to do", misused},
		{"shwo demo.key", "", `did you mean "show"?`, misused},
		{"show", "", "needs a name", misused},
		{"show demo.key demo.token", "", "demo.token", misused},
		{"list -force", "", "no option -force", misused},
		{"list -host one", "", "no option -host", misused},
		{"new demo.keys", "", `did you mean "demo.key"?`, misused},
		{"new demo.key", "", "there already", misused},
		{"new ../x", "", "no secret", misused},
		{"init-host one", "", "an identity already", misused},
		{"init-host oen", "", `did you mean "one"?`, misused},
		{"rotate demo.key -stdin", "", "empty", misused},
		{"rotate demo.key -stdin -ssh", "x", "one source", misused},
		{"rotate demo.key -length 0", "", "0 characters", misused},
		{"rotate demo.key -alphabet aa", "", "no alphabet", misused},
		{"rotate demo.key -alphabet ä", "", "no alphabet", misused},
		{"rotate demo.pepper", "", "all passwords were hashed with it", misused},
		{"edit demo.pepper -stdin", "x", "must live as long as the data", misused},
		{"edit demo.key", "", "no terminal", failed},
		{"show demo.key", "", "needs an operator's identity", misused},
		{"show demo.key -i /nonexistent", "", "no such file", misused},
		{"show demo.key -i " + noKey, "", "no age identity", misused},
		{"show demo.key -i " + other, "", "not encrypted to this identity", misused},
		{"show demo.key -i - -passphrase -", "", "both", misused},
		{"identity one -i " + other, "", "not encrypted to this identity", misused},
		{"rekey -i " + other, "", "not encrypted to this identity", misused},
		{"verify -i " + other, "", "not encrypted to this identity", found},
	} {
		d.refused(c.code, c.says, c.stdin, strings.Fields(c.args)...)
	}
	d.answers = []string{"once", "twice"}
	d.refused(misused, "not the same", "", "edit", "demo.key")

	// With a part of the fleet, a secret would be for a part of its readers.
	write(t, filepath.Join(d.dir, "hosts/broken.cue"), "package hosts\nhosts: two: {")
	d.refused(found, "GEN101", "", "rotate", "demo.key")
}

// TestSecretIdentities: an operator's identity from a file, from standard input,
// from the environment, and under a passphrase.
func TestSecretIdentities(t *testing.T) {
	d := newDesk(t)
	d.identity = absolute(t, "../../hosts/keys/demonstration.identity")
	d.public = "age1hyr6gw64me2jj74pd4jlq30f9w6gl098sfdq4f4x8u46wrpdz5sq4k0stm"
	d.declare("one")
	d.secret("init-host", "one")
	d.given("value", "new", "demo.key", "-stdin")
	for _, c := range []struct{ stdin, typed, options string }{
		{"", passphrase, "-i " + d.identity},
		{passphrase + "\n", "", "-i " + d.identity + " -passphrase -"},
		{passphrase, "", "-i " + d.identity + " -passphrase -"},
		{passphrase + "\r\n", "", "-i " + d.identity + " -passphrase -"},
	} {
		d.answers = []string{c.typed}
		if got := d.given(c.stdin, append([]string{"show", "demo.key"}, strings.Fields(c.options)...)...); got != "value" {
			t.Errorf("%+v shows %q", c, got)
		}
	}
	d.answers = []string{"wrong"}
	d.refused(misused, "the passphrase is wrong", "", "show", "demo.key", "-i", d.identity)
	d.answers = []string{""}
	d.refused(misused, "the passphrase is empty", "", "show", "demo.key", "-i", d.identity)

	plain, public := operatorFile(t)
	d.public = public
	d.declare("one")
	d.secret("init-host", "one", "-force")
	d.given("another", "edit", "demo.key", "-stdin")
	b, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.given(string(b), "show", "demo.key", "-i", "-"); got != "another" {
		t.Errorf("with the identity from standard input, it shows %q", got)
	}
	t.Setenv("GEN_IDENTITY", plain)
	if got, said, _ := d.try("", "secret", "show", "demo.key"); got != "another" {
		t.Errorf("with $GEN_IDENTITY, it shows %q and says %s", got, said)
	}
}

// TestRotateRestartsOneUnit: a new value changes the stamp of what reads it.
func TestRotateRestartsOneUnit(t *testing.T) {
	d := newDesk(t)
	d.complete()
	before := d.compiled()
	d.secret("rotate", "demo.token")
	if diff := changedUnits(before, d.compiled()); !slices.Equal(diff, []string{"demo-other.service"}) {
		t.Errorf("a rotated token restarts %v", diff)
	}
	d.secret("rotate", "demo.pepper", "-force")
	d.secret("verify")
}

// changedUnits are the lines of UNITS that differ, by unit.
func changedUnits(before, after map[string]string) (units []string) {
	old := strings.Split(before["one/UNITS"], "\n")
	for line := range strings.Lines(after["one/UNITS"]) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); !slices.Contains(old, strings.TrimSpace(line)) {
			units = append(units, f[1])
		}
	}
	return units
}

// TestRekeyRestartsNothing: a colleague joins, a host takes over, both leave
// again. Only headers change; those who leave are named with what they know.
func TestRekeyRestartsNothing(t *testing.T) {
	d := newDesk(t)
	d.complete()
	before, ciphers := d.compiled(), readTree(t, filepath.Join(d.dir, "hosts/secrets"))
	colleague, public := operatorFile(t)

	d.declare("one two", public)
	d.secret("init-host", "two")
	if _, said, _ := d.try("", "check"); !strings.Contains(said, "GEN508") || !strings.Contains(said, "GEN510") {
		t.Errorf("check does not see who is new:\n%s", said)
	}
	d.secret("rekey")
	d.clean()
	d.secret("verify")
	d.secret("verify", "-i", colleague)
	after := d.compiled()
	if before["one/UNITS"] != after["one/UNITS"] || before["one/SECRETS"] != after["one/SECRETS"] {
		t.Errorf("a rekey changes UNITS or SECRETS:\n%s", cmp.Diff(before["one/UNITS"]+before["one/SECRETS"], after["one/UNITS"]+after["one/SECRETS"]))
	}
	for name, was := range ciphers {
		old, _ := agefile.Parse([]byte(was))
		now, err := agefile.Parse([]byte(d.file("secrets/" + name)))
		if err != nil || !bytes.Equal(old.Payload, now.Payload) || len(now.Stanzas) != len(old.Stanzas)+2 {
			t.Errorf("%s: %v, or another payload, or %d recipients", name, err, len(now.Stanzas))
		}
	}

	d.declare("one")
	for _, hint := range []string{"GEN509", "GEN510"} {
		if _, said, _ := d.try("", "check"); !strings.Contains(said, hint) {
			t.Errorf("check does not see who has left:\n%s", said)
		}
	}
	_, said, code := d.try("", "secret", "rekey", "-i", d.identity)
	for _, want := range []string{"two, a former operator could read it", "gen secret rotate production.demo.token", "gen secret init-host -force one"} {
		if code != ok || !strings.Contains(said, want) {
			t.Errorf("exit %d, and rekey does not say %q:\n%s", code, want, said)
		}
	}
	d.clean()
	d.refused(found, "not encrypted to this identity", "", "verify", "-i", colleague)

	old := readTree(t, filepath.Join(d.dir, "hosts"))
	d.secret("rekey", "demo.token")
	maps.DeleteFunc(old, func(name, body string) bool { return body == d.file(name) })
	if names := slices.Collect(maps.Keys(old)); !slices.Equal(names, []string{"secrets/production.demo.token.age"}) {
		t.Errorf("rekey of one secret changes %v", names)
	}
}

// TestVerifyFindsWhatHeadersHide: a header may claim anything.
func TestVerifyFindsWhatHeadersHide(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(d *desk)
		says  string
	}{
		"a flipped bit in the payload": {func(d *desk) {
			b := []byte(d.file("secrets/production.demo.key.age"))
			b[len(b)-1] ^= 1
			write(d.T, filepath.Join(d.dir, "hosts/secrets/production.demo.key.age"), string(b))
		}, "production.demo.key.age: it is damaged"},
		"a flipped bit in the host's stanza": {func(d *desk) {
			s := d.file("secrets/production.demo.key.age")
			i := strings.Index(s, "-> ssh-ed25519")
			i += strings.Index(s[i:], "\n") + 1
			other := map[bool]string{true: "A", false: "B"}[s[i] != 'A']
			write(d.T, filepath.Join(d.dir, "hosts/secrets/production.demo.key.age"), s[:i]+other+s[i+1:])
		}, "production.demo.key.age"},
		"another host's private half": {func(d *desk) {
			d.secret("init-host", "two")
			write(d.T, filepath.Join(d.dir, "hosts/keys/one.age"), d.file("keys/two.age"))
		}, "one.age: it is not the private half of hosts/keys/one.pub"},
		"a file that is gone": {func(d *desk) {
			os.Remove(filepath.Join(d.dir, "hosts/secrets/production.demo.key.age"))
		}, "production.demo.key.age: it is not there"},
	} {
		t.Run(what, func(t *testing.T) {
			d := newDesk(t)
			d.complete()
			c.spoil(d)
			d.refused(found, c.says, "", "verify", "-i", d.identity)
		})
	}
}

// TestSecretList: for whom, used by what, present or missing.
func TestSecretList(t *testing.T) {
	d := newDesk(t)
	d.declare("one two")
	d.secret("init-host", "one")
	d.secret("init-host", "two")
	d.secret("new", "demo.pepper")
	write(t, filepath.Join(d.dir, "hosts/secrets/old.age"), d.file("secrets/production.demo.pepper.age"))
	want := `old                       unused           -         -
production.demo.key       missing          one, two  demo-app
production.demo.password  missing          one, two  demo-app
production.demo.pepper    present, stable  one, two  demo-app
production.demo.token     missing          one, two  demo-other
`
	if diff := cmp.Diff(want, d.secret("list")); diff != "" {
		t.Error(diff)
	}
}

// TestWriteIsAtomic: a write that fails leaves the old file, and nothing beside it.
func TestWriteIsAtomic(t *testing.T) {
	d := newDesk(t)
	d.complete()
	before := readTree(t, d.dir)
	c := exec.Command("sh", "-c", `ulimit -f 0; "$@"`, "sh", executable(t), "secret", "rotate", "demo.key", "-C", d.dir)
	c.Env = append(os.Environ(), "GEN_TEST_AS_GEN=1")
	if said, err := c.CombinedOutput(); err == nil {
		t.Fatalf("it could write although no file may grow: %s", said)
	}
	after := readTree(t, d.dir)
	maps.DeleteFunc(after, func(name, body string) bool { return strings.Contains(name, "/.gen-") && body == "" })
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a failed write changed\n%s", diff)
	}
	d.clean()
}

// TestDebianAge: Debian's age decrypts what we encrypt and re-encrypt, as an
// operator and as a host, and we accept what it encrypts.
func TestDebianAge(t *testing.T) {
	for _, name := range []string{"age", "age-1.2.1"} {
		t.Run(name, func(t *testing.T) {
			program := tool(t, name)
			d := newDesk(t)
			d.complete()
			d.given(binary, "edit", "demo.key", "-stdin")
			host := filepath.Join(t.TempDir(), "host")
			decrypts := func(when string) {
				t.Helper()
				if err := os.WriteFile(host, []byte(d.secret("identity", "one")), 0o600); err != nil {
					t.Fatal(err)
				}
				for _, identity := range []string{d.identity, host} {
					got, err := exec.Command(program, "-d", "-i", identity, filepath.Join(d.dir, "hosts/secrets/production.demo.key.age")).Output()
					if err != nil || string(got) != binary {
						t.Errorf("%s, it decrypts to %q (%v)", when, got, err)
					}
				}
				if _, err := exec.Command(program, "-d", "-i", d.identity, filepath.Join(d.dir, "hosts/keys/one.age")).Output(); err != nil {
					t.Errorf("%s, it does not decrypt a host's identity: %v", when, err)
				}
			}
			decrypts("new")
			_, public := operatorFile(t)
			d.declare("one two", public)
			d.secret("init-host", "two")
			d.secret("rekey")
			decrypts("rekeyed")

			d.declare("one")
			d.secret("rekey")
			c := exec.Command(program, "-r", d.public, "-R", filepath.Join(d.dir, "hosts/keys/one.pub"), "-o", filepath.Join(d.dir, "hosts/secrets/production.demo.key.age"))
			c.Stdin = strings.NewReader("by age itself")
			if said, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			d.clean()
			d.secret("verify")
			d.secret("rekey")
			if got := d.secret("show", "demo.key"); got != "by age itself" {
				t.Errorf("what age encrypted shows as %q", got)
			}
		})
	}
}

// TestSecretFree: known plaintexts go in, and no part of them is in what gen
// compiles, in the repository, or in what any command but show says.
func TestSecretFree(t *testing.T) {
	d := newDesk(t)
	canaries := map[string]string{
		"given":   "canary-given-0f9a8b7c6d5e4f3a2b1c",
		"typed":   "canary-typed-1a2b3c4d5e6f7a8b9c0d",
		"changed": "canary-line1\ncanary-line2-77665544332211\n",
	}
	d.secret("init-host", "one")
	d.given(canaries["given"], "new", "demo.password", "-stdin")
	d.answers = []string{canaries["typed"], canaries["typed"]}
	d.secret("new", "demo.pepper", "-prompt")
	d.given("canary-first-9988776655", "new", "demo.key", "-stdin")
	d.given(canaries["changed"], "edit", "demo.key", "-stdin")
	canaries["first"] = "canary-first-9988776655"
	d.secret("new", "demo.token")
	canaries["random"] = d.secret("show", "demo.token")
	canaries["host"] = d.secret("identity", "one")
	b, err := os.ReadFile(d.identity)
	if err != nil {
		t.Fatal(err)
	}
	canaries["operator"] = regexp.MustCompile(`AGE-SECRET-KEY-\w+`).FindString(string(b))
	d.given(canaries["operator"]+"\n", "show", "demo.key", "-i", "-")

	// Every command, also where it fails.
	d.declare("one two")
	d.secret("init-host", "two")
	d.secret("rekey")
	d.secret("verify")
	d.secret("list")
	d.try(canaries["given"], "secret", "rotate", "demo.pepper", "-stdin")
	d.try(canaries["given"], "secret", "show", "demo.key", "-i", "-")
	d.try(canaries["given"]+"\n", "secret", "show", "demo.key", "-i", absolute(t, "../../hosts/keys/demonstration.identity"), "-passphrase", "-")
	d.try("AGE-SECRET-KEY-1"+canaries["given"], "secret", "verify", "-i", "-")
	d.try(canaries["operator"]+"x\n", "secret", "verify", "-i", "-")
	write(t, filepath.Join(d.dir, "hosts/secrets/production.demo.clear.age"), canaries["given"])
	write(t, filepath.Join(d.dir, "hosts/keys/two.pub"), canaries["given"])
	d.try("", "check")
	d.try("", "secret", "verify", "-i", d.identity)
	for _, spoilt := range []string{"secrets/production.demo.clear.age", "keys/two.pub", "keys/two.age"} {
		os.Remove(filepath.Join(d.dir, "hosts", spoilt))
	}
	d.secret("init-host", "two")
	d.secret("rekey")

	where := readTree(t, d.dir)
	maps.Copy(where, d.compiled())
	for i, said := range d.said {
		where["what was said, "+string(rune('a'+i))] = said
	}
	for name, value := range canaries {
		for file, body := range where {
			if name == "host" && strings.HasSuffix(file, ".pub") {
				continue // a private key holds its public half
			}
			if seen := trace(body, value); seen != "" {
				t.Errorf("%s: the %s value shows as %q", file, name, seen)
			}
		}
	}
}

// trace is a part of a value that stands in a text, as it is, in base64 or in hex.
func trace(text, value string) string {
	const part = 12
	for i := 0; i+part <= len(value); i++ {
		piece := value[i : i+part]
		code := base64.StdEncoding.EncodeToString([]byte(piece)) // of a multiple of three bytes: no padding
		for _, s := range []string{piece, code, hex.EncodeToString([]byte(piece))} {
			if strings.Contains(text, s) && strings.Trim(piece, "A-") != "" && !commonplace(piece) {
				return piece
			}
		}
	}
	return ""
}

// commonplace is what every private key has, and is no secret.
func commonplace(piece string) bool {
	const frame = "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n AGE-SECRET-KEY-1"
	return strings.Contains(frame, piece)
}
