// Command compare measures gen as a whole process against what a user would
// otherwise run over the same fleet, turn by turn in one run: cue export, which
// validates and prints JSON; jsonnet, which prints the same JSON and validates
// nothing; and a plain writer of the bytes that gen writes.
//
//	go run -C .ci/compare . [-runs N] [-hosts 1,10,100] [-others N]
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	runs   = flag.Int("runs", 15, "runs of each program that count; one more comes first")
	fleets = flag.String("hosts", "1,10,100", "sizes of the fleets")
	others = flag.Int("others", 10, "the largest fleet that the other programs get")
	stage  = flag.String("prepare", "", "make a fleet in this directory and end")
)

func main() {
	flag.Parse()
	if *stage != "" {
		prepare(*stage, *fleets)
		return
	}
	work, err := os.MkdirTemp("", "compare")
	must(err)
	defer os.RemoveAll(work)
	bin := filepath.Join(work, "bin")
	build(bin)
	var all []*contender
	for size := range strings.SplitSeq(*fleets, ",") {
		// In a process of its own: the peak memory of a child is at least its parent's.
		run(exec.Command(self(), "-prepare", filepath.Join(work, size), "-hosts", size))
		all = append(all, contenders(bin, filepath.Join(work, size), size)...)
	}
	for i := range *runs + 1 {
		for _, c := range all {
			c.measure(i > 0)
		}
	}
	report(all)
}

// build makes the programs. The other tools' versions are those of go.mod.
func build(bin string) {
	run(exec.Command("go", "build", "-C", "../..", "-trimpath", "-o", bin+"/", "./cmd/gen", "./cmd/gen/internal/synthetic/write"))
	run(exec.Command("go", "build", "-trimpath", "-o", bin+"/", "cuelang.org/go/cmd/cue", "github.com/google/go-jsonnet/cmd/jsonnet", "./writer"))
}

// A contender is a program with its arguments, and what its runs took.
type contender struct {
	name, size string
	args       []string
	dir        string // where it runs
	fresh      bool   // the last argument is a directory that was never there
	turns      int
	took       []figures
}

type figures struct{ wall, cpu, peak float64 } // ms, ms, MiB

func contenders(bin, fleet, size string) []*contender {
	out, plain := filepath.Join(fleet, "out"), filepath.Join(fleet, "plain")
	archive := filepath.Join(fleet, "out.tar")
	all := []*contender{
		{name: "gen, first run", args: []string{bin + "/gen", "-o", out}, fresh: true},
		{name: "gen, nothing changed", args: []string{bin + "/gen", "-o", out}},
		{name: "gen check", args: []string{bin + "/gen", "check"}},
	}
	if n, err := strconv.Atoi(size); err == nil && n <= *others {
		all = append(all, []*contender{
			{name: "cue export", args: []string{bin + "/cue", "export", "./hosts"}},
			{name: "jsonnet", args: []string{bin + "/jsonnet", "jsonnet/fleet.jsonnet"}},
			{name: "plain writer, first run", args: []string{bin + "/writer", archive, plain}, fresh: true},
			{name: "plain writer, nothing changed", args: []string{bin + "/writer", archive, plain}},
			{name: "gen -version", args: []string{bin + "/gen", "-version"}},
		}...)
	}
	for _, c := range all {
		c.dir, c.size = fleet, size
	}
	return all
}

func (c *contender) measure(counts bool) {
	args := slices.Clone(c.args)
	if c.fresh {
		// Removed only at the end: ext4 passes over the inodes of files that are
		// gone for a minute, one by one, and whoever writes next would pay for it.
		last := &args[len(args)-1]
		*last = fmt.Sprint(*last, c.turns)
	}
	c.turns++
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = c.dir, os.Stderr
	start := time.Now()
	run(cmd)
	wall := time.Since(start)
	if !counts {
		return
	}
	state := cmd.ProcessState
	c.took = append(c.took, figures{
		wall: float64(wall.Microseconds()) / 1000,
		cpu:  float64((state.UserTime() + state.SystemTime()).Microseconds()) / 1000,
		peak: float64(state.SysUsage().(*syscall.Rusage).Maxrss) / 1024,
	})
}

// report prints medians, and the median of the ratios turn by turn.
func report(all []*contender) {
	fmt.Printf("\n| hosts | program | wall ms | CPU ms | peak MiB | gen's wall to it | gen's CPU to it |\n|---|---|---|---|---|---|---|\n")
	var gen *contender
	for _, c := range all {
		if strings.HasPrefix(c.name, "gen, first") {
			gen = c
		}
		fmt.Printf("| %s | %s | %.1f | %.1f | %.1f | %.2f | %.2f |\n", c.size, c.name, c.median(wall), c.median(cpu), c.median(peak), gen.to(c, wall), gen.to(c, cpu))
	}
	growth(all)
}

// growth says what a host more costs, from the second fleet to the last.
func growth(all []*contender) {
	var gens []*contender
	for _, c := range all {
		if strings.HasPrefix(c.name, "gen, first") {
			gens = append(gens, c)
		}
	}
	if len(gens) < 2 {
		return
	}
	from, to := gens[max(0, len(gens)-2)], gens[len(gens)-1]
	few, err := strconv.ParseFloat(from.size, 64)
	must(err)
	many, err := strconv.ParseFloat(to.size, 64)
	must(err)
	fmt.Printf("\nfrom %v to %v hosts: %.2f MiB of peak memory a host; %.1f and %.1f ms of CPU a host, %.2f times as much\n", few, many,
		(to.median(peak)-from.median(peak))/(many-few), from.median(cpu)/few, to.median(cpu)/many, to.to(from, cpu)*few/many)
}

func wall(f figures) float64 { return f.wall }
func cpu(f figures) float64  { return f.cpu }
func peak(f figures) float64 { return f.peak }

func (c *contender) median(of func(figures) float64) float64 {
	return median(len(c.took), func(i int) float64 { return of(c.took[i]) })
}

func (c *contender) to(other *contender, of func(figures) float64) float64 {
	return median(len(c.took), func(i int) float64 { return of(c.took[i]) / of(other.took[i]) })
}

func median(n int, value func(int) float64) float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = value(i)
	}
	slices.Sort(values)
	return values[n/2]
}

func self() string {
	exe, err := os.Executable()
	must(err)
	return exe
}

func run(c *exec.Cmd) {
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	if err := c.Run(); err != nil {
		must(fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}
