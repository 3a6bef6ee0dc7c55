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
	"strconv"
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

// alerted makes the example's Alertmanager tell somebody outside in every way, and
// soon. No authority vouches for a test's server of mail.
const alerted = `package hosts

hosts: vps1: services: nextcloud: alerts: ValkeyDown: for: "1m"
hosts: vps2: services: {
	prometheus: alerts: {ContainerDown: for: "90s", TargetDown: for: "90s"}
	alertmanager: {
		receivers: phone: {mail: "bea@example.org", webhook: "phone.example.net", ntfy: "ntfy.example.net", token: true}
		critical: "phone"
		alertmanager: {
			route: {group_wait: "5s", group_interval: "30s"}
			global: smtp_tls_config: insecure_skip_verify: true
		}
	}
}
`

// TestAlertArrives stops a program of the example's fleet: within the time that
// its alert says, somebody is told of it by mail, a webhook and ntfy, with its
// labels, and that it is over when it runs again. The dead man's switch is pinged
// all the while, and what a backup stops meanwhile nobody is told of.
func TestAlertArrives(t *testing.T) {
	onlyInLong(t)
	l := newLab(t)
	repo := l.TempDir()
	if err := os.CopyFS(filepath.Join(repo, "hosts"), os.DirFS(filepath.Join(repository, "hosts"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(repo, "hosts/phone.cue"), alerted)
	if err := os.Remove(filepath.Join(repo, "hosts/secrets/production.alertmanager.deadman.age")); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"webhook-phone": "http://203.0.113.1:8099/told", "ntfy-phone": "http://203.0.113.1:8099/topic?template=alertmanager",
		"ntfy-token-phone": "tk_phone", "deadman": "http://203.0.113.1:8099/alive",
	} {
		keep := &command{stdin: strings.NewReader(value), stdout: io.Discard, stderr: os.Stderr, ask: askTerminal}
		if code := keep.run([]string{"secret", "new", "production.alertmanager." + name, "-stdin", "-C", repo}); code != ok {
			t.Fatalf("the secret %s cannot be made: exit %d", name, code)
		}
	}
	messages := l.outside()
	l.joins("laptop", "203.0.113.99/24", "2001:db8::99/64")
	for _, host := range []string{"vps1", "vps2"} {
		l.identityOf(repository, host)
	}
	l.on("vps2", "sh", "-c", "echo 203.0.113.1 mail.example.org >>/etc/hosts") // there is no DNS
	l.push(repo, "vps1")
	if said, err := l.pushFrom([]string{"at", l.dir, "laptop"}, repo, "vps2", "--confirm-at", "root@10.44.0.2"); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	l.until(3*time.Minute, "programs to be asked", func() string {
		if l.number(`redis_up{host="vps1"}`) == "1" && l.number(`up{service="grafana"}`) == "1" {
			return ""
		}
		return "redis_up or grafana"
	})
	l.until(3*time.Minute, "the dead man's switch to be pinged", func() string {
		for _, m := range messages() {
			if m.Way == "/alive" && strings.Contains(m.Body, `"Watchdog"`) {
				return ""
			}
		}
		return "/alive"
	})
	// A minute, as the alert says; two looks and an evaluation, half a minute apart; and what waits for its like.
	const within = time.Minute + 3*30*time.Second + 5*time.Second
	over := l.backup("grafana", within+20*time.Second)
	l.on("vps1", "systemctl", "stop", "nextcloud-cache.service")
	l.until(within+10*time.Second, "somebody to be told", func() string { return untold(messages(), "firing") })
	over()
	l.on("vps1", "systemctl", "start", "nextcloud-cache.service")
	l.until(within+30*time.Second, "it to be over", func() string { return untold(messages(), "resolved") })
	for _, m := range messages() {
		if strings.Contains(m.Body, "grafana") {
			t.Errorf("somebody was told of what the backup stopped: %+v", m)
		}
	}
}

// untold are the ways in which nobody was told of the alert, as each way says it.
func untold(all []message, status string) string {
	ways := map[string]func(message) bool{
		"/told": func(m message) bool { return rings(m, status) },
		"/topic?template=alertmanager": func(m message) bool {
			return m.As == "Bearer tk_phone" && rings(m, status)
		},
		"mail": func(m message) bool {
			return strings.Contains(m.To, "<bea@example.org>") && strings.HasPrefix(m.As, "services@example.org\x00") &&
				strings.HasPrefix(m.Body, "["+strings.ToUpper(status)) && strings.Contains(m.Body, "ValkeyDown")
		},
	}
	var missing []string
	for _, way := range slices.Sorted(maps.Keys(ways)) {
		if !slices.ContainsFunc(all, func(m message) bool { return m.Way == way && ways[way](m) }) {
			missing = append(missing, way)
		}
	}
	if len(missing) > 0 {
		return fmt.Sprintf("%s by %v, of %d messages", status, missing, len(all))
	}
	return ""
}

// rings reports whether a webhook told of the alert with its labels.
func rings(m message, status string) bool {
	var told struct {
		Alerts []struct {
			Status string
			Labels map[string]string
		}
	}
	if json.Unmarshal([]byte(m.Body), &told) != nil {
		return false
	}
	for _, a := range told.Alerts {
		if l := a.Labels; a.Status == status && l["alertname"] == "ValkeyDown" && l["host"] == "vps1" && l["service"] == "nextcloud" &&
			l["environment"] == "production" && l["severity"] == "critical" {
			return true
		}
	}
	return false
}

// backup plays on vps2 the backup of a service, for there is no store: its unit
// is started as its timer does, and what it runs stops the service and starts it
// again. over waits for its end, and checks that Prometheus saw it down for
// longer than alerts wait, and let none of them fire.
func (l *lab) backup(service string, takes time.Duration) (over func()) {
	l.Helper()
	unit := "gen-backup-" + service + ".service"
	l.on("vps2", "sh", "-ec", fmt.Sprintf(`mkdir -p /run/systemd/system/%[1]s.d
printf '[Service]\nExecStart=\nExecStopPost=\nExecStart=/bin/sh -c "systemctl stop %[2]s-app.service; sleep %[3]d; systemctl start %[2]s-app.service"\n' >/run/systemd/system/%[1]s.d/10-test.conf
systemctl daemon-reload
systemctl start --no-block %[1]s`, unit, service, int(takes.Seconds())))
	return func() {
		l.Helper()
		l.until(takes, "the backup to end", func() string {
			return strings.TrimSpace(l.on("vps2", "sh", "-c", "systemctl is-active "+unit+" | grep -v inactive || :"))
		})
		if n, _ := strconv.Atoi(l.number(`count_over_time((up{service="` + service + `"} == 0)[5m:15s])`)); n < 8 {
			l.Errorf("Prometheus saw %s down %d times, a quarter of a minute apart", service, n)
		}
		if said := l.number(`gen_planned_stop{service="` + service + `"}`); said != "1" {
			l.Errorf("its stop is not known to be planned: %q", said)
		}
		if said := l.number(`count(count_over_time(ALERTS{alertstate="firing",service="` + service + `"}[5m]))`); said != "" {
			l.Errorf("%s alerts of %s were there: %s", said, service, l.promQL(`ALERTS{service="`+service+`"}`))
		}
	}
}

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
