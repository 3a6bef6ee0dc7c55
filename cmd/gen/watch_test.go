package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/watch"
)

// alertFiles are promtool's proofs of a golden's alerts.
func alertFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no proofs of alerts (%v)", pattern, err)
	}
	return files
}

// TestAlertsFire lets promtool play what proves each alert of the example's
// fleet: it fires when it should, and is silent otherwise and about others.
// Those of the twin on staging are the same, as are those of whole cases.
func TestAlertsFire(t *testing.T) {
	files := slices.DeleteFunc(alertFiles(t, "../../golden/fleet/fleet/alerts/*.yml"), func(f string) bool { return strings.Contains(f, "_staging_") })
	if os.Getenv("GEN_REQUIRE") != "" {
		files = append(files, alertFiles(t, cases+"/*/want/fleet/alerts/all_prometheus_all_*.yml")...)
	}
	promtool := tool(t, "promtool")
	var wg sync.WaitGroup
	turn := make(chan bool, 2)
	for _, file := range files {
		wg.Go(func() {
			turn <- true
			defer func() { <-turn }()
			if said, err := exec.Command(promtool, "test", "rules", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", file, err, said)
			}
		})
	}
	wg.Wait()
}

// TestEveryAlertHasAProof: an alert of the catalogue that nobody has seen fire
// may never do so.
func TestEveryAlertHasAProof(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(cases + "/catalogue"))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	seen := 0
	for _, s := range f.Hosts[0].Services {
		for _, a := range s.V.Alerts {
			seen++
			switch {
			case a.V.Test == nil:
				t.Errorf("%s of %s has no test", a.Name, s.Name)
			case len(a.V.Test.Silent) == 0 && a.Name != "Watchdog":
				t.Errorf("%s of %s is never shown to be silent", a.Name, s.Name)
			case a.V.Description.V == "" || a.V.Summary.V == "":
				t.Errorf("%s of %s does not say what to do", a.Name, s.Name)
			}
		}
	}
	if seen < 70 {
		t.Errorf("the catalogue has only %d alerts", seen)
	}
}

// TestEverythingIsScraped: each Prometheus in golden/ asks every container that
// says something of itself on the hosts it sees, once.
func TestEverythingIsScraped(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(repository))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	scraped := map[string]int{}
	for _, file := range alertFiles(t, "../../golden/fleet/vps2/rootfs/usr/local/etc/prometheus/app/etc/prometheus/scrapes/*.yml") {
		var d struct {
			ScrapeConfigs []struct {
				StaticConfigs []struct {
					Targets []string
					Labels  map[string]string
				} `yaml:"static_configs"`
			} `yaml:"scrape_configs"`
		}
		if err := yaml.Unmarshal([]byte(read(t, file)), &d); err != nil {
			t.Fatal(file, err)
		}
		for _, job := range d.ScrapeConfigs {
			for _, target := range job.StaticConfigs {
				l := target.Labels
				if l["environment"] == "" || len(target.Targets) != 1 {
					t.Errorf("%s: %v lacks something", file, target)
				}
				scraped[l["host"]+"/"+l["service"]+"/"+l["job"]]++
				if l["job"] == "probe" && l["from"] == l["host"] {
					t.Errorf("%s looks at itself: %v", l["host"], l)
				}
			}
		}
	}
	for _, h := range f.Hosts {
		for _, s := range h.Services {
			for _, c := range s.V.Containers {
				for _, m := range c.V.Metrics {
					if n := scraped[h.Name.V+"/"+s.Name+"/"+m.Name]; n != 1 {
						t.Errorf("%s of %s on %s is scraped %d times", m.Name, s.Name, h.Name.V, n)
					}
				}
				for _, r := range c.V.Routes {
					if r.V.Audience.V == "internet" && scraped[h.Name.V+"/"+s.Name+"/probe"] == 0 {
						t.Errorf("nobody looks at %s", r.V.Host.V)
					}
				}
			}
		}
	}
	if n := len(watch.Prometheis(f)); n != 1 {
		t.Errorf("the example has %d Prometheis", n)
	}
}

var script = regexp.MustCompile(`^#!/bin/sh\n`)

// TestGeneratedScripts: shellcheck has nothing against scripts of the catalogue.
func TestGeneratedScripts(t *testing.T) {
	checker := tool(t, "shellcheck")
	files := alertFiles(t, "../../golden/fleet/*/rootfs/usr/local/libexec/*")
	for _, file := range files {
		if !script.MatchString(read(t, file)) {
			t.Errorf("%s is no script", file)
		}
	}
	if said, err := exec.Command(checker, files...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestAlertsAreRouted: the Alertmanager sends each alert to whom it should.
func TestAlertsAreRouted(t *testing.T) {
	amtool := tool(t, "amtool")
	for file, routes := range map[string]map[string]string{
		"../../golden/fleet/vps2/rootfs/usr/local/etc/alertmanager/app/etc/alertmanager/alertmanager.yml": {
			"alertname=Watchdog severity=none environment=production":       "deadman",
			"alertname=A severity=critical environment=production":          "operators",
			"alertname=A severity=none environment=production":              "nobody",
			"alertname=HostDown severity=critical environment=staging":      "operators",
			"alertname=DiskAlmostFull severity=warning environment=staging": "operators",
		},
		cases + "/watched/want/watcher/rootfs/usr/local/etc/alertmanager/app/etc/alertmanager/alertmanager.yml": {
			"alertname=Watchdog severity=none environment=production": "deadman",
			"alertname=A severity=critical environment=production":    "phone",
			"alertname=A severity=critical environment=staging":       "log",
			"alertname=A severity=warning environment=production":     "log",
		},
	} {
		for labels, receiver := range routes {
			said, err := exec.Command(amtool, append([]string{"config", "routes", "test", "--config.file=" + file, "--verify.receivers=" + receiver}, strings.Fields(labels)...)...).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %s does not reach %s: %v\n%s", file, labels, receiver, err, said)
			}
		}
	}
}

// TestNamesOfMetrics: what an expression asks for, by its words alone.
func TestNamesOfMetrics(t *testing.T) {
	for expr, want := range map[string]string{
		`up == 0`: "up",
		`sum by (host, service) (rate(a_total{code=~"5..",x!="b{c}"}[5m])) / on (host) group_left (name) max(b:c) > 1.5e3`: "a_total b:c",
		`(a unless on (host, name) (b{state="x y"} == 1)) and on (host) c offset 1d or absent(d{e="f"})`:                   "a b c d",
		`label_replace(a, "x", "$1", "y", "(.*)") > bool 2`:                                                                "a",
		`sum without (cpu) (count(node_cpu{mode='idle'})) < Inf`:                                                           "node_cpu",
		`vector(1)`: "",
		`min_over_time(sum(a{b="c"})[15m:1m]) * 60 > 5`: "a",
	} {
		if got := strings.Join(watch.Names(expr), " "); got != want {
			t.Errorf("%s asks for %q, want %q", expr, got, want)
		}
	}
}

// TestFailedUnitsNameTheirService: of a unit that failed people are told whose it
// is; what no service made is of the exporter that saw it.
func TestFailedUnitsNameTheirService(t *testing.T) {
	promtool := tool(t, "promtool")
	rules := absolute(t, "../../golden/fleet/vps2/rootfs/usr/local/etc/prometheus/app/etc/prometheus/rules")
	series := func(name string) string {
		return `      - {series: 'node_systemd_unit_state{host="vps1",environment="production",service="node",name="` + name + `",state="failed"}', values: 1x15}` + "\n"
	}
	file := filepath.Join(t.TempDir(), "units.yml")
	write(t, file, `rule_files: ["`+rules+`/_expected.yml", "`+rules+`/vps2_prometheus.yml"]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
`+series("hedgedoc-db.service")+series("node-state.service")+series("gen-backup-nextcloud.service")+series("cron.service")+`
    promql_expr_test:
      - eval_time: 10m
        expr: count by (name, service) (ALERTS{alertname="UnitFailed",alertstate="firing",host="vps1",severity="warning"})
        exp_samples:
          - {labels: '{name="cron.service",service="node"}', value: 1}
          - {labels: '{name="gen-backup-nextcloud.service",service="nextcloud"}', value: 1}
          - {labels: '{name="hedgedoc-db.service",service="hedgedoc"}', value: 1}
          - {labels: '{name="node-state.service",service="node"}', value: 1}
`)
	if said, err := exec.Command(promtool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestRangesOfExpressions: how far back an expression looks at samples, and not
// what only looks like that.
func TestRangesOfExpressions(t *testing.T) {
	for expr, want := range map[string]string{
		`rate(a[5m]) / rate(b{c="[1s]"}[ 90s ]) > 1`:       "[{5m 300} {90s 90}]",
		`predict_linear(a{b=~"x[0-9]+"}[1h30m], 86400)`:    "[{1h30m 5400}]",
		`min_over_time(sum(a)[15m:1m]) > 1`:                "[]",
		`max_over_time(a[1w2d]) + delta(b[300])`:           "[{1w2d 777600} {300 300}]",
		`label_replace(a, "b", "$1", "c", "([a-z]+)[5m]")`: "[]",
	} {
		if got := fmt.Sprint(watch.Ranges(expr)); got != want {
			t.Errorf("%s looks back %s, want %s", expr, got, want)
		}
	}
}

// TestMinimalWatching: another target, rule, probe, receiver or dashboard
// restarts nothing.
func TestMinimalWatching(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(repository))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	want := map[string]string{
		"/usr/local/etc/prometheus/":                         "prometheus-app.service reload",
		"/usr/local/etc/blackbox/":                           "blackbox-app.service reload",
		"/usr/local/etc/alertmanager/":                       "alertmanager-app.service reload",
		"/usr/local/etc/grafana/app/etc/grafana/dashboards/": "",
	}
	i := slices.IndexFunc(f.Hosts, func(h *fleet.Host) bool { return h.Name.V == "vps2" })
	tr := render.Host(f, f.Hosts[i])
	base, seen := stampsOf(tr), map[string]int{}
	for _, file := range tr.Files {
		for dir, stamp := range want {
			if !strings.HasPrefix(file.Path, dir) {
				continue
			}
			seen[dir]++
			body := file.Body
			file.Body = append(slices.Clone(body), "changed"...)
			var changed []string
			for stamp, value := range stampsOf(tr) {
				if base[stamp] != value {
					changed = append(changed, stamp)
				}
			}
			if strings.Join(changed, " ") != stamp {
				t.Errorf("a change of %s changes the stamps %v, want %q", file.Path, changed, stamp)
			}
			file.Body = body
		}
	}
	if len(seen) != len(want) || seen["/usr/local/etc/prometheus/"] < 20 {
		t.Errorf("only these were there: %v", seen)
	}
}
