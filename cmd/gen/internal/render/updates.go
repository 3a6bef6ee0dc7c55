package render

import (
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// updates is the timer of podman's auto-update on hosts that have containers
// for it. It takes the place of Debian's own, which is off, and random. To
// podman an image that it took back is no failure, and who looks at failed units
// would never hear that a service goes down for a while every night: a drop-in says so.
func updates(f *fleet.Fleet, h *fleet.Host) []*tree.File {
	const name = "podman-auto-update.timer"
	const service = "podman-auto-update.service"
	const tookBack = `journalctl --sync; ! journalctl -q -o cat "_SYSTEMD_INVOCATION_ID=$INVOCATION_ID" | grep "rolled back"`
	var pos token.Pos
	for _, s := range h.Services {
		for _, c := range s.V.Containers {
			if c.V.Update.V == "minor" && !pos.IsValid() {
				pos = c.V.Update.Pos
			}
		}
	}
	if !pos.IsValid() {
		return nil
	}
	definition := "fleet.updateTime"
	u := &unit.File{Comment: madeBy(definition)}
	u.Section("Unit").Add("Description", "Newer images within the lines that containers follow", pos)
	t := u.Section("Timer")
	t.Add("OnCalendar", "*-*-* "+f.UpdateTime.V+":00", f.UpdateTime.Pos)
	t.Add("Persistent", "true", pos)
	u.Section("Install").Add("WantedBy", "timers.target", pos)
	fails := &unit.File{Comment: madeBy(definition)}
	fails.Section("Service").Add("ExecStartPost", unit.Words([]string{"/bin/sh", "-c", tookBack}), pos)
	return []*tree.File{
		{Path: UnitPath(service) + ".d/50-gen.conf", Mode: "0644", Owner: "0:0", Unit: fails, Pos: pos},
		{Path: UnitPath(name), Mode: "0644", Owner: "0:0", Unit: u, Pos: pos},
		boot(name, unit.Line{Value: "timers.target", Pos: pos}, "Wants", definition),
	}
}
