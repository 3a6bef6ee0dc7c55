// Package ext is here because traefik's own module finds it through a replace,
// and a replace counts only in the main module: whoever requires traefik must
// bring the package. It is a place for a vendor's extra fields; we have none.
package ext

// HTTP adds nothing to the http section of a dynamic configuration.
type HTTP struct{}

// DeepCopyInto is called by traefik's generated copy functions.
func (in *HTTP) DeepCopyInto(out *HTTP) { *out = *in }

// Router adds nothing to a router.
type Router struct{}

// DeepCopyInto is called by traefik's generated copy functions.
func (in *Router) DeepCopyInto(out *Router) { *out = *in }
