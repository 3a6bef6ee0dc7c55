package load

import (
	"reflect"
	"sync"
)

// slabs hand out the memory of the model, from pieces that hold nothing else.
// What stays of a host is a sixtieth of what CUE allocates to evaluate it; strewn
// among that, it would keep several times its size in use.
type slabs struct {
	sync.Mutex
	free map[reflect.Type]reflect.Value // what is left of the last piece, by the type of slice
}

const piece = 16 << 10 // bytes

// slice is a new slice of n elements of zeros.
func (s *slabs) slice(t reflect.Type, n int) reflect.Value {
	s.Lock()
	defer s.Unlock()
	if s.free == nil {
		s.free = map[reflect.Type]reflect.Value{}
	}
	free, ok := s.free[t]
	if !ok || free.Len() < n {
		some := max(n, piece/int(t.Elem().Size()))
		free = reflect.MakeSlice(t, some, some)
	}
	s.free[t] = free.Slice(n, free.Len())
	return free.Slice3(0, n, n)
}

func (s *slabs) pointer(t reflect.Type) reflect.Value {
	return s.slice(reflect.SliceOf(t), 1).Index(0).Addr()
}

func sliceOf[T any](s *slabs, n int) []T {
	return s.slice(reflect.TypeFor[[]T](), n).Interface().([]T)
}
