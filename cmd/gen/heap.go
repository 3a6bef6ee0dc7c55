package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// How much memory a run may take before it collects what it no longer uses. Most
// of what it allocates is CUE's, and garbage when the next host's turn comes: a
// limit lets the first hosts have the room that the last ones will need, where a
// share of what is live would collect all the time while little is.
const (
	shared   = 40 << 20 // for the program and what all hosts share
	inHand   = 16 << 20 // for one that is being read; nothing is collected if it is the only one
	perHost  = 3 << 19  // for the model and the files of one, and half as much again
	reserved = 48 << 20 // of all that, with large pages
)

var limit struct {
	sync.Mutex
	bytes int64 // 0: the runtime's own, which stays
}

// setHeap is for the command alone: the runtime's settings are the process's.
// What the user has set stands.
func setHeap() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(-1)
	limit.bytes = 1 // any: nothing is collected until there is one
	space := largePages()
	go func() { // beside the reading of files
		giveBack(space)
		allow(room(1))
		runtime.AddCleanup(new(*byte), afterCollection, 0)
	}()
}

// room is how much a fleet of so many hosts may take.
func room(hosts int) int64 {
	return shared + inHand*int64(min(hosts, runtime.GOMAXPROCS(0))) + perHost*int64(hosts)
}

// allow raises the limit, once there is one.
func allow(bytes int64) {
	limit.Lock()
	defer limit.Unlock()
	if limit.bytes > 0 && bytes > limit.bytes {
		limit.bytes = bytes
		debug.SetMemoryLimit(bytes)
	}
}

// afterCollection leaves at least half of what is live to be allocated until
// the next one, for fleets that need more than their number of hosts tells.
func afterCollection(int) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	allow(int64(live[0].Value.Uint64()) * 3 / 2)
	runtime.AddCleanup(new(*byte), afterCollection, 0)
}

// largePages has the heap grow into memory that the kernel hands out by 2 MiB
// and not by 4 KiB, where it can: a page that is touched for the first time is a
// fault, several thousand of which are a third of a run on a virtual machine.
// The space is given to the heap by collecting it.
func largePages() []byte {
	space := make([]byte, reserved)
	adviseLargePages(space)
	return space
}

func giveBack([]byte) { runtime.GC() }
