package check

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/finding"
)

// line refuses what would break out of a line.
func (c *hostChecker) line(s, what string, at []token.Pos) bool {
	switch {
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		c.find(finding.BadText, at, "%s holds a newline or another control character", what).
			Hintf("write it in one line")
	case strings.HasSuffix(s, `\`):
		c.find(finding.BadText, at, "%s ends in a backslash, which would join it with the next line", what).
			Hintf("leave the last backslash out")
	case s != strings.TrimSpace(s):
		c.find(finding.BadText, at, "%s begins or ends with a blank, which systemd would drop", what).
			Hintf("leave the blank out")
	default:
		return true
	}
	return false
}

// word refuses what cannot reach a program: a zero byte, and U+0080, which
// podman hands to systemd as a byte that is no text.
func (c *hostChecker) word(s, what string, at []token.Pos) {
	if strings.ContainsAny(s, "\x00\u0080") {
		c.find(finding.BadText, at, "%s holds a control character that no program can be given", what).
			Hintf("leave it out; a file can hold any byte")
	}
}

// safe are the characters of a path that mean themselves to systemd, podman,
// tmpfiles.d and a shell alike.
var safe = regexp.MustCompile(`^/[A-Za-z0-9._/@+=~-]*$`)

// path refuses what is no clean absolute path, or means something to a reader.
func (c *hostChecker) path(p, what string, at []token.Pos) bool {
	switch {
	case !strings.HasPrefix(p, "/") || p != path.Clean(p):
		c.find(finding.BadPath, at, "%s %q is no clean absolute path", what, p).Hintf("did you mean %q?", path.Clean("/"+p))
	case !safe.MatchString(p):
		c.find(finding.BadPath, at, "%s %q holds a character that systemd or podman reads as something else", what, p).
			Hintf("letters, digits and . _ / @ + = ~ - are safe")
	default:
		return true
	}
	return false
}

// forbidden are files of the system that gen must not replace: they hold what
// packages and administrators put there.
var forbidden = []string{"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/fstab", "/etc/gen"}

// hostPath refuses paths outside what gen may write. A service may write below
// its own directory in /srv.
func (c *hostChecker) hostPath(p, what, service string, at []token.Pos) {
	if !c.path(p, what, at) {
		return
	}
	below := func(dir string) bool { return strings.HasPrefix(p, dir+"/") }
	allowed := below("/etc") || below("/usr/local") || service != "" && below("/srv/"+service)
	if i := slices.IndexFunc(forbidden, func(f string) bool { return p == f || below(f) }); i >= 0 {
		c.find(finding.BadPath, at, "%s %s would replace a part of the system", what, p).Hintf("gen never writes %s", forbidden[i])
	} else if !allowed {
		c.find(finding.BadPath, at, "%s %s is outside what gen may write", what, p).
			Hintf("gen writes below /etc, /usr/local and /srv/<service>")
	}
}
