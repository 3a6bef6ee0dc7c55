package finding

// A Code names a kind of mistake. Codes never change their meaning.
type Code string

// The hundreds say where a mistake is found: 1 reading CUE, 2 whether the fleet
// fits together, 3 containers and units, 4 files and text, 5 secrets and data,
// 6 the finished tree, 7 what is kept beside the fleet.
const (
	Syntax       Code = "GEN101"
	Unreadable   Code = "GEN102"
	Unsupported  Code = "GEN103"
	Import       Code = "GEN104"
	TopLevel     Code = "GEN105"
	HostNames    Code = "GEN106"
	NoHosts      Code = "GEN107"
	Package      Code = "GEN108"
	StaleCopy    Code = "GEN109"
	UnknownField Code = "GEN110"
	Required     Code = "GEN111"
	Value        Code = "GEN112"
	Fixed        Code = "GEN113"
	Reference    Code = "GEN114"
	OtherHost    Code = "GEN115"
	Embedded     Code = "GEN116"
	Ignored      Code = "GEN117"

	Address     Code = "GEN201"
	Overlap     Code = "GEN202"
	PublicName  Code = "GEN203"
	Socket      Code = "GEN204"
	NoIPv6      Code = "GEN205"
	Proxy       Code = "GEN206"
	HostName    Code = "GEN207"
	System      Code = "GEN208"
	EntryPoint  Code = "GEN210"
	NoTLS       Code = "GEN211"
	MetricName  Code = "GEN212"
	NotExposed  Code = "GEN213"
	Zone        Code = "GEN214"
	Record      Code = "GEN215"
	MeshKey     Code = "GEN216"
	Lockout     Code = "GEN217"
	Opening     Code = "GEN218"
	Unreachable Code = "GEN219"
	UserData    Code = "GEN220"
	Login       Code = "GEN221"
	LoginLost   Code = "GEN222"

	NotScraped      Code = "GEN231"
	NotProbed       Code = "GEN232"
	NoMetric        Code = "GEN233"
	NobodyTold      Code = "GEN234"
	Unwatched       Code = "GEN235"
	AlertFor        Code = "GEN236"
	BackupUnwatched Code = "GEN237"
	AlertRange      Code = "GEN238"
	AlertOthers     Code = "GEN239"

	Image           Code = "GEN301"
	ImageVolume     Code = "GEN302"
	NoSuchVolume    Code = "GEN303"
	NoSuchContainer Code = "GEN304"
	Health          Code = "GEN305"
	Mount           Code = "GEN306"
	Reload          Code = "GEN307"
	Pod             Code = "GEN308"
	Update          Code = "GEN309"
	UnitName        Code = "GEN310"
	UnitKey         Code = "GEN311"
	KeyTooNew       Code = "GEN312"
	UnitValue       Code = "GEN313"
	Empty           Code = "GEN314"

	BadText  Code = "GEN401"
	BadPath  Code = "GEN402"
	Contents Code = "GEN403"
	DataLine Code = "GEN404"
	Backup   Code = "GEN405"
	Schedule Code = "GEN406"
	Store    Code = "GEN407"
	Restore  Code = "GEN408"

	NotAge          Code = "GEN501"
	SecretReference Code = "GEN502"
	NoCiphertext    Code = "GEN503"
	SecretName      Code = "GEN504"
	Operator        Code = "GEN505"
	Demonstration   Code = "GEN506"
	HostKey         Code = "GEN507"
	NotForHost      Code = "GEN508"
	ForStranger     Code = "GEN509"
	NotForOperators Code = "GEN510"
	UnusedSecret    Code = "GEN511"
	SharedSecret    Code = "GEN512"

	TwoWriters   Code = "GEN601"
	NoSuchUnit   Code = "GEN602"
	NoSuchFile   Code = "GEN603"
	NoSuchSecret Code = "GEN604"
	UnitCycle    Code = "GEN605"

	Golden Code = "GEN701"
)

// Meanings says of every code what it stands for. cmd/gen/README.md shows it.
var Meanings = []struct {
	Code  Code
	Means string
}{
	{Syntax, "A CUE file cannot be parsed, or an import in it cannot."},
	{Unreadable, "A file cannot be read, is no UTF-8, or is larger than anybody writes."},
	{Unsupported, "A file uses a feature of CUE that gen does not honour, and would otherwise mean something else to gen than to cue."},
	{Import, "An import is served neither by gen nor by the repository's own module (there is no registry), or packages import each other."},
	{TopLevel, "The top level of hosts/ holds something other than fleet:, hosts: and names of its own (let, _ or #)."},
	{HostNames, "A host's name is computed. Hosts are declared by literal names, so that each can be evaluated by itself."},
	{NoHosts, "There is no fleet in the directory, or it has no hosts."},
	{Package, "The files in hosts/ do not all begin with the same package clause."},
	{StaleCopy, "The copy of the schema and the catalogue in cue.mod/pkg is not what gen brings: editors and cue would check against another."},
	{UnknownField, "A field is in no definition: a misspelling, or something gen does not know."},
	{Required, "A value that has no default is missing."},
	{Value, "A value has the wrong type, is out of its range, or is not among those allowed."},
	{Fixed, "Two places set a value to different things: a service fixes it, or two files disagree."},
	{Reference, "A name in CUE leads to nothing, or an import is hidden or not used."},
	{OtherHost, "A host's CUE refers to another host. Each is evaluated without the others; what belongs together over hosts is gen's to join."},
	{Embedded, "A service embeds its definition. CUE would take a misspelt parameter beside it for one of the service's own."},
	{Ignored, "A host, or a field of one or of the fleet, is hidden (_name, #name) or has a mark (name?:, name!:), so that nothing would come of it."},
	{Address, "An address or network is malformed, of the wrong family, or not where it must lie; or two hosts share one in the mesh."},
	{Overlap, "Two networks of a host share addresses, so a packet could mean either."},
	{PublicName, "Two services answer to the same public name, or it would need two answers of the DNS."},
	{Socket, "Two programs listen on the same address, port and protocol of a host."},
	{NoIPv6, "A port would be announced by IPv6 and is not served on it, because its service's network has none."},
	{Proxy, "A route has no proxy to go through, or there are two, or a container on the host's network has one."},
	{HostName, "A host has a name that means something else in OUT."},
	{System, "The operating system is unknown, or its podman cannot run what gen writes."},
	{EntryPoint, "A route is on an entry point that the proxy does not publish, or on one that serves others than the route is for."},
	{NoTLS, "A name on the internet would be served without TLS."},
	{MetricName, "Two containers of a service say something of themselves under one name, so that nobody could tell which."},
	{NotExposed, "A route, metrics or a published port lead to a port that the container does not listen on, by what it exposes."},
	{Zone, "A public name or the owner of a record lies in none of the fleet's zones, or a zone is given twice."},
	{Record, "A record of the DNS is not what its type takes, stands where it cannot, or its name is too long."},
	{MeshKey, "Two peers of the mesh have the same key or name, or a host has no key while others have."},
	{Lockout, "Nobody could log in to a host, or only through a mesh that may be down."},
	{Opening, "A port is open and nobody says to whom, or may not be open to the internet, or nothing listens on it."},
	{Unreachable, "A service calls what it cannot reach through the mesh, or a port is for somebody who is not in it."},
	{UserData, "A host's user-data is larger than some providers take."},
	{Login, "People are to log in to a service through a provider that does not know it, that it cannot reach, or that would send them elsewhere."},
	{LoginLost, "The only way into what shows what is wrong leads through what may be wrong."},
	{NotScraped, "Prometheus cannot ask what a container says of itself: at some hop there is no way."},
	{NotProbed, "Nobody looks at a public name from another host than serves it."},
	{NoMetric, "An alert asks for a metric that no exporter in its reach has, so it would never fire."},
	{NobodyTold, "Alerts reach nobody, or only through what they are about; or nobody outside misses the host that watches."},
	{Unwatched, "Nobody would see that a service is down, or that it fails those who use it."},
	{AlertFor, "An alert fires after one missed scrape, or does not say what to do."},
	{BackupUnwatched, "Nobody would see that the backups of a service have stopped, or the drills of a host."},
	{AlertRange, "An alert looks back over so few scrapes that a missed one silences it."},
	{AlertOthers, "An alert of a service asks for the metrics of all services, and would say of each that it is this one."},
	{Image, "An image is not written with its registry and a tag that means the same tomorrow, or has a unit and nobody runs it."},
	{ImageVolume, "An image declares a volume that nothing is mounted on. Podman makes an anonymous one and removes it with the container, at every stop."},
	{NoSuchVolume, "A container mounts a volume that its service does not declare, or a volume is declared and nobody mounts it."},
	{NoSuchContainer, "A name of a container leads to none of the service's, or to itself."},
	{Health, "A container does not say how to tell that it is ready, or not in a way podman can ask."},
	{Mount, "Two things are mounted at one path of a container, or a directory would hide the image's own."},
	{Reload, "A file is to be reloaded by a container that does not say how, or says it twice."},
	{Pod, "Containers of a pod get into each other's way, or a route to one of them is a way to a database."},
	{Update, "A container would be updated by itself, and a newer image would not come or could not be taken back."},
	{UnitName, "A unit's file has a name that neither systemd nor podman reads."},
	{UnitKey, "A section or key that systemd or podman does not know. Podman drops the whole unit, systemd ignores the key."},
	{KeyTooNew, "A key is newer than the podman of the host's operating system, which would drop the whole unit."},
	{UnitValue, "A key has a value that makes no sense. Podman's generator passes it on, and the unit fails at its start."},
	{Empty, "A service has nothing in it: its definition was forgotten."},
	{BadText, "A text would break out of its line, cannot be given to a program, or holds characters that nobody sees."},
	{BadPath, "A path is not clean and absolute, holds characters with a meaning, or is outside what gen may write."},
	{Contents, "A file has no contents, more than one kind of them, or some that its format cannot hold."},
	{DataLine, "A data line is malformed or guards nothing."},
	{Backup, "A copy of a volume would not be consistent, or there is none and no reason why."},
	{Schedule, "Backups would run while something else stops services, keep a timer from what it does, cannot end in their time, or would be called old before they are."},
	{Store, "The object store would let a backup go before its loss is noticed or burn with what it keeps, two hosts write one repository, or drills lead nowhere."},
	{Restore, "A backup could not be brought back: a step or a database is not what the script can run, or what is needed lies in it."},
	{NotAge, "A file in hosts/secrets or hosts/keys is not an age file, or holds a private key in the clear."},
	{SecretReference, "A container reads a secret that its service does not declare, or two in one place."},
	{NoCiphertext, "A secret is declared, and hosts/secrets has no file for it."},
	{SecretName, "A secret has a name that cannot be a file's, or that another one has."},
	{Operator, "There is nobody to encrypt the secrets to, or a key of an operator's, age's or ssh's, is none, or that of two."},
	{Demonstration, "A fleet of one's own is open to the operator of the example, whose identity everybody has."},
	{HostKey, "A host that uses secrets has no identity, or half of one, or that of another host."},
	{NotForHost, "A host uses a secret that is not encrypted to it: it could not be installed."},
	{ForStranger, "A secret is encrypted to somebody who does not use it."},
	{NotForOperators, "A secret or a host's identity is encrypted to more or fewer operators than the fleet has."},
	{UnusedSecret, "Nothing uses a file in hosts/secrets."},
	{SharedSecret, "Production and staging have the same secret."},
	{TwoWriters, "Two parts of the fleet write the same path, or become the same unit."},
	{NoSuchUnit, "A unit, or a file for one, names a unit that is not on the host."},
	{NoSuchFile, "A unit mounts a file or directory that nothing makes."},
	{NoSuchSecret, "A unit reads a podman secret that nothing delivers."},
	{UnitCycle, "Units wait for each other. systemd would drop one of the orderings, and nobody chooses which."},
	{Golden, "A file in the directory of gen check -golden is not what gen writes, is missing, or is left over."},
}

// AlsoCUE are the codes of what plain cue vet -c refuses as well. gen alone
// raises all others.
var AlsoCUE = []Code{Syntax, Import, Package, UnknownField, Required, Value, Fixed, Reference}
