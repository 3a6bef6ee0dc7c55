package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tables are the files that say all there is to know of services, in which no
// cell may be empty: the example's, the catalogue's, and one made in CUE alone.
var tables = []string{
	"../../golden/fleet/fleet/services.md",
	cases + "/catalogue/want/fleet/services.md",
	cases + "/immich/want/fleet/services.md",
}

// TestCatalogueIsComplete: of every service everything is said, or why not.
func TestCatalogueIsComplete(t *testing.T) {
	for _, file := range tables {
		service := ""
		for line := range strings.Lines(read(t, file)) {
			if name, ok := strings.CutPrefix(line, "### "); ok {
				service = strings.TrimSpace(name)
			}
			if !strings.HasPrefix(line, "|") {
				continue
			}
			cells := strings.Split(strings.ReplaceAll(strings.Trim(strings.TrimSpace(line), "|"), `\|`, ""), "|")
			if slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
				t.Errorf("%s: %s says nothing here: %s", file, service, line)
			}
		}
		if service == "" {
			t.Errorf("%s has no services", file)
		}
	}
}

var definition = regexp.MustCompile(`(?m)^#([A-Za-z]+): my=\{\n\tschema\.#Service\n`)

// TestCatalogueIsWhole: the case that shows the catalogue has every service of it.
func TestCatalogueIsWhole(t *testing.T) {
	files, err := filepath.Glob("../../services/*.cue")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	fleet := read(t, cases+"/catalogue/hosts/fleet.cue")
	seen := 0
	for _, file := range files {
		for _, d := range definition.FindAllStringSubmatch(read(t, file), -1) {
			seen++
			if !strings.Contains(fleet, "catalog.#"+d[1]) {
				t.Errorf("golden/cases/catalogue has no %s", d[1])
			}
		}
	}
	if seen < 11 {
		t.Errorf("only %d services were found", seen)
	}
}

// TestCatalogueInReadme keeps the tables in services/README.md those that gen writes.
func TestCatalogueInReadme(t *testing.T) {
	const file, mark = "../../services/README.md", "<!-- What follows is written by go test ./cmd/gen -update. -->\n"
	text := read(t, file)
	head, _, ok := strings.Cut(text, mark)
	_, written, _ := strings.Cut(read(t, cases+"/catalogue/want/fleet/services.md"), "\n### ")
	if !ok || written == "" {
		t.Fatalf("%s has no place for the tables, or there are none", file)
	}
	want := head + mark + "\n" + strings.ReplaceAll("### "+written, " on all\n", "\n")
	if *update {
		write(t, file, want)
	} else if text != want {
		t.Errorf("the tables in %s are not those of the program; %s", file, accept)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
