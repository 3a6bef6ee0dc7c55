// Package schema holds the definitions that say what a fleet may be, so that
// a repository without a copy of its own can import them from the binary.
package schema

import "embed"

// Files are the CUE files of this directory.
//
//go:embed *.cue
var Files embed.FS
