package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	patience = 1500 * time.Millisecond // the kernel sends a SYN again after one second
	atOnce   = 2000
)

type try struct {
	address, protocol string
	port              int
}

func (t try) String() string { return fmt.Sprint(t.address, " ", t.port, " ", t.protocol) }

func probe(in io.Reader, out io.Writer) error {
	todo, done := make(chan try), make(chan string)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for t := range todo {
				if happened := t.happens(); happened != "" {
					done <- t.String() + " " + happened
				}
			}
		})
	}
	var err error
	go func() {
		err = read(in, todo)
		close(todo)
		all.Wait()
		close(done)
	}()
	w := bufio.NewWriter(out)
	for line := range done {
		fmt.Fprintln(w, line)
	}
	return errors.Join(err, w.Flush())
}

func read(in io.Reader, todo chan<- try) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 3 {
			return fmt.Errorf("%q is no ADDRESS PORT PROTOCOL", lines.Text())
		}
		from, to, isRange := strings.Cut(f[1], "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		for port := first; port <= last; port++ {
			todo <- try{f[0], f[2], port}
		}
	}
	return lines.Err()
}

// happens is empty if nothing came back.
func (t try) happens() string {
	address := net.JoinHostPort(t.address, strconv.Itoa(t.port))
	c, err := net.DialTimeout(t.protocol, address, patience)
	if err != nil {
		return failed(err)
	}
	defer c.Close()
	if t.protocol == "udp" {
		return overPackets(c, t.asks())
	}
	_ = c.(*net.TCPConn).SetLinger(0) // the port is soon needed for the next
	return overConnection(c, t.asks())
}

func (t try) asks() string {
	switch {
	case t.port != 53:
		return question
	case t.protocol == "tcp":
		return "\x00" + string(rune(len(query))) + query
	}
	return query
}

func failed(err error) string {
	var late net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "rejected"
	case errors.As(err, &late) && late.Timeout():
		return ""
	}
	return "failed: " + err.Error()
}

// overPackets asks twice, for one may be lost where much is going on.
func overPackets(c net.Conn, question string) string {
	for range 2 {
		if _, err := io.WriteString(c, question); err != nil {
			return failed(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(patience / 2))
		b := make([]byte, 512)
		n, err := c.Read(b)
		switch {
		case err == nil:
			return said(string(b[:n]))
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return failed(err)
		}
	}
	return ""
}

func overConnection(c net.Conn, question string) string {
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, question)
	b := make([]byte, 512)
	n, err := c.Read(b)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return "mute"
	}
	return said(string(b[:n]))
}

// said tells a place of ours from another program.
func said(line string) string {
	if name, ok := strings.CutPrefix(strings.TrimSpace(line), answer); ok {
		return "connected " + name
	}
	return "connected ?"
}
