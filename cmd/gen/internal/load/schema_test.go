package load

import (
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/schema"
)

// modelled is the type that each definition of the schema is decoded to. A nil
// type is CUE's own: a scalar, or what only services read.
var modelled = map[string]reflect.Type{
	"#Fleet": reflect.TypeFor[fleet.Fleet](), "#Operator": reflect.TypeFor[fleet.Operator](), "#MeshNetwork": reflect.TypeFor[fleet.MeshNetwork](),
	"#Host": reflect.TypeFor[fleet.Host](), "#MeshPeer": reflect.TypeFor[fleet.MeshPeer](), "#ProxyNetwork": reflect.TypeFor[fleet.ProxyNetwork](),
	"#Service": reflect.TypeFor[fleet.Service](), "#Container": reflect.TypeFor[fleet.Container](), "#Health": reflect.TypeFor[fleet.Health](),
	"#SecretUse": reflect.TypeFor[fleet.SecretUse](), "#Secret": reflect.TypeFor[fleet.Secret](), "#SecretFile": reflect.TypeFor[fleet.SecretFile](),
	"#Volume": reflect.TypeFor[fleet.Volume](), "#Mount": reflect.TypeFor[fleet.Mount](), "#File": reflect.TypeFor[fleet.File](),
	"#Network": reflect.TypeFor[fleet.Network](), "#PublishedPort": reflect.TypeFor[fleet.PublishedPort](), "#Route": reflect.TypeFor[fleet.Route](),
	"#Store": reflect.TypeFor[fleet.Store](), "#Mail": reflect.TypeFor[fleet.Mail](), "#Without": reflect.TypeFor[fleet.Without](), "#Tags": reflect.TypeFor[fleet.Tags](),
	"#Image": reflect.TypeFor[fleet.Image](), "#Metrics": reflect.TypeFor[fleet.Metrics](), "#Database": reflect.TypeFor[fleet.Database](),
	"#Alert": reflect.TypeFor[fleet.Alert](), "#Probe": reflect.TypeFor[fleet.Probe](), "#Tell": reflect.TypeFor[fleet.Tell](), "#AlertTest": reflect.TypeFor[fleet.AlertTest](),
	"#Line": reflect.TypeFor[fleet.Line](), "#Reload": reflect.TypeFor[fleet.Reload](), "#Unit": reflect.TypeFor[fleet.Unit](),
	"#RoamingPeer": reflect.TypeFor[fleet.RoamingPeer](), "#SSH": reflect.TypeFor[fleet.SSH](), "#Opening": reflect.TypeFor[fleet.Opening](),
	"#Backups":   reflect.TypeFor[fleet.Backups](),
	"#Keep":      reflect.TypeFor[fleet.Keep](),
	"#Step":      reflect.TypeFor[fleet.Step](),
	"#Upgrades":  reflect.TypeFor[fleet.Upgrades](),
	"#Record":    reflect.TypeFor[fleet.Record](),
	"#Login":     reflect.TypeFor[fleet.Login](),
	"#HostFacts": nil, "#RecordName": nil, "#WireGuardKey": nil, "#Instance": nil, "#Sections": nil,
	"#Name": nil, "#ServiceName": nil, "#AgeKey": nil, "#SSHKey": nil, "#Domain": nil, "#Path": nil, "#Port": nil, "#Duration": nil,
	"#Size": nil, "#Owner": nil, "#Mode": nil, "#Scalar": nil,
}

// TestSchemaAndModelMatch compares every definition with its type, both ways
// and in order: a field that is accepted and dropped would be the worst bug.
func TestSchemaAndModelMatch(t *testing.T) {
	seen := map[string]bool{}
	for name, body := range definitions(t) {
		seen[name] = true
		model, known := modelled[name]
		if !known {
			t.Errorf("the definition %s is in no table here", name)
		}
		if model == nil {
			continue
		}
		var inSchema []string
		for _, f := range body {
			inSchema = append(inSchema, label(f))
		}
		var inModel []string
		for _, f := range fieldsOf(model) {
			if !f.pos {
				inModel = append(inModel, f.name)
			}
		}
		if !slices.Equal(inSchema, inModel) {
			t.Errorf("%s has the fields\n\t%v\nand %s has\n\t%v", name, inSchema, model, inModel)
		}
	}
	for name := range modelled {
		if !seen[name] {
			t.Errorf("the schema has no definition %s", name)
		}
	}
}

// TestEveryFieldIsExplained keeps a sentence on every definition and field.
func TestEveryFieldIsExplained(t *testing.T) {
	for name, body := range definitions(t) {
		for _, f := range body {
			text := comment(f)
			if !strings.HasSuffix(strings.TrimSpace(text), ".") {
				t.Errorf("%s.%s has no sentence: %q", name, label(f), text)
			}
		}
	}
}

// TestDefaultsAreTold: what a field is by default is in its sentence, and a
// default of the model's is not in CUE too.
func TestDefaultsAreTold(t *testing.T) {
	seen := 0
	for name, body := range definitions(t) {
		if modelled[name] == nil {
			continue
		}
		for i := range modelled[name].NumField() {
			f := modelled[name].Field(i)
			text, ok := f.Tag.Lookup("default")
			if !ok {
				continue
			}
			seen++
			at := slices.IndexFunc(body, func(f2 *ast.Field) bool { return label(f2) == CUEName(f.Name) })
			told := strings.ToLower(comment(body[at]))
			if !strings.Contains(told, `"`+text+`" by default`) && !strings.Contains(told, " "+text+" by default") {
				t.Errorf("%s.%s is %s by default, and its sentence says %q", name, label(body[at]), text, told)
			}
			if body[at].Constraint != token.OPTION {
				t.Errorf("%s.%s has a default in CUE too", name, label(body[at]))
			}
		}
	}
	if seen == 0 {
		t.Error("no field has a default")
	}
}

// TestEveryPatternHasWords keeps findings from quoting a regular expression.
func TestEveryPatternHasWords(t *testing.T) {
	for _, f := range schemaFiles(t) {
		ast.Walk(f, func(n ast.Node) bool {
			if u, ok := n.(*ast.UnaryExpr); ok && u.Op.String() == "=~" {
				pattern := "=~" + u.X.(*ast.BasicLit).Value
				if _, ok := patterns[pattern]; !ok {
					t.Errorf("there are no words for %s", pattern)
				}
			}
			return true
		}, nil)
	}
}

// definitions are the fields with a written name of every definition.
func definitions(t *testing.T) map[string][]*ast.Field {
	t.Helper()
	out := map[string][]*ast.Field{}
	for _, f := range schemaFiles(t) {
		for _, d := range f.Decls {
			def, ok := d.(*ast.Field)
			if !ok {
				continue
			}
			if comment(def) == "" {
				t.Errorf("the definition %s has no comment", label(def))
			}
			out[label(def)] = nil
			body, ok := unalias(def.Value).(*ast.StructLit)
			if !ok {
				continue
			}
			for _, e := range body.Elts {
				if field, ok := e.(*ast.Field); ok && label(field) != "" && !strings.HasPrefix(label(field), "#") {
					out[label(def)] = append(out[label(def)], field)
				}
			}
		}
	}
	return out
}

func schemaFiles(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := fs.Glob(schema.Files, "*.cue")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := schema.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func comment(n ast.Node) string {
	var text string
	for _, g := range ast.Comments(n) {
		if g.Doc {
			text += g.Text()
		}
	}
	return text
}
