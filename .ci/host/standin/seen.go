package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const secretsDir = "/run/secrets"

// A seen is what a program tells of where it finds itself. Of a secret it tells a fingerprint.
type seen struct {
	Program      string            `json:"program"`
	Args         []string          `json:"args"`
	UID          int               `json:"uid"` // as it was started
	GID          int               `json:"gid"`
	Groups       []int             `json:"groups"`
	Caps         []string          `json:"caps"` // effective, as it was started
	Bounding     []string          `json:"bounding"`
	NoNewPrivs   bool              `json:"noNewPrivs"`
	WorksAs      string            `json:"worksAs"` // once it has dropped what it was started with
	RootReadOnly bool              `json:"rootReadOnly"`
	Env          map[string]string `json:"env"`
	Mounts       map[string]mount  `json:"mounts"`
	Secrets      map[string]secret `json:"secrets"`
	Warnings     []string          `json:"warnings"`
	Facts        map[string]any    `json:"facts"` // a part's own
	Headers      map[string]string `json:"headers,omitempty"`

	secrets []string // read outside secretsDir
}

type secret struct {
	Mode  string `json:"mode,omitempty"`
	Owner string `json:"owner,omitempty"`
	Bytes int    `json:"bytes"`
	Print string `json:"sha256,omitempty"`
	Error string `json:"error,omitempty"`
}

// now is what it sees at this moment: mounts and secrets as who it works as, and the request, if
// one asks.
func (s seen) now(r *http.Request) seen {
	s.WorksAs = fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	s.Env = environment()
	s.Mounts = mounts()
	s.RootReadOnly = strings.HasPrefix(s.Mounts["/"].Options+",", "ro,")
	delete(s.Mounts, "/")
	s.Secrets = map[string]secret{}
	for _, path := range append(files(secretsDir), s.secrets...) {
		s.Secrets[path] = peek(path)
	}
	if r != nil {
		s.Headers = headers(r)
	}
	return s
}

func peek(path string) (out secret) {
	info, err := os.Stat(path)
	if err != nil {
		return secret{Error: reason(err).Error()}
	}
	out.Mode, out.Owner = mode(info), owner(info)
	b, err := os.ReadFile(path)
	if err != nil {
		out.Error = reason(err).Error()
		return out
	}
	out.Bytes, out.Print = len(b), fingerprint(string(b))
	return out
}

func fingerprint(value string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(value)))[:12] }

// files are the files below dir, which need not be there.
func files(dir string) (out []string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return nil
	})
	return out
}

var confidential = regexp.MustCompile(`PASS|SECRET|TOKEN|_KEY|DB_URL`)

// environment keeps to itself what may be a secret and is not the place of one.
func environment() map[string]string {
	out := map[string]string{}
	for _, line := range os.Environ() {
		name, value, _ := strings.Cut(line, "=")
		place := strings.HasPrefix(value, "/") || strings.HasPrefix(value, "file://")
		if confidential.MatchString(name) && value != "" && !place {
			value = "sha256:" + fingerprint(value)
		}
		out[name] = value
	}
	return out
}

func headers(r *http.Request) map[string]string {
	out := map[string]string{}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-") {
			out[name] = r.Header.Get(name)
		}
	}
	return out
}

// tell writes it down as one line, also of a program that nobody can ask.
func (s seen) tell() {
	b, err := json.Marshal(s.now(nil))
	if err != nil {
		panic(err) // no type in it is foreign to JSON
	}
	fmt.Printf("standin: %s\n", b)
}
