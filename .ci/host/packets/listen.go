package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

func listen(name string, sockets []string) error {
	addresses, err := own()
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	for _, s := range sockets {
		port, protocol, _ := strings.Cut(s, "/")
		// An answer must come from the address that was asked, so each has a socket of its own.
		for _, a := range addresses {
			err := open(protocol, net.JoinHostPort(a.String(), port), answer+name+"\n")
			switch {
			case errors.Is(err, syscall.EADDRINUSE):
				fmt.Fprintln(out, "held", a, port, protocol)
			case err != nil:
				return err
			}
		}
	}
	fmt.Fprintln(out, "ready")
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// own are the addresses of this namespace, less those that need a zone.
func own() (out []netip.Addr, err error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			return nil, err
		}
		if !p.Addr().IsLinkLocalUnicast() && !slices.Contains(out, p.Addr()) {
			out = append(out, p.Addr())
		}
	}
	return out, nil
}

func open(protocol, address, reply string) error {
	if protocol == "udp" {
		c, err := net.ListenPacket("udp", address)
		if err == nil {
			go answerPackets(c, reply)
		}
		return err
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		go answerConnections(l, reply)
	}
	return err
}

func answerPackets(c net.PacketConn, reply string) {
	b := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil && !strings.HasPrefix(string(b[:n]), answer): // or two would talk for ever
			_, _ = c.WriteTo([]byte(reply), from) // who asked asks again
		}
	}
}

func answerConnections(l net.Listener, reply string) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // it is gone already
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, reply)
			_, _ = io.Copy(io.Discard, c) // until the other side has had it
		}()
	}
}
