package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/check"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/render"
	"gen.example/cmd/gen/internal/tree"
	"gen.example/cmd/gen/internal/unit"
)

// FuzzQuoting: whatever value check lets through, podman's parsers read that
// value where it was put, and the rest of the quadlet as it was without it.
//
//	go test ./cmd/gen -run '^$' -fuzz FuzzQuoting -fuzztime 5m
func FuzzQuoting(f *testing.F) {
	for _, value := range odd {
		f.Add(value)
	}
	f.Add("\x00")
	plain := demo(f)
	var parsers []*podmanParser
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) {
			t.Skip("CUE has no such string")
		}
		for len(parsers) < len(podmans) {
			parsers = append(parsers, newParser(t, podmans[len(parsers)], plain))
		}
		for name, s := range slots {
			text, ok := with(plain, s, value)
			if !ok {
				continue
			}
			for _, p := range parsers {
				p.check(t, name, s, value, text)
			}
		}
	})
}

// fuzzed is a service with a value in every slot.
const fuzzed = `package hosts

import "gen.example/schema"

fleet: domain: "example.org"
hosts: one: {
	os:      "debian-13"
	address: "203.0.113.1"
	services: demo: schema.#Service & {
		title: "plain"
		containers: app: {
			image: "docker.io/library/demo:1"
			env: FUZZ: "plain"
			entrypoint: ["first", "plain", "last"]
			command: ["first", "plain", "last"]
			health: command: ["first", "plain", "last"]
			reload: command: ["first", "plain", "last"]
			unit: Container: Label: "plain"
		}
	}
}
`

// A slot is a place for a value of the user's.
type slot struct {
	put  func(s *fleet.Service, c *fleet.Container, v fleet.Val[string])
	keys []string // of the quadlet, as section.key: all that may change with it
	read func(r map[string]reading) []string
	want func(value string) []string // nil: the value between our own words
}

var slots = map[string]slot{
	"environment": {
		put:  func(_ *fleet.Service, c *fleet.Container, v fleet.Val[string]) { c.Env[0].V = v },
		keys: []string{"Container.Environment"},
		read: func(r map[string]reading) []string { return []string{deref(r["Container.Environment"].KeyVal["FUZZ"])} },
		want: func(value string) []string { value = unit.Literal(value); return []string{deref(&value)} },
	},
	"command": {
		put:  func(_ *fleet.Service, c *fleet.Container, v fleet.Val[string]) { c.Command[1] = v },
		keys: []string{"Container.Exec"},
		read: func(r map[string]reading) []string { return r["Container.Exec"].LastArgs },
	},
	"entrypoint": {
		put:  func(_ *fleet.Service, c *fleet.Container, v fleet.Val[string]) { c.Entrypoint[1] = v },
		keys: []string{"Container.Entrypoint"},
		read: func(r map[string]reading) []string { return array(r["Container.Entrypoint"].Last) },
	},
	"health command": {
		put:  func(_ *fleet.Service, c *fleet.Container, v fleet.Val[string]) { c.Health.Command[1] = v },
		keys: []string{"Container.HealthCmd", "Container.HealthStartupCmd"},
		read: func(r map[string]reading) []string { return array(r["Container.HealthCmd"].Last) },
	},
	"reload command": { // for systemd, which differs from podman's parser in that no empty word ends it
		put:  func(_ *fleet.Service, c *fleet.Container, v fleet.Val[string]) { c.Reload.Command[1] = v },
		keys: []string{"Service.ExecReload"},
		read: func(r map[string]reading) []string { return r["Service.ExecReload"].LastArgs },
		want: func(value string) []string {
			words := []string{"/usr/bin/podman", "exec", "demo-app", "first"}
			if value == "" {
				return words
			}
			return append(words, unit.Literal(value), "last")
		},
	},
	"title": {
		put:  func(s *fleet.Service, _ *fleet.Container, v fleet.Val[string]) { s.Title = v },
		keys: []string{"Unit.Description"},
		read: func(r map[string]reading) []string {
			title := strings.TrimSuffix(strings.Join(r["Unit.Description"].Raw, "\n"), ": app")
			return []string{strings.TrimSpace(strings.TrimSuffix(title, "(demo)"))}
		},
		want: func(value string) []string {
			if value == "" { // its name stands for it
				return []string{"demo"}
			}
			return []string{unit.Text(value)}
		},
	},
	"label, as it stands": {
		put:  func(_ *fleet.Service, c *fleet.Container, v fleet.Val[string]) { c.Unit[0].V[0].V[0] = v },
		keys: []string{"Container.Label"},
		read: func(r map[string]reading) []string { return r["Container.Label"].Raw },
		want: func(value string) []string {
			if value == "" { // it takes back what stood before
				return nil
			}
			return []string{value}
		},
	},
}

// demo is the fleet that says so.
func demo(t testing.TB) *fleet.Fleet {
	t.Helper()
	f, fs := load.Fleet(fstest.MapFS{"hosts/fleet.cue": {Data: []byte(fuzzed)}})
	if fs = append(fs, check.Fleet(f)...); len(fs) > 0 {
		t.Fatal(fs)
	}
	return f
}

// with is the quadlet with a value in its slot, if check has nothing against it.
func with(f *fleet.Fleet, s slot, value string) (text []byte, ok bool) {
	service := f.Hosts[0].Services[0].V
	put := func(value string) { s.put(service, service.Containers[0].V, fleet.Val[string]{V: value, Set: true}) }
	put(value)
	defer put("plain")
	return quadletOf(f), len(check.Fleet(f)) == 0
}

func quadletOf(f *fleet.Fleet) []byte {
	files := render.Host(f, f.Hosts[0]).Files
	return files[slices.IndexFunc(files, func(f *tree.File) bool { return strings.HasSuffix(f.Path, ".container") })].Bytes()
}

// A podmanParser is podman's, at work in another process.
type podmanParser struct {
	podman  string
	files   io.Writer
	answers *json.Decoder
	plain   map[string]reading
}

// A reading is what podman makes of one key, in each of its ways.
type reading struct {
	Last     string
	Raw      []string
	LastArgs []string
	KeyVal   map[string]*string
}

func newParser(t *testing.T, podman string, plain *fleet.Fleet) *podmanParser {
	t.Helper()
	c := exec.Command(tool(t, "unitcat-"+podman), "-serve") // it ends when this process does
	c.Stderr = os.Stderr
	files, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := &podmanParser{podman, files, json.NewDecoder(bufio.NewReader(answers)), nil}
	p.plain = p.parse(t, quadletOf(plain))
	return p
}

// parse gives what podman reads, by section.key.
func (p *podmanParser) parse(t *testing.T, text []byte) map[string]reading {
	t.Helper()
	if _, err := fmt.Fprintf(p.files, "%d\n%s", len(text), text); err != nil {
		t.Fatal(err)
	}
	var sections map[string]map[string]reading
	if err := p.answers.Decode(&sections); err != nil {
		t.Fatal(err)
	}
	if sections == nil {
		t.Errorf("podman %s cannot read this:\n%s", p.podman, text)
	}
	all := map[string]reading{}
	for section, keys := range sections {
		for key, r := range keys {
			all[section+"."+key] = r
		}
	}
	return all
}

// check compares what podman reads in a quadlet with what was put into it.
func (p *podmanParser) check(t *testing.T, name string, s slot, value string, text []byte) {
	t.Helper()
	want := []string{"first", unit.Literal(value), "last"}
	if s.want != nil {
		want = s.want(value)
	}
	got := p.parse(t, text)
	if read := s.read(got); !slices.Equal(read, want) {
		t.Errorf("podman %s reads the %s %q as %q, not %q", p.podman, name, value, read, want)
	}
	others := func(r map[string]reading) map[string]reading {
		r = maps.Clone(r)
		maps.DeleteFunc(r, func(key string, _ reading) bool { return slices.Contains(s.keys, key) })
		return r
	}
	if before, after := others(p.plain), others(got); !reflect.DeepEqual(before, after) {
		t.Errorf("podman %s reads other keys otherwise (+) with the %s %q:\n%s", p.podman, name, value, cmp.Diff(before, after))
	}
}

// array is a JSON array of strings, or what cannot be read as one.
func array(s string) (words []string) {
	if err := json.Unmarshal([]byte(s), &words); err != nil {
		return []string{err.Error() + ": " + s}
	}
	return words
}
