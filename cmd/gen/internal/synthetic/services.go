package synthetic

import "fmt"

// A service of the repository's own, by its number.
type service struct {
	number int
	name   string
}

var names = []string{
	"wiki", "git", "mail", "photos", "chat", "notes", "feeds", "tasks", "vault",
	"files", "music", "video", "books", "maps", "polls", "forms", "board", "paste",
}

func services() (all []service) {
	for i, name := range names {
		all = append(all, service{i, name})
	}
	return all
}

func (s service) definition() string { return "#S" + fmt.Sprint(s.number) + s.name }

// parameters are what a host may say of the service, as CUE and by default.
func (s service) parameters() string {
	return fmt.Sprintf(`domain: schema.#Domain
version: =~"^2\\.[0-9]+(\\.[0-9]+)?$" | *"2.%d"
logLevel: "debug" | "info" | "warn" | "error" | *"info"
workers: int & >0 & <=64 | *%d
`, s.number, s.number%4+1)
}

func (s service) cue() string {
	return fmt.Sprintf("package services\n\nimport \"gen.example/schema\"\n\n%s: my={\nschema.#Service\n\n%s\n%s\n}\n",
		s.definition(), s.parameters(), join(s.says(), "\n", cueField))
}

func (s service) jsonnet() string {
	return fmt.Sprintf("%s: service + {\nlocal my = self,\ndomain: error 'no domain', version: '2.%d', logLevel: 'info', workers: %d,\n%s\n},\n",
		s.name, s.number, s.number%4+1, join(s.says(), "\n", jsonnetField))
}

// says is the definition without its parameters.
func (s service) says() object {
	return object{
		{"title", s.name + " of the family"},
		{"about", "an application that " + s.name + " stands for, with a worker and a store"},
		{"containers", s.containers()},
		{"volumes", object{
			{"data", typed{"volume", object{{"owner", "1000:1000"}, {"backup", "stop"}}}},
			{"cache", typed{"volume", object{{"owner", "999:999"}, {"mode", "0750"}, {"backup", "none"}, {"why", "it fills again by itself"}}}},
		}},
		{"lines", object{{"app", typed{"line", object{{"line", s.name + "-2"}, {"accepts", list{s.name + "-1"}}, {"containers", object{{"app", true}}}}}}}},
		{"units", s.units()},
		{"alerts", s.alerts()},
		{"probes", object{{"web", object{{"url", text("https://{{domain}}/healthz")}, {"body", "ok"}}}}},
		{"restore", list{"stop the service before the files are put back", "start it, and look at the first page"}},
		{"without", object{{"secrets", "everybody logs in through the proxy"}}},
	}
}

func (s service) containers() object {
	c := object{{"app", s.app()}, {"cache", part{"#Cache", object{{"#service", s.name}, {"#megabytes", 32 * (1 + s.number%3)}}}}}
	if s.number%2 == 0 {
		c = append(c, field{"worker", s.worker()})
	}
	if s.number%3 != 2 {
		c = append(c, field{"exporter", part{"#Exporter", object{{"#service", s.name}, {"#port", 9100 + s.number}}}})
	}
	return c
}

func (s service) app() part {
	return part{"schema.#Container", object{
		{"image", text("registry.example.net/" + s.name + "/server:{{version}}")},
		{"tags", object{{"follow", "2\\.[0-9]+(\\.[0-9]+)?"}}},
		{"feed", "https://releases.example.net/" + s.name + ".atom"},
		{"imageVolumes", list{"/var/lib/" + s.name}},
		{"user", "1000:1000"},
		{"command", list{"serve", "--config=/etc/" + s.name + "/main.yaml", text("--log-level={{logLevel}}"), text("--workers={{workers}}")}},
		{"needs", object{{"cache", true}}},
		{"env", s.env()},
		{"volumes", object{{"data", "/var/lib/" + s.name}}},
		{"files", s.files()},
		{"health", object{{"command", list{"/usr/bin/" + s.name, "health", "--quiet"}}, {"interval", "20s"}}},
		{"start", "10m"},
		{"stop", "1m"},
		{"memory", open(fmt.Sprintf("%dM", 256+64*(s.number%5)))},
		{"capabilities", list{"CHOWN", "SETUID"}},
		{"routes", object{{"web", typed{"route", object{{"host", ref("domain")}, {"port", 8080}, {"except", list{"/metrics"}}, {"headers", object{{"X-Served-By", s.name}}}}}}}},
		{"metrics", object{{"app", object{{"port", 8080}}}}},
		{"unit", object{{"Container", object{{"Ulimit", "nofile=65536:65536"}, {"Tmpfs", "/var/cache:mode=1777"}}}, {"Service", object{{"Nice", 5}}}}},
	}}
}

func (s service) env() object {
	e := object{
		{"PUBLIC_URL", text("https://{{domain}}/")},
		{"LOG_LEVEL", ref("logLevel")},
		{"WORKERS", ref("workers")},
		{"CACHE_URL", "redis://cache:6379/0"},
		{"STORAGE", open("local")},
		{"TRUST_PROXY", true},
		{"UPLOAD_LIMIT", 1 << 20 * (1 + s.number)},
	}
	for i := range 4 + s.number%6 {
		e = append(e, field{fmt.Sprintf("FEATURE_%d", i), []any{true, i, "on demand"}[i%3]})
	}
	return e
}

func (s service) files() object {
	etc := "/etc/" + s.name + "/"
	f := object{
		{etc + "main.yaml", typed{"file", object{{"yaml", s.settings()}}}},
		{etc + "limits.ini", typed{"file", object{{"ini", object{{"limits", object{{"requests", 100 + s.number}, {"burst", 20}, {"body", "8m"}}}, {"log", object{{"level", ref("logLevel")}, {"format", "json"}}}}}, {"mode", "0640"}, {"owner", "0:1000"}}}},
		{etc + "motd", typed{"file", object{{"text", text("Welcome to {{domain}}.\nIt runs " + s.name + " {{version}}.\n")}}}},
	}
	for i := range s.number % 4 {
		f = append(f, field{fmt.Sprintf("%sextra/%d.json", etc, i), typed{"file", object{{"json", object{{"id", i}, {"name", text("{{domain}}")}, {"tags", list{"a", "b", s.name}}, {"limits", object{{"size", 10 * i}, {"age", "30d"}}}}}}}})
	}
	return f
}

// settings are a document of some depth.
func (s service) settings() object {
	var roles list
	for i := range 2 + s.number%5 {
		roles = append(roles, object{{"name", fmt.Sprintf("role%d", i)}, {"grants", list{"read", "write", "share"}[:1+i%3]}, {"quota", i * 100}})
	}
	return object{
		{"server", object{{"listen", "0.0.0.0:8080"}, {"url", text("https://{{domain}}")}, {"workers", ref("workers")}, {"timeouts", object{{"read", "30s"}, {"write", "30s"}, {"idle", "2m"}}}}},
		{"log", object{{"level", ref("logLevel")}, {"json", true}}},
		{"cache", object{{"address", "cache:6379"}, {"prefix", s.name + ":"}, {"ttl", 3600}}},
		{"storage", object{{"path", "/var/lib/" + s.name}, {"keep", 14}, {"compress", s.number%2 == 0}}},
		{"roles", roles},
		{"features", object{{"search", true}, {"share", s.number%3 == 0}, {"languages", list{"en", "de", "fr"}}}},
	}
}

func (s service) worker() part {
	return part{"schema.#Container", object{
		{"image", text("registry.example.net/" + s.name + "/worker:{{version}}")},
		{"tags", object{{"follow", "2\\.[0-9]+(\\.[0-9]+)?"}}},
		{"imageVolumes", list{}},
		{"user", "1000:1000"},
		{"command", list{"work", "--queues=mail,thumbnails"}},
		{"needs", object{{"app", true}, {"cache", true}}},
		{"env", object{{"LOG_LEVEL", ref("logLevel")}, {"CACHE_URL", "redis://cache:6379/0"}, {"APP_URL", "http://app:8080"}, {"THREADS", ref("workers")}}},
		{"volumes", object{{"data", "/var/lib/" + s.name}}},
		{"health", object{{"none", "it serves nobody, and ends when it fails"}}},
		{"memory", "256M"},
	}}
}

// units are a job that a timer starts.
func (s service) units() object {
	job := s.name + "-tidy"
	return object{
		{job + ".timer", object{{"sections", object{{"Unit", object{{"Description", "tidy " + s.name + " up, every night"}}}, {"Timer", object{{"OnCalendar", fmt.Sprintf("*-*-* 03:%02d:00", s.number)}, {"RandomizedDelaySec", "10m"}, {"Persistent", true}}}, {"Install", object{{"WantedBy", "timers.target"}}}}}}},
		{job + ".service", object{{"sections", object{{"Unit", object{{"Description", "tidy " + s.name + " up"}, {"After", s.name + "-app.service"}}}, {"Service", object{{"Type", "oneshot"}, {"ExecStart", "/usr/bin/podman exec " + s.name + "-app /usr/bin/" + s.name + " tidy"}}}}}}},
	}
}

func (s service) alerts() (all object) {
	for i := range 3 + s.number%3 {
		all = append(all, field{fmt.Sprintf("Trouble%d", i), object{
			{"expr", text(fmt.Sprintf("rate(%s_errors_total{kind=\"%d\", instance=\"{{domain}}\"}[5m]) > 0.%d", s.name, i, i+1))},
			{"for", fmt.Sprintf("%dm", 5*(i+1))},
			{"severity", []string{"warning", "critical"}[i%2]},
			{"summary", fmt.Sprintf("%s has trouble of kind %d", s.name, i)},
			{"description", "look at its journal, and at what changed last"},
		}})
	}
	return all
}
