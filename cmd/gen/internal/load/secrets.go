package load

import (
	"bytes"
	"io/fs"
	"path"
	"strings"

	"gen.example/cmd/gen/internal/agefile"
	"gen.example/cmd/gen/internal/fleet"
)

// Where a repository keeps its ciphertexts, and the identities of its hosts.
const (
	SecretsDir = "hosts/secrets"
	KeysDir    = "hosts/keys"
)

// readSecrets reads hosts/secrets and hosts/keys. Nothing is decrypted: gen
// needs the bytes, what the headers say, and a hash of the payload that stays
// when only the header is rewritten.
func (r *repository) readSecrets(f *fleet.Fleet) {
	f.Ciphertexts, f.Keys = map[string]fleet.Ciphertext{}, map[string]fleet.Key{}
	for file, b := range r.readAll(SecretsDir) {
		if name, ok := strings.CutSuffix(file, ".age"); ok {
			f.Ciphertexts[name] = ciphertext(b)
		} else {
			f.InTheClear = append(f.InTheClear, path.Join(SecretsDir, file))
		}
	}
	for file, b := range r.readAll(KeysDir) {
		host := strings.TrimSuffix(file, path.Ext(file))
		key := f.Keys[host]
		switch path.Ext(file) {
		case ".pub":
			key.Public = strings.TrimSpace(string(b))
			key.Tag, key.Wrong = agefile.Tag(string(b))
			f.Keys[host] = key
		case ".age":
			c := ciphertext(b)
			key.Private = &c
			f.Keys[host] = key
		}
		if bytes.Contains(b, []byte("PRIVATE KEY-----")) || bytes.Contains(b, []byte("AGE-SECRET-KEY-")) {
			f.InTheClear = append(f.InTheClear, path.Join(KeysDir, file))
		}
	}
}

func ciphertext(b []byte) fleet.Ciphertext {
	c := fleet.Ciphertext{Bytes: b}
	file, err := agefile.Parse(b)
	if err != nil {
		c.Wrong = err
		return c
	}
	c.Age, c.Payload = file, file.PayloadHash()
	return c
}

// readAll reads the files of a directory by name, dotfiles aside.
func (r *repository) readAll(dir string) map[string][]byte {
	entries, err := fs.ReadDir(r.root, dir)
	if _, none := fs.Stat(r.root, dir); err != nil && none == nil {
		r.unreadable(dir, err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b, err := read(r.root, path.Join(dir, e.Name()))
		if err != nil {
			r.unreadable(path.Join(dir, e.Name()), err)
			continue
		}
		files[e.Name()] = b
	}
	return files
}
