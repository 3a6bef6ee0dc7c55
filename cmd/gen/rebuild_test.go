package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestRunbookIsRun: who has nothing but the repository, an ssh key and an age identity types what the
// runbook prints, from the top, and has the host again. Every command of Rebuild, Restore and Checks
// runs as it stands, but for those in cannotRun, and says what stands beside it.
func TestRunbookIsRun(t *testing.T) {
	if testing.Short() || os.Getenv("GEN_LONG") == "" {
		t.Skip("it is a part of .ci/long")
	}
	t.Parallel()
	for _, program := range []string{"nc", "rsync", "curl", "age"} {
		tool(t, program)
	}
	r := &rebuild{fresh: newFresh(t), home: t.TempDir()}
	write(t, filepath.Join(r.home, "bin/gen"), fmt.Sprintf("#!/bin/sh\nGEN_TEST_AS_GEN=1 exec %s \"$@\"\n", executable(t)))
	if err := os.Chmod(filepath.Join(r.home, "bin/gen"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.home, ".curlrc"), "insecure\n") // no authority signs for the lab
	write(t, filepath.Join(r.home, "hosts"), "127.0.0.1 localhost\n203.0.113.10 notes.example.org\n")
	r.remembersOldKeys()
	page := read(t, filepath.Join(r.bundle(r.repo, "vps1"), "RUNBOOK.md"))
	for _, title := range []string{"Rebuild from nothing", "Restore", "Checks"} {
		for _, line := range commandsOf(t, page, title) {
			r.types(line)
		}
	}
	r.healthy("vps1")
	if r.ran < 30 {
		t.Errorf("only %d commands ran", r.ran)
	}
	t.Logf("%d commands ran", r.ran)
}

// cannotRun are the commands that a lab without names and without a tunnel cannot answer.
var cannotRun = map[string]*regexp.Regexp{
	"nobody serves the DNS":                                  regexp.MustCompile(`^(for n in .*)?dig `),
	"gen makes no tunnel, for the fleet has no keys for one": regexp.MustCompile(`ping -c 1 10\.44\.|nc -zv -w 5 10\.44\.`),
}

// A rebuild is somebody at a prompt in the repository.
type rebuild struct {
	*fresh
	home string
	ran  int
}

// remembersOldKeys: the machine that burned was known.
func (r *rebuild) remembersOldKeys() {
	r.Helper()
	key := strings.Fields(read(r.T, filepath.Join(r.dir, "id.pub")))
	var known strings.Builder
	for _, address := range []string{"203.0.113.10", "2001:db8::10", "10.44.0.1"} {
		fmt.Fprintln(&known, address, key[0], key[1])
	}
	write(r.T, filepath.Join(r.home, "ssh/known_hosts"), known.String())
}

// commandsOf are the commands of a section, each with its remark.
func commandsOf(t *testing.T, page, title string) (out []string) {
	t.Helper()
	_, section, there := strings.Cut(page, "\n## "+title+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	p := &paper{T: t, text: section}
	for _, line := range strings.Split(strings.ReplaceAll(strings.Join(p.blocks(), "\n"), "\\\n", ""), "\n") {
		out = append(out, strings.TrimSpace(line))
	}
	for _, row := range regexp.MustCompile("(?m)^\\| [a-z]+ \\| `(.*)` \\| say `(.*)` \\|$").FindAllStringSubmatch(section, -1) {
		out = append(out, row[1]+"  # say "+row[2])
	}
	if !there || len(out) == 0 {
		t.Fatalf("there is no section %s with commands", title)
	}
	return out
}

// types runs a command where the operator is, and compares what it says with its remark.
func (r *rebuild) types(line string) {
	r.Helper()
	command, remark, _ := strings.Cut(line, "  # ")
	remark = strings.TrimSpace(remark)
	for why, pattern := range cannotRun {
		if pattern.MatchString(command) {
			r.Logf("not run, for %s: %s", why, command)
			return
		}
	}
	const enter = `[ -d ~root/.ssh ] || mkdir -m 0700 ~root/.ssh
mount --bind "$HOME/ssh" ~root/.ssh; mount --bind "$HOME/hosts" /etc/hosts
cd "$1"; exec sh -c "$2"`
	c := exec.Command("../../.ci/host/lab", "net", r.dir, "sh", "-ec", enter, "sh", r.repo, command)
	c.Env = append(os.Environ(), "HOME="+r.home, "PATH="+r.home+"/bin:"+os.Getenv("PATH"), "GEN_IDENTITY="+r.identity)
	b, err := c.CombinedOutput()
	if r.ran++; err != nil {
		r.Fatalf("%s: %v\n%s", command, err, b)
	}
	r.says(command, string(b), remark)
	if strings.HasPrefix(command, "gen -host vps1 -o out") { // and the provider makes the machine
		r.up("vps1", filepath.Join(r.repo, "out/vps1/user-data"), "203.0.113.10/24", "2001:db8::10/64")
	}
}

var times = regexp.MustCompile(`^prints (\w+), and nothing else, (\d+) times$`)

// says compares what a command says with the remark beside it.
func (r *rebuild) says(command, said, remark string) {
	r.Helper()
	right := true
	switch m := times.FindStringSubmatch(remark); {
	case remark == "prints nothing":
		right = said == ""
	case m != nil:
		n, _ := strconv.Atoi(m[2])
		right = said == strings.Repeat(m[1]+"\n", n)
	case remark == "each has a NEXT":
		right = strings.Contains(said, "NEXT") && !regexp.MustCompile(`(?m)^-`).MatchString(said)
	case strings.HasPrefix(remark, "say "):
		right = regexp.MustCompile(strings.TrimPrefix(remark, "say ")).MatchString(said)
	case remark == "open":
		_, ports, _ := strings.Cut(command, " in ")
		ports, _, _ = strings.Cut(ports, ";")
		right = strings.Count(said, "succeeded!") == len(strings.Fields(ports))
	case strings.HasPrefix(remark, "status: "):
		right = strings.Contains(said, remark)
	case strings.HasPrefix(remark, "ends without an error"): // or it would not come here
		right = !strings.Contains(said, "drift")
	case strings.HasPrefix(remark, "what was done"):
		right = strings.Contains(said, "is installed")
	case remark != "" && remark != "later" && remark != "and push the other hosts too":
		r.Errorf("%s: nobody looks whether %q", command, remark)
	}
	if !right {
		r.Errorf("%s says not %q but\n%s", command, remark, said)
	}
}
