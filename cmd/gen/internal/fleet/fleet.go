// Package fleet is the model: what a repository declares, as the checks and
// backends see it. Its types mirror the definitions of schema/, field by field
// and in the same order; a test compares the two.
//
// Values that can reach a finding or a line of output are a Val: they carry the
// place in the user's CUE that gave them.
package fleet

import (
	"cmp"
	"iter"
	"slices"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/doc"
)

// A Val is a value and the place in CUE that gave it. Set tells a value that
// was given, by the user or by a default, from one that was left out.
type Val[T any] struct {
	V   T
	Pos token.Pos
	Set bool
}

// Map is a CUE struct with names of the user's choice, sorted by name.
type Map[T any] []Entry[T]

// An Entry of a Map; Pos is where the user wrote its name.
type Entry[T any] struct {
	Name string
	Pos  token.Pos
	V    T
}

// Get finds the entry of that name.
func (m Map[T]) Get(name string) (v T, found bool) {
	i, found := slices.BinarySearchFunc(m, name, func(e Entry[T], n string) int { return cmp.Compare(e.Name, n) })
	if !found {
		return v, false
	}
	return m[i].V, true
}

// Names are the entries' names, sorted.
func (m Map[T]) Names() []string {
	names := make([]string, len(m))
	for i, e := range m {
		names[i] = e.Name
	}
	return names
}

// A Fleet is everything a repository declares.
type Fleet struct {
	Domain     Val[string]
	Zones      []Val[string]
	Mesh       *MeshNetwork
	Operators  Map[*Operator]
	Store      *Store
	Mail       *Mail
	UpdateTime Val[string]

	// Hosts are the hosts of the fleet, sorted by name.
	Hosts []*Host `cue:"-"`
	// Partial says that a part could not be read, so that nothing can be said
	// about what the fleet lacks.
	Partial bool `cue:"-"`
	// Ciphertexts are the age files hosts/secrets/<name>.age, by name.
	Ciphertexts map[string]Ciphertext `cue:"-"`
	// Keys are hosts/keys/<host>.pub and <host>.age, by host.
	Keys map[string]Key `cue:"-"`
	// InTheClear are files beside them that should be encrypted, by path.
	InTheClear []string  `cue:"-"`
	Pos        token.Pos `cue:"-"`
}

// An Operator is a person who can read and change the secrets.
type Operator struct {
	Age Val[string]
	SSH []Val[string]
}

// A Store is a bucket of an S3-compatible object store.
type Store struct {
	Endpoint   Val[string]
	Region     Val[string]
	Bucket     Val[string]
	Prefix     Val[string]
	Lock       Val[int] // days
	LockMode   Val[string]
	Keep       Keep
	Principals Map[Val[string]]
	Kopia      Val[string]
}

// Keep is how long snapshots are kept.
type Keep struct {
	Daily   Val[int]
	Weekly  Val[int]
	Monthly Val[int]
}

// Mail is a server that takes mail from services.
type Mail struct {
	Host     Val[string]
	Port     Val[int]
	Security Val[string]
	User     Val[string]
	From     Val[string]
}

// MeshNetwork is the private network between the hosts.
type MeshNetwork struct {
	Network   Val[string]
	Network6  Val[string]
	Interface Val[string]
	Port      Val[int]
	MTU       Val[int]
	Peers     Map[*RoamingPeer]
}

// A RoamingPeer is in the mesh and no host.
type RoamingPeer struct {
	Address   Val[string]
	Address6  Val[string]
	PublicKey Val[string]

	Pos token.Pos `cue:"-"`
}

// A Host is a machine and what runs on it.
type Host struct {
	Name        Val[string]
	OS          Val[string]
	Environment Val[string]
	Domain      Val[string]
	Address     Val[string]
	Address6    Val[string]
	Listen      Val[string]
	Listen6     Val[string]
	Mesh        *MeshPeer
	Proxy       ProxyNetwork
	Pool        Val[string]
	Sysctl      Map[Val[string]]
	SSH         SSH
	Packages    []Val[string]
	Upgrades    Upgrades
	Swap        Val[string]
	Backups     Backups
	Bundle      Val[string]
	Openings    Map[*Opening]
	Internet    []Val[string] // nil for any
	Services    Map[*Service]
	Files       Map[*File]
	Units       Map[*Unit]
	Secrets     Map[*Secret]

	// Pos is where the user wrote the host's name.
	Pos token.Pos `cue:"-"`
}

// Backups is how a host's services are backed up.
type Backups struct {
	Enabled   Val[bool]
	Why       Val[string]
	At        Val[string]
	Window    Val[Seconds]
	Limit     Val[Seconds]
	Fresh     Val[Seconds]
	Snapshots Val[string]
	Ping      Val[bool]
	Drills    []Val[string]
	DrillAt   Val[string]
}

// MeshPeer is a host's place in the mesh.
type MeshPeer struct {
	Address   Val[string]
	Address6  Val[string]
	PublicKey Val[string]
	Endpoint  Val[string]
	Keepalive Val[int]
}

// SSH is who can log in to a host.
type SSH struct {
	Port     Val[int]
	Audience Val[string]
	From     []Val[string]
	Recovery Val[string]
}

// Upgrades is how Debian's packages are kept up to date.
type Upgrades struct {
	Automatic Val[bool]
	Time      Val[string]
	Reboot    Val[bool]
}

// An Opening is a socket of a program outside containers.
type Opening struct {
	Port     Val[int]
	Protocol Val[string]
	Audience Val[string]
	Unit     Val[string]
}

// ProxyNetwork is the network between the proxy and the containers it routes to.
type ProxyNetwork struct {
	Subnet   Val[string]
	Address  Val[string]
	Subnet6  Val[string]
	Address6 Val[string]
}

// A Service is one instance of a service on a host.
type Service struct {
	Name       Val[string]
	Title      Val[string]
	About      Val[string]
	Containers Map[*Container]
	Pod        Val[bool] `default:"false"`
	Images     Map[*Image]
	Network    Network
	Calls      []Val[string]
	Records    Map[[]*Record]
	Volumes    Map[*Volume]
	Secrets    Map[*Secret]
	Login      *Login
	Lines      Map[*Line]
	Files      Map[*File]
	Units      Map[*Unit]
	Alerts     Map[*Alert]
	Probes     Map[*Probe]
	Tells      Map[*Tell]
	Restore    []Val[string]
	Without    Without

	// Pos is where the user wrote the service's name.
	Pos token.Pos `cue:"-"`
}

// Without is why something that services usually have is missing.
type Without struct {
	Secrets  Val[string]
	Settings Val[string]
	Routes   Val[string]
	Metrics  Val[string]
	Alerts   Val[string]
	Probes   Val[string]
	Volumes  Val[string]
	Restore  Val[string]
	Lines    Val[string]
}

// A Container is one container and how systemd runs it. Durations are seconds.
type Container struct {
	Image        Val[string]
	Tags         *Tags
	Update       Val[string] `default:"none"`
	Feed         Val[string]
	ImageVolumes []Val[string] // nil if unknown, empty if there are none
	Entrypoint   []Val[string]
	Command      []Val[string]
	User         Val[string]
	Env          Map[Val[string]]
	Secrets      Map[*SecretUse]
	Volumes      Map[Val[string]]
	Mounts       Map[*Mount]
	Files        Map[*File]
	Derived      Map[Val[string]]
	Needs        Map[Val[bool]]
	Oneshot      Val[bool] `default:"false"`
	Health       *Health
	Start        Val[Seconds] `default:"15m"`
	Stop         Val[Seconds] `default:"30s"`
	Memory       Val[string]
	Tasks        Val[int] `default:"1024"`
	Capabilities []Val[string]
	Writable     Val[string]
	Address      Val[string]
	Address6     Val[string]
	HostNetwork  Val[bool]     `default:"false"`
	Expose       []Val[string] // nil if unknown
	Ports        Map[*PublishedPort]
	Routes       Map[*Route]
	Metrics      Map[*Metrics]
	Database     *Database
	Restored     []*Step
	Drill        []*Step
	Reload       *Reload
	Unit         Sections

	Pos token.Pos `cue:"-"`
}

// Tags are those of an image that stay in one line.
type Tags struct {
	Follow Val[string]
	None   Val[string]
}

// An Image has a unit of its own, which pulls it.
type Image struct {
	Image Val[string]
	Unit  Sections
}

// Health is how to tell that a container is ready.
type Health struct {
	Command  []Val[string]
	None     Val[string]
	Interval Val[Seconds] `default:"30s"`
	Timeout  Val[Seconds] `default:"5s"`
	Retries  Val[int]     `default:"3"`

	Pos token.Pos `cue:"-"`
}

// SecretUse is a secret as a container sees it.
type SecretUse struct {
	Path  Val[string]
	Env   Val[string]
	Owner Val[string]
	Mode  Val[string] `default:"0400"`
}

// A Secret is a value that is encrypted in the repository.
type Secret struct {
	About  Val[string]
	Stable Val[bool] `default:"false"`
	Form   Val[string]
	Length Val[int] `default:"40"`
	Files  Map[*SecretFile]

	// WireGuard says that its value is a key of WireGuard's.
	WireGuard bool `cue:"-"`
}

// SecretFile is a secret as a file on the host.
type SecretFile struct {
	Owner Val[string] `default:"0:0"`
	Mode  Val[string] `default:"0400"`
	Units []Val[string]
}

// A Login is a provider through which people log in to a service.
type Login struct {
	Through   Val[string]
	Client    Val[string]
	Secret    Val[string]
	Redirect  Val[string]
	Otherwise Val[string]
}

// A Volume is a directory that outlives every container, or podman's own volume.
type Volume struct {
	Owner   Val[string]
	Mode    Val[string] `default:"0700"`
	Backup  Val[string]
	Why     Val[string]
	Without []Val[string]
	Named   Val[bool] `default:"false"`
	Unit    Sections
}

// Metrics are what a container says of itself to Prometheus.
type Metrics struct {
	Port  Val[int]
	Path  Val[string]   `default:"/metrics"`
	Names []Val[string] // nil if unknown
}

// A Database is what a container is the server of.
type Database struct {
	Engine    Val[string]
	Name      Val[string]
	User      Val[string]
	Localhost Val[bool] `default:"false"`
	Without   []Val[string]
}

// A Step is a command in a container.
type Step struct {
	Command []Val[string]
	User    Val[string]
}

// An Alert is a condition that somebody should know of.
type Alert struct {
	Threshold   Val[string]
	Expr        Val[string]
	For         Val[Seconds] `default:"5m"`
	Severity    Val[string]  `default:"warning"`
	Summary     Val[string]
	Description Val[string]
	Fleet       Val[bool] `default:"false"`
	Symptom     Val[bool] `default:"false"`
	Test        *AlertTest
}

// An AlertTest is series that prove an alert.
type AlertTest struct {
	Fires  Map[Val[string]]
	Silent Map[Val[string]]
	Back   Val[Seconds] `default:"30m"`
}

// A Probe is an address that must answer.
type Probe struct {
	URL  Val[string]
	Body Val[string]
}

// A Tell is a way out for what is wrong.
type Tell struct {
	Through Val[string]
	Of      Val[string] `default:"alerts"`
}

// A Mount is a file or directory of the host inside a container.
type Mount struct {
	Host        Val[string]
	Writable    Val[bool]   `default:"false"`
	Propagation Val[string] `default:"private"`
}

// A File that gen writes. Exactly one of Text and the documents holds its contents.
type File struct {
	Text  Val[string]
	JSON  *doc.Node
	YAML  *doc.Node
	TOML  *doc.Node
	INI   *doc.Node
	Mode  Val[string] `default:"0644"`
	Owner Val[string] `default:"0:0"`
	On    Val[string] `default:"restart"`
	Units []Val[string]
}

// A Network is the bridge network of one service.
type Network struct {
	Subnet  Val[string]
	Subnet6 Val[string]
	Unit    Sections
}

// A PublishedPort is a port of a container on an address of the host.
type PublishedPort struct {
	Container Val[int]
	Host      Val[int]
	Protocol  Val[string]
	Audience  Val[string]
	From      []Val[string] // nil for the default
	TLS       Val[bool]     `default:"false"`
}

// A Route is a public name that leads to a port of a container.
type Route struct {
	Host        Val[string]
	Audience    Val[string] `default:"internet"`
	EntryPoints []Val[string]
	Port        Val[int]
	Paths       []Val[string]
	Except      []Val[string]
	Headers     Map[Val[string]]
	Redirects   Map[Val[string]]
}

// A Record is one of the DNS.
type Record struct {
	Type Val[string]
	Data Val[string]
}

// A Line is what the stored data of one component looks like.
type Line struct {
	Line       Val[string]
	Accepts    []Val[string]
	Back       Val[bool] `default:"false"`
	Containers Map[Val[bool]]
}

// Reload is how a container takes up a changed file without a restart.
type Reload struct {
	Signal  Val[string]
	Command []Val[string]
}

// A Unit of systemd or podman.
type Unit struct {
	Want     Val[string]
	Sections Sections
}

// Sections are keys of a unit by section and key, with one value or several.
type Sections = Map[Map[[]Val[string]]]

// Seconds is a span of time.
type Seconds int

// AllFiles are the files on the host by path, the host's own and the services',
// each with the definition it comes from.
func (h *Host) AllFiles() iter.Seq2[string, Entry[*File]] {
	return func(yield func(string, Entry[*File]) bool) {
		for _, f := range h.Files {
			if !yield("hosts."+h.Name.V, f) {
				return
			}
		}
		for _, s := range h.Services {
			for _, f := range s.V.Files {
				if !yield("services."+s.Name, f) {
					return
				}
			}
		}
	}
}

// AllUnits are the units on the host by file name, likewise.
func (h *Host) AllUnits() iter.Seq2[string, Entry[*Unit]] {
	return func(yield func(string, Entry[*Unit]) bool) {
		for _, u := range h.Units {
			if !yield("hosts."+h.Name.V, u) {
				return
			}
		}
		for _, s := range h.Services {
			for _, u := range s.V.Units {
				if !yield("services."+s.Name, u) {
					return
				}
			}
		}
	}
}

// Bind6 is the IPv6 address that a port for the internet binds.
func (h *Host) Bind6() Val[string] {
	if h.Listen6.Set {
		return h.Listen6
	}
	return h.Address6
}
