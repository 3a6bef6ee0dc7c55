// Standin plays, in a test host, programs whose images cannot be had there: Nextcloud, Synapse,
// HedgeDoc, Authentik, Grafana and two exporters, as far as a unit, a proxy and a database
// can tell.
//
// An image holds this one binary under the names that upstream's entrypoint, command and health
// command have there; the name it is called by is its part. It takes its settings from where
// upstream takes them, looks whether all is there that upstream needs, and says at once all that
// is not. Beyond that it wants what gen promises: no capability too many, and no new privileges.
// With a database it really works, in one table. What it saw it tells who asks for /standin.
//
// A part is a file. What several need is in look.go (what they find), seen.go (what they tell of
// it), kernel.go (what they are allowed), database.go and serve.go.
package main

import (
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

var parts = map[string]func(args []string) error{
	"docker-entrypoint.sh": hedgedoc,
	"node":                 hedgedocHealth,

	"entrypoint.sh": nextcloud,
	"cron.sh":       nextcloudCron,
	"php":           nextcloudPHP,

	"start.py": synapse,

	"dumb-init": dumbInit,
	"ak":        authentik,

	"run.sh": grafana,

	"nextcloud-exporter":         nextcloudExporter,
	"prometheus-podman-exporter": podmanExporter,

	"curl": curl,
}

func main() {
	name := filepath.Base(os.Args[0])
	log.SetFlags(0)
	log.SetPrefix(name + " stand-in: ")
	part := parts[name]
	if part == nil {
		log.Fatal("it plays nothing of that name")
	}
	err := part(os.Args[1:])
	var exit exitCode
	if errors.As(err, &exit) {
		os.Exit(int(exit))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// An exitCode is the end of a program whose codes mean something, and which has said why.
type exitCode int

func (exitCode) Error() string { return "exit" }

// dumbInit becomes the command it is given, less the options that are the real one's.
func dumbInit(args []string) error {
	for len(args) > 0 && args[0] != "" && args[0][0] == '-' {
		args = args[1:]
	}
	return become(args)
}

func become(args []string) error {
	if len(args) == 0 {
		return errors.New("there is no command to run")
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, os.Environ())
}
