package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// How the heap grows. A run is over in the blink of an eye, and most of what it
// allocates is CUE's and garbage when the next host's turn comes.
const (
	first    = 48  // MiB in use before anything is collected: more than one host takes from start to end
	share    = 75  // per cent of what is live that is allocated between two collections, from then on
	reserved = 256 // MiB for which large pages are asked
)

// setHeap is for the command alone: the runtime's settings are the process's.
// What the user has set stands.
func setHeap() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(-1)
	space := largePages()
	go func() { // beside the reading of files
		giveBack(space)
		debug.SetGCPercent(100 * first / 4) // of 4 MiB, the runtime's least
		afterCollection := func(percent int) { debug.SetGCPercent(percent) }
		runtime.AddCleanup(new(*byte), afterCollection, share)
	}()
}

// largePages has the heap grow into memory that the kernel hands out by 2 MiB
// and not by 4 KiB, where it can: a page that is touched for the first time is a
// fault, several thousand of which are a third of a run on a virtual machine.
// The space is given to the heap by collecting it.
func largePages() []byte {
	space := make([]byte, reserved<<20)
	adviseLargePages(space)
	return space
}

func giveBack([]byte) { runtime.GC() }
