package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestManual: the page has every command, option and exit code, and mandoc
// has nothing against it.
func TestManual(t *testing.T) {
	said, code := gen(t, "man")
	if code != ok || said != manualPage {
		t.Fatalf("exit %d: %.200s", code, said)
	}
	has := func(macro string) bool {
		for line := range strings.Lines(manualPage) {
			if strings.Contains(line+" ", macro+" ") || strings.Contains(line, macro+"\n") {
				return true
			}
		}
		return false
	}
	for _, v := range verbNames() {
		if !has("Cm " + v) {
			t.Errorf("it does not have gen %s", v)
		}
		if !has(".Ss gen "+v) && !isForShells(v) {
			t.Errorf("it does not explain gen %s", v)
		}
	}
	for v := range secretVerbs {
		if !has(".It Cm " + v) {
			t.Errorf("it does not have gen secret %s", v)
		}
	}
	(&command{}).options().VisitAll(func(f *pflag.Flag) {
		if !has("Fl "+f.Name) || f.Shorthand != "" && !has("Fl "+f.Shorthand) {
			t.Errorf("it does not have -%s", f.Name)
		}
	})
	for _, code := range []string{"0", "1", "2", "3"} {
		if !has(".It " + code) {
			t.Errorf("it does not have exit status %s", code)
		}
	}

	mandoc := tool(t, "mandoc")
	if said, err := exec.Command(mandoc, "-T", "lint", "-W", "warning", "gen.1").CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestUsageHasEveryVerb: the text of -help is written by hand.
func TestUsageHasEveryVerb(t *testing.T) {
	for _, v := range verbNames() {
		if !strings.Contains(usage, "\n    gen "+v) && !isForShells(v) {
			t.Errorf("gen -help does not have gen %s", v)
		}
	}
}
