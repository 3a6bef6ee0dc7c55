package secret

import (
	"errors"
	"os"
	"path/filepath"
)

// Write puts a ciphertext or a public key in its place, whole or not at all: a
// reader sees the old file or the new one, also after a power cut.
func Write(path string, body []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	t, err := os.CreateTemp(dir, ".gen-*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name()) // nothing there after a success
	_, err = t.Write(body)
	if err := errors.Join(err, t.Chmod(0o644), t.Sync(), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}
