package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ledger "gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/watch"
)

// A night is two hours of the example's fleet as its Prometheus sees them, a
// sample a minute, by series. Something happens from the half hour on.
type night map[string]string

// steady are samples that stay, but for those of some minutes from the half hour on.
func steady(value, meanwhile string, minutes int) string {
	if minutes == 0 {
		return value + "x120"
	}
	return fmt.Sprintf("%sx29 %sx%d %sx%d", value, meanwhile, minutes-1, value, 90-minutes)
}

// TestNights plays whole nights with all rules of the example's production: what is planned,
// what passes by itself, and what lies behind something worse, wakes nobody.
func TestNights(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, n := range []struct {
		name    string
		happens func(night)
		fires   []string // alert, host and service
	}{
		{"nothing", func(night) {}, nil},
		{"a backup", backupNight, nil},
		{"a reboot", rebootNight, nil},
		{"the proxy is down", proxyNight, []string{
			"ContainerDown vps1 traefik", "MetricsProxyDown vps1 traefik", "ProbeFailed vps1 authentik", "ProbeFailed vps1 hedgedoc",
			"ProbeFailed vps1 nextcloud", "ProbeFailed vps1 synapse", "UnitFailed vps1 traefik",
		}},
		{"a container is unhealthy", func(n night) {
			n[`gen_container_healthy{host="vps1",service="node",name="synapse-app"}`] = steady("1", "0", 40)
		},
			[]string{"ContainerUnhealthy vps1 synapse"}},
		{"an update was taken back", func(n night) {
			n[`gen_update_rolled_back{host="vps1",service="node",name="traefik-app.service"}`] = "1x120"
		},
			[]string{"UpdateRolledBack vps1 traefik"}},
		{"errors of a service", func(n night) {
			n[requestsOf("hedgedoc_app_web", "500")] = "0x29 1+20x40 800x50"
		}, []string{"TraefikErrors vps1 hedgedoc"}},
		{"what left the host", func(n night) {
			n[`gen_backup_success{host="vps1",service="gone"}`] = "0x120"
			n[`gen_backup_last_success_timestamp_seconds{host="vps1",service="gone"}`] = "-900000x120"
		}, nil},
	} {
		t.Run(n.name, func(t *testing.T) {
			all := calm(t)
			n.happens(all)
			file := filepath.Join(t.TempDir(), "night.yml")
			write(t, file, all.test(t, n.fires))
			if said, err := exec.Command(promtool, "test", "rules", file).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// calm is a night in which all is well.
func calm(t *testing.T) night {
	t.Helper()
	f, fs := load.Fleet(os.DirFS(repository))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	n := night{}
	p, all := watch.Prometheis(f)[0], ledger.Of(f)
	for _, target := range watch.Targets(f, all, p) {
		n[fmt.Sprintf(`up{host="%s",service="%s",job="%s",proxy="%s"}`, target.Host.Name.V, target.Service, target.Job, target.Proxy)] = "1x120"
	}
	for _, probe := range watch.Probes(f, all, p) {
		of := fmt.Sprintf(`{host="%s",service="%s",job="probe",instance="%s"}`, probe.Host.Name.V, probe.Service, probe.URL)
		n["probe_success"+of], n["probe_duration_seconds"+of] = "1x120", "0.1x120"
	}
	for _, h := range f.Hosts {
		host := h.Name.V
		n[`node_textfile_mtime_seconds{host="`+host+`",service="node",file="/host/gen_state.prom"}`] = "0+60x120"
		n[`traefik_config_last_reload_success{host="`+host+`",service="traefik"}`] = "1x120"
		for _, s := range h.Services {
			for _, c := range s.V.Containers {
				n[unitState(host, render.ContainerUnit(s.Name, c.Name), "active")] = "1x120"
				n[`gen_container_healthy{host="`+host+`",service="node",name="`+s.Name+"-"+c.Name+`"}`] = "1x120"
			}
			if f.BacksUp(h, s.V) {
				n[`gen_backup_last_success_timestamp_seconds{host="`+host+`",service="`+s.Name+`"}`] = "1x120"
				n[unitState(host, "gen-backup-"+s.Name+".service", "activating")] = "0x120"
			}
		}
		if h != p.Host {
			n[`gen_mesh_handshake_timestamp_seconds{host="`+p.Host.Name.V+`",service="node",peer="`+h.Mesh.PublicKey.V+`"}`] = "0+60x120"
		}
	}
	for _, route := range []string{"nextcloud_app_web", "hedgedoc_app_web", "hedgedoc_db-exporter_metrics_postgres"} {
		n[requestsOf(route, "200")] = "0+20x120"
	}
	return n
}

func unitState(host, unit, state string) string {
	kind := "notify"
	if strings.HasPrefix(unit, "gen-backup-") {
		kind = "oneshot"
	}
	return fmt.Sprintf(`node_systemd_unit_state{host="%s",service="node",name="%s",state="%s",type="%s"}`, host, unit, state, kind)
}

func requestsOf(route, code string) string {
	return fmt.Sprintf(`traefik_service_requests_total{host="vps1",service="traefik",exported_service="%s@file",code="%s"}`, route, code)
}

// backupNight: Nextcloud stops for forty minutes, and those who use it see it.
func backupNight(n night) {
	n[unitState("vps1", "gen-backup-nextcloud.service", "activating")] = steady("0", "1", 40)
	for _, c := range []string{"app", "cron"} {
		n[unitState("vps1", "nextcloud-"+c+".service", "active")] = steady("1", "0", 40)
		n[`gen_container_healthy{host="vps1",service="node",name="nextcloud-`+c+`"}`] = steady("1", "_", 40)
	}
	for series := range n {
		switch {
		case !strings.Contains(series, `host="vps1",service="nextcloud"`):
		case strings.HasPrefix(series, "probe_success"):
			n[series] = steady("1", "0", 42) // it starts for two minutes
		case strings.HasPrefix(series, "probe_duration_seconds"):
			n[series] = steady("0.1", "9", 42)
		case strings.HasPrefix(series, "up{"):
			n[series] = steady("1", "0", 41)
		}
	}
	n[`gen_container_healthy{host="vps1",service="node",name="nextcloud-db-exporter"}`] = steady("1", "0", 41)
	n[`nextcloud_up{host="vps1",service="nextcloud"}`] = steady("1", "0", 42)
	n[requestsOf("nextcloud_app_web", "502")] = "0x29 1+20x42 861x48"
	n[requestsOf("nextcloud_exporter_metrics_nextcloud", "502")] = "0x29 1+2x41 83x49"
}

// rebootNight: vps1 is away for three minutes, and its programs take some more.
func rebootNight(n night) {
	for series, samples := range n {
		switch {
		case !strings.Contains(series, `host="vps1"`):
		case strings.HasPrefix(series, "up{"):
			n[series] = steady("1", "0", 4)
		case strings.HasPrefix(series, "probe_success"):
			n[series] = steady("1", "0", 5)
		case strings.HasPrefix(series, "probe_duration"):
			n[series] = steady("0.1", "9", 5)
		case strings.Contains(samples, "+"):
			n[series] = "0+20x29 _x4 0+20x86" // it counts anew
			if strings.HasPrefix(series, "node_textfile") {
				n[series] = "0+60x29 _x4 2040+60x86"
			}
		default:
			n[series] = steady(strings.TrimSuffix(samples, "x120"), "_", 4)
		}
	}
	for series := range n {
		if strings.HasPrefix(series, "gen_mesh_handshake") {
			n[series] = "0+60x29 1740x3 2040+60x86"
		}
	}
	n[unitState("vps1", "nextcloud-app.service", "active")] = "1x29 _x4 0x9 1x76"
	n[unitState("vps1", "nextcloud-app.service", "activating")] = "0x29 _x4 1x9 0x76"
}

// proxyNight: Traefik failed, and with it all that it leads to.
func proxyNight(n night) {
	for series := range n {
		switch {
		case !strings.Contains(series, `host="vps1"`):
		case strings.HasPrefix(series, "up{") && !strings.Contains(series, `proxy=""`):
			n[series] = steady("1", "0", 40)
		case strings.HasPrefix(series, "probe_success"):
			n[series] = steady("1", "0", 40)
		case strings.HasPrefix(series, "traefik_"):
			n[series] = "0+20x29 _x40 0+20x50"
		}
	}
	n[unitState("vps1", "traefik-app.service", "active")] = steady("1", "0", 40)
	n[unitState("vps1", "traefik-app.service", "failed")] = steady("0", "1", 40)
}

// test is the night for promtool, and what has fired until its end.
func (n night) test(t *testing.T, fires []string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files: [%q]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n",
		absolute(t, "../../golden/fleet/vps2/rootfs/usr/local/etc/prometheus/app/etc/prometheus/rules/[_v]*.yml"))
	for series, samples := range n {
		environment := "production"
		if strings.Contains(series, `host="staging"`) {
			environment = "staging"
		}
		fmt.Fprintf(&b, "      - {series: %q, values: %q}\n", strings.TrimSuffix(series, "}")+`,environment="`+environment+`"}`, samples)
	}
	fmt.Fprintf(&b, "    promql_expr_test:\n      - eval_time: 2h\n        expr: %q\n        exp_samples:\n",
		`group by (alertname, host, service) (count_over_time(ALERTS{alertstate="firing",alertname!="Watchdog"}[2h]))`)
	slices.Sort(fires)
	for _, alert := range fires {
		w := strings.Fields(alert)
		fmt.Fprintf(&b, "          - {labels: '{alertname=%q,host=%q,service=%q}', value: 1}\n", w[0], w[1], w[2])
	}
	return b.String()
}
