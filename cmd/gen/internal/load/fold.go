package load

import (
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// fold keeps the errors nobody else explains.
func fold(ms []*mistake) (kept []*mistake) {
	ms = join(ms)
	for i, m := range ms {
		explained := false
		for j, by := range ms {
			explained = explained || i != j && explains(by, m, j < i)
		}
		if !explained {
			kept = append(kept, m)
		}
	}
	return kept
}

// join makes one mistake of several about one thing.
func join(ms []*mistake) (kept []*mistake) {
	first := map[string]*mistake{}
	for _, m := range ms {
		if b := first[m.about()]; b != nil {
			if slices.Equal(b.path, m.path) {
				b.places = append(b.places, m.places...)
			}
			continue
		}
		first[m.about()] = m
		kept = append(kept, m)
	}
	return kept
}

// isHeader reports whether an error only announces others.
func (m *mistake) isHeader() bool { return strings.Contains(m.format, "errors in empty disjunction") }

// about tells what a mistake is about from all other things.
func (m *mistake) about() string {
	switch {
	case m.kind == reference:
		return finding.Place(m.at)
	case len(m.fields) > 0:
		return m.key(m.fields[0])
	}
	return strings.Join(m.path, sep)
}

// explains reports whether a mistake is the reason for another: the other's
// value was made from the one's, or it cannot be told and is in the same service.
func explains(by, m *mistake, before bool) bool {
	from := func(p token.Pos) bool {
		return slices.ContainsFunc(by.fields, func(x *entry) bool { return x.spans(p) })
	}
	switch {
	case by.kind == vague && m.kind != vague:
		return false
	case len(m.fields) > 0 && !slices.ContainsFunc(m.fields, func(x *entry) bool { return !names(x.field.Value, by.path) }):
		return true // it is no more than the other's name
	case m.kind == required && by.kind == unknown && finding.DidYouMean(by.name(), []string{m.name()}, "") != "" &&
		slices.Equal(by.path[:len(by.path)-1], m.path[:len(m.path)-1]):
		return true // the field is there, misspelt
	case m.may && by.kind == value && len(by.path) == len(m.path) && slices.Equal(by.path[:len(by.path)-1], m.path[:len(m.path)-1]):
		return true // it is asked for because the other is wrong
	case by.kind == value && len(by.fields) > 0 && m.kind == other && slices.Equal(by.path, m.path):
		return true // it has not even the right type
	case (by.kind == unknown || by.kind == value && len(by.fields) > 0) && len(by.path) < len(m.path) && slices.Equal(by.path, m.path[:len(by.path)]):
		return true // the whole block is wrong
	case m.isMadeFrom(by) && !by.isMadeFrom(m):
		return true
	case m.index != "" && by.index == "" && len(by.fields) > 0 && len(m.fields) > 0 && by.fields[0].at() == m.fields[0].at():
		return true // the whole list does not fit
	case len(m.fields) == 0 && slices.ContainsFunc(m.places, from):
		return true
	case m.kind != vague:
		return false
	case by.kind != vague:
		return sameService(m.path, by.path) || !inService(by.path) // of the fleet or the host itself
	case !sameService(m.path, by.path):
		return false
	}
	// Of several that cannot be told one speaks for the service: one that the user wrote, else the first.
	if written := len(by.fields) > 0; written != (len(m.fields) > 0) {
		return written
	}
	return before
}

// names reports whether a value is no more than the name of what stands at a path:
// fleet.mail.from, or in a definition my.#fleet.mail.from.
func names(x ast.Expr, path []string) bool {
	is, said := strings.Join(path, "."), printed(x)
	return said == is || strings.HasPrefix(is, "fleet.") && isName(x) && strings.HasSuffix(said, ".#"+is)
}

// isMadeFrom reports whether a value that does not fit is computed from another
// such: all that is written for it names others, and CUE says the other is among them.
func (m *mistake) isMadeFrom(by *mistake) bool {
	computed := func(x *entry) bool {
		_, block := unalias(x.field.Value).(*ast.StructLit)
		return !block && !isLiteral(unalias(x.field.Value))
	}
	return (m.kind == value || m.kind == other) && m.kind == by.kind && m != by && len(m.fields) > 0 &&
		!slices.ContainsFunc(m.fields, func(x *entry) bool { return !computed(x) }) &&
		slices.ContainsFunc(m.places, func(p token.Pos) bool {
			return slices.ContainsFunc(by.fields, func(x *entry) bool { return x.spans(p) })
		})
}

// toService is the length of the path hosts.H.services.S, below which a service's own begins.
const toService = 4

// inService reports whether a path leads to a service, or into it.
func inService(path []string) bool {
	return len(path) >= toService && path[0] == "hosts" && path[2] == "services"
}

// sameService reports whether two paths lead to one service.
func sameService(a, b []string) bool {
	if len(a) < toService || len(b) < toService {
		return len(a) > 0 && len(b) > 0 && a[0] == b[0]
	}
	return slices.Equal(a[:toService], b[:toService])
}
