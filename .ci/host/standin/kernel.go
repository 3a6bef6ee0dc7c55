package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// capabilities are Linux's, each at the place of its bit.
var capabilities = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID
	SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER
	SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE
	SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN
	SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// status is /proc/self/status.
func status() map[string]string {
	out := map[string]string{}
	for _, line := range lines("/proc/self/status") {
		name, value, _ := strings.Cut(line, ":")
		out[name] = strings.TrimSpace(value)
	}
	return out
}

// capNames reads a set as the kernel prints it.
func capNames(hex string) []string {
	set, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		panic(err) // the kernel's own number
	}
	names := []string{}
	for ; set != 0; set &= set - 1 {
		bit := bits.TrailingZeros64(set)
		name := strconv.Itoa(bit)
		if bit < len(capabilities) {
			name = capabilities[bit]
		}
		names = append(names, name)
	}
	return names
}

// A mount is one that the container was given; its owner and mode are those of what is there.
type mount struct {
	Options  string `json:"options"`
	Type     string `json:"fstype"`
	Owner    string `json:"owner"`
	Mode     string `json:"mode"`
	Writable bool   `json:"writable"` // by whom the program works as

	anonymous bool // a volume that is made for the container and goes with it
}

// theirs is what podman mounts in every container, and secrets, of which we tell otherwise.
var theirs = regexp.MustCompile(`^/(proc|sys|dev/pts|dev/mqueue|run/secrets)(/|$)|` +
	`^/(dev|etc/(hosts|hostname|resolv\.conf|passwd|group)|run/\.containerenv)$`)

// anonymous is where podman keeps a volume without a name.
var anonymous = regexp.MustCompile(`/volumes/[0-9a-f]{64}/_data$`)

// mounts are all there are, by target, the root's among them. The last on a target counts.
func mounts() map[string]mount {
	out := map[string]mount{}
	for _, line := range lines("/proc/self/mountinfo") {
		before, after, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		target := unescape(f[4])
		if theirs.MatchString(target) {
			continue
		}
		m := mount{Options: f[5], Type: g[0], Writable: syscall.Access(target, 2) == nil}
		m.anonymous = anonymous.MatchString(f[3])
		if info, err := os.Stat(target); err == nil {
			m.Owner, m.Mode = owner(info), mode(info)
		}
		out[target] = m
	}
	return out
}

// unescape undoes what the kernel does to blanks in a path.
func unescape(path string) string {
	return regexp.MustCompile(`\\[0-7]{3}`).ReplaceAllStringFunc(path, func(s string) string {
		n, _ := strconv.ParseUint(s[1:], 8, 8)
		return string([]byte{byte(n)})
	})
}

func owner(info os.FileInfo) string {
	stat := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d", stat.Uid, stat.Gid)
}

func mode(info os.FileInfo) string {
	return fmt.Sprintf("%04o", info.Sys().(*syscall.Stat_t).Mode&0o7777)
}

func lines(path string) (out []string) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		out = append(out, s.Text())
	}
	return out
}

// drop goes from root to another user for good; who is another user already stays it.
func drop(uid, gid int) error {
	if os.Getuid() != 0 {
		return nil
	}
	err := errors.Join(syscall.Setgroups([]int{gid}), syscall.Setgid(gid), syscall.Setuid(uid))
	if err != nil {
		return fmt.Errorf("cannot become %d:%d: %w", uid, gid, err)
	}
	return nil
}

// writable tries, for a mode does not tell of read-only mounts.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".writable")
	if err != nil {
		return fmt.Errorf("%s is not writable by uid %d: %w", dir, os.Getuid(), reason(err))
	}
	f.Close()
	return os.Remove(f.Name())
}

// reason is an error without the path, which the message around it has already.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// holder is the mount that a path is on, of all the container's.
func holder(all map[string]mount, path string) string {
	for path = filepath.Clean(path); path != "/"; path = filepath.Dir(path) {
		if _, ok := all[path]; ok {
			return path
		}
	}
	return "/"
}
