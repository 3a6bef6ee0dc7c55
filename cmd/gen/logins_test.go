package main

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

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
	const path = "/usr/local/etc/authentik/worker/blueprints/custom/gen.yaml"
	if old := bodyOf(t, before["vps1"], path); old == bodyOf(t, after["vps1"], path) {
		t.Errorf("the blueprint is the same:\n%s", old)
	}
}

// TestBlueprintStandsAlone: what an entry of a blueprint refers to, one before it
// makes. Authentik applies others at the same time, in any order; only its
// certificate it has before.
func TestBlueprintStandsAlone(t *testing.T) {
	referred := 0
	for file, text := range filesOf(t, "goauthentik/server", "/blueprints/custom/*.yaml") {
		var d struct{ Entries []yaml.Node }
		if err := yaml.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(file, err)
		}
		made := map[string]bool{"authentik_crypto.certificatekeypair name authentik Self-signed Certificate": true}
		for _, node := range d.Entries {
			var e struct {
				Model, ID   string
				Identifiers map[string]string
			}
			if err := node.Decode(&e); err != nil {
				t.Fatal(file, err)
			}
			for _, ref := range references(&node) {
				if referred++; !made[ref] {
					t.Errorf("%s: %s needs %s, which nothing before it makes", file, e.Model, ref)
				}
			}
			made[e.ID] = true
			for field, value := range e.Identifiers {
				made[e.Model+" "+field+" "+value] = true
			}
		}
	}
	if referred < 20 {
		t.Errorf("blueprints refer to something only %d times", referred)
	}
}

// references are what the tags !Find and !KeyOf below a node name.
func references(n *yaml.Node) (all []string) {
	switch n.Tag {
	case "!KeyOf":
		return []string{n.Value}
	case "!Find":
		by := n.Content[1].Content
		return []string{n.Content[0].Value + " " + by[0].Value + " " + by[1].Value}
	}
	for _, child := range n.Content {
		all = append(all, references(child)...)
	}
	return all
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
