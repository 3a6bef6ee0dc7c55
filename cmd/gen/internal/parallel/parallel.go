// Package parallel does independent things side by side.
package parallel

import (
	"runtime"
	"sync"
)

// Each calls do with 0 to n-1, as many at a time as there are processors, and
// returns when all are done. Nothing may depend on which is done first.
func Each(n int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
