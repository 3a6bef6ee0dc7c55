// Unitcat prints what podman 5.4.2 reads in a unit file; see package unitcat.
package main

import (
	"gen.example/ci/judges/unitcat"
	"github.com/containers/podman/v5/pkg/systemd/parser"
)

type unit struct{ *parser.UnitFile }

// LastArgs never warns: this podman drops a line it cannot split in silence.
func (u unit) LastArgs(group, key string) ([]string, error) {
	args, _ := u.LookupLastArgs(group, key)
	return args, nil
}

// KeyVal never has null: this podman drops a word without "=" in silence.
func (u unit) KeyVal(group, key string) (map[string]*string, error) {
	all := map[string]*string{}
	for name, value := range u.LookupAllKeyVal(group, key) {
		all[name] = &value
	}
	return all, nil
}

func main() {
	unitcat.Main(func(text string) (unitcat.Unit, error) {
		f := parser.NewUnitFile()
		return unit{f}, f.Parse(text)
	})
}
