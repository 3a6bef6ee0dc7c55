// Package synthetic makes fleets to measure with: any number of hosts that run
// the same twenty services, eighteen of the repository's own and two of the
// catalogue's. The services differ in size and kind, and each host gives every
// one of them a name of its own and some of them other overrides, so that no
// two hosts and no two services of a host are alike.
//
// The same fleet is written as CUE and as jsonnet, so that tools can be compared.
package synthetic

import "fmt"

// CUE is a repository of n hosts: its files by their paths.
func CUE(n int) map[string]string {
	files := map[string]string{
		"cue.mod/module.cue": "module: \"fleet.example@v0\"\nlanguage: version: \"v0.17.0\"\n",
		"hosts/fleet.cue":    fleet,
		"services/parts.cue": parts,
	}
	for _, s := range services() {
		files["services/"+s.name+".cue"] = s.cue()
	}
	for _, h := range hosts(n) {
		files["hosts/"+h.name+".cue"] = h.cue()
	}
	return files
}

// Jsonnet is the same fleet: services.libsonnet has what the schema and the
// services say, fleet.jsonnet the hosts. What the catalogue's services come to
// on each host is not translated but read from catalogue.json.
func Jsonnet(n int) map[string]string {
	return map[string]string{
		"services.libsonnet": defaults + "{\nhost: host,\n" + join(services(), "", service.jsonnet) + "}\n",
		"fleet.jsonnet": "local s = import 'services.libsonnet';\nlocal catalogue = import 'catalogue.json';\n" +
			"{\nfleet: {domain: 'example.org', zones: [], mesh: {network: '10.44.0.0/16', interface: 'wg0', port: 51820, mtu: 1420, peers: {}}, operators: {}, updateTime: '04:30'},\nhosts: {\n" +
			join(hosts(n), "", host.jsonnet) + "}}\n",
	}
}

// Catalogue are the services of the catalogue that every host runs.
var Catalogue = []string{"node", "traefik"}

const fleet = `package hosts

import "gen.example/schema"

fleet: {
	domain: "example.org"
	mesh: network: "10.44.0.0/16"
}

// gen checks this in any case; the two lines tell editors and cue.
fleet: schema.#Fleet
hosts: [Name=string]: schema.#Host & {name: Name, #fleet: fleet}
`

// A host of a fleet, by its number.
type host struct {
	number int
	name   string
}

func hosts(n int) (all []host) {
	for i := range n {
		all = append(all, host{i, fmt.Sprintf("h%03d", i)})
	}
	return all
}

// overrides are what a host says of its nth service.
func (h host) overrides(n int, name string) object {
	o := object{{"domain", fmt.Sprintf("%s.%s.example.org", name, h.name)}}
	seed := h.number*7 + n*13 // which of them is arbitrary, and always the same
	if seed%4 == 0 {
		o = append(o, field{"version", fmt.Sprintf("2.%d.%d", n, seed%30)})
	}
	if seed%10 == 3 {
		o = append(o, field{"logLevel", "debug"})
	}
	if seed%20 == 5 {
		o = append(o, field{"containers", object{{"app", object{{"env", object{{"EXTRA", h.name}, {"STORAGE", "remote"}}}}}}})
	}
	return o
}

func (h host) meshAddress() string {
	return fmt.Sprintf("10.44.%d.%d", h.number/200, h.number%200+1)
}

func (h host) address() string { return fmt.Sprintf("203.0.%d.%d", h.number/200, h.number%200+1) }

func (h host) cue() string {
	out := fmt.Sprintf("package hosts\n\nimport (\n\town \"fleet.example/services\"\n\tcatalog \"gen.example/services\"\n)\n\nhosts: %s: {\n", h.name)
	out += fmt.Sprintf("\tos: \"debian-13\"\n\taddress: %q\n\tmesh: address: %q\n", h.address(), h.meshAddress())
	out += "\tbackups: {enabled: false, why: \"there is nothing to lose\"}\n"
	out += "\tservices: {\n\t\ttraefik: catalog.#Traefik & {acme: email: \"ada@example.org\"}\n\t\tnode: catalog.#NodeExporter\n"
	for n, s := range services() {
		out += fmt.Sprintf("\t\t%s: own.%s & %s\n", s.name, s.definition(), cue(h.overrides(n, s.name)))
	}
	return out + "\t}\n}\n"
}

func (h host) jsonnet() string {
	out := fmt.Sprintf("%s: s.host + {\nname: %q, os: 'debian-13', address: %q, mesh: {address: %q},\n", h.name, h.name, h.address(), h.meshAddress())
	out += "backups+: {enabled: false, why: 'there is nothing to lose'},\n"
	out += fmt.Sprintf("services: catalogue[%q] + {\n", h.name)
	for n, s := range services() {
		out += fmt.Sprintf("%s: s.%s + {name: %q} + %s,\n", s.name, s.name, s.name, jsonnetMore(h.overrides(n, s.name)))
	}
	return out + "},\n},\n"
}
