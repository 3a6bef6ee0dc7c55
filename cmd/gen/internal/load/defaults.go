package load

import (
	"reflect"
	"strconv"
	"time"

	"gen.example/cmd/gen/internal/fleet"
)

// byDefault is what a field of the model is where neither a host nor a definition
// of the catalogue says otherwise: what its tag says, or nothing. Such defaults are
// not in the schema: in CUE a default there and another in a definition would leave
// none, and each is a choice that CUE makes anew for every struct.
func byDefault(f reflect.StructField) (v reflect.Value) {
	text, ok := f.Tag.Lookup("default")
	if !ok {
		return v
	}
	v = reflect.New(f.Type).Elem()
	switch d := v.Addr().Interface().(type) {
	case *fleet.Val[string]:
		d.V, d.Set = text, true
	case *fleet.Val[bool]:
		b, err := strconv.ParseBool(text)
		must(err)
		d.V, d.Set = b, true
	case *fleet.Val[int]:
		n, err := strconv.Atoi(text)
		must(err)
		d.V, d.Set = n, true
	case *fleet.Val[fleet.Seconds]:
		t, err := time.ParseDuration(text)
		must(err)
		d.V, d.Set = fleet.Seconds(t/time.Second), true
	default:
		panic("load: the model has a default for what cannot have one: " + f.Name)
	}
	return v
}

// defaults gives what depends on more than the field.
func defaults(h *fleet.Host) {
	for _, s := range h.Services {
		for _, v := range s.V.Volumes {
			if b := &v.V.Backup; !b.Set {
				*b = fleet.Val[string]{V: h.AtRest(), Pos: v.Pos, Set: true}
			}
		}
	}
}
