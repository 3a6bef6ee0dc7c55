package secret

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"

	"gen.example/cmd/gen/internal/agefile"
)

// Identities reads an operator's identity as age-keygen writes it, or as age -p
// encrypts that with a passphrase, which passphrase is then asked for.
func Identities(text []byte, passphrase func() (string, error)) ([]age.Identity, error) {
	binary := text
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte(armor.Header)) {
		var err error
		if binary, err = io.ReadAll(armor.NewReader(bytes.NewReader(text))); err != nil {
			return nil, Refuse("", "the identity file is damaged")
		}
	}
	if f, err := agefile.Parse(binary); err == nil {
		if f.Count("scrypt") == 0 {
			return nil, Refuse("an identity is made by age-keygen, and may be encrypted by age -p", "the identity file is encrypted, and not with a passphrase")
		}
		if text, err = unlock(binary, passphrase); err != nil {
			return nil, err
		}
	}
	ids, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil { // the error may quote the line
		return nil, Refuse("it holds a line that begins with AGE-SECRET-KEY-1, as age-keygen writes it", "the identity file holds no age identity")
	}
	return ids, nil
}

func unlock(file []byte, passphrase func() (string, error)) ([]byte, error) {
	p, err := passphrase()
	if err != nil {
		return nil, err
	}
	id, err := age.NewScryptIdentity(p)
	if err != nil {
		return nil, Refuse("", "the passphrase is empty")
	}
	plain, err := Open(file, []age.Identity{id})
	if err == ErrNotYours {
		return nil, Refuse("", "the passphrase is wrong")
	}
	return plain, err
}

// NewHost makes an identity for a host: a private key as ssh-keygen writes it,
// and its public half in one line with the host's name.
func NewHost(name string) (private []byte, public string, err error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, "", err
	}
	block, err := ssh.MarshalPrivateKey(key, name)
	if err != nil {
		return nil, "", err
	}
	wire, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, "", err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(wire))) + " " + name + "\n"
	return pem.EncodeToMemory(block), line, nil
}

// A Host is a host's identity, and the tag by which files name it.
type Host struct {
	age.Identity
	Tag string
}

// ParseHost reads a host's private key.
func ParseHost(private []byte) (h Host, err error) {
	if h.Identity, err = agessh.ParseIdentity(private); err != nil {
		return h, ErrDamaged
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return h, ErrDamaged
	}
	h.Tag, err = agefile.Tag(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return h, err
}
