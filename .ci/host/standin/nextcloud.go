package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	nextcloudUser = 33
	// What the entrypoint and Apache do as root. KILL ends the workers that have become another user.
	nextcloudRootCaps = "CHOWN DAC_OVERRIDE FOWNER SETGID SETUID"
	nextcloudMoreCaps = "NET_BIND_SERVICE KILL FSETID"
)

// nextcloud installs itself on an empty volume and is Apache then; another command it becomes.
func nextcloud(args []string) error {
	if len(args) == 0 || !strings.HasPrefix(args[0], "apache") {
		return become(args)
	}
	ctx, stop := untilStopped()
	defer stop()
	l := newLook("nextcloud", args)
	first := l.nextcloudEntrypoint()
	s, err := l.listen(":80")
	if err != nil {
		return err
	}
	if err := drop(nextcloudUser, nextcloudUser); err != nil {
		return err
	}
	l.volume(nextcloudRoot, "33:33")
	l.nextcloudCache()
	if err := l.end(); err != nil {
		return err
	}
	visits, err := l.nextcloudSetUp(ctx, first)
	if err != nil {
		return err
	}
	l.nextcloudRoutes(s, visits)
	return serve(ctx, server{s.Listener, l.nextcloudHosts(s.ServeMux)})
}

// nextcloudEntrypoint is what happens as the user that the unit gives, and the settings that count
// only then: those of the first start.
func (l *look) nextcloudEntrypoint() ncConfig {
	if l.UID == 0 {
		l.caps(nextcloudRootCaps, nextcloudMoreCaps)
	} else {
		l.user("33:33")
		l.caps("", "NET_BIND_SERVICE")
	}
	if _, ok := os.LookupEnv("APACHE_DISABLE_REWRITE_IP"); ok {
		if err := os.Remove("/etc/apache2/conf-enabled/remoteip.conf"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			l.miss("APACHE_DISABLE_REWRITE_IP: %w", err)
		}
	}
	for _, dir := range []string{"/var/run/apache2", "/var/lock/apache2", "/var/log/apache2"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			l.miss("Apache: %w", err)
		}
	}
	if os.Getenv("REDIS_HOST") != "" {
		l.nextcloudSessions()
	}
	if _, err := os.Stat(nextcloudConfig); err == nil {
		return nil
	}
	return l.nextcloudFirst()
}

// nextcloudSessions writes down where sessions are, beside what the image has in that directory.
func (l *look) nextcloudSessions() {
	const dir = "/usr/local/etc/php/conf.d"
	if _, err := os.Stat(dir + "/nextcloud.ini"); err != nil {
		l.miss("%s lacks the image's own files: does a mount hide them?", dir)
	}
	err := os.WriteFile(dir+"/redis-session.ini", []byte("session.save_handler = redis\n"), 0o644)
	if err != nil {
		l.miss("the entrypoint: %w", err)
	}
}

func (l *look) nextcloudFirst() ncConfig {
	if os.Getenv("POSTGRES_HOST")+os.Getenv("SQLITE_DATABASE") != "" {
		l.miss("this stand-in knows no database but MariaDB")
	}
	l.env("MYSQL_HOST")
	wanted := map[string]string{}
	for _, name := range []string{"MYSQL_DATABASE", "MYSQL_USER", "MYSQL_PASSWORD",
		"NEXTCLOUD_ADMIN_USER", "NEXTCLOUD_ADMIN_PASSWORD"} {
		if wanted[name] = l.value(name, "_FILE"); wanted[name] == "" {
			l.miss("%s is not set, nor %s_FILE, on the first start", name, name)
		}
	}
	domains := append([]string{"localhost"}, strings.Fields(os.Getenv("NEXTCLOUD_TRUSTED_DOMAINS"))...)
	now := time.Now().String()
	return ncConfig{
		"installed":       true,
		"maintenance":     false,
		"version":         os.Getenv("NEXTCLOUD_VERSION"),
		"instanceid":      "oc" + fingerprint(now)[:10],
		"passwordsalt":    fingerprint(now + "salt"),
		"secret":          fingerprint(now + "secret"),
		"datadirectory":   or(os.Getenv("NEXTCLOUD_DATA_DIR"), nextcloudRoot+"/data"),
		"trusted_domains": domains,
		"dbtype":          "mysql",
		"dbhost":          os.Getenv("MYSQL_HOST"),
		"dbname":          wanted["MYSQL_DATABASE"],
		"dbuser":          wanted["MYSQL_USER"],
		"dbpassword":      wanted["MYSQL_PASSWORD"],
	}
}

// nextcloudCache asks the cache, whose password PHP reads at each request.
func (l *look) nextcloudCache() {
	for _, name := range []string{"SMTP_PASSWORD", "OBJECTSTORE_S3_KEY", "OBJECTSTORE_S3_SECRET"} {
		l.value(name, "_FILE")
	}
	host := os.Getenv("REDIS_HOST")
	if host == "" {
		l.warn("there is no cache: REDIS_HOST is not set")
		return
	}
	address := host + ":" + or(os.Getenv("REDIS_HOST_PORT"), "6379")
	if err := ping(address, l.value("REDIS_HOST_PASSWORD", "_FILE")); err != nil {
		l.miss("the cache at %s: %w", address, err)
		return
	}
	l.Facts["cache"] = address
}

// nextcloudSetUp installs, or looks whether this image may go on from what is there. From then on
// config.php says which database it is, not the environment.
func (l *look) nextcloudSetUp(ctx context.Context, first ncConfig) (*table, error) {
	if first != nil {
		log.Print("installing")
		if err := first.install(); err != nil {
			return nil, err
		}
	}
	config, err := readConfig()
	if err != nil {
		return nil, err
	}
	if err := config.upgrade(); err != nil {
		return nil, err
	}
	visits, err := config.database("oc_visits")
	if err != nil {
		return nil, err
	}
	if err := visits.ready(ctx, 30*time.Second); err != nil {
		return nil, err
	}
	if err := l.nextcloudHooks(first != nil); err != nil {
		return nil, err
	}
	if first != nil { // the marker that cron waits for comes last
		if err := writeVersion(); err != nil {
			return nil, err
		}
	}
	isolation, err := visits.ask("select @@transaction_isolation")
	format, err2 := visits.ask("select concat(@@log_bin, ' ', @@binlog_format)")
	charset, err3 := visits.ask("select @@character_set_database")
	l.Facts["database"] = map[string]string{"isolation": isolation, "binlog": format, "charset": charset}
	return visits, errors.Join(err, err2, err3)
}

func (c ncConfig) install() error {
	for _, dir := range []string{"config", "data", "custom_apps", "themes"} {
		if err := os.MkdirAll(filepath.Join(nextcloudRoot, dir), 0o770); err != nil {
			return err
		}
	}
	return c.write()
}

func writeVersion() error {
	text := fmt.Sprintf("<?php\n$OC_VersionString = '%s';\n", os.Getenv("NEXTCLOUD_VERSION"))
	return os.WriteFile(nextcloudRoot+"/version.php", []byte(text), 0o644)
}

// upgrade goes on to the next major, but not over one, and never back.
func (c ncConfig) upgrade() error {
	was, is := c.get("version"), os.Getenv("NEXTCLOUD_VERSION")
	from, to := numbers(was), numbers(is)
	switch {
	case slices.Compare(from, to) > 0:
		return fmt.Errorf("the data is of version %s, which is higher than the image's, %s", was, is)
	case to[0] > from[0]+1:
		return fmt.Errorf("from version %s to %s is more than one major", was, is)
	case was == is:
		return nil
	}
	log.Printf("upgrading from %s to %s", was, is)
	c["version"] = is
	return errors.Join(c.write(), writeVersion())
}

func numbers(version string) (out []int) {
	for _, s := range strings.Split(version, ".") {
		n, _ := strconv.Atoi(s)
		out = append(out, n)
	}
	return out
}

// nextcloudHooks runs what is executable in the hooks' directories.
func (l *look) nextcloudHooks(first bool) error {
	moments := []string{"before-starting"}
	if first {
		moments = []string{"pre-installation", "post-installation", "before-starting"}
	}
	ran := []string{}
	for _, moment := range moments {
		hooks, _ := filepath.Glob("/docker-entrypoint-hooks.d/" + moment + "/*.sh")
		for _, hook := range hooks {
			command := exec.Command(hook)
			command.Stdout, command.Stderr = os.Stdout, os.Stderr
			err := command.Run()
			switch {
			case errors.Is(err, fs.ErrPermission):
				l.warn("%s is not executable, and is passed over", hook)
				continue
			case err != nil:
				return fmt.Errorf("%s: %w", hook, err)
			}
			ran = append(ran, hook)
		}
	}
	l.Facts["hooks"] = ran
	return nil
}

func (l *look) nextcloudRoutes(s server, visits *table) {
	s.HandleFunc("GET /status.php", func(w http.ResponseWriter, r *http.Request) {
		config, err := readConfig()
		if err != nil || visits.PingContext(r.Context()) != nil {
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
			return
		}
		version := config.get("version")
		reply(w, map[string]any{"installed": true, "maintenance": config.flag("maintenance"),
			"needsDbUpgrade": false, "version": version + ".1", "versionstring": version, "edition": "",
			"productname": "Nextcloud", "extendedSupport": false})
	})
	s.HandleFunc("GET /metrics", nextcloudMetrics)
	s.HandleFunc("GET /ocs/v2.php/apps/serverinfo/api/v1/info", nextcloudInfo(visits))
	dav := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/remote.php/dav/", http.StatusMovedPermanently)
	}
	s.HandleFunc("GET /.well-known/carddav", dav)
	s.HandleFunc("GET /.well-known/caldav", dav)
	page := l.page(visits, nextcloudRoot+"/data")
	s.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if config, err := readConfig(); err != nil || config.flag("maintenance") {
			http.Error(w, "maintenance mode", http.StatusServiceUnavailable)
			return
		}
		page(w, r)
	})
}

// nextcloudInfo is for who has the token.
func nextcloudInfo(apps *table) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, err := apps.app("serverinfo", "token")
		if err != nil || token == "" || token != r.Header.Get("NC-Token") {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		reply(w, map[string]any{"ocs": map[string]any{"meta": map[string]any{"status": "ok", "statuscode": 200}}})
	}
}

// nextcloudMetrics are for those in config.php, and by default for nobody else on the network.
func nextcloudMetrics(w http.ResponseWriter, r *http.Request) {
	config, err := readConfig()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	allowed := config.list("openmetrics_allowed_clients")
	if allowed == nil {
		allowed = []string{"127.0.0.0/16", "::1/128"}
	}
	if who := client(r); !within(who, allowed) {
		http.Error(w, who+" is not among openmetrics_allowed_clients", http.StatusForbidden)
		return
	}
	maintenance := 0
	if config.flag("maintenance") {
		maintenance = 1
	}
	text("application/openmetrics-text; version=1.0.0; charset=utf-8", fmt.Sprintf(`# TYPE nextcloud_maintenance gauge
nextcloud_maintenance %d
# TYPE nextcloud_jobs_running gauge
nextcloud_jobs_running 0
# TYPE nextcloud_exporter_duration gauge
nextcloud_exporter_duration 0.01
# EOF
`, maintenance))(w, r)
}

// client is who asks, by what a trusted proxy says.
func client(r *http.Request) string {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	who := peer.Addr().Unmap().String()
	if forwarded := r.Header.Get("X-Forwarded-For"); forwarded != "" && trusted(r) {
		before, _, _ := strings.Cut(forwarded, ",")
		return strings.TrimSpace(before)
	}
	return who
}

func trusted(r *http.Request) bool {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return within(peer.Addr().Unmap().String(), strings.Fields(os.Getenv("TRUSTED_PROXIES")))
}

// within takes addresses as well as prefixes.
func within(who string, ranges []string) bool {
	addr, err := netip.ParseAddr(who)
	return err == nil && slices.ContainsFunc(ranges, func(s string) bool {
		prefix, err := netip.ParsePrefix(s)
		return err == nil && prefix.Masked().Contains(addr) || s == who
	})
}

// nextcloudHosts refuses, as Nextcloud does for every page, names that are not its own.
func (l *look) nextcloudHosts(mux *http.ServeMux) *http.ServeMux {
	out := http.NewServeMux()
	out.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" && trusted(r) {
			host = forwarded
		}
		if !nextcloudOwn(host) && r.URL.Path != "/standin" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"Trusted domain error.","code":15,"host":%q}`+"\n", host)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return out
}

var portSuffix = regexp.MustCompile(`:[0-9]+$`)

func nextcloudOwn(host string) bool {
	config, err := readConfig()
	name := portSuffix.ReplaceAllString(strings.ToLower(host), "")
	if err != nil || name == "localhost" || name == "127.0.0.1" || name == "[::1]" {
		return true
	}
	return slices.ContainsFunc(config.list("trusted_domains"), func(pattern string) bool {
		ok, _ := path.Match(strings.ToLower(pattern), name)
		return ok || pattern == host
	})
}
