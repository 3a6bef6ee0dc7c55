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
	boolean    = oneOf("true", "false", "yes", "no", "on", "off", "1", "0")
	duration   = valueKind{"a time such as 30s", func(s string) bool { _, err := time.ParseDuration(s); return err == nil }}
	timing     = valueKind{"a time such as 30s, or disable", func(s string) bool { return s == "disable" || duration.ok(s) }}
	whole      = valueKind{"a whole number", func(s string) bool { _, err := strconv.ParseUint(s, 10, 32); return err == nil }}
	ports      = valueKind{"a port such as 127.0.0.1:8080:80/tcp", publishPort}
	address    = valueKind{"an address", func(s string) bool { _, err := netip.ParseAddr(s); return err == nil }}
	network    = valueKind{"a network such as 10.89.0.0/24", func(s string) bool { _, err := netip.ParsePrefix(s); return err == nil }}
	span       = valueKind{"a time as systemd reads it, such as 5min, or infinity", timespan.MatchString}
	bytes      = valueKind{"an amount of memory such as 256m", bytesize.MatchString}
	percent    = valueKind{"a percentage such as 150%", func(s string) bool { return percentage.MatchString(s) }}
	tasks      = valueKind{"a number, a percentage, or infinity", func(s string) bool { return s == "infinity" || whole.ok(s) || percentage.MatchString(s) }}
	limit      = valueKind{"a number, or -1 for no limit", func(s string) bool { return s == "-1" || whole.ok(s) }}
	signal     = valueKind{"a signal such as SIGTERM", signalName}
	oom        = valueKind{"a number from -1000 to 1000", func(s string) bool { n, err := strconv.Atoi(s); return err == nil && n >= -1000 && n <= 1000 }}
	capability = valueKind{"capabilities such as NET_BIND_SERVICE, or all", capabilities}
	amount     = valueKind{"an amount of memory such as 512M, a percentage, or infinity", size.MatchString}
)

var timespan = regexp.MustCompile(`^(infinity|([0-9]+(\.[0-9]+)? ?(us|usec|µs|ms|msec|s|sec|second|seconds|m|min|minute|minutes|h|hr|hour|hours|d|day|days|w|week|weeks)? ?)+)$`)
var size = regexp.MustCompile(`^(infinity|[0-9]+[KMGT]?|[0-9]+(\.[0-9]+)?%)$`)

var bytesize = regexp.MustCompile(`^[0-9]+[bkmgBKMG]?$`)
var percentage = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?%$`)

// signals are those of Linux without SIG, as signal(7) lists them; the
// real-time ones also count from both ends, as in RTMIN+3.
var signals = strings.Fields(`ABRT ALRM BUS CHLD CONT FPE HUP ILL INT IO KILL PIPE PROF PWR QUIT SEGV
	STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX`)

func signalName(s string) bool {
	if n, err := strconv.Atoi(s); err == nil {
		return n > 0 && n < 65
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if i := strings.IndexAny(name, "+-"); i > 0 && strings.HasPrefix(name, "RT") {
		name = name[:i]
	}
	return slices.Contains(signals, name)
}

// capabilities are words, with or without CAP_, in either case (podman-run(1)).
func capabilities(s string) bool {
	for _, w := range strings.Fields(s) {
		name := strings.TrimPrefix(strings.ToUpper(w), "CAP_")
		if name != "ALL" && !slices.Contains(Capabilities, name) {
			return false
		}
	}
	return true
}

func oneOf(words ...string) valueKind {
	return valueKind{"one of " + strings.Join(words, ", "), func(s string) bool { return slices.Contains(words, s) }}
}

// values are what each key's may be, by section and key, or by kind of unit,
// section and key.
var values = map[string]valueKind{
	"Build.ForceRM":                   boolean,
	"Build.Pull":                      oneOf("always", "missing", "never", "newer"),
	"Build.Retry":                     whole,
	"Build.RetryDelay":                duration,
	"Build.TLSVerify":                 boolean,
	"Container.AddCapability":         capability,
	"Container.AutoUpdate":            oneOf("registry", "local"),
	"Container.CgroupsMode":           oneOf("enabled", "disabled", "no-conmon", "split"),
	"Container.DropCapability":        capability,
	"Container.EnvironmentHost":       boolean,
	"Container.HealthInterval":        timing,
	"Container.HealthMaxLogCount":     whole,
	"Container.HealthMaxLogSize":      whole,
	"Container.HealthOnFailure":       oneOf("none", "kill", "restart", "stop"),
	"Container.HealthRetries":         whole,
	"Container.HealthStartPeriod":     duration,
	"Container.HealthStartupInterval": timing,
	"Container.HealthStartupRetries":  whole,
	"Container.HealthStartupSuccess":  whole,
	"Container.HealthStartupTimeout":  duration,
	"Container.HealthTimeout":         duration,
	"Container.HttpProxy":             boolean,
	"Container.IP":                    address,
	"Container.IP6":                   address,
	"Container.Memory":                bytes,
	"Container.NoNewPrivileges":       boolean,
	"Container.Notify":                oneOf("true", "false", "yes", "no", "on", "off", "1", "0", "healthy"),
	"Container.PidsLimit":             limit,
	"Container.PublishPort":           ports,
	"Container.Pull":                  oneOf("always", "missing", "never", "newer"),
	"Container.ReadOnly":              boolean,
	"Container.ReadOnlyTmpfs":         boolean,
	"Container.ReloadSignal":          signal,
	"Container.RemapUidSize":          whole,
	"Container.Retry":                 whole,
	"Container.RetryDelay":            duration,
	"Container.RunInit":               boolean,
	"Container.SecurityLabelDisable":  boolean,
	"Container.SecurityLabelNested":   boolean,
	"Container.ShmSize":               bytes,
	"Container.StartWithPod":          boolean,
	"Container.StopSignal":            signal,
	"Container.StopTimeout":           whole,
	"Container.VolatileTmp":           boolean,
	"Image.AllTags":                   boolean,
	"Image.Policy":                    oneOf("always", "missing", "never", "newer"),
	"Image.Retry":                     whole,
	"Image.RetryDelay":                duration,
	"Image.TLSVerify":                 boolean,
	"Kube.ExitCodePropagation":        oneOf("all", "any", "none"),
	"Kube.KubeDownForce":              boolean,
	"Kube.PublishPort":                ports,
	"Kube.SetWorkingDirectory":        oneOf("yaml", "unit"),
	"Network.DisableDNS":              boolean,
	"Network.Gateway":                 address,
	"Network.IPv6":                    boolean,
	"Network.Internal":                boolean,
	"Network.NetworkDeleteOnStop":     boolean,
	"Network.Subnet":                  network,
	"Pod.ExitPolicy":                  oneOf("continue", "stop"),
	"Pod.IP":                          address,
	"Pod.IP6":                         address,
	"Pod.PublishPort":                 ports,
	"Pod.ShmSize":                     bytes,
	"Pod.StopTimeout":                 whole,
	"Quadlet.DefaultDependencies":     boolean,
	"Service.CPUQuota":                percent,
	"Service.KillMode":                oneOf("control-group", "mixed", "process", "none"),
	"Service.MemoryHigh":              amount,
	"Service.MemoryLow":               amount,
	"Service.MemoryMax":               amount,
	"Service.MemoryMin":               amount,
	"Service.MemorySwapMax":           amount,
	"Service.OOMScoreAdjust":          oom,
	"Service.RemainAfterExit":         boolean,
	"Service.Restart":                 oneOf("no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog"),
	"Service.RestartSec":              span,
	"Service.RuntimeMaxSec":           span,
	"Service.TasksMax":                tasks,
	"Service.TimeoutSec":              span,
	"Service.TimeoutStartSec":         span,
	"Service.TimeoutStopSec":          span,
	"Service.Type":                    oneOf("simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"),
	"Service.WatchdogSec":             span,
	"Socket.Accept":                   boolean,
	"Timer.AccuracySec":               span,
	"Timer.FixedRandomDelay":          boolean,
	"Timer.OnActiveSec":               span,
	"Timer.OnBootSec":                 span,
	"Timer.OnStartupSec":              span,
	"Timer.OnUnitActiveSec":           span,
	"Timer.OnUnitInactiveSec":         span,
	"Timer.Persistent":                boolean,
	"Timer.RandomizedDelaySec":        span,
	"Timer.RemainAfterElapse":         boolean,
	"Timer.WakeSystem":                boolean,
	"Unit.StartLimitBurst":            whole,
	"Unit.StartLimitIntervalSec":      span,
	"Volume.Copy":                     boolean,
	"Volume.Group":                    whole,
	"Volume.User":                     whole,
	"container.Service.KillMode":      oneOf("mixed", "control-group"),
	"container.Service.Type":          oneOf("notify", "oneshot"),
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
