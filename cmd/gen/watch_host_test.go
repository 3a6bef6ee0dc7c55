package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ledger "gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/watch"
)

// elsewhere are metrics that test hosts have not, by what their names begin
// with: there is no DNS and no registry, nothing to back up to, no certificate.
var elsewhere = map[string]string{
	"gen_backup_":                 "no backup has run",
	"gen_drill_":                  "no drill has run",
	"gen_planned_stop":            "nothing is stopped",
	"gen_packages_pending":        "its timer has not run",
	"gen_update_":                 "no registry answers",
	"probe_ssl_":                  "no public name leads to a test host",
	"traefik_tls_certs_not_after": "no certificate authority answers",
}

// played are the images of which test hosts run a stand-in: what it says of
// itself proves nothing.
var played = []string{"goauthentik/server", "grafana/grafana", "hedgedoc/hedgedoc", "xperimental/nextcloud-exporter", "element-hq/synapse", "navidys/"}

// watched checks what a fleet's Prometheus sees of the hosts that are up: every
// target answers, and every metric is there that an alert asks of a real program.
func (l *lab) watched(f *fleet.Fleet, hosts []string) {
	l.Helper()
	p := watch.Prometheis(f)[0]
	all := ledger.Of(f)
	up := fmt.Sprintf(`{job!="probe",host=~"%s"}`, strings.Join(hosts, "|"))
	targets := slices.DeleteFunc(watch.Targets(f, all, p), func(t *watch.Target) bool { return !slices.Contains(hosts, t.Host.Name.V) })
	want := len(targets)
	l.until(4*time.Minute, "all targets to be up", func() string {
		if n := l.number(`count(up` + up + ` == 1)`); n != fmt.Sprint(want) {
			return fmt.Sprintf("%s of %d are up; not: %s", n, want, l.promQL(`up`+up+` == 0`))
		}
		return ""
	})
	// The state of hosts is written every minute, and expressions look back.
	l.until(3*time.Minute, "all metrics to be there", func() string {
		missing := map[string]bool{}
		for _, h := range f.Hosts {
			for _, s := range h.Services {
				for _, a := range render.Alerts(p, h, s) {
					of := `,host="` + h.Name.V + `"`
					if a.V.Fleet.V {
						of = ""
					}
					for _, name := range watch.Names(a.V.Expr.V) {
						if slices.Contains(hosts, h.Name.V) && !excused(name) && !standsIn(targets, name) && l.number(`count({__name__="`+name+`"`+of+`})`) == "" {
							missing[h.Name.V+": "+a.Name+": "+name] = true
						}
					}
				}
			}
		}
		return strings.Join(slices.Sorted(maps.Keys(missing)), ", ")
	})
	l.until(time.Minute, "the watchdog", func() string {
		if l.number(`count(ALERTS{alertname="Watchdog",alertstate="firing"})`) == "1" {
			return ""
		}
		return "Watchdog"
	})
}

func excused(name string) bool {
	for prefix := range elsewhere {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// standsIn reports whether a metric is told by stand-ins alone.
func standsIn(targets []*watch.Target, name string) bool {
	told := false
	for _, t := range targets {
		if !watch.Exported(name, []*watch.Target{t}) {
			continue
		}
		s, _ := t.Host.Services.Get(t.Service)
		c, _ := s.Containers.Get(t.Container)
		if !slices.ContainsFunc(played, func(image string) bool { return strings.Contains(c.Image.V, image) }) {
			return false
		}
		told = true
	}
	return told
}

// TestAlertArrives stops a program of the example's fleet: within the time that
// its alert says, somebody is told of it with its labels, and that it is over
// when it runs again.
func TestAlertArrives(t *testing.T) {
	if os.Getenv("GEN_LONG") == "" {
		t.Skip("it is a part of .ci/long")
	}
	l := newLab(t)
	repo := l.TempDir()
	if err := os.CopyFS(filepath.Join(repo, "hosts"), os.DirFS(filepath.Join(repository, "hosts"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(repo, "hosts/phone.cue"), `package hosts

hosts: vps1: services: nextcloud: alerts: ValkeyDown: for: "1m"
hosts: vps2: services: alertmanager: {
	receivers: phone: webhook: "phone.example.net"
	critical: "phone"
	alertmanager: route: {group_wait: "5s", group_interval: "30s"}
}
`)
	keep := &command{stdin: strings.NewReader("http://203.0.113.60:8099/told"), stdout: io.Discard, stderr: io.Discard, ask: askTerminal}
	if code := keep.run([]string{"secret", "new", "production.alertmanager.webhook-phone", "-stdin", "-C", repo}); code != ok {
		t.Fatalf("the secret cannot be made: exit %d", code)
	}
	l.run("up", l.dir, "phone", "203.0.113.60/24")
	l.on("phone", "systemd-run", "-q", "--unit=phone", "python3", "-c", phone)
	l.joins("laptop", "203.0.113.99/24", "2001:db8::99/64")
	for _, host := range []string{"vps1", "vps2"} {
		l.identityOf(repository, host)
	}
	l.push(repo, "vps1")
	if said, err := l.pushFrom([]string{"at", l.dir, "laptop"}, repo, "vps2", "--confirm-at", "root@10.44.0.2"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	l.until(3*time.Minute, "the exporter to be asked", func() string {
		if l.number(`redis_up{host="vps1"}`) == "1" {
			return ""
		}
		return "redis_up"
	})
	told := func(status string) func() string {
		return func() string {
			for line := range strings.Lines(l.on("phone", "sh", "-c", "cat /run/told 2>/dev/null || :")) {
				var m struct {
					Alerts []struct {
						Status string
						Labels map[string]string
					}
				}
				if err := json.Unmarshal([]byte(line), &m); err != nil {
					t.Fatal(err, line)
				}
				for _, a := range m.Alerts {
					if a.Status == status && a.Labels["alertname"] == "ValkeyDown" && a.Labels["host"] == "vps1" && a.Labels["service"] == "nextcloud" &&
						a.Labels["environment"] == "production" && a.Labels["severity"] == "critical" {
						return ""
					}
				}
			}
			return "ValkeyDown " + status
		}
	}
	// A minute, as the alert says; two looks and an evaluation, half a minute apart; and what waits for its like.
	const within = time.Minute + 3*30*time.Second + 5*time.Second
	l.on("vps1", "systemctl", "stop", "nextcloud-cache.service")
	l.until(within+10*time.Second, "somebody to be told", told("firing"))
	l.on("vps1", "systemctl", "start", "nextcloud-cache.service")
	l.until(within+30*time.Second, "it to be over", told("resolved"))
}

// phone is somebody who is told by a webhook, and writes it down.
const phone = `
import http.server
class Told(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open("/run/told", "ab").write(body.replace(b"\n", b" ") + b"\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("", 8099), Told).serve_forever()
`

// until waits for something, which says what is still missing.
func (l *lab) until(most time.Duration, what string, missing func() string) {
	l.Helper()
	deadline, said := time.Now().Add(most), ""
	for time.Now().Before(deadline) {
		if said = missing(); said == "" {
			return
		}
		time.Sleep(5 * time.Second)
	}
	l.Fatalf("%s wait in vain for %s: %s", most, what, said)
}

// promQL is what vps2's Prometheus answers, as JSON.
func (l *lab) promQL(expr string) string {
	l.Helper()
	return l.on("vps2", "curl", "-sS", "http://10.44.0.2:9090/api/v1/query?query="+url.QueryEscape(expr))
}

// number is the one value of an answer, "" if there is none.
func (l *lab) number(expr string) string {
	l.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(l.promQL(expr)), &answer); err != nil || len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}
