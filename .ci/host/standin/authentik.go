package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// authentik is `ak`: server and worker are the same to a unit but for the blueprints.
func authentik(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: ak server|worker|healthcheck|dump_config")
	}
	switch args[0] {
	case "healthcheck":
		address := os.Getenv("AUTHENTIK_LISTEN__HTTP")
		return healthy("http://127.0.0.1" + or(portSuffix.FindString(address), ":9000") + "/-/health/live/")
	case "server", "worker":
		return authentikRun(args[0], args)
	case "dump_config":
		reply := environment()
		b, err := yaml.Marshal(reply)
		fmt.Print(string(b))
		return err
	}
	return fmt.Errorf("it is not played what ak does with %q", args[0])
}

func authentikRun(role string, args []string) error {
	ctx, stop := untilStopped()
	defer stop()
	l := newLook("authentik-"+role, args)
	l.user("1000:1000")
	l.caps("", "")
	l.volume("/data", "1000:1000")
	l.authentikPlaces()
	if key := l.setting("AUTHENTIK_SECRET_KEY"); key == "" {
		l.miss("AUTHENTIK_SECRET_KEY is not set")
	} else if len(key) < 50 {
		l.warn("AUTHENTIK_SECRET_KEY has less than 50 characters")
	}
	address := l.authentikDatabase()
	if role == "worker" {
		l.authentikWorker()
	}
	if err := l.end(); err != nil {
		return err
	}
	tasks, err := postgres(address, "visits")
	if err != nil {
		return err
	}
	if err := tasks.ready(ctx, time.Minute); err != nil {
		return err
	}
	return l.authentikServe(ctx, role, tasks)
}

// authentikPlaces are the directories besides /data, of which the first is not on disk.
func (l *look) authentikPlaces() {
	l.writable("/dev/shm")
	for _, dir := range []string{"/certs", "/templates", "/media"} {
		if _, err := os.ReadDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			l.miss("uid %d cannot read %s: %w", os.Getuid(), dir, reason(err))
		}
	}
	for name := range environment() {
		if strings.HasPrefix(name, "AUTHENTIK_REDIS__") {
			l.warn("%s: Redis is not used any more", name)
		}
	}
}

// setting is a variable's value, which may say where the value is.
func (l *look) setting(name string) string {
	value := os.Getenv(name)
	u, err := url.Parse(value)
	if err != nil {
		return value
	}
	switch u.Scheme {
	case "file":
		return strings.TrimSpace(l.secret(u.Path))
	case "env":
		return or(os.Getenv(u.Host), u.RawQuery)
	}
	return value
}

func (l *look) authentikDatabase() *url.URL {
	get := func(name string) string { return l.setting("AUTHENTIK_POSTGRESQL__" + name) }
	host, password := get("HOST"), get("PASSWORD")
	if host == "" || password == "" {
		l.miss("AUTHENTIK_POSTGRESQL__HOST or __PASSWORD is not set")
	}
	if len(password) > 99 {
		l.miss("the database's password is longer than 99 characters")
	}
	return &url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(or(get("USER"), "authentik"), password),
		Host:     host + ":" + or(get("PORT"), "5432"),
		Path:     "/" + or(get("NAME"), "authentik"),
		RawQuery: "sslmode=" + or(get("SSLMODE"), "verify-ca"),
	}
}

// authentikWorker is what only the worker reads.
func (l *look) authentikWorker() {
	for _, name := range []string{"PASSWORD", "PASSWORD_HASH", "TOKEN", "EMAIL"} {
		name = "AUTHENTIK_BOOTSTRAP_" + name
		if strings.HasPrefix(os.Getenv(name), "file://") {
			l.miss("%s is taken as it is, and would be %q", name, os.Getenv(name))
		}
	}
	blueprints := []string{}
	for _, path := range files("/blueprints") {
		if strings.HasSuffix(path, ".yaml") {
			l.blueprint(path)
			blueprints = append(blueprints, path)
		}
	}
	l.Facts["blueprints"] = blueprints
}

var blueprintFile = regexp.MustCompile(`!File\s+['"]?([^\s'",\]]+)`)

// blueprint wants a file that is one, and the secrets that it reads.
func (l *look) blueprint(path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		l.miss("uid %d cannot read %s: %w", os.Getuid(), path, reason(err))
		return
	}
	var doc struct {
		Version int
		Entries []yaml.Node
	}
	if err := yaml.Unmarshal(b, &doc); err != nil {
		l.miss("%s: %w", path, err)
		return
	}
	if doc.Version != 1 || len(doc.Entries) == 0 {
		l.miss("%s has no version 1, or no entries", path)
	}
	for _, m := range blueprintFile.FindAllStringSubmatch(string(b), -1) {
		l.line(m[1])
	}
}

func (l *look) authentikServe(ctx context.Context, role string, tasks *table) error {
	web, err := l.listen(or(os.Getenv("AUTHENTIK_LISTEN__HTTP"), "[::]:9000"))
	if err != nil {
		return err
	}
	numbers, err := l.listen(or(os.Getenv("AUTHENTIK_LISTEN__METRICS"), "[::]:9300"))
	if err != nil {
		return err
	}
	web.HandleFunc("GET /-/health/live/", text("text/plain", ""))
	web.HandleFunc("GET /-/health/ready/", func(w http.ResponseWriter, r *http.Request) {
		if tasks.PingContext(r.Context()) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	workers := 0
	if role == "server" {
		web.HandleFunc("GET /{$}", l.page(tasks, "/data"))
	} else {
		workers = 1
	}
	numbers.HandleFunc("GET /metrics", metrics(
		"authentik_tasks_workers", workers, "authentik_tasks_queued", 0,
		"authentik_tasks_errors_total", 0, "django_db_errors_total", 0,
		"process_start_time_seconds", time.Now().Unix()))
	return serve(ctx, web, numbers)
}
