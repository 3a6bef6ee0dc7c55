// Package secret makes, encrypts and decrypts the values that a fleet keeps in
// age files. It is the one corner of gen that sees a plaintext, draws random
// numbers and rewrites the user's files; nothing that compiles imports it.
//
// A plaintext is in memory only: no argument, no temporary file and no message
// holds one, and errors are ours, so that none quotes what it could not read.
package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"filippo.io/age/agessh"

	"gen.example/cmd/gen/internal/agefile"
	"gen.example/cmd/gen/internal/fleet"
)

// A Refusal is what the user can mend: what is wrong, and what to do about it.
type Refusal struct{ What, Hint string }

func (r *Refusal) Error() string { return r.What }

// Refuse makes a Refusal.
func Refuse(hint, format string, args ...any) error {
	return &Refusal{fmt.Sprintf(format, args...), hint}
}

// Readers are the recipients of what the given hosts use: all operators and these hosts.
func Readers(f *fleet.Fleet, hosts ...*fleet.Host) (to []age.Recipient, err error) {
	for _, o := range f.Operators {
		r, err := age.ParseX25519Recipient(o.V.Age.V)
		if err != nil {
			return nil, Refuse("it is the public key that age-keygen prints", "%s's age key is none", o.Name)
		}
		to = append(to, r)
	}
	if len(to) == 0 {
		return nil, Refuse("make an identity with age-keygen, and say fleet: operators: YOU: age: \"age1…\"", "the fleet has no operator")
	}
	for _, h := range hosts {
		name := h.Name.V
		key := f.Keys[name]
		if key.Tag == "" {
			return nil, Refuse("gen secret init-host "+name, "%s has no identity to encrypt to", name)
		}
		r, err := agessh.ParseRecipient(key.Public)
		if err != nil {
			return nil, Refuse("gen secret init-host -force "+name, "%s's public key is none", name)
		}
		to = append(to, r)
	}
	return to, nil
}

// Seal encrypts a value with a new file key.
func Seal(plain []byte, to []age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	err = w.Close() // writes the last chunk
	return b.Bytes(), err
}

// ErrNotYours is a file that none of the identities opens, ErrDamaged one that
// they open and that was changed since.
var (
	ErrNotYours = errors.New("it is not encrypted to this identity")
	ErrDamaged  = errors.New("it is damaged")
)

// Open decrypts a file.
func Open(file []byte, with []age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(file), with...)
	if err != nil {
		return nil, reason(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

func reason(err error) error {
	if nobody := (*age.NoIdentityMatchError)(nil); errors.As(err, &nobody) {
		return ErrNotYours
	}
	return ErrDamaged
}

// Rekey makes another header for a file and leaves its payload as it is, so
// that its hash, and with it every stamp, stays. The file key stays too: a
// recipient who was removed and has kept it can read the payload for ever.
func Rekey(file []byte, with []age.Identity, to []age.Recipient) ([]byte, error) {
	old, err := agefile.Parse(file)
	if err != nil {
		return nil, err
	}
	fileKey, err := age.DecryptHeader(file[:len(file)-len(old.Payload)], with...)
	if err != nil {
		return nil, reason(err)
	}
	var stanzas []agefile.Stanza
	for _, r := range to {
		wrapped, err := r.Wrap(fileKey)
		if err != nil {
			return nil, err
		}
		for _, s := range wrapped {
			stanzas = append(stanzas, agefile.Stanza(*s))
		}
	}
	header := agefile.Header(stanzas, fileKey)
	if _, err := age.DecryptHeader(header, age.NewInjectedFileKeyIdentity(fileKey)); err != nil {
		panic("secret: age does not take the header that we wrote: " + err.Error())
	}
	return slices.Concat(header, old.Payload), nil
}
