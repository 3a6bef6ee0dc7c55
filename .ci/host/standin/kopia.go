package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kopia runs once: it looks at what its command would need, tells it, and keeps no data.
func kopia(args []string) error {
	l := newLook("kopia", args)
	l.caps("", "DAC_READ_SEARCH DAC_OVERRIDE CHOWN FOWNER")
	words := slices.DeleteFunc(slices.Clone(args), func(s string) bool { return strings.HasPrefix(s, "-") })
	config := or(os.Getenv("KOPIA_CONFIG_PATH"), "/app/config/repository.config")
	for _, dir := range []string{os.Getenv("KOPIA_CACHE_DIRECTORY"), os.Getenv("KOPIA_LOG_DIR"), filepath.Dir(config)} {
		l.kopiaDirectory(dir)
	}
	l.env("KOPIA_PASSWORD")
	command := strings.Join(words[:min(2, len(words))], " ")
	switch command {
	case "repository connect", "repository create":
		l.kopiaRepository(config, args, words[1] == "create")
	case "snapshot create":
		l.kopiaConnected(config)
		l.kopiaSource(args, words[2:])
	case "repository status", "policy set", "snapshot list", "snapshot verify", "maintenance set",
		"maintenance run", "maintenance info", "snapshot restore", "policy show", "repository disconnect":
		l.kopiaConnected(config)
	default:
		l.miss("it is not played what kopia does with %q", args)
	}
	if err := l.end(); err != nil {
		return err
	}
	l.tell()
	return nil
}

func (l *look) kopiaDirectory(dir string) {
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		l.miss("%s: %w", dir, reason(err))
		return
	}
	l.writable(dir)
}

func (l *look) kopiaConnected(config string) {
	if _, err := os.Stat(config); err != nil {
		l.miss("it is not connected to a repository: %w", err)
	}
}

// kopiaRepository writes down where the repository is. There is no object store to ask whether there
// is one: there is when it has been made from here.
func (l *look) kopiaRepository(config string, args []string, create bool) {
	if slices.Contains(args, "s3") {
		l.env("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
		for _, flag := range []string{"--bucket", "--endpoint"} {
			if !slices.ContainsFunc(args, func(s string) bool { return strings.HasPrefix(s, flag) }) {
				l.miss("an S3 repository needs %s", flag)
			}
		}
	}
	made := filepath.Join(filepath.Dir(config), "made")
	if _, err := os.Stat(made); err != nil && !create {
		l.miss("there is no repository in the storage provided")
		return
	}
	for _, path := range []string{made, config} {
		if err := os.WriteFile(path, []byte("{}\n"), 0o600); err != nil {
			l.miss("%s: %w", path, reason(err))
		}
	}
}

// kopiaSource reads all that is to be saved.
func (l *look) kopiaSource(args, sources []string) {
	if slices.ContainsFunc(args, func(s string) bool { return strings.HasPrefix(s, "--stdin-file") }) {
		b, err := io.ReadAll(os.Stdin)
		if err != nil || len(b) == 0 {
			l.miss("there is nothing on the standard input")
		}
		l.Facts["stdin"] = map[string]any{"bytes": len(b), "sha256": fingerprint(string(b))}
		return
	}
	saved := map[string]int{}
	for _, dir := range sources {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			saved[dir]++
			return readable(path)
		})
		if err != nil {
			l.miss("%s: %w", dir, err)
		}
	}
	l.Facts["files"] = saved
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
