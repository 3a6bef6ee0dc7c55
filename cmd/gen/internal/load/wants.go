package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// wanted says what may stand in a place, in the user's words: what is left there
// when the user's own value is taken out.
type wanted struct {
	rest  cue.Value
	given cue.Value // the user's, if it says anything by itself
}

// fixed is the one value that may stand there, "" if there is a choice.
func (w wanted) fixed() string {
	if x := w.expr(); x != nil && isLiteral(x) && w.rest.IncompleteKind() != cue.StructKind && w.rest.Validate(cue.Concrete(true)) == nil {
		return shown(w.rest)
	}
	return ""
}

// not says what a value of the user's is not: "not text", "none of "a", "b"".
func (w wanted) not() string {
	x := w.expr()
	if x == nil {
		return ""
	}
	switch w.rest.IncompleteKind() {
	case cue.StructKind:
		return "not a block of fields"
	case cue.ListKind:
		if w.given.IncompleteKind() != cue.ListKind {
			return "not a list"
		}
		return ""
	}
	var types, values []string
	for _, f := range w.failing(x) {
		if isLiteral(f) {
			values = append(values, printed(f))
		} else if words := w.words(f); words != "" {
			types = append(types, words)
		}
	}
	slices.Sort(values)
	types, values = slices.Compact(types), slices.Compact(values)
	switch {
	case len(types) > 0: // the values are among them: defaults
		return "not " + alternatives(types)
	case len(values) == 1:
		return "not " + values[0]
	case len(values) > 1:
		return "none of " + strings.Join(values, ", ")
	}
	return ""
}

// alternatives joins words by commas and an or.
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + ", or " + words[last]
}

// expr is the rest as CUE prints it.
func (w wanted) expr() ast.Expr {
	if !w.rest.Exists() || w.rest.Err() != nil && !w.rest.IsConcrete() && w.rest.IncompleteKind() == cue.BottomKind {
		return nil
	}
	x, err := parser.ParseExpr("", fmt.Sprint(w.rest))
	if err != nil {
		return nil
	}
	return x
}

// failing are the parts that the user's value does not meet: of several that
// must all hold the first, of alternatives all.
func (w wanted) failing(x ast.Expr) []ast.Expr {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return w.failing(x.X)
	case *ast.UnaryExpr:
		if x.Op == token.MUL {
			return w.failing(x.X)
		}
	case *ast.BinaryExpr:
		switch {
		case x.Op == token.OR:
			return append(w.failing(x.X), w.failing(x.Y)...)
		case x.Op == token.AND && !w.meets(x.X) && !(isUint(x.X) && w.given.IncompleteKind() == cue.IntKind && !w.meets(x.Y)):
			return w.failing(x.X)
		case x.Op == token.AND:
			return w.failing(x.Y)
		}
	}
	return []ast.Expr{x}
}

// isUint reports whether an expression says no more than that a number is not
// negative, which a bound beside it says better.
func isUint(x ast.Expr) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == "uint"
}

func (w wanted) meets(x ast.Expr) bool {
	return w.given.Context().BuildExpr(x).Unify(w.given).Err() == nil
}

// words are a constraint in words.
func (w wanted) words(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		if x.Name == "uint" && w.given.IncompleteKind() == cue.IntKind {
			return "0 or more"
		}
		return typeWords[x.Name]
	case *ast.StructLit:
		return "a block of fields"
	case *ast.ListLit:
		return "a list"
	case *ast.CallExpr:
		return "something that " + printed(x) + " accepts"
	case *ast.UnaryExpr:
		return w.bound(x)
	}
	return ""
}

// typeWords are CUE's types as people who never heard of them say.
var typeWords = map[string]string{
	"string": "text", "bytes": "bytes", "bool": "true or false", "int": "a whole number", "number": "a number", "float": "a number with a point", "struct": "a block of fields", "uint": "a whole number",
}

// bound explains a pattern or a range by what it stands for, or by the default as an example.
func (w wanted) bound(x *ast.UnaryExpr) string {
	if words, ok := patterns[printed(x)]; ok {
		return words
	}
	limit := printed(x.X)
	switch x.Op {
	case token.MAT:
		if d, ok := w.rest.Default(); ok && d.IsConcrete() {
			return "of the form of " + shown(d)
		}
		if s, err := strconv.Unquote(limit); err == nil {
			limit = s
		}
		return "of the form " + limit
	case token.NMAT:
		return "free of " + limit
	case token.LSS:
		return "less than " + limit
	case token.LEQ:
		return "at most " + limit
	case token.GTR:
		return "more than " + limit
	case token.GEQ:
		return "at least " + limit
	}
	return "other than " + limit
}

func isLiteral(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.BasicLit:
		return true
	case *ast.UnaryExpr: // -1
		_, ok := x.X.(*ast.BasicLit)
		return ok && (x.Op == token.SUB || x.Op == token.ADD)
	case *ast.ListLit:
		return !slices.ContainsFunc(x.Elts, func(e ast.Expr) bool { return !isLiteral(e) })
	}
	return false
}

func printed(x ast.Node) string {
	b, err := format.Node(x)
	if err != nil {
		return ""
	}
	return string(b)
}

// shown is a value in one short line.
func shown(v cue.Value) string { return short(fmt.Sprint(v)) }

func short(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return s
}

// patterns says what the bounds of schema/types.cue stand for.
var patterns = map[string]string{
	`=~"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"`:                                           "a name of small letters, digits and inner hyphens",
	`=~"^[a-z]([a-z0-9-]{0,10}[a-z0-9])?$"`:                                           "a service's name: at most 12 small letters, digits and inner hyphens",
	`=~"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"`:   "a domain such as notes.example.org",
	`=~"^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"`: "the owner of a DNS record such as _matrix-fed._tcp.example.org",
	`=~"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"`:                                      "a key of WireGuard: 43 letters, digits, + and /, and =",
	`=~"^[a-z][a-z0-9-]{0,14}$"`:                                                      "a network interface such as wg0",
	`=~"^(\\[[0-9a-f:]+\\]|[0-9a-z.-]+):[0-9]+$"`:                                     "an address with a port such as vpn.example.org:51820",
	`=~"^[0-9]{1,5}/(tcp|udp)$"`:                                                      "a port with a protocol such as \"53/udp\"",
	`>=1280`:                                                                          "at least 1280",
	`<=9000`:                                                                          "at most 9000",
	`=~"^age1[02-9ac-hj-np-z]{58}$"`:                                                  "the public half of an age identity: age1 and 58 letters",
	`=~"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$"`:                                        "a path below the volume such as media/cache, without a slash at its ends",
	`=~"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\\.com|sk-ecdsa-sha2-nistp256@openssh\\.com) [A-Za-z0-9+/]+=*( .*)?$"`: "the public half of an ssh key such as ssh-ed25519 AAAA…, without options before it",
	`=~"^[a-z0-9][a-z0-9.+-]+$"`:               "the name of a Debian package",
	`=~"^[1-9][0-9]*[MG]$"`:                    "an amount of swap such as 512M or 2G",
	`=~"^https?://[A-Za-z0-9._~:/?@&=,+%-]+$"`: "an address that begins with https:// or http://, of letters, digits and ._~:/?@&=,+%-",
	`=~"^/"`:    "an absolute path",
	`>0`:        "more than 0",
	`!=""`:      "a value that says something",
	`<=4194304`: "at most 4194304",
	`<=1000`:    "at most 1000",
	`<65536`:    "a port from 1 to 65535",
	`=~"^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$"`:                  "a span of time such as 90s or 1h30m",
	`=~"^[0-9]+[KMGT]?$"`:                                               "an amount of memory such as 512M or 2G",
	`=~"^[0-9]+:[0-9]+$"`:                                               "a numeric owner and group such as 999:999",
	`=~"^0[0-7]{3}$"`:                                                   "a file mode of four octal digits such as 0640",
	`=~"^[A-Za-z0-9][A-Za-z0-9._-]*$"`:                                  "a data line such as postgres-17",
	`=~"^[A-Z][A-Z0-9]*$"`:                                              "a signal such as HUP",
	`=~"^([01][0-9]|2[0-3]):[0-5][0-9]$"`:                               "a time of day such as 04:30",
	`=~"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"`:                            "a bucket's name",
	`=~"^(application_id|user_id):[0-9a-f-]{36}$"`:                      "application_id: or user_id: and what Scaleway calls it",
	`=~"^([a-z0-9-]+/)*$"`:                                              "a prefix such as fleet/, with a slash at the end",
	`=~"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([01][0-9]|2[0-3]):[0-5][0-9]$"`: "a day and a time such as Sun 10:00",
	`=~"^[A-Za-z_][A-Za-z0-9_.]*$"`:                                     "the name of a table",
	`=~"^[0-9]{1,10}$"`:                                                 "a numeric user such as 33",
	`=~"^[^@ ]+@[^@ ]+$"`:                                               "a mail address",
	`=~"^[A-Z][A-Za-z0-9]*$"`:                                           "a name such as DiskFull",
	`=~"^https://"`:                                                     "an address that begins with https://",
	`=~"^https?://"`:                                                    "an address that begins with https:// or http://",
	`=~"^[A-Za-z0-9-]+$"`:                                               "the name of a header",
	`=~"^[a-z_][a-z0-9_]*$"`:                                            "what names of metrics begin with, such as pg_",
}
