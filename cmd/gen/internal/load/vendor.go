package load

import (
	"bytes"
	"io/fs"
	"maps"
	"path"
	"slices"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/schema"
	"gen.example/services"
)

// CopyDir is where editors and plain cue look for what the binary serves. gen
// itself never reads it: the binary alone decides what is compiled.
const CopyDir = "cue.mod/pkg/" + Module

// Copy is what belongs into CopyDir, by path.
func Copy() map[string][]byte {
	files := map[string][]byte{}
	for dir, from := range map[string]fs.FS{"schema": schema.Files, "services": services.Files} {
		names, err := fs.Glob(from, "*")
		if err != nil {
			panic("load: " + err.Error())
		}
		for _, name := range names {
			if files[path.Join(dir, name)], err = fs.ReadFile(from, name); err != nil {
				panic("load: " + err.Error())
			}
		}
	}
	return files
}

// CheckCopy finds what makes plain cue read other definitions than gen does.
func CheckCopy(root fs.FS) (found []*finding.Finding) {
	if _, err := fs.Stat(root, CopyDir); err == nil {
		if stale := staleFile(root); stale != "" {
			found = append(found, finding.New(finding.StaleCopy, FilePos(path.Join(CopyDir, stale)), "the copy for editors and cue is not what this gen brings").
				Hintf("gen vendor"))
		}
	}
	for _, dir := range []string{"cue.mod/gen/" + Module, "cue.mod/usr/" + Module} {
		if _, err := fs.Stat(root, dir); err == nil {
			found = append(found, finding.New(finding.Unsupported, FilePos(dir), "gen does not honour what cue adds to a package from here").
				Hintf("put a definition of your own into services/, built upon the catalogue's"))
		}
	}
	return found
}

// staleFile is the first file of the copy that is not the binary's, "" if none.
func staleFile(root fs.FS) string {
	want := Copy()
	have := map[string]bool{}
	err := fs.WalkDir(root, CopyDir, func(p string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && path.Ext(p) == ".cue" {
			have[p[len(CopyDir)+1:]] = true
		}
		return err
	})
	if err != nil {
		return "." // it cannot be read, so nothing can be said for it
	}
	for name := range want {
		have[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		b, err := fs.ReadFile(root, path.Join(CopyDir, name))
		if err != nil || want[name] == nil || !bytes.Equal(b, want[name]) {
			return name
		}
	}
	return ""
}

// OwnModule is the repository's own module path, "" without one.
func OwnModule(root fs.FS) (string, []*finding.Finding) {
	r := &repository{root: root}
	r.readModule()
	return r.module, r.findings
}

// HostNames are the hosts that the repository declares, as far as its files
// can be parsed. Nothing is evaluated.
func HostNames(root fs.FS) []string {
	r := &repository{root: root}
	r.readHosts()
	return r.hostNames()
}
