package main

import (
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	hedgedocUploads = "/hedgedoc/public/uploads"
	hedgedocUser    = 10000
)

// hedgedocHealth asks the server in this container whether it is ready, as `node FILE` does.
func hedgedocHealth(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: node FILE")
	}
	if _, err := os.Stat(args[0]); err != nil {
		return err
	}
	return healthy("http://127.0.0.1:" + or(os.Getenv("CMD_PORT"), "3000") + "/_health")
}

// healthy wants 200 from a server, soon.
func healthy(address string) error {
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(address)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

func or(value, other string) string {
	if value != "" {
		return value
	}
	return other
}

// hedgedoc does not listen before the database answers.
func hedgedoc(args []string) error {
	ctx, stop := untilStopped()
	defer stop()
	l := newLook("hedgedoc", args)
	if err := l.hedgedocDrop(); err != nil {
		return err
	}
	l.volume(hedgedocUploads, "10000:10000")
	session := l.hedgedocSetting("sessionsecret", "CMD_SESSION_SECRET", "")
	if session == "" {
		l.warn("there is no session secret: every start logs everybody out")
	}
	address := l.hedgedocSetting("dbURL", "CMD_DB_URL", "postgres://hedgedoc:password@database:5432/hedgedoc")
	u, err := url.Parse(address)
	if err != nil { // which would repeat the password
		l.miss("the database URL is none: a newline, or a password not percent-encoded?")
	}
	if err := l.end(); err != nil {
		return err
	}
	u.RawQuery = "sslmode=disable"
	notes, err := postgres(u, "notes")
	if err != nil {
		return err
	}
	if err := notes.ready(ctx, 30*time.Second); err != nil || ctx.Err() != nil {
		return err
	}
	s, err := l.listen(os.Getenv("CMD_HOST") + ":" + or(os.Getenv("CMD_PORT"), "3000"))
	if err != nil {
		return err
	}
	l.hedgedocRoutes(s, notes, session)
	return serve(ctx, s)
}

// hedgedocDrop gives root's uploads to HedgeDoc's user and becomes that user, if we are root.
func (l *look) hedgedocDrop() error {
	if l.UID != 0 {
		l.user("10000:10000")
		l.caps("", "")
		return nil
	}
	l.caps("CHOWN DAC_OVERRIDE FOWNER SETGID SETUID", "")
	return errors.Join(os.Chown(hedgedocUploads, hedgedocUser, hedgedocUser),
		os.Chmod(hedgedocUploads, 0o700), drop(hedgedocUser, hedgedocUser))
}

// hedgedocSetting is the secret file's content, byte for byte, or else the variable's, or else other.
func (l *look) hedgedocSetting(file, variable, other string) string {
	path := filepath.Join(secretsDir, file)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return l.line(path)
	}
	return or(os.Getenv(variable), other)
}

func (l *look) hedgedocRoutes(s server, notes *table, session string) {
	s.HandleFunc("GET /_health", func(w http.ResponseWriter, r *http.Request) {
		ready := notes.PingContext(r.Context()) == nil
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		reply(w, map[string]any{"ready": ready})
	})
	s.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		n, err := notes.count(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		metrics("hedgedoc_notes", n, "hedgedoc_connection_busy", 0)(w, r)
	})
	s.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		n, err := notes.visit(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, hedgedocNote(r, n, session))
	})
}

// hedgedocNote is what a test wants to know. The session secret is there as a fingerprint.
func hedgedocNote(r *http.Request, notes int, session string) map[string]any {
	env := environment()
	maps.DeleteFunc(env, func(name, _ string) bool { return !strings.HasPrefix(name, "CMD_") })
	return map[string]any{
		"notes":   notes,
		"host":    r.Host,
		"peer":    r.RemoteAddr,
		"headers": headers(r),
		"uid":     os.Getuid(),
		"gid":     os.Getgid(),
		"env":     env,
		"session": fingerprint(session),
	}
}
