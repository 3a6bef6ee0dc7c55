package render

import (
	"path"
	"strings"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/watch"
)

// The names that a service's parts have on the host. Checks and backends share
// them, so that a finding and a file cannot disagree.
const (
	quadlets = "/etc/containers/systemd/" // where podman's generator looks
	units    = "/etc/systemd/system/"     // where systemd does
	own      = "/usr/local/etc/"          // files for containers: nothing else writes there
	data     = "/srv/"                    // volumes

	tmpfilesUnit = "gen-tmpfiles.service"
	sysctlUnit   = "gen-sysctl.service"
)

// ContainerUnit is the service that podman's generator makes of a container.
func ContainerUnit(service, container string) string {
	return fleet.ContainerName(service, container) + ".service"
}

// PodmanSecret is the name of a service's secret in podman's store.
func PodmanSecret(service, secret string) string { return service + "." + secret }

// titled is what people call a service, with its name if that is another.
func titled(s *fleet.Service) string {
	switch {
	case s.Title.V == "":
		return s.Name.V
	case strings.EqualFold(s.Title.V, s.Name.V):
		return s.Title.V
	}
	return s.Title.V + " (" + s.Name.V + ")"
}

// VolumeDir is where a volume is on the host.
func VolumeDir(service, volume string) string { return data + service + "/" + volume }

// volumeSource is what a container mounts for a volume: its directory, or the
// quadlet of a named one.
func volumeSource(s *fleet.Service, volume string) string {
	if v, ok := s.Volumes.Get(volume); ok && v.Named.V {
		return namedVolume(s.Name.V, volume) + ".volume"
	}
	return VolumeDir(s.Name.V, volume)
}

// namedVolume is the name of a volume that podman keeps, and the stem of its unit.
func namedVolume(service, volume string) string { return service + "-" + volume }

// imageUnit is the service that podman's generator makes of an image's unit.
func imageUnit(service, image string) string { return service + "-" + image + "-image.service" }

// FilePath is where a container's file is on the host.
func FilePath(service, container, file string) string {
	return own + service + "/" + container + file
}

// UnitPath is where a unit or drop-in goes by its file name: quadlets to
// podman's directory, everything else to systemd's. A drop-in's directory is
// that of one unit (own.container.d) or of a kind (container.d).
func UnitPath(name string) string {
	unit, _, _ := strings.Cut(name, "/")
	kind := path.Ext("." + strings.TrimSuffix(unit, ".d"))
	switch kind {
	case ".container", ".network", ".volume", ".pod", ".image", ".build", ".kube":
		return quadlets + name
	}
	return units + name
}

// proxyContainer is the proxy's container and the directory of routes in it,
// and nothing on a host without one.
func proxyContainer(h *fleet.Host) (c *fleet.Container, dir string) {
	service, name, dir, ok := h.ProxyContainer()
	if !ok {
		return &fleet.Container{}, ""
	}
	s, _ := h.Services.Get(service)
	c, _ = s.Containers.Get(name)
	return c, dir
}

// ProxyPorts are the ports that the proxy publishes. Each is an entry point of
// the same name.
func ProxyPorts(h *fleet.Host) fleet.Map[*fleet.PublishedPort] {
	c, _ := proxyContainer(h)
	return c.Ports
}

// ProxyConfigured are the entry points in the proxy's own configuration, and
// nil if it is not among the documents that gen writes.
func ProxyConfigured(h *fleet.Host) *doc.Node {
	c, _ := proxyContainer(h)
	for _, f := range c.Files {
		if f.V.YAML != nil {
			if points := f.V.YAML.Get("entryPoints"); points != nil {
				return points
			}
		}
	}
	return nil
}

// EntryPoints are the proxy's entry points that lead to a route: its audience's
// own, and the further ones that it names.
func EntryPoints(r *fleet.Route) []fleet.Val[string] {
	first := fleet.Val[string]{V: "websecure", Pos: r.Audience.Pos}
	if r.Audience.V == "mesh" {
		first.V = "mesh"
	}
	points := []fleet.Val[string]{first}
	for _, p := range r.EntryPoints {
		if p.V != first.V {
			points = append(points, p)
		}
	}
	return points
}

// MetricsPath is where on that entry point a container's metrics are.
func MetricsPath(service, name string) string { return watch.MetricsPath(service, name) }

// secretTarget is where a container sees a secret.
func secretTarget(name string, u *fleet.SecretUse) string {
	if u.Path.Set {
		return u.Path.V
	}
	return "/run/secrets/" + name
}

// secretOwner is who may read a secret in a container.
func secretOwner(c *fleet.Container, u *fleet.SecretUse) string {
	switch {
	case u.Owner.Set:
		return u.Owner.V
	case c.User.Set:
		return c.User.V
	}
	return "0:0"
}

// mountDirs are the directories of a container, sorted, that are mounted as a
// whole: a file that is reloaded or watched is, because a mount of one file
// keeps showing the old one after it is replaced. Files below go with them.
func mountDirs(c *fleet.Container) map[string]bool {
	dirs := map[string]bool{}
	for _, f := range c.Files {
		if f.V.On.V != "restart" {
			dirs[path.Dir(f.Name)] = true
		}
	}
	for _, d := range c.Derived {
		dirs[d.Name] = true
	}
	for dir := range dirs {
		for above := path.Dir(dir); above != "/"; above = path.Dir(above) {
			if dirs[above] {
				delete(dirs, dir)
			}
		}
	}
	return dirs
}
