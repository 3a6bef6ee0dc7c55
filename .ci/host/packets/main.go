// Packets finds out which packets pass, for the tests that compare it with what should pass. In
// one place it answers on many ports with the place's own name; in others it tries them all.
//
//	packets listen NAME PORT/PROTOCOL...
//
// answers on these ports of every address of the network namespace it is started in, until its
// standard input ends. Of a port that another program has it says `held ADDRESS PORT PROTOCOL`,
// and `ready` when all the others are its own.
//
//	packets probe <LINES
//
// tries what the lines `ADDRESS PORT PROTOCOL` say, all at once; a port may be a range such as
// 1-65535. It says of each what happened, and nothing of those from which nothing came back:
//
//	ADDRESS PORT PROTOCOL connected NAME    the place of that name answered
//	ADDRESS PORT PROTOCOL connected ?       some other program did
//	ADDRESS PORT PROTOCOL mute              the kernel took the connection, and nobody said a word
//	ADDRESS PORT PROTOCOL refused           it reached a place where nobody listens
//	ADDRESS PORT PROTOCOL rejected          somebody on the way said no
package main

import (
	"fmt"
	"os"
)

const (
	answer = "packets "

	// No real program takes this for the begin of something and waits for more: Traefik would, were it
	// shorter.
	question = "packets? packets? packets?\n\n"

	// But for one that resolves names, which knows of none such in podman's domain.
	query = "\x70\x6b\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07packets\x03dns\x06podman\x00\x00\x01\x00\x01"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 3 && os.Args[1] == "listen":
		err = listen(os.Args[2], os.Args[3:])
	case len(os.Args) == 2 && os.Args[1] == "probe":
		err = probe(os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("usage: packets listen NAME PORT/PROTOCOL... | packets probe <LINES")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packets:", err)
		os.Exit(1)
	}
}
