package load

import (
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/fleet"
)

// defaults gives what a definition of the catalogue may have left out and a
// host may have to say. They are not in the schema: in CUE a default there and
// another in a definition would leave none.
func defaults(h *fleet.Host) {
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			byDefault(&c.V.Start, 15*60, c.Pos)
			byDefault(&c.V.Stop, 30, c.Pos)
			byDefault(&c.V.Update, "none", c.Pos)
		}
		for _, v := range s.V.Volumes {
			byDefault(&v.V.Backup, h.AtRest(), v.Pos)
		}
	}
}

func byDefault[T any](v *fleet.Val[T], is T, pos token.Pos) {
	if !v.Set {
		*v = fleet.Val[T]{V: is, Pos: pos, Set: true}
	}
}
