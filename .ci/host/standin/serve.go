package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// untilStopped is done when the container is to stop.
func untilStopped() (context.Context, func()) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGWINCH)
}

// A server is a place to listen, and what answers there.
type server struct {
	net.Listener
	*http.ServeMux
}

// listen opens an address. A program tells what it sees when it opens its first,
// and again on each to who asks.
func (l *look) listen(address string) (server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return server{}, err
	}
	if !l.told {
		l.told = true
		l.tell()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /standin", func(w http.ResponseWriter, r *http.Request) { reply(w, l.now(r)) })
	return server{listener, mux}, nil
}

// serve answers until it is told to stop, and then lets the requests end that it has.
func serve(ctx context.Context, servers ...server) error {
	var running []*http.Server
	for _, s := range servers {
		h := &http.Server{Handler: s}
		running = append(running, h)
		log.Print("listening on ", s.Addr())
		go h.Serve(s)
	}
	<-ctx.Done()
	log.Print("stopping")
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	for _, h := range running {
		errs = append(errs, h.Shutdown(end))
	}
	return errors.Join(errs...)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// text answers with the same every time.
func text(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, body)
	}
}

// metrics answers in Prometheus's format. A sample is its name with labels, and its value; those of
// one name follow each other.
func metrics(samples ...any) http.HandlerFunc {
	var out strings.Builder
	last := ""
	for i := 0; i < len(samples); i += 2 {
		name, _, _ := strings.Cut(samples[i].(string), "{")
		if name != last {
			fmt.Fprintf(&out, "# TYPE %s %s\n", name, kind(name))
		}
		fmt.Fprintf(&out, "%s %v\n", samples[i], samples[i+1])
		last = name
	}
	return text("text/plain; version=0.0.4; charset=utf-8", out.String())
}

func kind(name string) string {
	if strings.HasSuffix(name, "_total") {
		return "counter"
	}
	return "gauge"
}

// page is a program's first page: each visit leaves a row in its table and a line in its directory.
func (l *look) page(t *table, dir string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rows, err := t.visit(r.Context())
		visits, err2 := line(filepath.Join(dir, "visits"))
		if err := errors.Join(err, err2); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, map[string]any{
			"program": l.Program, "rows": rows, "lines": visits,
			"host": r.Host, "peer": r.RemoteAddr, "headers": headers(r),
		})
	}
}

// line adds a line to a file, and says how many there are.
func line(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintln(f, time.Now().UTC().Format(time.RFC3339))
	err = errors.Join(err, f.Close())
	return len(lines(path)), err
}
