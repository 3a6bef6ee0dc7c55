package main

import (
	_ "embed"
	"io"
)

//go:embed gen.1
var manualPage string

// manual prints the page as man reads it, for whoever has the binary alone.
func manual(c *command) int {
	if _, err := io.WriteString(c.stdout, manualPage); err != nil {
		return c.failed(err)
	}
	return ok
}
