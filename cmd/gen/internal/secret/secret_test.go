package secret

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// locked is an identity under a passphrase, as age -p writes it.
func locked(t *testing.T, identity, passphrase string) []byte {
	t.Helper()
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(10)
	b, err := Seal([]byte(identity), []age.Recipient{r})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestIdentities: plain, under a passphrase, armored or not; and no error quotes what was read.
func TestIdentities(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	line := id.String()
	binary := locked(t, "# a comment\n"+line+"\n", "open")
	var armored bytes.Buffer
	w := armor.NewWriter(&armored)
	w.Write(binary)
	w.Close()
	typo := "Q"
	if line[30:31] == typo {
		typo = "P"
	}
	toOther, err := Seal([]byte(line), []age.Recipient{id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ text, typed, says string }{
		"plain":              {line, "", ""},
		"with comments":      {"# created: today\n# public key: age1…\n" + line + "\n", "", ""},
		"locked":             {string(binary), "open", ""},
		"locked and armored": {armored.String(), "open", ""},
		"a wrong passphrase": {string(binary), "closed", "the passphrase is wrong"},
		"none":               {string(binary), "", "the passphrase is empty"},
		"damaged":            {string(binary[:len(binary)-1]), "open", "damaged"},
		"damaged armor":      {armored.String()[:60], "open", "damaged"},
		"encrypted to a key": {string(toOther), "", "not with a passphrase"},
		"a typing error":     {line[:30] + typo + line[31:], "", "no age identity"},
		"an ssh key":         {"-----BEGIN OPENSSH PRIVATE KEY-----\n", "", "no age identity"},
		"nothing":            {"", "", "no age identity"},
	} {
		ids, err := Identities([]byte(c.text), func() (string, error) { return c.typed, nil })
		switch {
		case c.says == "" && (err != nil || len(ids) != 1):
			t.Errorf("%s: %v", what, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %q", what, err, c.says)
		case err != nil && strings.Contains(err.Error(), line[20:30]):
			t.Errorf("%s: the error quotes the identity", what)
		}
	}
}

// TestRekey: a file that is damaged, or somebody else's, is not given a new header.
func TestRekey(t *testing.T) {
	mine, _ := age.GenerateX25519Identity()
	other, _ := age.GenerateX25519Identity()
	file, err := Seal([]byte("value"), []age.Recipient{mine.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	with, to := []age.Identity{mine}, []age.Recipient{other.Recipient(), mine.Recipient()}
	again, err := Rekey(file, with, to)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []age.Identity{mine, other} {
		if plain, err := Open(again, []age.Identity{id}); err != nil || string(plain) != "value" {
			t.Errorf("the new header opens to %q (%v)", plain, err)
		}
	}
	if _, err := Rekey(file, []age.Identity{other}, to); !errors.Is(err, ErrNotYours) {
		t.Errorf("with somebody else's identity: %v", err)
	}
	at := bytes.Index(file, []byte("\n--- ")) + len("\n--- ")
	damaged := slices.Clone(file)
	damaged[at] = map[bool]byte{true: 'A', false: 'B'}[file[at] != 'A']
	if _, err := Rekey(damaged, with, to); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a wrong MAC: %v", err)
	}
	if _, err := Rekey([]byte("plain"), with, to); err == nil {
		t.Error("what is not encrypted gets a header")
	}
}

// TestRandomIsEven: every character of the alphabet, about as often as any other.
func TestRandomIsEven(t *testing.T) {
	value, err := Random(1<<16, "abc-")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range "abc-" {
		if n := bytes.Count(value, []byte(string(c))); n < 1<<14-1000 || n > 1<<14+1000 { // nine deviations
			t.Errorf("%c is there %d times of %d", c, n, len(value))
		}
	}
	for name := range alphabets {
		if _, err := Random(1, name); err != nil {
			t.Errorf("the alphabet %s: %v", name, err)
		}
	}
}
