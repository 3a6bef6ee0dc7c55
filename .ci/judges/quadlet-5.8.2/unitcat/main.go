// Unitcat prints what podman 5.8.2 reads in a unit file; see package unitcat.
package main

import (
	"gen.example/ci/judges/unitcat"
	"github.com/containers/podman/v5/pkg/systemd/parser"
)

type unit struct{ *parser.UnitFile }

func (u unit) LastArgs(group, key string) ([]string, error) {
	args, _, err := u.LookupLastArgs(group, key)
	return args, err
}

func (u unit) KeyVal(group, key string) (map[string]*string, error) {
	return u.LookupAllKeyVal(group, key)
}

func main() {
	unitcat.Main(func(text string) (unitcat.Unit, error) {
		f := parser.NewUnitFile()
		return unit{f}, f.Parse(text)
	})
}
