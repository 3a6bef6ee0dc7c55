module gen.example/ci/judges/quadlet-5.8.2

go 1.26.0

require (
	gen.example/ci/judges/unitcat v0.0.0
	github.com/containers/podman/v5 v5.8.2
)

require go.podman.io/storage v1.62.0 // indirect

tool github.com/containers/podman/v5/cmd/quadlet

replace gen.example/ci/judges/unitcat => ../unitcat
