package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ledger "gen.example/cmd/gen/internal/exposure"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/watch"
)

// A board is a dashboard as far as it is looked at here.
type board struct {
	UID, Title    string
	SchemaVersion int
	Panels        []struct {
		ID      int
		Title   string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ RefID, Expr string }
	}
}

// TestDashboards: every query of a dashboard is PromQL and asks for what the
// fleet exports, and no panel lies over another. Their fields are looked at with
// those of other programs.
func TestDashboards(t *testing.T) {
	f, fs := load.Fleet(os.DirFS(repository))
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	targets := watch.Targets(f, ledger.Of(f), watch.Prometheis(f)[0])
	files, err := filepath.Glob("../../golden/fleet/vps2/rootfs/usr/local/etc/grafana/app/etc/grafana/dashboards/*/*.json")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n")
	uids := map[string]bool{}
	for _, file := range files {
		var b board
		if err := json.Unmarshal([]byte(read(t, file)), &b); err != nil {
			t.Fatal(file, err)
		}
		if b.SchemaVersion != 36 || uids[b.UID] || len(b.UID) > 40 || len(b.Panels) == 0 {
			t.Errorf("%s: %s of schema %d is twice or has no panels", file, b.UID, b.SchemaVersion)
		}
		uids[b.UID] = true
		fmt.Fprintf(&rules, "- name: %s\n  rules:\n", b.UID)
		taken := map[[2]int]string{}
		for i, p := range b.Panels {
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other, ok := taken[[2]int{x, y}]; ok || x > 23 {
						t.Fatalf("%s: %s lies over %s", file, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			for j, q := range p.Targets {
				expr := strings.NewReplacer("$__rate_interval", "5m", "${service}", "x", "$service", "x", "$host", "x").Replace(q.Expr)
				fmt.Fprintf(&rules, "  - record: board:p%d_%d\n    expr: %q\n", i, j, expr)
				for _, name := range watch.Names(expr) {
					if !exportedAtAll(name, targets) {
						t.Errorf("%s: %s asks for %s, which nobody exports", file, p.Title, name)
					}
				}
			}
		}
	}
	made := filepath.Join(t.TempDir(), "rules.yml")
	write(t, made, rules.String())
	if said, err := exec.Command(tool(t, "promtool"), "check", "rules", "--lint=none", made).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

func exportedAtAll(name string, targets []*watch.Target) bool {
	for _, always := range watch.Always {
		if strings.HasPrefix(name, always) {
			return true
		}
	}
	return watch.Exported(name, targets)
}
