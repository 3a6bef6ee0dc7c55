package load

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"

	"gen.example/services"
)

// everything is what a file takes from the catalogue that does not say what.
const everything = ""

// taken are the names that a file takes from the catalogue.
func taken(f *ast.File) (names []string) {
	from := map[*ast.Ident]bool{}
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportDecl:
			return false
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && ofCatalogue(id) {
				from[id] = true
				name, _, _ := ast.LabelName(n.Sel)
				names = append(names, name)
			}
		case *ast.Ident:
			if ofCatalogue(n) && !from[n] {
				names = append(names, everything)
			}
		}
		return true
	}, nil)
	return names
}

// ofCatalogue reports whether a name is that of the imported catalogue.
func ofCatalogue(id *ast.Ident) bool {
	spec, ok := id.Node.(*ast.ImportSpec)
	return ok && ast.ParseImportPath(strings.Trim(spec.Path.Value, `"`)).Path == Module+"/services"
}

// needed are the files of the binary's catalogue that declare what is taken from
// it, and what those mention. They are all files if one takes what nobody
// declares: then somebody will ask which names there are.
func (r *repository) needed() (files []string) {
	queue := slices.Clone(r.taken)
	for _, s := range r.files {
		queue = append(queue, s.taken...)
	}
	c := theCatalogue()
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if c.declares[name] == nil {
			return c.files
		}
		for _, file := range c.declares[name] {
			if !slices.Contains(files, file) {
				files = append(files, file)
				queue = append(queue, c.mentions(file)...)
			}
		}
	}
	slices.Sort(files)
	return files
}

// A catalogue is its files, and which of them declare a name.
type catalogue struct {
	files    []string
	declares map[string][]string
	text     map[string][]byte
}

func theCatalogue() *catalogue {
	c := &catalogue{declares: map[string][]string{}, text: map[string][]byte{}}
	c.files, _ = fs.Glob(services.Files, "*.cue")
	for _, file := range c.files {
		text, err := services.Files.ReadFile(file)
		must(err)
		c.text[file] = text
		for line := range bytes.Lines(text) {
			if name, _, ok := bytes.Cut(line, []byte(":")); ok && !bytes.ContainsFunc(name, notInNames) {
				c.declares[string(name)] = append(c.declares[string(name)], file)
			}
		}
	}
	return c
}

// mentions are the words of a file that are names of the catalogue.
func (c *catalogue) mentions(file string) (names []string) {
	for word := range bytes.FieldsFuncSeq(c.text[file], notInNames) {
		if name := string(word); c.declares[name] != nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func notInNames(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '#')
}
