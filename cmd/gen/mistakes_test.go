package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExampleMistakes makes mistakes in the example fleet: each is told once, at
// the line that was changed, and nothing that only follows from it.
func TestExampleMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		does func(dir string) error
		want []string // places, each with its code
	}{
		{"a drill of nobody's backups", replace("vps1.cue", `drills: ["vps2"]`, `drills: ["vps3"]`), []string{"hosts/vps1.cue:12:20 GEN407"}},
		{"a login through nobody", replace("vps2.cue", `{sso: enabled: true}`, `{sso: {enabled: true, domain: "notes.example.org"}}`), []string{"hosts/vps2.cue:22:61 GEN221"}},
		{"a service that may face the internet, misspelt", replace("vps1.cue", `["traefik"]`, `["traefic"]`), []string{"hosts/vps1.cue:11:13 GEN218"}},
		{"an image of the store's", replace("fleet.cue", `"example-backups"}`, `"example-backups", kopia: "kopia:latest"}`), []string{"hosts/fleet.cue:15:72 GEN301"}},
		{"what is missing in a shared service", replace("vps1.cue", ` & {acme: email: "ada@example.org"}`, ""), []string{"hosts/vps1.cue:21:2 GEN111"}},
		{"a host out of the mesh", replace("vps1.cue", "\tmesh: {address: \"10.44.0.1\", publicKey: \"NBdJA0Id9pXGRrDOSY5N1TjbXzlNnclOTWMhupErIko=\"}\n", ""),
			[]string{"hosts/secrets/production.vps1.wireguard.age:1:1 GEN511", "hosts/vps1.cue:6:8 GEN231"}},
		{"a key of another host's", func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, "keys/vps2.pub"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "keys/vps1.pub"), b, 0o644)
		}, []string{"hosts/keys/vps2.pub:1:1 GEN507"}},
		{"a secret of another environment's", func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, "secrets/production.hedgedoc.db-password.age"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "secrets/staging.hedgedoc.db-password.age"), b, 0o644)
		}, []string{"hosts/secrets/staging.hedgedoc.db-password.age:1:1 GEN512"}},
		{"a host that CUE refuses, and a secret that another one misses", func(dir string) error {
			if err := os.Remove(filepath.Join(dir, "secrets/production.grafana.secret-key.age")); err != nil {
				return err
			}
			return replace("vps1.cue", `"debian-13"`, "13")(dir)
		}, []string{"hosts/vps1.cue:7:12 GEN112", "hosts/vps2.cue:22:3 GEN503"}},
		{"three hosts and the fleet", func(dir string) error {
			for _, r := range []func(string) error{
				replace("vps1.cue", `"debian-13"`, "13"),
				replace("vps2.cue", `"mesh"`, `"mech"`),
				replace("staging.cue", `"staging"`, `"stagging"`),
				replace("fleet.cue", "bucket:", "bukket:"),
			} {
				if err := r(dir); err != nil {
					return err
				}
			}
			return nil
		}, []string{"hosts/fleet.cue:15:38 GEN110", "hosts/staging.cue:8:15 GEN112", "hosts/vps1.cue:7:12 GEN112", "hosts/vps2.cue:15:13 GEN112"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(filepath.Join(dir, "hosts"), os.DirFS(filepath.Join(repository, "hosts"))); err != nil {
				t.Fatal(err)
			}
			if err := c.does(filepath.Join(dir, "hosts")); err != nil {
				t.Fatal(err)
			}
			said, code := gen(t, "check", "-C", dir)
			var places []string
			for _, f := range toldIn(t, said) {
				places = append(places, f.at+" "+f.code)
			}
			if code != found || !slices.Equal(places, c.want) {
				t.Errorf("exit %d, found at %q, want %q:\n%s", code, places, c.want, said)
			}
		})
	}
}

// replace changes the first of some text in a file.
func replace(file, old, by string) func(dir string) error {
	return func(dir string) error {
		name := filepath.Join(dir, file)
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !strings.Contains(string(b), old) {
			panic(file + " has no " + old)
		}
		return os.WriteFile(name, []byte(strings.Replace(string(b), old, by, 1)), 0o644)
	}
}
