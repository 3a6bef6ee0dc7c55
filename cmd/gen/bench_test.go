//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"gen.example/cmd/gen/internal/bundle"
	"gen.example/cmd/gen/internal/check"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/synthetic"
	"gen.example/cmd/gen/internal/tree"
)

// BenchmarkFleet compiles synthetic fleets with twenty services a host, as a
// whole and stage by stage. Beside a run's time it says what a host costs: CPU,
// heap that is live while all is in memory, and the most that was in use.
func BenchmarkFleet(b *testing.B) {
	for _, hosts := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) { benchmarkFleet(b, hosts) })
	}
}

func benchmarkFleet(b *testing.B, hosts int) {
	repository := syntheticFleet(hosts)
	f, found := load.Fleet(repository)
	if found = append(found, check.Fleet(f)...); len(found) > 0 || len(f.Hosts) != hosts {
		b.Fatal(len(f.Hosts), "hosts;", found)
	}
	stage := func(name string, run func() any) {
		b.Run(name, func(b *testing.B) { measure(b, hosts, run) })
	}
	stage("load", func() any { f, _ := load.Fleet(repository); return f })
	stage("check", func() any { return check.Fleet(f) })
	stage("render", func() any { return rendered(f) })
	trees := rendered(f)
	stage("close", func() any {
		for _, t := range trees {
			t.Close()
		}
		return nil
	})
	stage("bundle", func() any {
		all := []bundle.Bundle{bundle.Fleet(render.Fleet(f))}
		for _, t := range trees {
			all = append(all, bundle.Host(t))
		}
		return all
	})
	trees = nil
	dir := b.TempDir()
	if err := os.CopyFS(dir, repository); err != nil {
		b.Fatal(err)
	}
	stage("compile", func() any { f, bundles, _ := compile(dir); return []any{f, bundles} })
	out := filepath.Join(dir, "out")
	stage("unchanged", func() any { return run([]string{"-C", dir, "-o", out}, os.Stdout, os.Stderr) })
}

func syntheticFleet(hosts int) fs.FS {
	files := fstest.MapFS{}
	for name, text := range synthetic.CUE(hosts) {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func rendered(f *fleet.Fleet) (trees []*tree.Tree) {
	r := render.New(f)
	for _, h := range f.Hosts {
		trees = append(trees, r.Host(h))
	}
	return trees
}

func measure(b *testing.B, hosts int, run func() any) {
	before, start := live(), cpu()
	peak := watchHeap()
	b.ReportAllocs()
	var result any
	for b.Loop() {
		result = run()
	}
	each := float64(hosts)
	b.ReportMetric(float64((cpu()-start).Microseconds())/1000/float64(b.N)/each, "cpu-ms/host")
	b.ReportMetric(inMiB(peak()-before)/each, "peak-MiB/host")
	b.ReportMetric(inMiB(live()-before)/each, "live-MiB/host")
	runtime.KeepAlive(result)
}

func inMiB(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// live is the heap after a collection.
func live() int64 {
	runtime.GC()
	return heap()
}

func heap() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// watchHeap looks at the heap every millisecond until it is asked for the most it saw.
func watchHeap() (peak func() int64) {
	stop, most := make(chan bool), make(chan int64)
	go func() {
		var m int64
		for {
			select {
			case <-stop:
				most <- m
				return
			case <-time.After(time.Millisecond):
				m = max(m, heap())
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}

// cpu is what the process has used, in user and in system mode.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
