package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gen.example/cmd/gen/internal/finding"
)

// TestCodesAreDocumented keeps the table in this directory's README that of the program.
func TestCodesAreDocumented(t *testing.T) {
	const file, mark = "README.md", "\n|---|---|---|\n"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(b), mark)
	if !ok {
		t.Fatalf("%s has no table", file)
	}
	want := head + mark
	for _, m := range finding.Meanings {
		want += fmt.Sprintf("| %s | %s | %s |\n", m.Code, m.Means, map[bool]string{true: "refuses", false: ""}[slices.Contains(finding.AlsoCUE, m.Code)])
	}
	if *update {
		write(t, file, want)
	} else if string(b) != want {
		t.Errorf("the table in %s is not that of the program; %s", file, accept)
	}
}

// TestEveryCodeHasACase: a code without a case that fires it is a claim.
func TestEveryCodeHasACase(t *testing.T) {
	files, err := filepath.Glob(cases + "/*/err")
	if err != nil {
		t.Fatal(err)
	}
	var said string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		said += string(b)
	}
	seen := map[finding.Code]bool{}
	for _, m := range finding.Meanings {
		if seen[m.Code] {
			t.Errorf("%s is there twice", m.Code)
		}
		seen[m.Code] = true
		if !strings.Contains(said, ": "+string(m.Code)+": ") {
			t.Errorf("no case in golden/ fires %s: %s", m.Code, m.Means)
		}
	}
	source, err := os.ReadFile("internal/finding/codes.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), `Code = "GEN`); n != len(finding.Meanings) {
		t.Errorf("%d codes are declared, and %d have a meaning", n, len(finding.Meanings))
	}
}
