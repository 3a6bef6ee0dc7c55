package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandLine: every spelling of an option, and every way to get it wrong.
func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args   string
		code   int
		stdout string // part of it
		stderr string // part of it
		wrote  string // the directories in OUT
	}{
		{"-host vps1 -o OUT", ok, "", "", "vps1"},
		{"--host vps1 -o OUT", ok, "", "", "vps1"},
		{"-host=vps1 -o OUT", ok, "", "", "vps1"},
		{"--host=vps1 -oOUT", ok, "", "", "vps1"},
		{"-host vps2 -host=vps1 --host vps1 -out=OUT", ok, "", "", "vps1 vps2"},
		{"-o OUT", ok, "", "", "fleet staging vps1 vps2"},
		{"-out OUT", ok, "", "", "fleet staging vps1 vps2"},
		{"check", ok, "", "", ""},
		{"check -C ../../golden/cases/no-hosts", found, "", "GEN107", ""},
		{"-o OUT -C ../../golden/cases/no-hosts", found, "", "GEN107", ""},
		{"-h", ok, "Usage:", "", ""},
		{"-help", ok, "Usage:", "", ""},
		{"--help", ok, "Usage:", "", ""},
		{"-version", ok, "gen ", "", ""},
		{"--version", ok, "gen ", "", ""},
		{"-hots vps1 -o OUT", misused, "", `did you mean "host"?`, ""},
		{"-x", misused, "", "see gen -help", ""},
		{"-oelsewhere", misused, "", "as in -o out", ""},
		{"-outt OUT", misused, "", `did you mean "out"?`, ""},
		{"-verbose", misused, "", "there is no option -verbose", ""},
		{"--hosts vps1", misused, "", "see gen -help", ""},
		{"-host", misused, "", "see gen -help", ""},
		{"-host vps3 -o OUT", misused, "", "there are staging, vps1, vps2", ""},
		{"-host fleet -o OUT", misused, "", "there are staging, vps1, vps2", ""},
		{"chekc", misused, "", `did you mean "check"?`, ""},
		{"check check", misused, "", "gen check does not know what to do with check", ""},
		{"check -host vps1", misused, "", "gen check has no option -host; it belongs to gen", ""},
		{"check -json -github", misused, "", "not as both", ""},
		{"check -force", misused, "", "gen check has no option -force; it belongs to gen secret", ""},
		{"-i key -o OUT", misused, "", "gen has no option -identity; it belongs to gen secret", ""},
		{"secret -help", ok, "gen secret init-host", "", ""},
		{"secret", misused, "", "say what to do", ""},
		{"mesh", misused, "", "say for which peer", ""},
		{"mesh laptop", ok, "Endpoint = 203.0.113.10:51820", "", ""},
		{"mesh laptpo", misused, "", `did you mean "laptop"?`, ""},
		{"mesh laptop -key /nonexistent", misused, "", "the key cannot be read", ""},
		{"mesh laptop -key main.go", misused, "", "not the private half of laptop's publicKey:", ""},
		{"mesh laptop -C " + cases + "/small", misused, "", "the mesh has no peers but hosts", ""},
		{"mesh laptop -C " + cases + "/no-hosts", found, "", "GEN107", ""},
		{"secrte", misused, "", `did you mean "secret"?`, ""},
		{"secret list", ok, "production.hedgedoc.dbURL", "", ""},
		{"-C /nonexistent -o OUT", misused, "", "/nonexistent", ""},
		{"-C main.go -o OUT", misused, "", "not a directory", ""},
		{"-o main.go", misused, "", "main.go is not a directory; name another directory with -o", ""},
		{"-out=", misused, "", "gen: -o needs a directory", ""},
		{"diff -o OUT", found, "+++ b/vps1/HOST", "", ""},
		{"diff -host vps2 -o OUT", found, "+++ b/vps2/HOST", "", ""},
		{"diff -o ../../golden/fleet", ok, "", "", ""},
		{"diff -host vps3 -o OUT", misused, "", "there are staging, vps1, vps2", ""},
		{"diff -o main.go", misused, "", "main.go is not a directory", ""},
		{"diff HEAD", misused, "", "gen diff does not know what to do with HEAD", ""},
		{"diff -C ../../golden/cases/no-hosts", found, "", "GEN107", ""},
		{"check -golden ../../golden/fleet", ok, "", "", ""},
		{"check -golden OUT", found, "", "GEN701", ""},
		{"check -golden main.go", misused, "", "main.go is not a directory; name another directory with -golden", ""},
		{"check -golden=", misused, "", "gen: -golden needs a directory", ""},
		{"check -golden", misused, "", "see gen -help", ""},
		{"-golden OUT", misused, "", "gen has no option -golden; it belongs to gen check", ""},
	} {
		t.Run(c.args, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			args := strings.Fields(strings.ReplaceAll(c.args, "OUT", out))
			if !strings.Contains(c.args, "-C ") {
				args = append(args, "-C", repository)
			}
			var stdout, stderr bytes.Buffer
			if code := run(args, &stdout, &stderr); code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			if !strings.Contains(stdout.String(), c.stdout) || c.stdout == "" && stdout.Len() > 0 {
				t.Errorf("it prints %q, want %q", stdout.String(), c.stdout)
			}
			if !strings.Contains(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
				t.Errorf("it says %q, want %q", stderr.String(), c.stderr)
			}
			var wrote []string
			entries, _ := os.ReadDir(out)
			for _, e := range entries {
				wrote = append(wrote, e.Name())
			}
			if strings.Join(wrote, " ") != c.wrote {
				t.Errorf("it wrote %v, want %s", wrote, c.wrote)
			}
		})
	}
}
