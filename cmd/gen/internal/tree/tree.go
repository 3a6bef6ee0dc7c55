// Package tree is what gen writes for a host while it is still in memory: files
// at their places, each with one writer and the place in CUE that asked for it.
// Closing a tree proves that what its units name is in it, and says who reads what.
package tree

import (
	"cmp"
	"slices"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/unit"
)

// A File is a file on the host.
type File struct {
	Path  string     // absolute
	Mode  string     // four octal digits
	Owner string     // numeric owner:group
	Body  []byte     // of a unit only once the tree is closed: it follows from Unit
	Unit  *unit.File // of a unit or a drop-in
	Want  string     // of a unit: what install does with it, "" for what its kind suggests
	Doc   *doc.Node  // of a document: where its fields come from
	On    string     // what a change means to its readers: restart, reload or watch
	Units []string   // its readers, besides units whose own lines name it
	Pos   token.Pos  // the place in CUE that asked for it

	sum string // once the tree is closed
}

// Bytes are the file's contents.
func (f *File) Bytes() []byte {
	if f.Unit != nil && f.Body == nil {
		return f.Unit.Bytes()
	}
	return f.Body
}

// Sum is the hex SHA-256 of the contents of a file in a closed tree.
func (f *File) Sum() string { return f.sum }

// A Secret is a ciphertext that travels with the tree and the places its
// plaintext goes to.
type Secret struct {
	Name    string // hosts/secrets/<name>.age
	Targets []Target
	Payload string // hex SHA-256 of the ciphertext without its header
	Bytes   []byte
}

// A Target is a podman secret, "podman:<name>", or a file on the host.
type Target struct {
	At    string
	Owner string   // of a file
	Mode  string   // of a file
	Units []string // that read the file, besides those whose own lines name it
	Pos   token.Pos
}

// A Line is what the stored data of one component looks like.
type Line struct {
	Service, Component, Line string
	Accepts                  []string // the line itself included, or "*"
	Units                    []string
}

// A Tree is everything gen writes for one host. The zero Tree is empty.
type Tree struct {
	Host    string
	Files   []*File
	Secrets []*Secret
	Lines   []Line
	Images  []string
	Logins  []string // addresses and ports at which operators log in once it is installed, the best first
	Runbook []byte   // for people; it stays with the operator

	// UserData is what a fresh machine is given to become the host, by the
	// SHA-256 of the bundle's SHA256SUMS. Nil for what is no host.
	UserData func(sums string) []byte
	// Identity is the host's identity, encrypted to the operators. Nil without one.
	Identity []byte

	byPath map[string]*File
	units  map[string]*Unit // once it is closed
}

// Add puts files in. A second writer of a path is kept for Close to find.
func (t *Tree) Add(files ...*File) {
	if t.byPath == nil {
		t.byPath = map[string]*File{}
	}
	for _, f := range files {
		t.Files = append(t.Files, f)
		if t.byPath[f.Path] == nil {
			t.byPath[f.Path] = f
		}
	}
}

// Sort puts everything in the order in which it is written.
func (t *Tree) Sort() {
	slices.SortStableFunc(t.Files, func(a, b *File) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(t.Secrets, func(a, b *Secret) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(t.Lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Component, b.Component))
	})
}
