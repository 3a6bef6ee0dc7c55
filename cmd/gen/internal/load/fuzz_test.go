package load

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"gen.example/cmd/gen/internal/finding"
)

// FuzzMistakes: whatever is done to a repository's CUE, loading it ends in a
// fleet or in findings, each at a place and with a hint.
func FuzzMistakes(f *testing.F) {
	if testing.Short() {
		f.Skip("the seeds are the cases of golden/")
	}
	files, err := filepath.Glob("../../../../golden/cases/*/hosts/fleet.cue")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) < 2000 {
			f.Add(string(b))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "for") > 3 || strings.Count(text, "*") > 20 || len(text) > 4000 {
			return // what takes long to compute is no mistake
		}
		fleet, found := Fleet(fstest.MapFS{"hosts/fleet.cue": {Data: []byte(text)}})
		if len(found) == 0 && len(fleet.Hosts) == 0 {
			t.Error("there is neither a fleet nor a finding")
		}
		for _, f := range found {
			if !f.Pos.IsValid() || f.Hint == "" || finding.Place(f.Pos) == "-" {
				t.Errorf("%s: %s: %s (hint %q)", finding.Place(f.Pos), f.Code, f.What, f.Hint)
			}
		}
	})
}
