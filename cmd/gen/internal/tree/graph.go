package tree

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/unit"
)

const (
	quadletDir = "/etc/containers/systemd/"
	systemdDir = "/etc/systemd/system/"
)

// A Unit is a unit as systemd sees it: what a quadlet becomes, a unit file of
// ours, or one of the system's own that reads files of ours.
type Unit struct {
	Name    string
	Rank    int    // depth in the tree's After= graph
	Want    string // up, once, hold or theirs
	Restart string // stamp over what it reads for a restart, "-" for nothing
	Reload  string // likewise for a reload
	Reads   []Read // what both are stamps over

	file    *File   // nil for one of the system's own
	dropins []*File // in the order of their paths
	after   map[string]token.Pos
}

// Units are the tree's units, sorted by rank and name. The tree must be sorted,
// and closed without findings.
func (t *Tree) Units() []*Unit {
	us := t.units
	if us == nil {
		panic("tree: its units are known once it is closed")
	}
	t.rank(us)
	triggered := t.triggered(us)
	named := map[string][]*File{} // by the units that files name
	for _, f := range t.Files {
		for _, name := range f.Units {
			named[name] = append(named[name], f)
		}
	}
	for _, u := range us {
		u.Want = want(u, triggered)
		u.Reads = t.reads(u, named[u.Name])
		u.Restart, u.Reload = stamps(u.Reads)
	}
	list := slices.Collect(maps.Values(us))
	list = slices.DeleteFunc(list, func(u *Unit) bool { return u.Want == "theirs" && u.Restart == "-" && u.Reload == "-" })
	slices.SortFunc(list, func(a, b *Unit) int { return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Name, b.Name)) })
	return list
}

// findUnits finds the units in the tree and those of the system's own that it has files for.
func (t *Tree) findUnits() map[string]*Unit {
	us := map[string]*Unit{}
	get := func(name string) *Unit {
		if us[name] == nil {
			us[name] = &Unit{Name: name, after: map[string]token.Pos{}}
		}
		return us[name]
	}
	for _, f := range t.Files {
		if f.Unit != nil && !strings.Contains(unitName(f.Path), "/") {
			if name := ServiceName(f); !strings.Contains(name, "@.") {
				get(name).file = f
			}
		}
	}
	for _, f := range t.Files {
		if f.Unit != nil && strings.Contains(unitName(f.Path), "/") {
			for _, name := range t.extended(f, us) {
				u := get(name)
				u.dropins = append(u.dropins, f)
			}
		}
		for _, name := range f.Units {
			get(name)
		}
	}
	for _, s := range t.Secrets {
		for _, target := range s.Targets {
			for _, name := range target.Units {
				get(name)
			}
		}
	}
	for _, u := range us {
		t.after(u, us)
	}
	return us
}

// unitName is a unit's file name, or for a drop-in its directory and name.
func unitName(p string) string {
	if n, ok := strings.CutPrefix(p, quadletDir); ok {
		return n
	}
	return strings.TrimPrefix(p, systemdDir)
}

// ServiceName is the unit that systemd makes of a file: a quadlet's service
// carries its kind, except for a container's (podman-systemd.unit(5)).
func ServiceName(f *File) string {
	name := path.Base(f.Path)
	kind := path.Ext(name)
	stem := strings.TrimSuffix(name, kind)
	if !strings.HasPrefix(f.Path, quadletDir) {
		return name
	}
	section := strings.ToUpper(kind[1:2]) + kind[2:]
	if own := f.Unit.Value(section, "ServiceName"); own != "" {
		return own + ".service"
	}
	switch kind {
	case ".container", ".kube":
		return stem + ".service"
	}
	return stem + "-" + kind[1:] + ".service"
}

// extended are the units that a drop-in extends: the one its directory names,
// all of a kind (container.d), or all that begin alike (own-.container.d).
func (t *Tree) extended(d *File, us map[string]*Unit) (names []string) {
	dir := strings.TrimSuffix(path.Dir(unitName(d.Path)), ".d")
	above, _ := path.Split(path.Dir(d.Path))
	kind := path.Ext(dir)
	stem := strings.TrimSuffix(dir, kind)
	for name, u := range us {
		if u.file == nil || !strings.HasPrefix(u.file.Path, above) {
			continue
		}
		base := u.file.Path[len(above):]
		switch {
		case base == dir, kind == "" && path.Ext(base) == "."+dir,
			strings.HasSuffix(stem, "-") && strings.HasPrefix(base, stem) && path.Ext(base) == kind:
			names = append(names, name)
		}
	}
	if len(names) == 0 && strings.HasPrefix(d.Path, systemdDir) && kind != ".target" && kind != "" {
		names = append(names, dir)
	}
	slices.Sort(names)
	return names
}

// lines are the values of a key over a unit's file and drop-ins.
func (u *Unit) lines(section, key string) (out []unit.Line) {
	if u.file != nil {
		out = u.file.Unit.Values(section, key)
	}
	for _, f := range u.dropins {
		out = append(out, f.Unit.Values(section, key)...)
	}
	return out
}

func (u *Unit) files() []*File {
	if u.file == nil {
		return u.dropins
	}
	return append([]*File{u.file}, u.dropins...)
}

// references are the quadlets that a quadlet names, by the keys that do.
var references = []struct{ section, key string }{
	{"Container", "Network"}, {"Container", "Volume"}, {"Container", "Pod"}, {"Container", "Image"}, {"Container", "Mount"},
	{"Pod", "Network"}, {"Pod", "Volume"}, {"Kube", "Network"}, {"Volume", "Image"}, {"Build", "Network"}, {"Build", "Volume"},
}

// quadletsNamed are the files of quadlets that a unit's lines name.
func (u *Unit) quadletsNamed() (out []unit.Line) {
	for _, ref := range references {
		for _, l := range u.lines(ref.section, ref.key) {
			name, _, _ := strings.Cut(l.Value, ":")
			switch path.Ext(name) {
			case ".network", ".volume", ".pod", ".image", ".build", ".container":
				if !strings.Contains(name, "/") {
					out = append(out, unit.Line{Key: l.Key, Value: name, Pos: l.Pos})
				}
			}
		}
	}
	return out
}

// after collects the units of the tree that u is ordered after.
func (t *Tree) after(u *Unit, us map[string]*Unit) {
	for _, l := range u.lines("Unit", "After") {
		for _, name := range strings.Fields(l.Value) {
			if us[name] != nil {
				u.after[name] = l.Pos
			}
		}
	}
	for _, l := range u.quadletsNamed() {
		if f := t.byPath[quadletDir+l.Value]; f != nil && f.Unit != nil {
			u.after[ServiceName(f)] = l.Pos
		}
	}
	for _, l := range u.lines("Unit", "Before") {
		for _, name := range strings.Fields(l.Value) {
			if us[name] != nil {
				us[name].after[u.Name] = l.Pos
			}
		}
	}
}

// rank gives each unit its depth. Units on a cycle keep what they have: Close
// has reported it.
func (t *Tree) rank(us map[string]*Unit) {
	var depth func(u *Unit, on map[string]bool) int
	done := map[string]bool{}
	depth = func(u *Unit, on map[string]bool) int {
		if done[u.Name] || on[u.Name] {
			return u.Rank
		}
		on[u.Name] = true
		for name := range u.after {
			u.Rank = max(u.Rank, depth(us[name], on)+1)
		}
		delete(on, u.Name)
		done[u.Name] = true
		return u.Rank
	}
	for _, u := range us {
		depth(u, map[string]bool{})
	}
}

// triggered are the units that a timer, path or socket of the tree starts.
func (t *Tree) triggered(us map[string]*Unit) map[string]bool {
	out := map[string]bool{}
	for name, u := range us {
		section, key := "", "Unit"
		switch path.Ext(name) {
		case ".timer":
			section = "Timer"
		case ".path":
			section = "Path"
		case ".socket":
			section, key = "Socket", "Service"
		default:
			continue
		}
		target := strings.TrimSuffix(name, path.Ext(name)) + ".service"
		if l := u.lines(section, key); len(l) > 0 {
			target = l[len(l)-1].Value
		}
		out[target] = true
	}
	return out
}

// want is what install does with a unit unless the user said so.
func want(u *Unit, triggered map[string]bool) string {
	switch {
	case u.file == nil:
		return "theirs"
	case u.file.Want != "":
		return u.file.Want
	case triggered[u.Name]:
		return "hold"
	case u.file.Unit.Value("Service", "Type") == "oneshot" && !yes(u.file.Unit.Value("Service", "RemainAfterExit")):
		return "once"
	}
	return "up"
}

func yes(s string) bool {
	return slices.Contains([]string{"yes", "true", "on", "1"}, strings.ToLower(s))
}

// A Read is a file or a secret that a unit reads.
type Read struct {
	Target string // a path, or podman:<secret>
	On     string // what a change of it means: restart or reload

	hash string
}

// reads are what a unit reads: its own file and drop-ins, the files and secrets
// that its lines name, and those that name it. What it watches is not among them.
func (t *Tree) reads(u *Unit, naming []*File) (reads []Read) {
	for _, f := range u.files() {
		if f.On != "watch" {
			reads = append(reads, Read{f.Path, "restart", f.sum})
		}
	}
	named := u.names()
	for _, f := range t.among(named, naming) {
		if f.Unit == nil && f.On != "watch" {
			reads = append(reads, Read{f.Path, f.On, f.sum + " " + f.Mode + " " + f.Owner})
		}
	}
	for _, s := range t.Secrets {
		for _, target := range s.Targets {
			podman, ok := strings.CutPrefix(target.At, "podman:")
			if slices.Contains(target.Units, u.Name) || ok && named.secrets[podman] || !ok && named.reads(target.At) {
				reads = append(reads, Read{target.At, "restart", s.Payload})
			}
		}
	}
	return reads
}

// among are the files that a unit's lines name and some others, in the tree's order.
func (t *Tree) among(n named, others []*File) []*File {
	files := slices.Clone(others)
	for p := range n.paths {
		if f := t.byPath[p]; f != nil {
			files = append(files, f)
		}
	}
	for _, dir := range n.dirs {
		from, _ := slices.BinarySearchFunc(t.Files, dir, func(f *File, dir string) int { return cmp.Compare(f.Path, dir) })
		for _, f := range t.Files[from:] {
			if !strings.HasPrefix(f.Path, dir) {
				break
			}
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b *File) int { return cmp.Compare(a.Path, b.Path) })
	return slices.Compact(files)
}

// stamps hash what a unit reads.
func stamps(reads []Read) (restart, reload string) {
	inputs := map[string]string{}
	for _, r := range reads {
		inputs[r.On] += r.Target + " " + r.hash + "\n"
	}
	return stamp(inputs["restart"]), stamp(inputs["reload"])
}

func stamp(inputs string) string {
	if inputs == "" {
		return "-"
	}
	return hash([]byte(inputs))[:32]
}

func hash(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// named are the paths and podman secrets that a unit's lines name.
type named struct {
	paths   map[string]bool // any absolute path in a line
	dirs    []string        // directories mounted as a whole, with a final slash
	secrets map[string]bool
}

func (n named) reads(p string) bool {
	return n.paths[p] || slices.ContainsFunc(n.dirs, func(d string) bool { return strings.HasPrefix(p, d) })
}

// hostPaths are the keys of quadlets whose values are, or begin with, paths on
// the host. The other keys name paths in the container.
var hostPaths = []string{"Volume", "EnvironmentFile", "Yaml", "ConfigMap", "File", "SeccompProfile"}

var quadletSections = []string{"Container", "Pod", "Kube", "Build", "Volume", "Network", "Image", "Artifact"}

func (u *Unit) names() named {
	n := named{map[string]bool{}, nil, map[string]bool{}}
	for _, f := range u.files() {
		for _, s := range f.Unit.Sections {
			for _, l := range s.Lines {
				n.line(s.Name, l)
			}
		}
	}
	for _, l := range u.lines("Container", "Secret") {
		name, _, _ := strings.Cut(l.Value, ",")
		n.secrets[name] = true
	}
	return n
}

func (n *named) line(section string, l unit.Line) {
	switch {
	case !slices.Contains(quadletSections, section):
		for _, w := range strings.FieldsFunc(l.Value, func(r rune) bool { return strings.ContainsRune(" \t:,=\"'@+!;", r) }) {
			n.path(strings.TrimLeft(w, "-"))
		}
	case l.Key == "Mount":
		for _, option := range strings.Split(l.Value, ",") {
			if key, value, _ := strings.Cut(option, "="); key == "source" || key == "src" {
				n.dir(value)
			}
		}
	case slices.Contains(hostPaths, l.Key):
		source, _, _ := strings.Cut(l.Value, ":")
		n.path(source)
		if l.Key == "Volume" {
			n.dir(source)
		}
	}
}

func (n *named) path(p string) {
	if strings.HasPrefix(p, "/") {
		n.paths[path.Clean(p)] = true
	}
}

// dir is a directory mounted as a whole. One at the machine's own top is no
// reader of all that lies below.
func (n *named) dir(p string) {
	n.path(p)
	if p = path.Clean(p); strings.Count(p, "/") > 1 {
		n.dirs = append(n.dirs, p+"/")
	}
}
