package synthetic

// parts are containers that several services have.
const parts = `package services

import "gen.example/schema"

#Cache: my={
	schema.#Container

	#service!:   string
	#megabytes!: int

	image: string | *"registry.example.net/cache:8"
	tags: follow: "8(\\.[0-9]+)*"
	imageVolumes: ["/data"]
	user: "999:999"
	command: ["--maxmemory", "\(my.#megabytes)mb", "--appendonly", "no"]
	env: {CACHE_NAME: my.#service, CACHE_MODE: "lru"}
	volumes: cache: "/data"
	files: "/etc/cache.conf": text: "# of \(my.#service)\nmaxmemory-policy allkeys-lru\n"
	health: command: ["cache-cli", "ping"]
	memory: schema.#Size | *"128M"
}

#Exporter: my={
	schema.#Container

	#service!: string
	#port!:    int

	image: "registry.example.net/exporter:1.4"
	tags: none: "a minor release may rename metrics"
	imageVolumes: []
	user: "65534:65534"
	command: ["--listen=:\(my.#port)", "--target=http://app:8080/stats"]
	env: EXPORTER_NAME: my.#service
	needs: app: true
	health: command: ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:\(my.#port)/"]
	metrics: exporter: port: my.#port
}
`

// defaults are the schema's, and the parts, in jsonnet.
const defaults = `
local host = {
  environment: 'production', domain: 'example.org', listen: self.address,
  proxy: {subnet: '10.89.0.0/24', address: '10.89.0.2', subnet6: 'fd89::/64', address6: 'fd89::2'},
  pool: '10.90.0.0/16', sysctl: {'net.ipv4.ip_nonlocal_bind': 1, 'net.ipv6.ip_nonlocal_bind': 1},
  files: {}, units: {}, secrets: {}, openings: {}, packages: [],
  ssh: {port: 22, audience: 'internet', from: []}, upgrades: {automatic: true, time: '05:15', reboot: false},
  backups: {enabled: true, at: '02:00', window: '2h', limit: '1h', fresh: '28h', ping: false, drills: [], drillAt: 'Sun 10:00'},
};
local service = {
  title: self.name, containers: {}, images: {}, network: {unit: {}}, volumes: {}, secrets: {}, lines: {},
  files: {}, units: {}, alerts: {}, probes: {}, tells: {}, restore: [], without: {}, calls: [], records: {},
};
local container = {
  command: [], env: {}, secrets: {}, volumes: {}, mounts: {}, files: {}, derived: {}, needs: {}, capabilities: [],
  ports: {}, routes: {}, metrics: {}, restored: [], drill: [], unit: {},
};
local volume = {without: [], unit: {}};
local file = {units: []};
local route = {entryPoints: [], paths: [], except: [], headers: {}, redirects: {}};
local line = {accepts: []};
local cache = container + {
  local my = self,
  service:: error 'no service', megabytes:: error 'no megabytes',
  image: 'registry.example.net/cache:8', tags: {follow: '8(\\.[0-9]+)*'}, imageVolumes: ['/data'], user: '999:999',
  command: ['--maxmemory', my.megabytes + 'mb', '--appendonly', 'no'],
  env: {CACHE_NAME: my.service, CACHE_MODE: 'lru'},
  volumes: {cache: '/data'},
  files: {'/etc/cache.conf': file + {text: '# of ' + my.service + '\nmaxmemory-policy allkeys-lru\n'}},
  health: {command: ['cache-cli', 'ping']},
  memory: '128M',
};
local exporter = container + {
  local my = self,
  service:: error 'no service', port:: error 'no port',
  image: 'registry.example.net/exporter:1.4', tags: {none: 'a minor release may rename metrics'}, imageVolumes: [], user: '65534:65534',
  command: ['--listen=:' + my.port, '--target=http://app:8080/stats'],
  env: {EXPORTER_NAME: my.service},
  needs: {app: true},
  health: {command: ['wget', '-q', '-O', '/dev/null', 'http://127.0.0.1:' + my.port + '/']},
  metrics: {exporter: {port: my.port}},
};
`
