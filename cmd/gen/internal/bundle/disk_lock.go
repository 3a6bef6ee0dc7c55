package bundle

import (
	"context"
	"os"
	"time"
)

// lock keeps two runs from writing into one directory at the same time: an
// editor that is saved twice starts two. The lock is the kernel's, on the
// directory itself, and so it goes with the run however that ends.
func lock(ctx context.Context, dir *os.Root) (unlock func() error, err error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, fail("read", dir.Name(), err)
	}
	for held := false; !held; {
		if held = tryLock(f); held {
			break
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return f.Close, nil
}
