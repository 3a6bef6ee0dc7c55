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

// defaults are what the schema gives, and the parts, in jsonnet.
const defaults = ``
