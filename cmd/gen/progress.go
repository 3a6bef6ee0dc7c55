package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/term"
)

// patience is how long a run may last before it says what it is doing.
const patience = time.Second

// A progress is one line on a terminal, rewritten in place, that says what a
// long run is doing. Nothing of it is left when anything else is printed, or at
// the end. A nil one is silent.
type progress struct {
	to    io.Writer
	width int

	mu     sync.Mutex
	text   string // "" while other things are printed
	shown  string // "" for nothing
	caught bool   // somebody else sees to interrupts

	end   chan struct{}
	ended sync.WaitGroup
}

// showProgress begins to watch a run. What it returns ends that.
func (c *command) showProgress(after time.Duration) (end func()) {
	terminal, is := fd(c.stderr)
	if !is || os.Getenv("CI") != "" {
		return func() {}
	}
	width, _, err := term.GetSize(terminal)
	if err != nil || width < 2 {
		width = 80
	}
	p := &progress{to: c.stderr, width: width, end: make(chan struct{})}
	c.progress, c.stdout, c.stderr = p, &erasing{c.stdout, p}, &erasing{c.stderr, p}
	p.ended.Go(func() { p.watch(after) })
	return func() {
		close(p.end)
		p.ended.Wait()
		p.erase()
	}
}

// say is what the run does now.
func (p *progress) say(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = "gen: " + fmt.Sprintf(format, args...)
}

// catch tells that somebody else sees to interrupts from here on.
func (p *progress) catch() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.caught = true
}

// watch draws the line until the end. Who interrupts gen is not left with it.
func (p *progress) watch(after time.Duration) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	next := time.NewTimer(after)
	for {
		select {
		case <-p.end:
			return
		case s := <-interrupted:
			signal.Stop(interrupted)
			p.interrupt(s)
			return
		case <-next.C:
			p.draw()
			next.Reset(100 * time.Millisecond)
		}
	}
}

// interrupt takes the line away and lets the signal do what it does.
func (p *progress) interrupt(s os.Signal) {
	p.erase()
	p.mu.Lock()
	defer p.mu.Unlock()
	if self, err := os.FindProcess(os.Getpid()); err == nil && !p.caught {
		self.Signal(s)
	}
}

func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text == p.shown {
		return
	}
	line := []rune(p.text)
	line = line[:min(len(line), p.width-1)]
	fmt.Fprintf(p.to, "\r%s\x1b[K", string(line))
	p.shown = p.text
}

// erase takes the line away, until there is something else to say.
func (p *progress) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown != "" {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
	p.text, p.shown = "", ""
}

// An erasing writer has the line away before anything is printed.
type erasing struct {
	to       io.Writer
	progress *progress
}

func (e *erasing) Write(b []byte) (int, error) {
	e.progress.erase()
	return e.to.Write(b)
}
