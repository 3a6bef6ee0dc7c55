package main

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/tree"
)

// TestSharedSecretRestarts: a new value of a secret that a service shares with
// the provider of its logins restarts the two, on their two hosts, and nothing
// else. The blueprint is another file then, for Authentik applies none twice.
func TestSharedSecretRestarts(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(repository))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	before := treesOf(f)
	const name = "production.grafana.oauth-client-secret"
	c := f.Ciphertexts[name]
	c.Payload = "another"
	f.Ciphertexts[name] = c
	after := treesOf(f)
	for host, want := range map[string][]string{
		"vps1": {"authentik-worker.service restart"}, "vps2": {"grafana-app.service restart"}, "staging": nil,
	} {
		var changed []string
		old := stampsOf(before[host])
		for stamp, value := range stampsOf(after[host]) {
			if old[stamp] != value {
				changed = append(changed, stamp)
			}
		}
		slices.Sort(changed)
		if diff := cmp.Diff(want, changed); diff != "" {
			t.Errorf("on %s other stamps change (+) than those of who reads it (-):\n%s", host, diff)
		}
	}
	const path = "/usr/local/etc/authentik/worker/blueprints/custom/grafana.yaml"
	if old := bodyOf(t, before["vps1"], path); old == bodyOf(t, after["vps1"], path) {
		t.Errorf("the blueprint is the same:\n%s", old)
	}
}

func treesOf(f *fleet.Fleet) map[string]*tree.Tree {
	all := map[string]*tree.Tree{}
	for _, h := range f.Hosts {
		all[h.Name.V] = render.Host(f, h)
	}
	return all
}

func bodyOf(t *testing.T, tr *tree.Tree, path string) string {
	t.Helper()
	i := slices.IndexFunc(tr.Files, func(f *tree.File) bool { return f.Path == path })
	if i < 0 {
		t.Fatalf("there is no %s", path)
	}
	return string(tr.Files[i].Body)
}
