package load

import (
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/literal"

	"gen.example/cmd/gen/internal/fleet"
)

// BenchmarkHost takes what load does for one host of twenty services apart.
func BenchmarkHost(b *testing.B) {
	files := syntheticHost()
	var r *repository
	stage(b, "parse", func() {
		r = &repository{root: files}
		r.readModule()
		r.readHosts()
		r.readImports()
	})
	name := r.hostNames()[0]
	e := &evaluation{r, name, 1}
	var v cue.Value
	stage(b, "evaluate", func() {
		inst, found := e.instance(name)
		if inst == nil {
			b.Fatal(found)
		}
		v = cuecontext.New().BuildInstance(importing(inst, "host: fleet.hosts["+literal.String.Quote(name)+"]")).LookupPath(cue.ParsePath("host"))
	})
	stage(b, "validate", func() {
		if err := v.Validate(cue.All(), cue.Concrete(true)); err != nil {
			b.Fatal(err)
		}
	})
	stage(b, "decode", func() { e.decode(v, new(fleet.Host), []string{"hosts", name}) })
}

func stage(b *testing.B, name string, run func()) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			run()
		}
	})
}
