package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// grafana keeps its own database in its volume; what it shows is provisioned.
func grafana(args []string) error {
	ctx, stop := untilStopped()
	defer stop()
	l := newLook("grafana", args)
	l.user("472:0")
	l.caps("", "")
	data := or(os.Getenv("GF_PATHS_DATA"), "/var/lib/grafana")
	l.volume(data, "472:0")
	l.grafanaFiles()
	sources := l.grafanaProvisioning(or(os.Getenv("GF_PATHS_PROVISIONING"), "/etc/grafana/provisioning"))
	for _, dir := range []string{data + "/plugins", data + "/csv"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			l.miss("%s: %w", dir, reason(err))
		}
	}
	if err := l.end(); err != nil {
		return err
	}
	s, err := l.listen(os.Getenv("GF_SERVER_HTTP_ADDR") + ":" + or(os.Getenv("GF_SERVER_HTTP_PORT"), "3000"))
	if err != nil {
		return err
	}
	l.grafanaRoutes(s, filepath.Join(data, "grafana.db"), sources)
	return serve(ctx, s)
}

// grafanaFiles reads each setting that says in which file it is.
func (l *look) grafanaFiles() {
	for name := range environment() {
		if plain, ok := strings.CutSuffix(name, "__FILE"); ok && strings.HasPrefix(name, "GF_") {
			l.value(plain, "__FILE")
		}
	}
	if os.Getenv("GF_SECURITY_ADMIN_PASSWORD")+os.Getenv("GF_SECURITY_ADMIN_PASSWORD__FILE") == "" {
		l.warn("the administrator's password is admin")
	}
	if os.Getenv("GF_SECURITY_SECRET_KEY")+os.Getenv("GF_SECURITY_SECRET_KEY__FILE") == "" {
		l.warn("the key that data sources' passwords are encrypted with is everybody's")
	}
}

// grafanaProvisioning reads all that is provisioned, and returns the data sources' URLs by uid.
func (l *look) grafanaProvisioning(dir string) map[string]string {
	if _, err := os.ReadDir(dir); err != nil {
		l.miss("uid %d cannot read %s: %w", os.Getuid(), dir, reason(err))
	}
	sources, dashboards := map[string]string{}, map[string]string{}
	for _, path := range files(dir) {
		if ext := filepath.Ext(path); ext != ".yaml" && ext != ".yml" {
			continue
		}
		doc := l.document(path)
		switch filepath.Base(filepath.Dir(path)) {
		case "datasources":
			l.grafanaSources(path, doc, sources)
		case "dashboards":
			l.grafanaProviders(path, doc, dashboards)
		}
	}
	for path := range dashboards {
		l.grafanaUses(path, sources)
	}
	l.Facts["datasources"], l.Facts["dashboards"] = sources, dashboards
	return sources
}

func (l *look) grafanaSources(path string, doc map[string]any, sources map[string]string) {
	if at[int](doc, "apiVersion") != 1 {
		l.miss("%s: apiVersion is not 1", path)
	}
	for _, s := range at[[]any](doc, "datasources") {
		for _, key := range []string{"name", "type", "url"} {
			if at[string](s, key) == "" {
				l.miss("%s: a data source has no %s", path, key)
			}
		}
		sources[or(at[string](s, "uid"), at[string](s, "name"))] = at[string](s, "url")
	}
}

// grafanaProviders reads the dashboards in the directories that a file names.
func (l *look) grafanaProviders(path string, doc map[string]any, dashboards map[string]string) {
	for _, p := range at[[]any](doc, "providers") {
		dir := at[string](p, "options", "path")
		switch _, err := os.ReadDir(dir); {
		case errors.Is(err, os.ErrNotExist):
			l.warn("%s: there is no %s", path, dir)
		case err != nil:
			l.miss("%s: uid %d cannot read %q: %w", path, os.Getuid(), dir, reason(err))
		}
		for _, file := range files(dir) {
			if filepath.Ext(file) == ".json" {
				l.grafanaDashboard(file, dashboards)
			}
		}
	}
}

func (l *look) grafanaDashboard(path string, dashboards map[string]string) {
	var board struct{ UID, Title string }
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &board)
	}
	switch {
	case err != nil:
		l.miss("%s: %w", path, reason(err))
	case board.Title == "":
		l.miss("%s has no title", path)
	default:
		dashboards[path] = board.UID
	}
}

// grafanaUses finds data sources that a dashboard names and nobody provides.
func (l *look) grafanaUses(path string, sources map[string]string) {
	b, _ := os.ReadFile(path)
	var board any
	json.Unmarshal(b, &board)
	walk(board, func(m map[string]any) {
		uid := at[string](m, "datasource", "uid")
		if _, ok := sources[uid]; !ok && uid != "" && uid[0] != '$' && uid[0] != '-' && uid != "grafana" {
			l.miss("%s: there is no data source %q", path, uid)
		}
	})
}

// walk visits every object in a document.
func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, child := range v {
			walk(child, visit)
		}
	case []any:
		for _, child := range v {
			walk(child, visit)
		}
	}
}

func (l *look) grafanaRoutes(s server, db string, sources map[string]string) {
	s.HandleFunc("GET /api/health", func(w http.ResponseWriter, r *http.Request) {
		reply(w, map[string]string{"database": "ok", "version": "13.1.1", "commit": "standin"})
	})
	s.HandleFunc("GET /metrics", metrics(
		`grafana_build_info{version="13.1.1"}`, 1,
		`grafana_http_request_duration_seconds_count{handler="/",method="GET",status_code="200"}`, 1,
		"process_start_time_seconds", time.Now().Unix()))
	s.HandleFunc("GET /api/datasources/uid/{uid}/health", func(w http.ResponseWriter, r *http.Request) {
		url, ok := sources[r.PathValue("uid")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if err := healthy(url + "/api/v1/query?query=1%2B1"); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		reply(w, map[string]string{"status": "OK", "message": "it answers queries"})
	})
	s.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		visits, err := line(db)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, map[string]any{"program": l.Program, "lines": visits, "host": r.Host, "peer": r.RemoteAddr, "headers": headers(r)})
	})
}
