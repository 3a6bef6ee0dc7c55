package check

import (
	"strconv"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
)

// volumes checks that a copy of each volume would be a consistent one, or that
// there is a written reason why there is none.
func (c *hostChecker) volumes(s fleet.Entry[*fleet.Service]) {
	for _, v := range s.V.Volumes {
		where := at(v.V.Backup.Pos, v.Pos, s.Pos)
		what := s.Name + "'s volume " + v.Name
		if strings.TrimSpace(v.V.Why.V) != "" {
			c.line(v.V.Why.V, what+": its reason", at(v.V.Why.Pos, v.Pos, s.Pos))
		}
		if !mounted(s.V, v.Name) && !misnamed(s.V) {
			c.find(finding.NoSuchVolume, at(v.Pos, s.Pos), "%s is mounted by no container", what).
				Hintf("a container says volumes: %s: and the path in it", v.Name)
		}
		if v.V.Named.V && v.V.Mode.V != "0700" {
			c.find(finding.Backup, at(v.V.Mode.Pos, v.Pos, s.Pos), "%s is kept by podman, which gives it the mode of the image's directory", what).
				Hintf("leave out mode")
		}
		switch b := v.V.Backup.V; {
		case v.V.Named.V && b != "none":
			c.find(finding.Backup, where, "%s is kept by podman and would be missing in every backup", what).
				Hintf("say backup: \"none\" and why, or leave out named")
		case b == "none" && strings.TrimSpace(v.V.Why.V) == "":
			c.find(finding.Backup, where, "%s has no backup, and no reason why", what).
				Hintf("say why: \"…\"; it appears in the reports")
		case b == "dump" && c.databaseOn(s.V, v.Name) == nil:
			c.find(finding.Backup, where, "%s is to be dumped, and no container with a database mounts it", what).
				Hintf("the container says database: {engine: …, name: …, user: …}")
		case b == "copy" && c.databaseOn(s.V, v.Name) != nil:
			c.find(finding.Backup, where, "%s would be copied while its database writes to it", what).
				Hintf("say backup: \"dump\" or \"stop\"")
		case b == "copy" && strings.TrimSpace(v.V.Why.V) == "":
			c.find(finding.Backup, where, "%s is to be copied while it may be written to, and there is no reason why that does no harm", what).
				Hintf("say backup: \"stop\", or why: \"…\", such as: files are written once")
		case b == "snapshot" && !c.host.Backups.Snapshots.Set:
			c.find(finding.Backup, where, "%s is to be copied from a snapshot, and the host does not say what makes one", what).
				Hintf("say backups: snapshots: \"btrfs\" or \"lvm\" at the host, if /srv is on one, or backup: \"stop\"")
		}
		if len(v.V.Unit) > 0 && !v.V.Named.V {
			c.find(finding.UnitKey, at(v.V.Unit[0].Pos, v.Pos, s.Pos), "%s is a directory, and has no unit", what).
				Hintf("podman keeps it with named: true")
		}
		c.sections(v.V.Unit, "volume", what, s.Pos)
	}
}

func mounted(s *fleet.Service, volume string) bool {
	for _, c := range s.Containers {
		if _, ok := c.V.Volumes.Get(volume); ok {
			return true
		}
	}
	return false
}

// misnamed reports whether a container mounts a volume that is not there: it
// may mean one that nobody seems to mount.
func misnamed(s *fleet.Service) bool {
	for _, c := range s.Containers {
		for _, v := range c.V.Volumes {
			if _, ok := s.Volumes.Get(v.Name); !ok {
				return true
			}
		}
	}
	return false
}

func (c *hostChecker) databaseOn(s *fleet.Service, volume string) *fleet.Database {
	for _, cont := range s.Containers {
		if _, mounts := cont.V.Volumes.Get(volume); mounts && cont.V.Database != nil {
			return cont.V.Database
		}
	}
	return nil
}

// pod checks that containers which share one network do not get into each
// other's way, and that a way to one of them is none to a database.
func (c *hostChecker) pod(s fleet.Entry[*fleet.Service]) {
	if !s.V.Pod.V {
		return
	}
	type owner struct {
		name string
		pos  token.Pos
	}
	listening := map[int]owner{}
	routed := ""
	for _, cont := range s.V.Containers {
		where := at(cont.Pos, s.V.Pod.Pos, s.Pos)
		if cont.V.HostNetwork.V {
			c.find(finding.Pod, append(at(cont.V.HostNetwork.Pos), where...), "%s: %s is on the host's network, and in a pod, where all share the pod's", s.Name, cont.Name).
				Hintf("leave out hostNetwork, or make it a service of its own")
		}
		for _, a := range []fleet.Val[string]{cont.V.Address, cont.V.Address6} {
			if a.Set {
				c.find(finding.Pod, append(at(a.Pos), where...), "%s: %s has the address %s, and is in a pod, where all share the pod's", s.Name, cont.Name, a.V).
					Hintf("leave it out")
			}
		}
		if cont.Name == "infra" || cont.Name == "pod" {
			c.find(finding.Pod, where, "%s: a container of a pod cannot be called %s: that is the pod's own", s.Name, cont.Name).
				Hintf("call it otherwise")
		}
		for _, port := range ports(cont.V) {
			if o, ok := listening[port.V]; ok && o.name != cont.Name {
				c.find(finding.Pod, at(port.Pos, cont.Pos, s.Pos), "%s: %s and %s both listen on port %d of the pod", s.Name, o.name, cont.Name, port.V).And(o.pos).
					Hintf("in a pod all containers share one network: let one of them listen elsewhere, or leave out pod")
			}
			listening[port.V] = owner{cont.Name, port.Pos}
		}
		if len(cont.V.Routes) > 0 {
			routed = "the route to " + cont.Name
		} else if len(cont.V.Metrics) > 0 && routed == "" && c.host.ServesMetrics() {
			routed = "serving the metrics of " + cont.Name
		}
	}
	for _, cont := range s.V.Containers {
		if d := cont.V.Database; routed != "" && d != nil && !d.Localhost.V {
			c.find(finding.Pod, at(s.V.Pod.Pos, d.Name.Pos, cont.Pos, s.Pos), "%s: %s puts the pod on the proxy's network, and with it the database %s", s.Name, routed, cont.Name).
				Hintf("let it listen on localhost alone and say database: localhost: true, or leave out pod")
		}
	}
}

// ports are those that a container says it listens on.
func ports(c *fleet.Container) (out []fleet.Val[int]) {
	for _, p := range c.Ports {
		out = append(out, p.V.Container)
	}
	for _, r := range c.Routes {
		out = append(out, r.V.Port)
	}
	for _, m := range c.Metrics {
		out = append(out, m.V.Port)
	}
	for _, e := range c.Expose {
		if n, err := strconv.Atoi(e.V); err == nil {
			out = append(out, fleet.Val[int]{V: n, Pos: e.Pos})
		}
	}
	return out
}
