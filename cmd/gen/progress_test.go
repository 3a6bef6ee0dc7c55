package main

import (
	"os"
	"sync"
	"testing"

	"gen.example/cmd/gen/internal/load"
)

// TestSteps: reading tells of every host.
func TestSteps(t *testing.T) {
	var mu sync.Mutex
	most, total := 0, 0
	f, _ := load.Fleet(os.DirFS(repository), func(done, of int) {
		mu.Lock()
		defer mu.Unlock()
		most, total = max(most, done), of
	})
	if n := len(f.Hosts); most != n || total != n {
		t.Errorf("it told of %d of %d hosts; there are %d", most, total, n)
	}
}
