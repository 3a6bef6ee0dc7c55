package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
)

// readSecrets reads hosts/secrets/*.age. Nothing is decrypted: gen needs the
// bytes, and a hash of the payload that stays when only the header is rewritten.
func (r *repository) readSecrets() map[string]fleet.Ciphertext {
	const dir = "hosts/secrets"
	out := map[string]fleet.Ciphertext{}
	entries, err := fs.ReadDir(r.root, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.unreadable(dir, err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".age")
		if !ok {
			continue
		}
		path := dir + "/" + e.Name()
		b, err := fs.ReadFile(r.root, path)
		if err != nil {
			r.unreadable(path, err)
			continue
		}
		payload, ok := agePayload(b)
		if !ok {
			r.find(finding.NotAge, FilePos(path), "the file is not encrypted with age").
				Hintf("if it holds a secret in the clear, that secret is now in the repository's history: replace the secret itself")
			continue
		}
		hash := sha256.Sum256(payload)
		out[name] = fleet.Ciphertext{Bytes: b, Payload: hex.EncodeToString(hash[:])}
	}
	return out
}

// agePayload is every byte after the header's MAC line of a binary age file
// (https://age-encryption.org/v1).
func agePayload(b []byte) ([]byte, bool) {
	if !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n")) {
		return nil, false
	}
	_, rest, ok := bytes.Cut(b, []byte("\n--- "))
	if !ok {
		return nil, false
	}
	_, payload, ok := bytes.Cut(rest, []byte("\n"))
	return payload, ok && len(payload) > 0
}
