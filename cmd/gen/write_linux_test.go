package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Here gen writes where it must not, cannot, or is not let finish. After each
// of these every file is whole, and the next run makes everything right.

// TestOutOfSomebodyElse: what is not gen's is refused before anything is touched.
func TestOutOfSomebodyElse(t *testing.T) {
	before, after := tinyFleets(t)
	for name, c := range map[string]struct {
		make func(dir string) error // of where out is to be
		out  string
		says string
	}{
		"a home": {func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/ada/.ssh", 0o700), os.WriteFile(dir+"/ada/.ssh/id_ed25519", nil, 0o600),
				os.Mkdir(dir+"/ada/Documents", 0o755), os.WriteFile(dir+"/ada/.profile", nil, 0o644))
		}, "ada", "ada holds files that gen did not make; name another directory with -"},
		"a new home": {func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/ada", 0o755), os.WriteFile(dir+"/ada/.profile", nil, 0o644))
		}, "ada", "holds files that gen did not make"},
		"a file":       {func(dir string) error { return os.WriteFile(dir+"/file", nil, 0o644) }, "file", "file is not a directory"},
		"below a file": {func(dir string) error { return os.WriteFile(dir+"/file", nil, 0o644) }, "file/out", "file/out is below a file"},
		"a host's own": {func(dir string) error { return write1(dir+"/out/gone/HOST", "gone\n") }, "out/gone", "out/gone is the directory of gone itself"},
		"another's":    {func(dir string) error { return write1(dir+"/out/one/HOST", "two\n") }, "out", "out/one is the directory of two"},
		"a letter":     {func(dir string) error { return write1(dir+"/out/one/letter", "dear\n") }, "out", "out/one holds files that gen did not make"},
		"a host's file": {func(dir string) error {
			return errors.Join(write1(dir+"/out/new/HOST", "new\n"), write1(dir+"/out/one", "dear\n"))
		}, "out", "out/one is not a directory"},
		"fleet": {func(dir string) error {
			return errors.Join(write1(dir+"/out/one/HOST", "one\n"), write1(dir+"/out/fleet/ships", "3\n"))
		}, "out", "out/fleet holds files"},
		"a link": {func(dir string) error {
			return errors.Join(write1(dir+"/one/HOST", "one\n"), os.Mkdir(dir+"/out", 0o755), os.Symlink("../one", dir+"/out/one"))
		}, "out", "out/one is a symbolic link"},
		"a link as HOST": {func(dir string) error {
			return errors.Join(write1(dir+"/HOST", "one\n"), os.MkdirAll(dir+"/out/one", 0o755), os.Symlink("../../HOST", dir+"/out/one/HOST"))
		}, "out", "out/one holds files"},
		"a pipe as HOST": {func(dir string) error {
			return errors.Join(os.MkdirAll(dir+"/out/one", 0o755), syscall.Mkfifo(dir+"/out/one/HOST", 0o644))
		}, "out", "out/one holds files"},
		"the repository": {func(dir string) error { return os.CopyFS(dir+"/repo", os.DirFS(after)) }, "repo", "repo holds files"},
		"a link to a home": {func(dir string) error {
			return errors.Join(write1(dir+"/ada/.profile", ""), os.Symlink("ada", dir+"/out"))
		}, "out", "out holds files"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
			was := everything(t, dir)
			for _, args := range []string{"-o", "diff -o", "check -golden"} {
				said, code := gen(t, append(append(strings.Fields(args), filepath.Join(dir, c.out)), "-C", after)...)
				if code != misused || !strings.Contains(said, c.says) {
					t.Errorf("%s: exit %d, want %q: %s", args, code, c.says, said)
				}
				if diff := cmp.Diff(was, everything(t, dir)); diff != "" {
					t.Errorf("%s has touched it:\n%s", args, diff)
				}
			}
		})
	}
	for _, args := range []string{"-o /", "diff -o /"} {
		if said, code := gen(t, append(strings.Fields(args), "-C", before)...); code != misused || !strings.Contains(said, "gen: / holds files that gen did not make") {
			t.Errorf("%s: exit %d: %s", args, code, said)
		}
	}
}

// TestOutOfOnesOwn: what an interrupted run or git left there is no hindrance.
func TestOutOfOnesOwn(t *testing.T) {
	fleet, _ := tinyFleets(t)
	for name, fill := range map[string]func(out string) error{
		"kept by git": func(out string) error { return write1(out+"/.gitkeep", "") },
		"killed": func(out string) error {
			return errors.Join(os.MkdirAll(out+"/fleet", 0o755), write1(out+"/one/.gen-1", ""))
		},
		"a dotfile": func(out string) error { return write1(out+"/one/.keep", "") },
		"other things": func(out string) error {
			return errors.Join(write1(out+"/gone/HOST", "gone\n"), write1(out+"/README.md", ""))
		},
		"a linked out": func(out string) error { return errors.Join(os.Mkdir(out+".real", 0o755), os.Symlink("out.real", out)) },
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if err := fill(out); err != nil {
				t.Fatal(err)
			}
			mustGen(t, "-C", fleet, "-o", out)
			mustGen(t, "check", "-C", fleet, "-golden", out)
		})
	}
}

// write1 writes a file and the directories above it.
func write1(path, body string) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(body), 0o644))
}

// A rewriting is a directory that holds what one fleet compiles to, and is to
// hold what another does.
type rewriting struct {
	before, after string // fleets
	old, now      map[string]string
	out           string
}

func newRewriting(t *testing.T, dir string) *rewriting {
	t.Helper()
	r := &rewriting{out: filepath.Join(dir, "out")}
	r.before, r.after = tinyFleets(t)
	r.old, r.now = compiledTo(t, r.before), compiledTo(t, r.after)
	return r
}

func compiledTo(t *testing.T, fleet string) map[string]string {
	t.Helper()
	out := t.TempDir()
	mustGen(t, "-C", fleet, "-o", out)
	return withModes(t, out)
}

// begin makes the directory what the first fleet compiles to.
func (r *rewriting) begin(t *testing.T) {
	t.Helper()
	run([]string{"-C", r.before, "-o", r.out}, &bytes.Buffer{}, &bytes.Buffer{})
	if diff := cmp.Diff(r.old, withModes(t, r.out)); diff != "" {
		t.Fatalf("the beginning is wrong:\n%s", diff)
	}
}

// whole checks that every file is an old or a new one, and that nothing
// unfinished is there unless nobody could take it away.
func (r *rewriting) whole(t *testing.T, killed bool) {
	t.Helper()
	for p, body := range withModes(t, r.out) {
		if strings.HasPrefix(filepath.Base(p), ".gen-") {
			if !killed {
				t.Errorf("%s is left", p)
			}
		} else if body != r.old[p] && body != r.now[p] {
			t.Errorf("%s is neither old nor new: %q", p, body)
		}
	}
	for _, host := range []string{"one", "gone", "new"} {
		if there := r.of(host, withModes(t, r.out)); len(there) > 0 && !r.broken(host) &&
			!maps.Equal(there, r.of(host, r.old)) && !maps.Equal(there, r.of(host, r.now)) {
			t.Errorf("push would take %s for whole: %v", host, slices.Sorted(maps.Keys(there)))
		}
	}
}

// of are the files of a host, but for unfinished ones: push leaves those of its
// own directory here, and any other means that SHA256SUMS is still to come.
func (r *rewriting) of(host string, all map[string]string) map[string]string {
	of := maps.Clone(all)
	maps.DeleteFunc(of, func(p, _ string) bool { return !strings.HasPrefix(p, host+"/") || strings.Contains(p, "/.gen-") })
	return of
}

// broken is what push says of a bundle.
func (r *rewriting) broken(host string) bool {
	c := exec.Command("sha256sum", "--status", "-c", "SHA256SUMS")
	c.Dir = filepath.Join(r.out, host)
	return c.Run() != nil
}

// repair runs gen again, which makes everything right.
func (r *rewriting) repair(t *testing.T) {
	t.Helper()
	if said, code := gen(t, "-C", r.after, "-o", r.out); code != ok {
		t.Errorf("the next run exits with %d: %s", code, said)
	}
	if diff := cmp.Diff(r.now, withModes(t, r.out)); diff != "" {
		t.Errorf("the next run makes (+) another tree than it should (-):\n%s", diff)
	}
}

// asGen is gen as a program of its own.
func asGen(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(executable(t), args...)
	c.Env = append(os.Environ(), "GEN_TEST_AS_GEN=1")
	return c
}

// TestUnchangedWritesNothing: strace sees no call that changes anything, also
// of the times of directories.
func TestUnchangedWritesNothing(t *testing.T) {
	strace := needed(t, "strace")
	r := newRewriting(t, t.TempDir())
	r.begin(t)
	was := everything(t, r.out)
	log := filepath.Join(t.TempDir(), "log")
	c := asGen(t, "-C", r.before, "-o", r.out)
	c.Path, c.Args = strace, append([]string{"strace", "-f", "-y", "-o", log, "-e", "trace=%file,%desc"}, append([]string{executable(t)}, c.Args[1:]...)...)
	if said, err := c.CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatalf("%v: %s", err, said)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(b)) {
		if !strings.Contains(line, r.out) {
			continue
		}
		seen++
		for _, call := range []string{"write(", "O_WRONLY", "O_RDWR", "O_CREAT", "rename", "unlink", "mkdir", "chmod", "chown", "utime", "truncate", "symlink", "link(", "sync"} {
			if strings.Contains(line, call) && !strings.Contains(line, "readlink") {
				t.Errorf("an unchanged run calls %s", line)
			}
		}
	}
	if seen < len(r.old) {
		t.Errorf("strace saw only %d calls", seen)
	}
	if diff := cmp.Diff(was, everything(t, r.out)); diff != "" {
		t.Errorf("an unchanged run touches something:\n%s", diff)
	}
}

func needed(t *testing.T, program string) string {
	t.Helper()
	at, err := exec.LookPath(program)
	if err != nil {
		without(t, program)
	}
	return at
}

// TestKilled kills gen at its n-th rename, removal and so on, or asks it to stop there.
func TestKilled(t *testing.T) {
	strace := needed(t, "strace")
	r := newRewriting(t, t.TempDir())
	calls := []struct{ call, signal string }{{"renameat", "KILL"}, {"unlinkat", "KILL"}, {"renameat", "TERM"}, {"unlinkat", "INT"}}
	if os.Getenv("GEN_LONG") != "" {
		calls = append(calls, []struct{ call, signal string }{{"write", "KILL"}, {"fchmod", "KILL"}, {"mkdirat", "KILL"}}...)
	}
	for _, c := range calls {
		t.Run(c.signal+" "+c.call, func(t *testing.T) {
			stopped := 0
			for n := 1; ; n += stride(n) {
				r.begin(t)
				said, err := r.straced(t, strace, fmt.Sprintf("inject=%s:signal=%s:when=%d", c.call, c.signal, n))
				r.whole(t, c.signal == "KILL")
				done := err == nil
				if !done {
					stopped++
				}
				if exit := (*exec.ExitError)(nil); c.signal != "KILL" && !done && (!errors.As(err, &exit) || exit.ExitCode() != failed || !strings.Contains(said, "gen: interrupted: ")) {
					t.Errorf("%v, and it says %q", err, said)
				}
				r.repair(t)
				if done || t.Failed() {
					break
				}
			}
			if stopped == 0 {
				t.Errorf("no run was stopped")
			}
			t.Logf("stopped %d times", stopped)
		})
	}
}

// stride goes to the next call: to every one where there is time.
func stride(n int) int {
	if os.Getenv("GEN_LONG") != "" {
		return 1
	}
	return 1 + n/2
}

// straced runs gen for the second fleet, with strace doing something to it.
func (r *rewriting) straced(t *testing.T, strace, inject string) (string, error) {
	t.Helper()
	calls, _, _ := strings.Cut(strings.TrimPrefix(inject, "inject="), ":")
	c := exec.Command(strace, "-f", "-qqq", "-o", os.DevNull, "-e", "trace="+calls, "-e", inject, executable(t), "-C", r.after, "-o", r.out)
	c.Env = append(os.Environ(), "GEN_TEST_AS_GEN=1")
	said, err := c.CombinedOutput()
	return string(said), err
}

// TestReaderSeesWholeFiles: two fleets are written over each other, by two runs
// at a time, and whoever reads meanwhile sees a file of the one or the other.
// In the end all is of one of them.
func TestReaderSeesWholeFiles(t *testing.T) {
	r := newRewriting(t, t.TempDir())
	r.begin(t)
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	reads := 0
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for p := range r.now {
				b, err := os.ReadFile(filepath.Join(r.out, p))
				_, old, _ := strings.Cut(r.old[p], " ")
				_, now, _ := strings.Cut(r.now[p], " ")
				if err == nil && string(b) != old && string(b) != now {
					t.Errorf("a reader sees %s as %q", p, b)
				}
				reads++
			}
		}
	})
	for _, fleet := range []string{r.before, r.after} {
		writers.Go(func() {
			for range 15 {
				var said bytes.Buffer
				if code := run([]string{"-C", fleet, "-o", r.out}, &said, &said); code != ok {
					t.Errorf("exit %d: %s", code, said.String())
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if reads < 1000 {
		t.Errorf("only %d reads", reads)
	}
	r.repair(t)
}

// TestWaitsForAnotherRun: who comes second writes after the first.
func TestWaitsForAnotherRun(t *testing.T) {
	r := newRewriting(t, t.TempDir())
	r.begin(t)
	release := hold(t, r.out)
	was := everything(t, r.out)
	c := asGen(t, "-C", r.after, "-o", r.out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if diff := cmp.Diff(was, everything(t, r.out)); diff != "" {
		t.Errorf("it did not wait:\n%s", diff)
	}
	release()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	r.repair(t)
}

// hold takes the lock of a run.
func hold(t *testing.T, out string) (release func()) {
	t.Helper()
	f, err := os.Open(out)
	if err == nil {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// mount mounts a file system of memory for a test.
func mount(t *testing.T, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		without(t, "root that may mount")
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func remount(t *testing.T, dir, options string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|flags, options); err != nil {
		t.Fatal(err)
	}
}

// TestDiskFull: on a file system with so many pages, from none to enough.
func TestDiskFull(t *testing.T) {
	dir := mount(t, "size=64m")
	r := newRewriting(t, dir)
	for _, fresh := range []bool{true, false} {
		full := 0
		for pages := 0; ; pages += 1 + pages/4 {
			remount(t, dir, "size=64m", 0)
			if err := os.RemoveAll(r.out); err != nil {
				t.Fatal(err)
			}
			if !fresh {
				r.begin(t)
			}
			remount(t, dir, fmt.Sprintf("size=%d", max(used(t, dir)+pages*os.Getpagesize(), os.Getpagesize())), 0)
			said, code := gen(t, "-C", r.after, "-o", r.out)
			r.whole(t, false)
			if code == ok {
				break
			}
			full++
			said = strings.TrimPrefix(said, "gen: removed "+r.out+"/gone: the fleet has no such host\n") // which may be over by then
			where, _, _ := strings.Cut(strings.TrimPrefix(said, "gen: cannot write "+r.out+"/"), ":")
			_, known := r.now[where]
			if code != failed || !known || !strings.Contains(said, ": no space left on device\n    hint: make room and run gen again; every file that is there is whole\n") {
				t.Errorf("exit %d: %s", code, said)
			}
			remount(t, dir, "size=64m", 0)
			r.repair(t)
		}
		if full == 0 {
			t.Error("the disk was never full")
		}
	}
}

func used(t *testing.T, dir string) int {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int(s.Blocks-s.Bfree) * int(s.Bsize)
}

// TestReadOnly: what cannot be written is said and left alone; what need not be is fine.
func TestReadOnly(t *testing.T) {
	dir := mount(t, "size=64m")
	r := newRewriting(t, dir)
	r.begin(t)
	remount(t, dir, "", syscall.MS_RDONLY)
	r.refused(t, func(fleet string) (string, int) { return gen(t, "-C", fleet, "-o", r.out) }, "read-only file system")
	remount(t, dir, "", 0)
	r.repair(t)
}

// TestNotOnesOwn: a plain user writes into a directory of root's.
func TestNotOnesOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		without(t, "root")
	}
	dir, err := os.MkdirTemp("", "gen-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(executable(t))
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.WriteFile(dir+"/gen", program, 0o755)); err != nil {
		t.Fatal(err)
	}
	r := newRewriting(t, dir)
	for name, fleet := range map[string]*string{"before": &r.before, "after": &r.after} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(*fleet)); err != nil {
			t.Fatal(err)
		}
		*fleet = filepath.Join(dir, name)
	}
	r.begin(t)
	r.refused(t, func(fleet string) (string, int) {
		c := exec.Command(dir+"/gen", "-C", fleet, "-o", r.out)
		c.Env, c.Dir = []string{"GEN_TEST_AS_GEN=1"}, dir
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		said, _ := c.CombinedOutput()
		return string(said), c.ProcessState.ExitCode()
	}, "permission denied")
	r.repair(t)
}

// refused: nothing changes where gen may not write, and nothing is wrong where it need not.
func (r *rewriting) refused(t *testing.T, gen func(fleet string) (string, int), why string) {
	t.Helper()
	was := everything(t, r.out)
	said, code := gen(r.after)
	if code != failed || !strings.HasPrefix(said, "gen: cannot ") || !strings.Contains(said, ": "+why+"\n    hint: name a directory that you may write with -o\n") {
		t.Errorf("exit %d: %s", code, said)
	}
	if said, code := gen(r.before); code != ok || said != "" {
		t.Errorf("where nothing is to be written, exit %d: %s", code, said)
	}
	if diff := cmp.Diff(was, everything(t, r.out)); diff != "" {
		t.Errorf("something is touched:\n%s", diff)
	}
}
