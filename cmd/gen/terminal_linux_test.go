package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A screen is a terminal that a test looks at.
type screen struct {
	tty  *os.File // for the program
	pty  *os.File // for us
	mu   sync.Mutex
	all  strings.Builder
	done chan struct{}
}

func newScreen(t *testing.T) *screen {
	t.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		without(t, "/dev/ptmx")
	}
	number, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	err = errors.Join(err, unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0),
		unix.IoctlSetWinsize(int(pty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 40}))
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{tty: tty, pty: pty, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		b := make([]byte, 4096)
		for {
			n, err := pty.Read(b)
			s.mu.Lock()
			s.all.Write(b[:n])
			s.mu.Unlock()
			if err != nil {
				return // EIO: everybody has closed the terminal
			}
		}
	}()
	t.Cleanup(func() { pty.Close() })
	return s
}

// text is what was printed so far.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.all.String(), "\r\n", "\n")
}

// end is all that was printed.
func (s *screen) end() string {
	s.tty.Close()
	<-s.done
	return s.text()
}

// await waits until something was printed.
func (s *screen) await(t *testing.T, what string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.text(), what); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the terminal shows %q, and never %q", s.text(), what)
		}
	}
}

// onScreen is a program whose environment is known: no CI, and what else is given.
func onScreen(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(executable(t), args...)
	c.Env = append([]string{"GEN_TEST_AS_GEN=1", "PATH=" + os.Getenv("PATH")}, env...)
	return c
}

const erased = "\r\x1b[K"

// TestProgress: a run that has to wait says what it does, on a terminal.
func TestProgress(t *testing.T) {
	before, _ := tinyFleets(t)
	for _, c := range []struct {
		name string
		env  string
		pipe bool
		want string
	}{
		{"terminal", "TERM=xterm", false, "\rgen: writing fleet, 1 of 3\x1b[K"},
		{"pipe", "TERM=xterm", true, ""},
		{"dumb", "TERM=dumb", false, ""},
		{"unknown", "LANG=C", false, ""},
		{"ci", "CI=true TERM=xterm", false, ""},
		{"colourless", "NO_COLOR=1 TERM=xterm", false, "\rgen: writing fleet, 1 of 3\x1b[K"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			release := hold(t, out)
			s := newScreen(t)
			gen := onScreen(t, strings.Fields(c.env), "-C", before, "-o", out)
			var said strings.Builder
			gen.Stdout, gen.Stderr = s.tty, s.tty
			if c.pipe {
				gen.Stderr = &said
			}
			if err := gen.Start(); err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				s.await(t, c.want)
			} else {
				time.Sleep(patience + 500*time.Millisecond)
			}
			release()
			if err := gen.Wait(); err != nil {
				t.Error(err)
			}
			shown := s.end() + said.String()
			if c.want == "" && shown != "" || c.want != "" && !strings.HasSuffix(shown, erased) {
				t.Errorf("it shows %q", shown)
			}
		})
	}
}

// TestInterruptedProgress: who ends a run is left with an empty line.
func TestInterruptedProgress(t *testing.T) {
	before, _ := tinyFleets(t)
	out := t.TempDir()
	defer hold(t, out)()
	s := newScreen(t)
	c := onScreen(t, []string{"TERM=xterm"}, "-C", before, "-o", out)
	c.Stdout, c.Stderr = s.tty, s.tty
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "writing")
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	want := erased + "gen: interrupted: " + out + " may not be whole; run gen again\n"
	if shown := s.end(); c.ProcessState.ExitCode() != failed || !strings.HasSuffix(shown, want) {
		t.Errorf("exit %d, and the terminal shows %q", c.ProcessState.ExitCode(), shown)
	}
}

// TestInterruptedReading: before anything is written, the signal ends gen itself.
func TestInterruptedReading(t *testing.T) {
	s := newScreen(t)
	c := exec.Command(executable(t), "-test.run=^TestReadsForever$")
	c.Env = append(os.Environ(), "GEN_TEST_READS_FOREVER=1", "TERM=xterm", "CI=")
	c.Stdout, c.Stderr = s.tty, s.tty
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.await(t, "reading")
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if status := c.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ends with %v", c.ProcessState)
	}
	if shown := s.end(); !strings.HasSuffix(shown, erased) {
		t.Errorf("the terminal shows %q", shown)
	}
}

// TestReadsForever is the program of TestInterruptedReading.
func TestReadsForever(t *testing.T) {
	if os.Getenv("GEN_TEST_READS_FOREVER") == "" {
		return
	}
	c := &command{stdout: os.Stdout, stderr: os.Stderr}
	defer c.showProgress(0)()
	c.progress.say("reading")
	time.Sleep(time.Minute)
}

// TestProgressGivesWay: nothing is printed into the line, or before it is gone.
func TestProgressGivesWay(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("CI", "")
	s := newScreen(t)
	c := &command{stdout: s.tty, stderr: s.tty}
	end := c.showProgress(0)
	c.progress.say("reading host %d of %d of a fleet with a long line", 3, 40)
	s.await(t, "\rgen: reading host 3 of 40 of a fleet wi\x1b[K") // 40 columns
	fmt.Fprintln(c.stdout, "product")
	fmt.Fprintln(c.stderr, "talk")
	time.Sleep(300 * time.Millisecond) // nothing is drawn meanwhile
	c.progress.say("writing")
	s.await(t, "talk\n\rgen: writing\x1b[K")
	end()
	shown := regexp.MustCompile(`(\rgen: [^\r]*\x1b\[K)+`).ReplaceAllString(s.end(), "<line>")
	if want := "<line>" + erased + "product\ntalk\n<line>" + erased; shown != want {
		t.Errorf("the terminal shows %q, want %q", shown, want)
	}
}

// TestColour: on a terminal, unless it or its user wants none, and never instead of a word.
func TestColour(t *testing.T) {
	before, after := tinyFleets(t)
	out := t.TempDir()
	mustGen(t, "-C", before, "-o", out)
	for _, c := range []struct {
		args     []string
		coloured string // part of it
	}{
		{[]string{"check", "-C", cases + "/bad-address"}, bold + "hosts/fleet.cue:"},
		{[]string{"check", "-C", after, "-golden", out}, red + "GEN701:" + normal + " is missing\n"},
		{[]string{"diff", "-C", after, "-o", out}, red + "-Image=docker.io/library/demo:1" + normal + "\n" + green + "+Image=docker.io/library/demo:2" + normal + "\n"},
	} {
		plain, err := onScreen(t, []string{"TERM=xterm"}, c.args...).CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != found || strings.Contains(string(plain), "\x1b") {
			t.Fatalf("%v: %v, and in a pipe it prints %q", c.args, err, plain)
		}
		for env, colour := range map[string]bool{
			"TERM=xterm": true, "TERM=xterm NO_COLOR=": true,
			"TERM=xterm NO_COLOR=1": false, "TERM=dumb": false, "LANG=C": false,
		} {
			s := newScreen(t)
			gen := onScreen(t, append(strings.Fields(env), "CI=1"), c.args...) // no progress on a slow machine
			gen.Stdout, gen.Stderr = s.tty, s.tty
			gen.Run()
			shown := s.end()
			if has := strings.Contains(shown, c.coloured); has != colour || has != strings.Contains(shown, "\x1b") {
				t.Errorf("%s, %v: it prints %q", env, c.args, shown)
			}
			if bare := regexp.MustCompile(`\x1b\[[0-9]*m`).ReplaceAllString(shown, ""); bare != string(plain) {
				t.Errorf("%s, %v: without colours it prints %q, and in a pipe %q", env, c.args, bare, plain)
			}
		}
	}
}

// TestDiffIntoAFile: what is no terminal is not coloured because another stream is one.
func TestDiffIntoAFile(t *testing.T) {
	before, after := tinyFleets(t)
	out := filepath.Join(t.TempDir(), "out")
	mustGen(t, "-C", before, "-o", out)
	s := newScreen(t)
	c := onScreen(t, []string{"TERM=xterm", "CI=1"}, "diff", "-C", after, "-o", out)
	c.Stderr = s.tty
	diff, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(diff)
	c.Wait()
	if shown := s.end(); err != nil || strings.Contains(string(b), "\x1b") || shown != "" {
		t.Errorf("%v: the file has %q, and the terminal shows %q", err, b, shown)
	}
}
