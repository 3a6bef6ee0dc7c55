package load

import (
	"errors"
	"io/fs"
	"strings"

	"gen.example/cmd/gen/internal/agefile"
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
		f, err := agefile.Parse(b)
		if err != nil {
			r.find(finding.NotAge, FilePos(path), "the file is not an age file: %v", err).
				Hintf("if it holds a secret in the clear, that secret is now in the repository's history: replace the secret itself")
			continue
		}
		out[name] = fleet.Ciphertext{Bytes: b, Payload: f.PayloadHash()}
	}
	return out
}
