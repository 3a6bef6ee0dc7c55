// Standin plays HedgeDoc in a test host, as far as a unit, a proxy and a database can tell: it
// takes its settings from where HedgeDoc takes them, fails where HedgeDoc fails, and keeps one
// table in its database. What it is asked it answers with what it sees, for a test to compare.
//
// As `node FILE` it is the image's health command.
package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "github.com/lib/pq"
)

const (
	secrets = "/run/secrets"
	uploads = "/hedgedoc/public/uploads"
	user    = 10000 // the image's own
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("hedgedoc stand-in: ")
	run := serve
	if filepath.Base(os.Args[0]) == "node" {
		run = healthy
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// healthy asks the server in this container whether it is ready.
func healthy() error {
	if len(os.Args) != 2 {
		return errors.New("usage: node FILE")
	}
	if _, err := os.Stat(os.Args[1]); err != nil {
		return err
	}
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get("http://127.0.0.1:" + port() + "/_health")
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	return nil
}

// serve runs until SIGTERM. Like HedgeDoc it does not listen before the database answers.
func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := unprivileged(); err != nil {
		return err
	}
	if err := writable(uploads); err != nil {
		return err
	}
	session, err := setting("sessionsecret", "CMD_SESSION_SECRET", "")
	if err != nil {
		return err
	}
	db, err := database(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	defer db.Close()

	server := &http.Server{Handler: handler(db, session)}
	listener, err := net.Listen("tcp", os.Getenv("CMD_HOST")+":"+port())
	if err != nil {
		return err
	}
	log.Print("listening on ", listener.Addr())
	go server.Serve(listener)
	<-ctx.Done()
	log.Print("stopping")
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(end)
}

func port() string {
	if p := os.Getenv("CMD_PORT"); p != "" {
		return p
	}
	return "3000"
}

// setting is the secret file's content, byte for byte, or else the variable's, or else other.
func setting(file, variable, other string) (string, error) {
	b, err := os.ReadFile(filepath.Join(secrets, file))
	switch {
	case err == nil:
		return string(b), nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	case os.Getenv(variable) != "":
		return os.Getenv(variable), nil
	}
	return other, nil
}

// unprivileged gives the uploads to HedgeDoc's user and becomes that user, if we are root.
func unprivileged() error {
	if os.Getuid() != 0 {
		return nil
	}
	if err := os.Chown(uploads, user, user); err != nil {
		return err
	}
	if err := os.Chmod(uploads, 0o700); err != nil {
		return err
	}
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(user), syscall.Setuid(user))
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".writable")
	if err != nil {
		return fmt.Errorf("%s is not writable by uid %d: %w", dir, os.Getuid(), err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// database waits half a minute for the database, as HedgeDoc's entrypoint does, and makes the table.
func database(ctx context.Context) (*sql.DB, error) {
	dsn, err := dsn()
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, err
	}
	const table = `create table if not exists notes (id bigserial primary key, made timestamptz default now())`
	for range 60 {
		if _, err = db.ExecContext(ctx, table); err == nil || ctx.Err() != nil {
			return db, nil
		}
		time.Sleep(500 * time.Millisecond)
	}
	return nil, fmt.Errorf("no database after 30 s: %w", err)
}

// dsn is the database's URL in the driver's spelling. Its errors do not repeat it: it holds a password.
func dsn() (string, error) {
	text, err := setting("dbURL", "CMD_DB_URL", "postgres://hedgedoc:password@database:5432/hedgedoc")
	if err != nil {
		return "", err
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errors.New("the database URL is none: a newline, or a password not percent-encoded?")
	}
	query := u.Query()
	query.Set("sslmode", "disable")
	query.Set("connect_timeout", "3")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func handler(db *sql.DB, session string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_health", func(w http.ResponseWriter, r *http.Request) {
		ready := db.PingContext(r.Context()) == nil
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		reply(w, map[string]any{"ready": ready})
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		notes, err := count(r.Context(), db)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "# TYPE hedgedoc_notes gauge\nhedgedoc_notes %d\n", notes)
		fmt.Fprint(w, "# TYPE hedgedoc_connection_busy gauge\nhedgedoc_connection_busy 0\n")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_, err := db.ExecContext(r.Context(), `insert into notes default values`)
		notes, err2 := count(r.Context(), db)
		if err := errors.Join(err, err2); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, seen(r, notes, session))
	})
	return mux
}

func count(ctx context.Context, db *sql.DB) (n int, err error) {
	err = db.QueryRowContext(ctx, `select count(*) from notes`).Scan(&n)
	return n, err
}

// seen is what a test wants to know. The session secret is there as a fingerprint.
func seen(r *http.Request, notes int, session string) map[string]any {
	env := map[string]string{}
	for _, line := range os.Environ() {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "CMD_") {
			env[name] = value
		}
	}
	headers := map[string]string{}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-") {
			headers[name] = r.Header.Get(name)
		}
	}
	return map[string]any{
		"notes":   notes,
		"host":    r.Host,
		"peer":    r.RemoteAddr,
		"headers": headers,
		"uid":     os.Getuid(),
		"gid":     os.Getgid(),
		"env":     env,
		"session": fmt.Sprintf("%x", sha256.Sum256([]byte(session)))[:12],
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
