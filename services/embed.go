// Package services is the catalogue: what can run, one file a service, so that
// a repository of one's own can import it from the binary.
package services

import "embed"

// Files are the CUE files of this directory.
//
//go:embed *.cue
var Files embed.FS
