package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestProxy runs the real Traefik on the files that gen writes for it, in a
// network of its own, in front of stand-ins that say what reached them.
//
// The files are those we ship, at the paths where the container has them, and
// Traefik has the address that it has there. Otherwise than on a host:
//   - containers are addresses of the other end of its wire, by /etc/hosts;
//   - nothing is published: a request goes to the port in the container;
//   - the certificate authority cannot be reached, so that Traefik answers
//     with a certificate that nobody trusts;
//   - in the case proxy, a body must come within a second, not twelve hours.
func TestProxy(t *testing.T) {
	if root := os.Getenv("GEN_TEST_PROXY"); root != "" {
		(&proxied{T: t, root: root}).run(os.Getenv("GEN_TEST_PROXY_OF"))
		return
	}
	traefik := tool(t, "traefik")
	if os.Getuid() != 0 {
		without(t, "root, for a network and a root directory of its own")
	}
	for _, host := range []string{"../../golden/fleet/vps1", cases + "/proxy/want/one"} {
		t.Run(filepath.Base(host), func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, dir := range []string{"etc/traefik", "acme", "tmp"} {
				if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			container := filepath.Join(host, "rootfs/usr/local/etc/traefik/app/etc/traefik")
			if err := os.CopyFS(filepath.Join(root, "etc/traefik"), os.DirFS(container)); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(root, "traefik"), "")
			c := exec.Command("unshare", "--net", "--mount", "sh", "-ec", wire+`mount --bind "$1" "$2/traefik"; shift 2; exec "$@"`,
				"sh", traefik, root, executable(t), "-test.run=^TestProxy$", "-test.v")
			c.Env = append(os.Environ(), "GEN_TEST_PROXY="+root, "GEN_TEST_PROXY_OF="+filepath.Base(host))
			if said, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// The ends of the wire: ours is everybody else, containers and those who ask;
// the other one is Traefik's, in a network within ours.
const (
	wire = `
ip link add ours type veth peer name eth0
ip address add 10.89.0.1/24 dev ours
ip address add ` + client + `/32 dev ours
ip link set ours up
`
	otherEnd = `
ip link set lo up
echo ready
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip address add 10.89.0.2/24 dev eth0
ip link set eth0 up
ip route add default via 10.89.0.1
exec chroot "$1" /traefik
`
	client = "198.51.100.7" // somebody on the internet, or in the mesh
)

// proxied is Traefik in front of its stand-ins, as seen from within their network.
type proxied struct {
	*testing.T
	root string
	log  output
}

// output is what a program said so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// ports are where entry points listen in the container.
var ports = map[string]string{"web": "80", "websecure": "443", "federation": "8448", "office": "8444", "mesh": "8080", "mesh-tls": "8443", "metrics": "9101", "traefik": "8082"}

func (p *proxied) run(host string) {
	p.backends()
	if host == "one" {
		p.replace("etc/traefik/traefik.yml", `readTimeout: "12h"`, `readTimeout: "1s"`)
	}
	c := exec.Command("unshare", "--net", "sh", "-ec", otherEnd, "sh", p.root)
	c.Stdout, c.Stderr = &p.log, &p.log
	if err := c.Start(); err != nil {
		p.Fatal(err)
	}
	p.until("it has a network", func() bool { return strings.Contains(p.log.String(), "ready") })
	p.command("ip", "link", "set", "eth0", "netns", fmt.Sprint(c.Process.Pid))
	p.until("its health command succeeds", func() bool {
		return exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", c.Process.Pid), "chroot", p.root, "/traefik", "healthcheck", "--ping").Run() == nil
	})
	map[string]func(){"vps1": p.example, "one": p.ownWays}[host]()

	c.Process.Kill() // it would wait for the WebSocket
	c.Wait()
	expected := regexp.MustCompile(`(?i)acme|parsing index template`) // no authority, and no pages of the dashboard
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "ERR") && !expected.MatchString(line) {
			p.Errorf("Traefik says: %s", line)
		}
	}
}

func (p *proxied) command(name string, args ...string) {
	p.Helper()
	if said, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		p.Fatalf("%s %v: %v\n%s", name, args, err, said)
	}
}

func (p *proxied) replace(file, old, by string) {
	p.Helper()
	path := filepath.Join(p.root, file)
	text := read(p.T, path)
	if !strings.Contains(text, old) {
		p.Fatalf("%s has no %s", file, old)
	}
	write(p.T, path, strings.ReplaceAll(text, old, by))
}

func (p *proxied) until(what string, ready func() bool) {
	p.Helper()
	for range 3000 {
		if ready() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.Fatalf("%s: it did not happen; Traefik says\n%s", what, &p.log)
}

// A seen request is what a stand-in says of it.
type seen struct {
	Container, Host, Path string
	Header                http.Header
	Bytes                 int64
}

// backends are a stand-in for each container and port that a route leads to.
func (p *proxied) backends() {
	files, err := filepath.Glob(filepath.Join(p.root, "etc/traefik/routes/*.yml"))
	if err != nil || len(files) < 3 {
		p.Fatal(files, err)
	}
	hosts, addresses, listening := "127.0.0.1 localhost\n", map[string]string{}, map[string]bool{}
	for _, file := range files {
		for _, g := range regexp.MustCompile(`url: "http://([a-z][a-z0-9-]*):([0-9]+)"`).FindAllStringSubmatch(read(p.T, file), -1) {
			name, port := g[1], g[2]
			if addresses[name] == "" {
				addresses[name] = fmt.Sprintf("10.89.0.%d", len(addresses)+3)
				p.command("ip", "address", "add", addresses[name]+"/24", "dev", "ours")
				hosts += addresses[name] + " " + name + "\n"
			}
			if at := net.JoinHostPort(addresses[name], port); !listening[at] {
				listening[at] = true
				l, err := net.Listen("tcp", at)
				if err != nil {
					p.Fatal(err)
				}
				go http.Serve(l, standIn(name+":"+port))
			}
		}
	}
	write(p.T, filepath.Join(p.root, "etc/hosts"), hosts)
}

// standIn says in JSON what reached it. On a WebSocket it says every line again.
func standIn(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "websocket" {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			io.Copy(conn, rw)
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		w.Header().Set("X-Frame-Options", "of the application")
		w.Header().Set("Referrer-Policy", "of the application")
		w.Header().Set("X-Robots-Tag", "of the application")
		w.Header().Set("X-Application", name)
		json.NewEncoder(w).Encode(seen{name, r.Host, r.RequestURI, r.Header, n})
	}
}

func dial(ctx context.Context, point string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: 5 * time.Second}
	return d.DialContext(ctx, "tcp", "10.89.0.2:"+ports[point])
}

// do asks an entry point, whatever the address says.
func (p *proxied) do(point string, r *http.Request) (*http.Response, string, error) {
	tr := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, point) },
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (p *proxied) get(point, url string, header ...string) (*http.Response, string) {
	p.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		p.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	resp, body, err := p.do(point, r)
	if err != nil {
		p.Fatalf("%s on %s: %v; Traefik says\n%s", url, point, err, &p.log)
	}
	return resp, body
}

// reaches asks for an address and says what reached which container.
func (p *proxied) reaches(point, url, container string, header ...string) (seen, http.Header) {
	p.Helper()
	resp, body := p.get(point, url, header...)
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.Container != container {
		p.Errorf("%s on %s reaches %q (%d), want %s", url, point, s.Container, resp.StatusCode, container)
	}
	return s, resp.Header
}

// refused are addresses that an entry point leads nowhere.
func (p *proxied) refused(point string, urls ...string) {
	p.Helper()
	for _, url := range urls {
		if resp, body := p.get(point, url); resp.StatusCode != http.StatusNotFound || resp.Header.Get("X-Application") != "" {
			p.Errorf("%s on %s: %d %.100s", url, point, resp.StatusCode, body)
		}
	}
}

// headers compares some of an answer's; an empty value is one that is not there.
func (p *proxied) headers(what string, got http.Header, want map[string]string) {
	p.Helper()
	for name, value := range want {
		if v := got.Values(name); value == "" && len(v) > 0 || value != "" && !slices.Equal(v, []string{value}) {
			p.Errorf("%s: %s is %q, want %q", what, name, v, value)
		}
	}
}

// example is the example's vps1.
func (p *proxied) example() {
	p.until("routes are there", func() bool {
		resp, _ := p.get("websecure", "https://cloud.example.org/")
		return resp.StatusCode == http.StatusOK
	})
	pads := p.webSocket("websecure", "notes.example.org")

	for url, container := range map[string]string{
		"https://auth.example.org/x?y=z":                       "authentik-server:9000",
		"https://cloud.example.org/remote.php/dav/a%2Fb":       "nextcloud-app:80",
		"https://notes.example.org/statuses":                   "hedgedoc-app:3000",
		"https://matrix.example.org/_matrix/client/%23a%3Ab":   "synapse-app:8008",
		"https://example.org/.well-known/matrix/client":        "synapse-app:8008",
		"https://example.org/_matrix/federation/v1/version":    "synapse-app:8008",
		"https://matrix.example.org/.well-known/matrix/server": "synapse-app:8008",
	} {
		// Whoever claims to be a proxy is not believed.
		got, _ := p.reaches("websecure", url, container, "X-Forwarded-For", "198.51.100.66", "X-Real-Ip", "198.51.100.66",
			"X-Forwarded-Proto", "http", "X-Forwarded-Host", "evil.example.org", "Forwarded", "for=198.51.100.66")
		name, path, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
		if got.Host != name || got.Path != "/"+path {
			p.Errorf("%s reaches %s as %s%s", url, container, got.Host, got.Path)
		}
		p.headers(url, got.Header, map[string]string{"X-Forwarded-For": client, "X-Real-Ip": client, "X-Forwarded-Proto": "https", "X-Forwarded-Host": name})

		plain := strings.Replace(url, "https:", "http:", 1)
		if resp, _ := p.get("web", plain); resp.Header.Get("Location") != url || resp.StatusCode/100 != 3 {
			p.Errorf("%s is answered with %d to %q", plain, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	p.securityHeaders()
	p.meshAlone()
	p.metrics()
	p.nextcloud()
	p.matrix()
	p.slowUpload("notes.example.org", true)
	if _, api := p.get("mesh", "http://traefik.vps1.example.org/api/entrypoints/websecure"); !strings.Contains(api, `"readTimeout":"12h0m0s"`) {
		p.Errorf("the time in which a request must come is not twelve hours: %s", api)
	}
	p.addRoute()
	pads("still here\n") // it was open all the while
}

func (p *proxied) securityHeaders() {
	const year = "max-age=31536000"
	for url, want := range map[string]map[string]string{
		"https://auth.example.org/":                           {"X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "strict-origin-when-cross-origin"},
		"https://notes.example.org/":                          {"X-Frame-Options": "", "Referrer-Policy": "same-origin"}, // of the routes
		"https://cloud.example.org/":                          {"X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "no-referrer"},
		"https://cloud.example.org/.well-known/caldav":        {"X-Frame-Options": "SAMEORIGIN"}, // by the proxy itself
		"https://example.org/.well-known/matrix/client":       {"Access-Control-Allow-Origin": "*"},
		"https://matrix.example.org/_matrix/client/versions":  {},
		"https://example.org/_matrix/federation/v1/version":   {},
		"https://notes.example.org/socket.io/?transport=poll": {},
	} {
		want["Strict-Transport-Security"], want["X-Content-Type-Options"] = year, "nosniff"
		resp, _ := p.get("websecure", url)
		p.headers(url, resp.Header, want)
	}
}

// meshAlone: the dashboard is served in the mesh and nowhere else, and nothing
// else is in the mesh.
func (p *proxied) meshAlone() {
	const name = "traefik.vps1.example.org"
	p.dashboard("mesh", "http://"+name)
	if conn, err := dial(context.Background(), "traefik"); err == nil {
		conn.Close()
		p.Error("what Traefik says of itself is open to everybody on its network")
	}
	for _, point := range []string{"websecure", "federation"} {
		p.refused(point, "https://"+name+"/", "https://"+name+"/dashboard/", "https://"+name+"/api/rawdata")
		// The name in the TLS handshake is another.
		if resp, _ := p.get(point, "https://cloud.example.org/dashboard/", "Host", name); resp.StatusCode != http.StatusNotFound {
			p.Errorf("%s serves the dashboard to who hides its name in the handshake: %d", point, resp.StatusCode)
		}
	}
	p.refused("metrics", "http://"+name+"/dashboard/", "http://"+name+"/api/rawdata")
	p.refused("mesh", "http://cloud.example.org/", "http://10.44.0.1/", "http://10.44.0.1/hedgedoc/hedgedoc", "http://10.44.0.1/api/rawdata")
}

// dashboard: what it shows is there. Its pages are in the image alone, not in
// what .ci/tools builds.
func (p *proxied) dashboard(point, url string) {
	p.Helper()
	if _, body := p.get(point, url+"/api/overview"); !strings.Contains(body, `"routers"`) {
		p.Errorf("the dashboard on %s knows of no routers: %s", point, body)
	}
	if resp, _ := p.get(point, url+"/"); !strings.HasSuffix(resp.Header.Get("Location"), "/dashboard/") {
		p.Errorf("%s leads to %q", url, resp.Header.Get("Location"))
	}
}

// metrics are at their own addresses, on their own entry point, and nothing is beside them.
func (p *proxied) metrics() {
	for path, want := range map[string]string{
		"/hedgedoc/hedgedoc":   "hedgedoc-app:3000/metrics",
		"/hedgedoc/postgres":   "hedgedoc-db-exporter:9187/metrics",
		"/synapse/synapse":     "synapse-app:9000/_synapse/metrics",
		"/authentik/server":    "authentik-server:9300/metrics",
		"/authentik/worker":    "authentik-worker:9300/metrics",
		"/nextcloud/mariadb":   "nextcloud-db-exporter:9104/metrics",
		"/nextcloud/valkey":    "nextcloud-cache-exporter:9121/metrics",
		"/nextcloud/nextcloud": "nextcloud-exporter:9205/metrics",
	} {
		container, _, _ := strings.Cut(want, "/")
		if got, _ := p.reaches("metrics", "http://10.44.0.1:9101"+path, container); got.Container+got.Path != want {
			p.Errorf("%s asks %s for %s", path, container, got.Path)
		}
		p.refused("websecure", "https://203.0.113.10"+path, "https://cloud.example.net"+path)
		p.refused("metrics", "http://10.44.0.1:9101"+path+"/", "http://10.44.0.1:9101"+path+"/x")
	}
	if _, own := p.get("metrics", "http://10.44.0.1:9101/traefik/traefik"); !strings.Contains(own, "traefik_config_last_reload_success") {
		p.Errorf("Traefik's own metrics are %.100s", own)
	}
	p.refused("metrics", "http://10.44.0.1:9101/", "http://10.44.0.1:9101/metrics", "http://10.44.0.1:9101/hedgedoc", "http://notes.example.org:9101/")
}

func (p *proxied) nextcloud() {
	for from, to := range map[string]string{
		"caldav": "/remote.php/dav/", "carddav": "/remote.php/dav/",
		"webfinger?resource=a": "/index.php/.well-known/webfinger?resource=a", "nodeinfo": "/index.php/.well-known/nodeinfo",
	} {
		url := "https://cloud.example.org/.well-known/" + from
		if resp, _ := p.get("websecure", url); resp.StatusCode != http.StatusMovedPermanently || resp.Header.Get("Location") != "https://cloud.example.org"+to {
			p.Errorf("%s: %d to %q", url, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

// matrix: the server's name says where Synapse is, and other homeservers reach
// it on 443 as on 8448. Neither port leads to anything else.
func (p *proxied) matrix() {
	const url = "https://example.org/_matrix/federation/v1/version"
	p.reaches("websecure", url, "synapse-app:8008")
	got, _ := p.reaches("federation", url, "synapse-app:8008", "X-Forwarded-For", "198.51.100.66")
	p.headers("federation on 8448", got.Header, map[string]string{"X-Forwarded-For": client})
	p.refused("federation", "https://matrix.example.org/_matrix/client/versions", "https://cloud.example.org/", "https://example.org/")
	p.refused("websecure", "https://example.org/", "https://example.org/_matrixes", "https://matrix.example.org/_synapse/admin/v1/users", "https://matrix.example.org/_synapse/metrics")
}

// webSocket opens one, and returns a function that says something in it and
// expects to hear it again.
func (p *proxied) webSocket(point, name string) (say func(string)) {
	p.Helper()
	raw, err := dial(context.Background(), point)
	if err != nil {
		p.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, ServerName: name})
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", name)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		p.Fatal(resp, err)
	}
	say = func(line string) {
		p.Helper()
		fmt.Fprint(conn, line)
		if heard, err := r.ReadString('\n'); err != nil || heard != line {
			p.Errorf("the WebSocket of %s says %q, %v", name, heard, err)
		}
	}
	say("hello\n")
	return say
}

// slowUpload sends a body in pieces, for longer than a second.
func (p *proxied) slowUpload(name string, arrives bool) {
	p.Helper()
	body, w := io.Pipe()
	go func() {
		for range 7 {
			fmt.Fprint(w, "1234567890")
			time.Sleep(200 * time.Millisecond)
		}
		w.Close()
	}()
	r, err := http.NewRequest("PUT", "https://"+name+"/upload", body)
	if err != nil {
		p.Fatal(err)
	}
	resp, said, err := p.do("websecure", r)
	var got seen
	if err == nil && resp.StatusCode == http.StatusOK {
		json.Unmarshal([]byte(said), &got)
	}
	if (got.Bytes == 70) != arrives {
		p.Errorf("of a slow upload %d bytes arrived: %v %s", got.Bytes, err, said)
	}
}

// addRoute: a file more is served while all else goes on.
func (p *proxied) addRoute() {
	routes := read(p.T, filepath.Join(p.root, "etc/traefik/routes/hedgedoc.yml"))
	p.refused("websecure", "https://late.example.org/")
	write(p.T, filepath.Join(p.root, "etc/traefik/routes/late.yml"), strings.NewReplacer("notes.example.org", "late.example.org", "hedgedoc_", "late_", "/hedgedoc/", "/late/").Replace(routes))
	p.until("a file more in the directory is served", func() bool {
		resp, _ := p.get("websecure", "https://late.example.org/")
		return resp.StatusCode == http.StatusOK
	})
	p.reaches("websecure", "https://late.example.org/", "hedgedoc-app:3000")
}

// ownWays is the case proxy: names in the mesh with TLS, shared headers of its
// own, a further entry point, a proxy in front.
func (p *proxied) ownWays() {
	p.until("routes are there", func() bool {
		resp, _ := p.get("websecure", "https://wiki.example.org/")
		return resp.StatusCode == http.StatusOK
	})
	for _, point := range []string{"websecure", "office"} {
		_, got := p.reaches(point, "https://wiki.example.org/page", "wiki-app:8080")
		p.headers("the wiki on "+point, got, map[string]string{
			"Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload",
			"X-Frame-Options":           "DENY", "X-Robots-Tag": "", "X-Content-Type-Options": "nosniff", "X-Audience": "",
		})
		p.refused(point, "https://wiki.example.org/admin", "https://wiki.example.org/admin/users", "https://drafts.example.org/", "https://proxy.example.org/dashboard/")
	}
	_, got := p.reaches("mesh-tls", "https://wiki.example.org/admin/users", "wiki-app:8080")
	p.headers("the wiki in the mesh", got, map[string]string{"X-Audience": "mesh", "Strict-Transport-Security": "", "X-Robots-Tag": "of the application"})
	p.reaches("mesh-tls", "https://drafts.example.org/", "wiki-app:8081")
	p.refused("mesh-tls", "https://wiki.example.org/page")
	p.dashboard("mesh-tls", "https://proxy.example.org")
	if got, _ := p.reaches("metrics", "http://10.44.0.1:9101/wiki/wiki", "wiki-app:9000"); got.Path != "/stats" {
		p.Errorf("metrics are asked for at %s", got.Path)
	}
	p.slowUpload("wiki.example.org", false)
}
