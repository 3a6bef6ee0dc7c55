package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// nextcloudExporter asks Nextcloud at each scrape, with a token that Nextcloud must know.
func nextcloudExporter(args []string) error {
	l := newLook("nextcloud-exporter", args)
	l.caps("", "")
	l.env("NEXTCLOUD_SERVER")
	token := os.Getenv("NEXTCLOUD_AUTH_TOKEN")
	if path, ok := strings.CutPrefix(token, "@"); ok {
		token = strings.TrimSpace(l.secret(path))
	}
	if token == "" {
		l.miss("NEXTCLOUD_AUTH_TOKEN is not set")
	}
	address := os.Getenv("NEXTCLOUD_SERVER") + "/ocs/v2.php/apps/serverinfo/api/v1/info?format=json"
	return l.export(":9205", func(w http.ResponseWriter, r *http.Request) {
		up := 0
		if err := authorized(r.Context(), address, token); err == nil {
			up = 1
		} else {
			fmt.Fprintln(os.Stderr, err)
		}
		metrics("nextcloud_up", up, "nextcloud_scrape_errors_total", 1-up,
			"nextcloud_free_space_bytes", 1<<40, "nextcloud_system_update_available", 0)(w, r)
	})
}

func authorized(ctx context.Context, address, token string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("NC-Token", token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		return fmt.Errorf("Nextcloud: %s: %s", res.Status, body)
	}
	return nil
}

// podmanExporter asks podman at each scrape, through its socket.
func podmanExporter(args []string) error {
	l := newLook("podman-exporter", args)
	l.caps("", "")
	socket, ok := strings.CutPrefix(os.Getenv("CONTAINER_HOST"), "unix://")
	if !ok {
		l.miss("CONTAINER_HOST is no unix:// socket")
	}
	if _, err := containers(context.Background(), socket); err != nil {
		l.miss("podman at %s: %w", socket, err)
	}
	return l.export(":9882", func(w http.ResponseWriter, r *http.Request) {
		all, err := containers(r.Context(), socket)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		var state, health, started []any
		for _, c := range all {
			labels := fmt.Sprintf("{id=%q,name=%q,image=%q}", c.ID[:12], c.Names[0], c.Image)
			state = append(state, "podman_container_state"+labels, states[c.State])
			health = append(health, "podman_container_health"+labels, healths[c.Status])
			started = append(started, "podman_container_started_seconds"+labels, c.StartedAt)
		}
		metrics(append(append(state, health...), started...)...)(w, r)
	})
}

// A container is one as podman lists it; its status is that of its health.
type container struct {
	ID            string `json:"Id"`
	Names         []string
	Image         string
	State, Status string
	StartedAt     int64
}

var (
	states  = map[string]int{"created": 0, "initialized": 1, "running": 2, "stopped": 3, "paused": 4, "exited": 5}
	healths = map[string]int{"": -1, "healthy": 0, "unhealthy": 1, "starting": 2}
)

func containers(ctx context.Context, socket string) (out []container, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}
	req, err := http.NewRequestWithContext(ctx, "GET", "http://podman/v5.0.0/libpod/containers/json?all=true", nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("podman: %s", res.Status)
	}
	return out, json.NewDecoder(res.Body).Decode(&out)
}

// export answers on one port, whose page is there for health commands.
func (l *look) export(address string, scrape http.HandlerFunc) error {
	ctx, stop := untilStopped()
	defer stop()
	if err := l.end(); err != nil {
		return err
	}
	s, err := l.listen(address)
	if err != nil {
		return err
	}
	s.HandleFunc("GET /metrics", scrape)
	s.HandleFunc("GET /{$}", text("text/html", "<a href=\"metrics\">metrics</a>\n"))
	return serve(ctx, s)
}
