package podman

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Instead is what to write in place of a key that is too new, as the end of a hint.
func Instead(key string) string {
	if alternative, ok := instead[key]; ok {
		return "; " + alternative
	}
	return ""
}

// instead holds what older podman offers: an option of podman run is passed on as it stands.
var instead = map[string]string{
	"Memory":        "say memory: of the container, which becomes MemoryMax=",
	"ReloadCmd":     "say reload: command: of the container",
	"ReloadSignal":  "say reload: signal: of the container",
	"InterfaceName": "gen names the bridge by itself",
	"HttpProxy":     "say PodmanArgs: \"--http-proxy=false\"",
	"Retry":         "say PodmanArgs: \"--retry=3\"",
	"RetryDelay":    "say PodmanArgs: \"--retry-delay=10s\"",
}

// Refuse says what a key's value would have to be in a unit of that kind
// ("container", "service", …), or "" if it is right. Podman's generator passes
// most of these on as they are, and podman run refuses them, or worse.
func Refuse(kind, section, key, value string) string {
	v, ok := values[kind+"."+section+"."+key]
	if !ok {
		v, ok = values[section+"."+key]
	}
	if !ok || value == "" || v.ok(value) {
		return ""
	}
	return v.want
}

// A valueKind is what the values of a key may be.
type valueKind struct {
	want string
	ok   func(string) bool
}

var (
	boolean  = oneOf("true", "false", "yes", "no", "on", "off", "1", "0")
	duration = valueKind{"a time such as 30s", func(s string) bool { _, err := time.ParseDuration(s); return err == nil }}
	timing   = valueKind{"a time such as 30s, or disable", func(s string) bool { return s == "disable" || duration.ok(s) }}
	whole    = valueKind{"a whole number", func(s string) bool { _, err := strconv.ParseUint(s, 10, 32); return err == nil }}
	ports    = valueKind{"a port such as 127.0.0.1:8080:80/tcp", publishPort}
	address  = valueKind{"an address", func(s string) bool { _, err := netip.ParseAddr(s); return err == nil }}
	network  = valueKind{"a network such as 10.89.0.0/24", func(s string) bool { _, err := netip.ParsePrefix(s); return err == nil }}
	span     = valueKind{"a time as systemd reads it, such as 5min, or infinity", timespan.MatchString}
	amount   = valueKind{"an amount of memory such as 512M, a percentage, or infinity", size.MatchString}
)

var timespan = regexp.MustCompile(`^(infinity|([0-9]+(\.[0-9]+)? ?(us|usec|µs|ms|msec|s|sec|second|seconds|m|min|minute|minutes|h|hr|hour|hours|d|day|days|w|week|weeks)? ?)+)$`)
var size = regexp.MustCompile(`^(infinity|[0-9]+[KMGT]?|[0-9]+(\.[0-9]+)?%)$`)

func oneOf(words ...string) valueKind {
	return valueKind{"one of " + strings.Join(words, ", "), func(s string) bool { return slices.Contains(words, s) }}
}

// values are what each key's may be, by section and key, or by kind of unit,
// section and key.
var values = map[string]valueKind{
	"container.Service.KillMode":      oneOf("mixed", "control-group"),
	"container.Service.Type":          oneOf("notify", "oneshot"),
	"Container.AutoUpdate":            oneOf("registry", "local"),
	"Container.EnvironmentHost":       boolean,
	"Container.HealthInterval":        timing,
	"Container.HealthOnFailure":       oneOf("none", "kill", "restart", "stop"),
	"Container.HealthRetries":         whole,
	"Container.HealthStartPeriod":     duration,
	"Container.HealthStartupInterval": timing,
	"Container.HealthStartupRetries":  whole,
	"Container.HealthStartupSuccess":  whole,
	"Container.HealthStartupTimeout":  duration,
	"Container.HealthTimeout":         duration,
	"Container.IP":                    address,
	"Container.IP6":                   address,
	"Container.NoNewPrivileges":       boolean,
	"Container.Notify":                oneOf("true", "false", "yes", "no", "on", "off", "1", "0", "healthy"),
	"Container.PublishPort":           ports,
	"Container.Pull":                  oneOf("always", "missing", "never", "newer"),
	"Container.ReadOnly":              boolean,
	"Container.ReadOnlyTmpfs":         boolean,
	"Container.RunInit":               boolean,
	"Container.SecurityLabelDisable":  boolean,
	"Container.StopTimeout":           whole,
	"Network.DisableDNS":              boolean,
	"Network.Gateway":                 address,
	"Network.IPv6":                    boolean,
	"Network.Internal":                boolean,
	"Network.Subnet":                  network,
	"Pod.PublishPort":                 ports,
	"Service.KillMode":                oneOf("control-group", "mixed", "process", "none"),
	"Service.MemoryHigh":              amount,
	"Service.MemoryMax":               amount,
	"Service.RemainAfterExit":         boolean,
	"Service.Restart":                 oneOf("no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"),
	"Service.RestartSec":              span,
	"Service.TimeoutSec":              span,
	"Service.TimeoutStartSec":         span,
	"Service.TimeoutStopSec":          span,
	"Service.Type":                    oneOf("simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"),
	"Timer.Persistent":                boolean,
	"Timer.RandomizedDelaySec":        span,
}

// publishPort is [[ip:][host]:]container[/protocol] with ranges (podman-run(1)).
func publishPort(s string) bool {
	s, protocol, _ := strings.Cut(s, "/")
	if !slices.Contains([]string{"", "tcp", "udp", "sctp"}, protocol) {
		return false
	}
	if rest, ok := strings.CutPrefix(s, "["); ok {
		ip, after, ok := strings.Cut(rest, "]:")
		if a, err := netip.ParseAddr(ip); !ok || err != nil || !a.Is6() {
			return false
		}
		s = "0.0.0.0:" + after
	}
	parts := strings.Split(s, ":")
	if len(parts) == 3 {
		if _, err := netip.ParseAddr(parts[0]); err != nil && parts[0] != "" {
			return false
		}
		parts = parts[1:]
	}
	if len(parts) > 2 || len(parts) == 2 && parts[0] != "" && !portRange(parts[0]) {
		return false
	}
	return portRange(parts[len(parts)-1])
}

func portRange(s string) bool {
	first, last, isRange := strings.Cut(s, "-")
	a, err := strconv.ParseUint(first, 10, 16)
	if err != nil || a == 0 || !isRange {
		return err == nil && a > 0
	}
	b, err := strconv.ParseUint(last, 10, 16)
	return err == nil && b >= a
}
