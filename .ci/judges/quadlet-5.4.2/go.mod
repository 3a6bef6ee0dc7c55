module gen.example/ci/judges/quadlet-5.4.2

go 1.26.0

require (
	gen.example/ci/judges/unitcat v0.0.0
	github.com/containers/podman/v5 v5.4.2
)

require (
	github.com/containers/storage v1.57.2 // indirect
	github.com/sirupsen/logrus v1.9.3 // indirect
	golang.org/x/sys v0.29.0 // indirect
)

tool github.com/containers/podman/v5/cmd/quadlet

replace gen.example/ci/judges/unitcat => ../unitcat
