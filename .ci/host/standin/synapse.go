package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// synapse reads its configuration from files alone.
func synapse(args []string) error {
	ctx, stop := untilStopped()
	defer stop()
	l := newLook("synapse", args)
	if err := l.synapseUser(); err != nil {
		return err
	}
	l.volume("/data", "991:991")
	config := l.synapseConfig(args)
	l.synapseFiles(config)
	address := l.synapseDatabase(config)
	if err := l.end(); err != nil {
		return err
	}
	events, err := postgres(address, "events")
	if err != nil {
		return err
	}
	if err := l.synapseCollation(events, config); err != nil {
		return err
	}
	if err := events.ready(ctx, 5*time.Second); err != nil { // it does not wait: whoever starts it does
		return err
	}
	servers, err := l.synapseListen(config, events)
	if err != nil {
		return err
	}
	return serve(ctx, servers...)
}

// synapseUser becomes, if we are root, the user that two variables may name.
func (l *look) synapseUser() error {
	if l.UID != 0 {
		l.user("991:991")
		l.caps("", "")
		return nil
	}
	l.caps("SETGID SETUID", "CHOWN DAC_OVERRIDE FOWNER")
	if or(os.Getenv("UID"), "991") != "991" || or(os.Getenv("GID"), "991") != "991" {
		l.miss("UID and GID name another user than 991:991")
	}
	return drop(991, 991)
}

// synapseConfig is all files on the command line as one: a later file's keys replace whole blocks.
func (l *look) synapseConfig(args []string) map[string]any {
	var paths []string
	for i := 0; i < len(args); i++ {
		name, value, ok := strings.Cut(args[i], "=")
		switch {
		case i == 0 && args[i] == "run":
		case name == "--config-path" && ok:
			paths = append(paths, value)
		case (name == "--config-path" || name == "-c") && i+1 < len(args):
			i++
			paths = append(paths, args[i])
		default:
			l.miss("it is not played what Synapse does with the argument %q", args[i])
		}
	}
	if paths == nil {
		dir := or(os.Getenv("SYNAPSE_CONFIG_DIR"), "/data")
		paths = []string{or(os.Getenv("SYNAPSE_CONFIG_PATH"), dir+"/homeserver.yaml")}
	}
	config := map[string]any{}
	for _, path := range l.synapseExpand(paths) {
		maps.Copy(config, l.document(path))
		if holder(mounts(), path) != "/data" {
			l.secrets = append(l.secrets, path)
		}
	}
	return config
}

// synapseExpand puts the files of a directory in its place.
func (l *look) synapseExpand(paths []string) (out []string) {
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			out = append(out, path)
			continue
		}
		inside, _ := filepath.Glob(path + "/*.yaml")
		if inside == nil {
			l.miss("there is no .yaml in %s", path)
		}
		out = append(out, inside...)
	}
	return out
}

// synapseFiles looks at what the configuration names.
func (l *look) synapseFiles(config map[string]any) {
	name := at[string](config, "server_name")
	if name == "" {
		l.miss("there is no server_name")
	}
	if _, ok := config["report_stats"].(bool); !ok {
		l.miss("report_stats is neither true nor false")
	}
	if at[bool](config, "url_preview_enabled") && config["url_preview_ip_range_blacklist"] == nil {
		l.miss("url_preview_enabled needs url_preview_ip_range_blacklist")
	}
	media := or(at[string](config, "media_store_path"), "/data/media_store")
	if err := os.MkdirAll(media, 0o755); err != nil {
		l.miss("media_store_path: %w", err)
	} else {
		l.volume(media, "991:991")
	}
	l.synapseMade(or(at[string](config, "signing_key_path"), "/data/"+name+".signing.key"),
		"ed25519 a_made AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n")
	if path := at[string](config, "registration_shared_secret_path"); path != "" {
		l.synapseMade(path, "made")
	}
	for _, key := range []string{"macaroon_secret_key", "form_secret"} {
		l.synapseSecret(config, key)
	}
	for _, provider := range at[[]any](config, "oidc_providers") {
		if path := at[string](provider, "client_secret_path"); path != "" {
			l.secret(path)
		}
	}
	if path := at[string](config, "log_config"); path != "" && at[int](l.document(path), "version") != 1 {
		l.miss("%s is no logging configuration of version 1", path)
	}
	l.Facts["server_name"] = name
}

// synapseMade is a file that Synapse makes where it is not, without a word.
func (l *look) synapseMade(path, content string) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if on := holder(mounts(), path); on == "/" {
			l.miss("%s would be made anew with every container", path)
			return
		}
		l.warn("%s was not there: it is made", path)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			l.miss("%s: %w", path, reason(err))
			return
		}
	}
	l.secret(path)
}

// synapseSecret is in the configuration or in a file that it names.
func (l *look) synapseSecret(config map[string]any, key string) {
	value, path := at[string](config, key), at[string](config, key+"_path")
	switch {
	case value != "" && path != "":
		l.miss("both %s and %s_path are set, and they exclude each other", key, key)
	case path != "":
		l.secret(path)
	case value == "":
		l.warn("there is no %s", key)
	}
}

// synapseDatabase is the URL that psycopg2 would make of its arguments.
func (l *look) synapseDatabase(config map[string]any) *url.URL {
	args := at[map[string]any](config, "database", "args")
	if driver := at[string](config, "database", "name"); driver != "psycopg2" || args == nil {
		l.miss("database.name is %q instead of psycopg2, or it has no args", driver)
		return nil
	}
	get := func(names ...string) string {
		for _, name := range names {
			if args[name] != nil {
				return fmt.Sprint(args[name])
			}
		}
		return ""
	}
	u := &url.URL{Scheme: "postgres", Path: "/" + get("dbname", "database")}
	u.Host = or(get("host"), "localhost") + ":" + or(get("port"), "5432")
	user, password := get("user"), get("password")
	if path := get("passfile"); path != "" && password == "" {
		password = l.passfile(path, []string{u.Hostname(), u.Port(), u.Path[1:], user})
	}
	if user == "" || u.Path == "/" || password == "" {
		l.miss("the database's arguments want a user, a dbname, and a password or a passfile")
	}
	u.User = url.UserPassword(user, password)
	u.RawQuery = "sslmode=" + or(get("sslmode"), "disable")
	return u
}

// passfile finds a password in a file of libpq's, which does not look into one that others may read.
func (l *look) passfile(path string, wanted []string) string {
	text := l.secret(path)
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	if info.Mode().Perm()&0o077 != 0 {
		l.miss("%s has mode %s: libpq ignores it unless it is 0600 or less", path, mode(info))
	}
	if !strings.HasPrefix(owner(info), fmt.Sprintf("%d:", os.Getuid())) {
		l.miss("%s belongs to %s, not to uid %d", path, owner(info), os.Getuid())
	}
	for line := range strings.Lines(text) {
		fields := passfields(strings.TrimRight(line, "\r\n"))
		if len(fields) == 5 && slices.EqualFunc(fields[:4], wanted, func(a, b string) bool { return a == "*" || a == b }) {
			return fields[4]
		}
	}
	l.miss("%s has no line for %s", path, strings.Join(wanted, ":"))
	return ""
}

// passfields cuts a line at its colons, but those after a backslash.
func passfields(line string) (out []string) {
	field := ""
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line):
			i++
			field += line[i : i+1]
		case line[i] == ':':
			out, field = append(out, field), ""
		default:
			field += line[i : i+1]
		}
	}
	return append(out, field)
}

// synapseCollation refuses a database that would sort otherwise than Synapse.
func (l *look) synapseCollation(t *table, config map[string]any) error {
	got, err := t.ask(`select pg_encoding_to_char(encoding) || ' ' || datcollate || ' ' || datctype
		from pg_database where datname = current_database()`)
	if err != nil {
		return fmt.Errorf("the database: %w", err)
	}
	l.Facts["database"] = got
	if got != "UTF8 C C" && !at[bool](config, "database", "allow_unsafe_locale") {
		return fmt.Errorf("the database has encoding, collation and type %q instead of UTF8 C C", got)
	}
	return nil
}

// synapseListen opens what the configuration lists. Nothing of the container's is on localhost alone.
func (l *look) synapseListen(config map[string]any, events *table) (out []server, err error) {
	for _, item := range at[[]any](config, "listeners") {
		port, kind := at[int](item, "port"), at[string](item, "type")
		for _, address := range synapseBind(item) {
			s, err := l.listen(fmt.Sprintf("%s:%d", address, port))
			if err != nil {
				return nil, err
			}
			switch kind {
			case "http":
				l.synapseHTTP(s, config, item, events)
			case "metrics":
				s.HandleFunc("GET /_synapse/metrics", synapseMetrics(config))
			default:
				return nil, fmt.Errorf("a listener of type %q is not played", kind)
			}
			out = append(out, s)
		}
	}
	if out == nil {
		return nil, errors.New("there are no listeners")
	}
	return out, nil
}

func synapseBind(listener any) (out []string) {
	for _, address := range at[[]any](listener, "bind_addresses") {
		s := fmt.Sprint(address)
		if strings.Contains(s, ":") {
			s = "[" + s + "]"
		}
		out = append(out, s)
	}
	if out == nil {
		return []string{""} // all there are
	}
	return out
}

func (l *look) synapseHTTP(s server, config map[string]any, listener any, events *table) {
	s.HandleFunc("GET /health", text("text/plain", "OK"))
	s.HandleFunc("GET /{$}", l.page(events, or(at[string](config, "media_store_path"), "/data/media_store")))
	for _, r := range at[[]any](listener, "resources") {
		for _, name := range at[[]any](r, "names") {
			switch name {
			case "client":
				synapseClient(s, config)
			case "federation":
				s.HandleFunc("GET /_matrix/federation/v1/version", func(w http.ResponseWriter, r *http.Request) {
					reply(w, map[string]any{"server": map[string]string{"name": "Synapse", "version": "1.157.1"}})
				})
			case "metrics":
				s.HandleFunc("GET /_synapse/metrics", synapseMetrics(config))
			}
		}
	}
}

func synapseClient(s server, config map[string]any) {
	s.HandleFunc("GET /_matrix/client/versions", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		reply(w, map[string]any{"versions": []string{"v1.12"}, "headers": headers(r), "path": r.URL.EscapedPath()})
	})
	base := at[string](config, "public_baseurl")
	if base != "" {
		s.HandleFunc("GET /.well-known/matrix/client", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			reply(w, map[string]any{"m.homeserver": map[string]string{"base_url": base}})
		})
	}
	if at[bool](config, "serve_server_wellknown") {
		s.HandleFunc("GET /.well-known/matrix/server", func(w http.ResponseWriter, r *http.Request) {
			reply(w, map[string]string{"m.server": at[string](config, "server_name") + ":443"})
		})
	}
}

// synapseMetrics needs a listener and a switch.
func synapseMetrics(config map[string]any) http.HandlerFunc {
	if !at[bool](config, "enable_metrics") {
		return text("text/plain; version=0.0.4", "")
	}
	name := fmt.Sprintf("server_name=%q", at[string](config, "server_name"))
	return metrics(
		"synapse_build_info{version=\"1.157.1\","+name+"}", 1,
		"synapse_http_server_responses_total{code=\"200\",method=\"GET\","+name+"}", 1,
		"synapse_event_processing_lag{name=\"events\","+name+"}", 0,
		"synapse_federation_transaction_queue_pending_pdus{"+name+"}", 0,
		"process_start_time_seconds", time.Now().Unix())
}
