package render

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/watch"
)

// watching are the files of a host's Prometheis: what they ask, and what they
// make of the answers. A change of one is a reload.
func watching(f *fleet.Fleet, h *fleet.Host, l *exposure.Ledger) (files []*tree.File) {
	for _, p := range watch.Places(h, "scrapes") {
		for _, o := range f.Hosts {
			if jobs := scrapes(f, l, p, o); jobs != nil {
				files = append(files, filled(p, o.Name.V+".yml", "the metrics of hosts."+o.Name.V, jobs))
			}
		}
		if jobs := probes(f, l, p); jobs != nil {
			files = append(files, filled(p, "_probes.yml", "the public names and probes of all hosts", jobs))
		}
	}
	for _, p := range watch.Places(h, "rules") {
		files = append(files, filled(p, "_expected.yml", "all hosts", expected(f, p)))
		for _, o := range f.Hosts {
			for _, s := range o.Services {
				if rules := alertRules(f, p, o, s); len(rules.Items) > 0 {
					files = append(files, filled(p, o.Name.V+"_"+s.Name+".yml", "services."+s.Name+".alerts on "+o.Name.V, group(o.Name.V+"/"+s.Name, rules)))
				}
			}
		}
	}
	return files
}

// filled is a file in a directory that gen fills.
func filled(p watch.Place, name, definition string, d *doc.Node) *tree.File {
	return &tree.File{Path: FilePath(p.Service.Name, p.Container.Name, p.Dir+"/"+name), Mode: "0644", Owner: "0:0",
		Body: d.YAML(madeBy(definition)), Doc: d, On: "reload", Pos: p.Pos}
}

func items(nodes ...*doc.Node) *doc.Node { return &doc.Node{Kind: doc.List, Items: nodes} }

// labelled is a target with the labels that all of its metrics get.
func labelled(address string, h *fleet.Host, service, job string, more ...string) *doc.Node {
	labels := doc.Obj("host", doc.Str(h.Name.V, h.Name.Pos), "service", doc.Str(service, h.Pos),
		"environment", doc.Str(h.Environment.V, h.Environment.Pos), "job", doc.Str(job, h.Pos))
	for i := 0; i < len(more); i += 2 {
		if more[i+1] != "" {
			labels.Set(more[i], doc.Str(more[i+1], h.Pos))
		}
	}
	return doc.Obj("targets", doc.Strs(address), "labels", labels)
}

// scrapes are the targets of one host. What stands in the labels with two
// underscores is how a target is asked, and no label of its metrics.
func scrapes(f *fleet.Fleet, l *exposure.Ledger, p watch.Place, h *fleet.Host) *doc.Node {
	targets := items()
	for _, t := range watch.Targets(f, l, p) {
		if t.Host == h && t.Address != "" {
			targets.Items = append(targets.Items, labelled(t.Address, h, t.Service, t.Job, "proxy", t.Proxy, "__metrics_path__", t.Path))
		}
	}
	if len(targets.Items) == 0 {
		return nil
	}
	return doc.Obj("scrape_configs", items(doc.Obj("job_name", doc.Str(h.Name.V, h.Pos), "static_configs", targets, "metric_relabel_configs", ours(h))))
}

// ours gives metrics that our own programs write down, of any service, the label
// of that service instead of the exporter's.
func ours(h *fleet.Host) *doc.Node {
	rule := func(source []string, regex, target, replacement string) *doc.Node {
		return doc.Obj("source_labels", doc.Strs(source...), "regex", doc.Str(regex, h.Pos), "target_label", doc.Str(target, h.Pos), "replacement", doc.Str(replacement, h.Pos))
	}
	return items(
		rule([]string{"__name__", "exported_service"}, "gen_[a-z_]+;(.+)", "service", "$1"),
		rule([]string{"__name__"}, "gen_[a-z_]+", "exported_service", ""))
}

// probes are asked of a blackbox exporter, with the address as a parameter.
func probes(f *fleet.Fleet, l *exposure.Ledger, p watch.Place) *doc.Node {
	targets := items()
	for _, e := range watch.Probes(f, l, p) {
		if e.By != nil {
			at := watch.HostPort(e.From.Address.String(), strconv.Itoa(e.From.Port))
			targets.Items = append(targets.Items, labelled(at, e.Host, e.Service, "probe", "instance", e.URL, "from", e.By.Host.Name.V,
				"__param_module", moduleOf(e), "__param_target", e.URL))
		}
	}
	if len(targets.Items) == 0 {
		return nil
	}
	return doc.Obj("scrape_configs", items(doc.Obj("job_name", doc.Str("probes", p.Pos), "metrics_path", doc.Str("/probe", p.Pos), "static_configs", targets)))
}

// moduleOf is the blackbox exporter's module for a probe: one of its own if it
// looks at the body.
func moduleOf(e *watch.Probe) string {
	if e.Body == "" {
		return e.Module
	}
	return e.Module + "_" + e.Host.Name.V + "_" + e.Service + "_" + e.Name
}

func group(name string, rules *doc.Node) *doc.Node {
	return doc.Obj("groups", items(doc.Obj("name", doc.Str(name, rules.Pos), "rules", rules)))
}

// expected are series that say what must be there, so that a rule can miss it:
// what was never measured is no series.
func expected(f *fleet.Fleet, p watch.Place) *doc.Node {
	rules := items()
	add := func(record string, h *fleet.Host, value string, labels ...string) {
		all := doc.Obj("host", doc.Str(h.Name.V, h.Pos), "environment", doc.Str(h.Environment.V, h.Pos))
		for i := 0; i < len(labels); i += 2 {
			all.Set(labels[i], doc.Str(labels[i+1], h.Pos))
		}
		rules.Items = append(rules.Items, doc.Obj("record", doc.Str(record, h.Pos), "expr", doc.Str("vector("+value+")", h.Pos), "labels", all))
	}
	for _, h := range f.Hosts {
		if !p.Sees(h) {
			continue
		}
		if h != p.Host && f.Tunnels(h) && f.Tunnels(p.Host) {
			add("gen_expected_peer", h, "1", "from", p.Host.Name.V, "peer", h.Mesh.PublicKey.V)
		}
		for _, d := range f.Drills(h) {
			add("gen_expected_drill", h, "1", "service", d.Service.Name)
		}
		measured := measures(h, "podman_container_mem_usage_bytes")
		for _, s := range h.Services {
			for _, name := range owned(f, h, s) {
				add("gen_owned_unit", h, "1", "service", s.Name, "name", name)
			}
			for _, c := range s.V.Containers {
				if !c.V.Oneshot.V {
					add("gen_expected_unit", h, "1", "service", s.Name, "name", ContainerUnit(s.Name, c.Name))
				}
				if measured && c.V.Memory.Set {
					add("gen_expected_memory_bytes", h, bytesOf(c.V.Memory.V), "service", s.Name, "name", fleet.ContainerName(s.Name, c.Name))
				}
			}
			if f.BacksUp(h, s.V) {
				add("gen_expected_backup", h, "1", "service", s.Name)
			}
			if stopped(f, h, s.V) {
				planned := `max_over_time(node_systemd_unit_state{host="` + h.Name.V + `",name="` + fleet.BackupUnit(s.Name) + `.service",state="activating"}[10m]) == 1`
				rules.Items = append(rules.Items, doc.Obj("record", doc.Str("gen_planned_stop", s.Pos), "expr", doc.Str(planned, s.Pos),
					"labels", doc.Obj("host", doc.Str(h.Name.V, h.Pos), "environment", doc.Str(h.Environment.V, h.Pos), "service", doc.Str(s.Name, s.Pos))))
			}
		}
	}
	return group("expected", rules)
}

// measures reports whether something on a host says that it has a metric.
func measures(h *fleet.Host, name string) bool {
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			for _, m := range c.V.Metrics {
				if watch.Exported(name, []*watch.Target{{Metrics: m.V}}) {
					return true
				}
			}
		}
	}
	return false
}

// bytesOf is an amount of memory as PromQL computes it.
func bytesOf(size string) string {
	n := strings.TrimRight(size, "KMGT")
	if power := strings.Index("KMGT", size[len(n):]) + 1; size != n {
		return n + " * 1024 ^ " + strconv.Itoa(power)
	}
	return n
}

// owned are the units that a host runs for a service, so that what is said of one
// is said of its service.
func owned(f *fleet.Fleet, h *fleet.Host, s fleet.Entry[*fleet.Service]) (names []string) {
	for _, c := range s.V.Containers {
		names = append(names, ContainerUnit(s.Name, c.Name))
	}
	for _, u := range s.V.Units {
		if path.Ext(u.Name) == ".service" && !strings.Contains(u.Name, "/") {
			names = append(names, u.Name)
		}
	}
	if f.BacksUp(h, s.V) {
		names = append(names, fleet.BackupUnit(s.Name)+".service")
	}
	return names
}

// stopped reports whether a backup stops containers of a service. What happens
// meanwhile is planned.
func stopped(f *fleet.Fleet, h *fleet.Host, s *fleet.Service) bool {
	return f.BacksUp(h, s) && slices.ContainsFunc(s.Volumes, func(v fleet.Entry[*fleet.Volume]) bool {
		return v.V.Backup.V == "stop" || v.V.Backup.V == "snapshot"
	})
}

// alertExpr is an alert's expression, without result while a backup has stopped
// its service.
func alertExpr(f *fleet.Fleet, h *fleet.Host, s fleet.Entry[*fleet.Service], a *fleet.Alert) string {
	if a.Fleet.V || !stopped(f, h, s.V) {
		return a.Expr.V
	}
	return "(" + a.Expr.V + `) unless on () gen_planned_stop{host="` + h.Name.V + `",service="` + s.Name + `"}`
}

// alertRules are the alerts of a service as a Prometheus sees them. Those that
// look at the whole fleet keep the labels of what they find.
func alertRules(f *fleet.Fleet, p watch.Place, h *fleet.Host, s fleet.Entry[*fleet.Service]) *doc.Node {
	rules := items()
	rules.Pos = s.Pos
	for _, a := range Alerts(p, h, s) {
		labels := doc.Obj("severity", doc.Str(a.V.Severity.V, a.V.Severity.Pos))
		if !a.V.Fleet.V {
			labels = doc.Obj("host", doc.Str(h.Name.V, a.Pos), "service", doc.Str(s.Name, a.Pos), "environment", doc.Str(h.Environment.V, a.Pos),
				"severity", doc.Str(a.V.Severity.V, a.V.Severity.Pos))
		}
		notes := doc.Obj("summary", doc.Str(a.V.Summary.V, a.V.Summary.Pos))
		if a.V.Description.Set {
			notes.Set("description", doc.Str(a.V.Description.V, a.V.Description.Pos))
		}
		notes.Set("runbook", doc.Str(h.Name.V+"/RUNBOOK.md#"+strings.ToLower(a.Name), a.Pos))
		rule := doc.Obj("alert", doc.Str(a.Name, a.Pos), "expr", doc.Str(alertExpr(f, h, s, a.V), a.V.Expr.Pos))
		if a.V.For.V > 0 {
			rule.Set("for", doc.Str(span(a.V.For.V), a.V.For.Pos))
		}
		rule.Set("labels", labels)
		rule.Set("annotations", notes)
		rules.Items = append(rules.Items, rule)
	}
	return rules
}

// Alerts are those of a service that a Prometheus evaluates: not what another
// Prometheus sees of the whole fleet.
func Alerts(p watch.Place, h *fleet.Host, s fleet.Entry[*fleet.Service]) (all fleet.Map[*fleet.Alert]) {
	if !p.Sees(h) {
		return nil
	}
	another := slices.ContainsFunc(watch.Places(h, "rules"), func(o watch.Place) bool {
		return o.Service.Name == s.Name && (h != p.Host || s.Name != p.Service.Name)
	})
	for _, a := range s.V.Alerts {
		if !a.V.Fleet.V || !another {
			all = append(all, a)
		}
	}
	return all
}

// modules are the files of a host's blackbox exporters that hold their modules,
// with another one for each probe that looks at the body of an answer, which only
// a module can do.
func modules(f *fleet.Fleet, l *exposure.Ledger, h *fleet.Host) (files []*tree.File) {
	for _, b := range watch.Places(h, "modules") {
		for _, e := range b.Container.V.Files {
			if !holdsModules(b.Container.V, e) {
				continue
			}
			all := e.V.YAML.Get("modules").Clone()
			for _, p := range watch.Prometheis(f) {
				for _, probe := range watch.Probes(f, l, p) {
					if probe.Body != "" && probe.By != nil && probe.By.Host == h && probe.By.Service.Name == b.Service.Name {
						addModule(all, probe)
					}
				}
			}
			whole := *e.V
			whole.YAML = doc.Obj("modules", all)
			e.V = &whole
			files = append(files, file(FilePath(b.Service.Name, b.Container.Name, e.Name), e, "services."+b.Service.Name+".containers."+b.Container.Name))
		}
	}
	return files
}

// holdsModules reports whether a container's file is one that modules fill.
func holdsModules(c *fleet.Container, e fleet.Entry[*fleet.File]) bool {
	d, ok := c.Derived.Get(path.Dir(e.Name))
	return ok && d.V == "modules" && e.V.YAML != nil && e.V.YAML.Get("modules") != nil
}

// addModule adds what a probe asks with: its module, and that the body matches.
func addModule(all *doc.Node, probe *watch.Probe) {
	if all.Get(probe.Module, "http") == nil || all.Get(moduleOf(probe)) != nil {
		return
	}
	m := all.Get(probe.Module).Clone()
	m.Get("http").Set("fail_if_body_not_matches_regexp", items(doc.Str(probe.Body, probe.Pos)))
	all.Set(moduleOf(probe), m)
}

// alertTests are promtool's proofs of the alerts of a Prometheus, one file for
// each file of rules, and another for those that look back for days: promtool
// evaluates all rules at every step. They stay with the operator.
func alertTests(f *fleet.Fleet) (files []*tree.File) {
	for _, p := range watch.Prometheis(f) {
		for _, h := range f.Hosts {
			for _, s := range h.Services {
				tests := map[fleet.Seconds]*doc.Node{minute: items(), halfHour: items()}
				for _, a := range Alerts(p, h, s) {
					every := tests[stepOf(a.V)]
					every.Items = append(every.Items, alertTest(h, s.Name, a)...)
				}
				rules := FilePath(p.Service.Name, p.Container.Name, p.Dir) + "/" + h.Name.V + "_" + s.Name + ".yml"
				for step, suffix := range map[fleet.Seconds]string{minute: "", halfHour: "_days"} {
					if len(tests[step].Items) == 0 {
						continue
					}
					d := doc.Obj("rule_files", doc.Strs("../../"+p.Host.Name.V+"/rootfs"+rules), "evaluation_interval", doc.Str(short(step), s.Pos), "tests", tests[step])
					files = append(files, &tree.File{Path: "/alerts/" + p.Host.Name.V + "_" + p.Service.Name + "_" + h.Name.V + "_" + s.Name + suffix + ".yml", Mode: "0644", Owner: "0:0",
						Body: d.YAML("promtool test rules proves with this that the alerts of services." + s.Name + " on " + h.Name.V + " fire when they should, and only then."), Pos: s.Pos})
				}
			}
		}
	}
	return files
}

// The steps between two samples of a test, and two evaluations.
const (
	minute   fleet.Seconds = 60
	halfHour fleet.Seconds = 1800
)

func stepOf(a *fleet.Alert) fleet.Seconds {
	if a.Test != nil && a.Test.Back.V > 48*3600 {
		return halfHour
	}
	return minute
}

// alertTest is an alert's proof: it fires with some series and not with others,
// nor with the same ones of another host.
func alertTest(h *fleet.Host, service string, a fleet.Entry[*fleet.Alert]) (tests []*doc.Node) {
	if a.V.Test == nil {
		return nil
	}
	number := func(n int) *doc.Node { return &doc.Node{Kind: doc.Number, Scalar: strconv.Itoa(n), Pos: a.Pos} }
	step := stepOf(a.V)
	end := a.V.Test.Back.V + a.V.For.V
	if step == halfHour {
		end -= end % step // a look at a sample goes back five minutes and no further
	}
	steps := int(end / step)
	about := `, host="` + h.Name.V + `", environment="` + h.Environment.V + `"`
	if !a.V.Fleet.V {
		about += `, service="` + service + `"`
	}
	add := func(name, host string, input fleet.Map[fleet.Val[string]], fires bool) {
		series, samples := items(), items()
		for _, in := range input {
			series.Items = append(series.Items, doc.Obj("series", doc.Str(playedSeries(in.Name, host, service, h.Environment.V), in.Pos), "values", doc.Str(played(in.V.V, steps), in.V.Pos)))
		}
		if fires {
			samples.Items = append(samples.Items, doc.Obj("labels", doc.Str("{}", a.Pos), "value", number(1)))
		}
		expr := `count(ALERTS{alertname="` + a.Name + `", alertstate="firing", severity="` + a.V.Severity.V + `"` + about + `}) > bool 0`
		tests = append(tests, doc.Obj("name", doc.Str(a.Name+" "+name, a.Pos), "interval", doc.Str(short(step), a.Pos), "input_series", series,
			"promql_expr_test", items(doc.Obj("expr", doc.Str(expr, a.Pos), "eval_time", doc.Str(span(end), a.Pos), "exp_samples", samples))))
	}
	add("fires", h.Name.V, a.V.Test.Fires, true)
	if len(a.V.Test.Silent) > 0 {
		add("is silent", h.Name.V, a.V.Test.Silent, false)
	}
	if !a.V.Fleet.V && len(a.V.Test.Fires) > 0 && !strings.Contains(a.V.Expr.V, "absent(") {
		add("is silent about others", "another", a.V.Test.Fires, false)
	}
	return tests
}

// playedSeries is a series of a test with the labels that scraping gives it.
func playedSeries(selector, host, service, environment string) string {
	name, labels, _ := strings.Cut(strings.TrimSuffix(selector, "}"), "{")
	all := []string{}
	if labels != "" {
		all = append(all, labels)
	}
	for _, l := range [][2]string{{"host", host}, {"service", service}, {"environment", environment}} {
		if !strings.Contains(","+strings.ReplaceAll(labels, " ", ""), ","+l[0]+"=") {
			all = append(all, l[0]+"="+strconv.Quote(l[1]))
		}
	}
	return name + "{" + strings.Join(all, ",") + "}"
}

// played is a value for as long as a test takes, unless it says how long.
func played(value string, steps int) string {
	if strings.ContainsAny(value, "x_ ") {
		return value
	}
	return value + "x" + strconv.Itoa(steps)
}
