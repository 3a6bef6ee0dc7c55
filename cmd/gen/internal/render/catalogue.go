package render

import (
	"fmt"
	"strconv"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// catalogue is what there is to know of every service of the fleet, for people:
// a table of its containers and one of the service as a whole. A cell is empty
// where the definition neither says something nor why it does not.
func catalogue(f *fleet.Fleet) *tree.File {
	var b strings.Builder
	fmt.Fprintf(&b, "<!-- %s -->\n\n# What %s runs\n", madeBy("all services"), f.Domain.V)
	if s := f.Store; s != nil {
		region := ""
		if s.Region.Set {
			region = " in " + s.Region.V
		}
		fmt.Fprintf(&b, "\nBackups go to the bucket %s of %s%s.\n", code(s.Bucket.V), s.Endpoint.V, region)
	}
	if m := f.Mail; m != nil {
		fmt.Fprintf(&b, "\nMail goes out as %s through %s:%d (%s), logged in as %s.\n", code(m.From.V), m.Host.V, m.Port.V, m.Security.V, code(m.User.V))
	}
	fmt.Fprintf(&b, "\nHosts look for newer images at %s.\n", f.UpdateTime.V)
	for _, h := range f.Hosts {
		fmt.Fprintf(&b, "\n## %s\n\nA %s host of %s.\n", h.Name.V, h.Environment.V, h.Domain.V)
		for _, s := range h.Services {
			fmt.Fprintf(&b, "\n### %s on %s\n\n%s\n\n", s.Name, h.Name.V, sentence(s.V))
			b.WriteString(containerTable(s.V) + "\n" + serviceTable(s.V))
		}
	}
	return &tree.File{Path: "/services.md", Mode: "0644", Owner: "0:0", Body: []byte(b.String())}
}

func sentence(s *fleet.Service) string {
	about := plain(s.Title.V)
	if s.About.Set {
		about += ": " + plain(s.About.V)
	}
	if s.Pod.V {
		about += ". Its containers are a pod"
	}
	return about + "."
}

// containerFacts are the rows of the table of containers.
var containerFacts = []struct {
	name string
	cell func(*fleet.Service, *fleet.Container) string
}{
	{"image", func(_ *fleet.Service, c *fleet.Container) string { return code(c.Image.V) }},
	{"tags that follow a line", tagFact},
	{"automatic updates", func(_ *fleet.Service, c *fleet.Container) string { return c.Update.V }},
	{"releases", func(_ *fleet.Service, c *fleet.Container) string { return plain(c.Feed.V) }},
	{"the image's volumes", imageVolumeFact},
	{"user", func(_ *fleet.Service, c *fleet.Container) string { return c.User.V }},
	{"is ready when", healthFact},
	{"start, stop", func(_ *fleet.Service, c *fleet.Container) string { return short(c.Start.V) + ", " + short(c.Stop.V) }},
	{"capabilities", func(_ *fleet.Service, c *fleet.Container) string {
		return orNone(strings.Join(values(c.Capabilities), " "))
	}},
	{"new privileges", func(*fleet.Service, *fleet.Container) string { return "none" }},
	{"root file system", func(_ *fleet.Service, c *fleet.Container) string {
		if c.Writable.Set {
			return reason("writable", c.Writable)
		}
		return "read-only"
	}},
	{"most memory, tasks", func(_ *fleet.Service, c *fleet.Container) string {
		if !c.Memory.Set {
			return ""
		}
		return c.Memory.V + ", " + strconv.Itoa(c.Tasks.V)
	}},
}

func containerTable(s *fleet.Service) string {
	var b strings.Builder
	b.WriteString("| container |")
	for _, c := range s.Containers {
		b.WriteString(" " + c.Name + " |")
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(s.Containers)+1) + "\n")
	for _, fact := range containerFacts {
		b.WriteString("| " + fact.name + " |")
		for _, c := range s.Containers {
			b.WriteString(" " + fact.cell(s, c.V) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func tagFact(_ *fleet.Service, c *fleet.Container) string {
	switch t := c.Tags; {
	case t == nil:
		return ""
	case t.Follow.Set:
		return code(t.Follow.V)
	default:
		return reason("none", t.None)
	}
}

func imageVolumeFact(_ *fleet.Service, c *fleet.Container) string {
	if c.ImageVolumes == nil {
		return ""
	}
	var facts []string
	for _, v := range c.ImageVolumes {
		facts = append(facts, v.V+" on "+mountedAt(c, v.V))
	}
	return orNone(strings.Join(facts, "<br>"))
}

// mountedAt is what a container has at a path: check knows that it is something.
func mountedAt(c *fleet.Container, path string) string {
	for _, v := range c.Volumes {
		if v.V.V == path {
			return v.Name
		}
	}
	return "a file system that ends with the container"
}

func healthFact(_ *fleet.Service, c *fleet.Container) string {
	switch h := c.Health; {
	case h == nil:
		return "it has run to its end"
	case len(h.Command) > 0:
		return fmt.Sprintf("%s succeeds; asked every %s, unhealthy after %d answers that are wrong or take %s",
			code(strings.Join(values(h.Command), " ")), short(h.Interval.V), h.Retries.V, short(h.Timeout.V))
	default:
		return reason("it runs", h.None)
	}
}

// serviceFacts are the rows of the table of a service as a whole: what it
// says, or why it does not.
var serviceFacts = []struct {
	name    string
	facts   func(*fleet.Service) []string
	without func(*fleet.Without) fleet.Val[string] // nil for what few services have
}{
	{"public names", routeFacts, func(w *fleet.Without) fleet.Val[string] { return w.Routes }},
	{"metrics", metricFacts, func(w *fleet.Without) fleet.Val[string] { return w.Metrics }},
	{"alerts", alertFacts, func(w *fleet.Without) fleet.Val[string] { return w.Alerts }},
	{"probes", probeFacts, func(w *fleet.Without) fleet.Val[string] { return w.Probes }},
	{"tells people", tellFacts, nil},
	{"people log in", loginFacts, nil},
	{"settings", settingFacts, func(w *fleet.Without) fleet.Val[string] { return w.Settings }},
	{"secrets", secretFacts, func(w *fleet.Without) fleet.Val[string] { return w.Secrets }},
	{"data and backup", volumeFacts, func(w *fleet.Without) fleet.Val[string] { return w.Volumes }},
	{"restore", func(s *fleet.Service) []string { return each(values(s.Restore), plain) }, func(w *fleet.Without) fleet.Val[string] { return w.Restore }},
	{"data lines", lineFacts, func(w *fleet.Without) fleet.Val[string] { return w.Lines }},
}

func serviceTable(s *fleet.Service) string {
	var b strings.Builder
	b.WriteString("| service | as a whole |\n|---|---|\n")
	for _, row := range serviceFacts {
		cell := strings.Join(row.facts(s), "<br>")
		if row.without == nil {
			if cell != "" {
				b.WriteString("| " + row.name + " | " + cell + " |\n")
			}
			continue
		}
		if w := row.without(&s.Without); w.Set {
			cell = strings.TrimPrefix(cell+"<br>"+reason("none", w), "<br>")
		}
		b.WriteString("| " + row.name + " | " + cell + " |\n")
	}
	return b.String()
}

func routeFacts(s *fleet.Service) (out []string) {
	for _, c := range s.Containers {
		for _, r := range c.V.Routes {
			fact := r.V.Host.V + strings.Join(values(r.V.Paths), ", ")
			if r.V.Audience.V == "mesh" {
				fact += ", in the mesh alone,"
			}
			fact += fmt.Sprintf(" to port %d of %s", r.V.Port.V, c.Name)
			if further := EntryPoints(r.V)[1:]; len(further) > 0 {
				fact += ", on " + strings.Join(values(further), ", ") + " too"
			}
			if len(r.V.Except) > 0 {
				fact += ", without " + strings.Join(values(r.V.Except), ", ")
			}
			for _, h := range r.V.Headers {
				if h.V.V == "" {
					fact += "; no " + code(h.Name)
				} else {
					fact += "; " + code(h.Name+": "+h.V.V)
				}
			}
			for _, to := range r.V.Redirects {
				fact += "; " + code(to.Name) + " to " + code(to.V.V)
			}
			out = append(out, fact)
		}
	}
	return out
}

func metricFacts(s *fleet.Service) (out []string) {
	for _, c := range s.Containers {
		for _, m := range c.V.Metrics {
			out = append(out, fmt.Sprintf("%s: %s on port %d of %s", m.Name, m.V.Path.V, m.V.Port.V, c.Name))
		}
	}
	return out
}

func alertFacts(s *fleet.Service) (out []string) {
	for _, a := range s.Alerts {
		fact := fmt.Sprintf("%s (%s): %s; %s for %s", a.Name, a.V.Severity.V, plain(a.V.Summary.V), code(a.V.Expr.V), short(a.V.For.V))
		if a.V.Threshold.Set {
			fact += ", threshold " + a.V.Threshold.V
		}
		if a.V.Description.Set {
			fact += ". " + plain(a.V.Description.V)
		}
		out = append(out, fact)
	}
	return out
}

func probeFacts(s *fleet.Service) (out []string) {
	for _, p := range s.Probes {
		fact := p.Name + ": " + plain(p.V.URL.V)
		if p.V.Body.Set {
			fact += " says " + code(p.V.Body.V)
		}
		out = append(out, fact)
	}
	return out
}

func tellFacts(s *fleet.Service) (out []string) {
	for _, t := range s.Tells {
		fact := fmt.Sprintf("%s: of %s, through %s", t.Name, t.V.Of.V, t.V.Through.V)
		out = append(out, fact)
	}
	return out
}

func loginFacts(s *fleet.Service) (out []string) {
	if l := s.Login; l != nil {
		out = append(out, fmt.Sprintf("through %s, which knows it as %s and sends them back to %s", l.Through.V, l.Client.V, l.Redirect.V))
		if l.Otherwise.Set {
			out = append(out, "while that is down: "+plain(l.Otherwise.V))
		}
	}
	return out
}

func settingFacts(s *fleet.Service) (out []string) {
	for _, c := range s.Containers {
		facts := c.V.Files.Names()
		for _, d := range c.V.Derived {
			facts = append(facts, d.Name)
		}
		if n := len(c.V.Env); n > 0 {
			facts = append(facts, fmt.Sprintf("%d in the environment", n))
		}
		if n := len(c.V.Command); n > 0 {
			facts = append(facts, fmt.Sprintf("%d on the command line", n))
		}
		if len(facts) > 0 {
			out = append(out, c.Name+": "+strings.Join(facts, ", "))
		}
	}
	return out
}

func secretFacts(s *fleet.Service) (out []string) {
	for _, e := range s.Secrets {
		if e.Name == fleet.BackupPassword { // every service that is backed up has it
			continue
		}
		fact := fmt.Sprintf("%s (%d characters)", e.Name, e.V.Length.V)
		if e.V.Form.Set {
			fact = fmt.Sprintf("%s (%s)", e.Name, code(e.V.Form.V))
		}
		if e.V.Stable.V {
			fact += ", stable"
		}
		var readers []string
		for _, c := range s.Containers {
			u, ok := c.V.Secrets.Get(e.Name)
			switch {
			case !ok:
			case u.Env.Set:
				readers = append(readers, c.Name+" as "+u.Env.V)
			default:
				readers = append(readers, c.Name+" as "+secretTarget(e.Name, u))
			}
		}
		if len(readers) > 0 {
			fact += ", in " + strings.Join(readers, ", ")
		}
		out = append(out, fact+": "+plain(e.V.About.V))
	}
	return out
}

// backups are the words for how a copy of a volume is made.
var backups = map[string]string{
	"stop":     "copied while its containers are stopped",
	"snapshot": "copied from a snapshot of the file system, made while its containers are stopped",
	"copy":     "copied as it is",
	"dump":     "dumped by its database",
	"none":     "no backup",
}

func volumeFacts(s *fleet.Service) (out []string) {
	for _, v := range s.Volumes {
		fact := fmt.Sprintf("%s of %s: %s", VolumeDir(s.Name.V, v.Name), v.V.Owner.V, backups[v.V.Backup.V])
		if v.V.Named.V {
			fact = fmt.Sprintf("%s of podman's own: %s", namedVolume(s.Name.V, v.Name), backups[v.V.Backup.V])
		}
		if out := values(v.V.Without); len(out) > 0 {
			fact += ", without " + strings.Join(out, ", ")
		}
		out = append(out, reason(fact, v.V.Why))
	}
	for _, c := range s.Containers {
		if d := c.V.Database; d != nil {
			fact := fmt.Sprintf("%s: the %s database %s of %s", c.Name, d.Engine.V, d.Name.V, d.User.V)
			if d.Localhost.V {
				fact += ", on localhost alone"
			}
			out = append(out, fact)
		}
	}
	return out
}

func lineFacts(s *fleet.Service) (out []string) {
	for _, l := range s.Lines {
		fact := fmt.Sprintf("%s: %s, from itself", l.Name, l.V.Line.V)
		for _, a := range l.V.Accepts {
			fact += ", " + a.V
		}
		fact += map[bool]string{false: "; there is no way back to an older release of it", true: "; older releases of it read what newer ones wrote"}[l.V.Back.V]
		out = append(out, fact+" ("+strings.Join(l.V.Containers.Names(), ", ")+")")
	}
	return out
}

// reason is a fact and why it is so.
func reason(fact string, why fleet.Val[string]) string {
	if !why.Set {
		return fact
	}
	return fact + ": " + plain(why.V)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func each(ss []string, f func(string) string) (out []string) {
	for _, s := range ss {
		out = append(out, f(s))
	}
	return out
}

// short is a span of time without parts that are zero.
func short(s fleet.Seconds) string {
	for _, unit := range []struct {
		seconds fleet.Seconds
		name    string
	}{{3600, "h"}, {60, "m"}} {
		if s >= unit.seconds && s%unit.seconds == 0 {
			return strconv.Itoa(int(s/unit.seconds)) + unit.name
		}
	}
	return strconv.Itoa(int(s)) + "s"
}

// plain is text in a cell of a table: on one line, and nothing that ends the cell.
func plain(s string) string {
	return inCell.Replace(strings.TrimSpace(s))
}

var (
	inCell     = strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
	codeInCell = strings.NewReplacer("|", `\|`, "\n", " ")
)

// code is text to the letter in a cell. Its backticks are more than any in it.
func code(s string) string {
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + codeInCell.Replace(s) + fence
}
