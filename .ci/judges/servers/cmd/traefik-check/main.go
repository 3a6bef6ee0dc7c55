// Traefik-check reads configuration the way traefik does when it starts, with
// traefik's own code, and says what traefik would refuse:
//
//	traefik-check static FILE...     traefik.yml: what --configFile names
//	traefik-check dynamic FILE...    what the file provider reads from its directory
//
// A refusal is a line "FILE: why" on stderr and exit code 1; there is no output
// otherwise. In two places it is stricter than traefik, which would start and
// only log, or not even that: a section at the top of a file that traefik does
// not know, and a router whose rule does not parse.
package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"github.com/rs/zerolog"
	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/cmd"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	httpmuxer "github.com/traefik/traefik/v3/pkg/muxer/http"
	tcpmuxer "github.com/traefik/traefik/v3/pkg/muxer/tcp"
	provider "github.com/traefik/traefik/v3/pkg/provider/file"
	"gopkg.in/yaml.v3"
)

const usage = "usage: traefik-check static|dynamic FILE..."

func main() {
	zerolog.SetGlobalLevel(zerolog.Disabled) // What traefik logs on the way is not our answer.

	checks := map[string]func(path string) error{"static": static, "dynamic": dynamicFile}
	if len(os.Args) < 3 || checks[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}

	code := 0
	for _, path := range os.Args[2:] {
		if err := checks[os.Args[1]](path); err != nil {
			code = 1
			for line := range strings.Lines(err.Error()) {
				fmt.Fprintf(os.Stderr, "%s: %s\n", path, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	os.Exit(code)
}

// static does what traefik does between its command line and its first listener.
func static(path string) error {
	conf := cmd.NewTraefikConfiguration()
	if err := file.Decode(path, conf); err != nil {
		return err
	}
	if err := sections(path, conf); err != nil {
		return err
	}
	conf.SetEffectiveConfiguration()
	return conf.ValidateConfiguration()
}

// dynamicFile calls the provider with the arguments that it calls itself with,
// so a file is a Go template first: "{{" in a value is seen as traefik sees it.
func dynamicFile(path string) error {
	p := &provider.Provider{Filename: path}
	conf, err := p.CreateConfiguration(context.Background(), path, template.FuncMap{}, false)
	if err != nil {
		return err
	}
	return errors.Join(sections(path, conf), rules(conf))
}

// sections refuses a top-level key that no field of conf takes: traefik skips
// those without a word, although it refuses unknown keys further down.
func sections(path string, conf any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var found map[string]any
	if yaml.Unmarshal(text, &found) != nil {
		return nil // Traefik has read it, so it is a template that is YAML only once it is filled in.
	}

	fields := reflect.VisibleFields(reflect.TypeOf(conf).Elem())
	var unknown []error
	for _, name := range slices.Sorted(maps.Keys(found)) {
		known := slices.ContainsFunc(fields, func(f reflect.StructField) bool {
			return !f.Anonymous && strings.EqualFold(f.Name, name)
		})
		if !known {
			unknown = append(unknown, fmt.Errorf("unknown section: %s", name))
		}
	}
	return errors.Join(unknown...)
}

// rules adds every router to a muxer of its kind, which parses its rule.
func rules(conf *dynamic.Configuration) error {
	parser, err := httpmuxer.NewSyntaxParser()
	if err != nil {
		return err
	}
	tcp, err := tcpmuxer.NewMuxer(nil)
	if err != nil {
		return err
	}

	var bad []error
	web := httpmuxer.NewMuxer(parser, nil)
	for _, name := range slices.Sorted(maps.Keys(conf.HTTP.Routers)) {
		r := conf.HTTP.Routers[name]
		if err := web.AddRoute(r.Rule, r.RuleSyntax, r.Priority, provider.ProviderName, nil); err != nil {
			bad = append(bad, fmt.Errorf("http router %s: %w", name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(conf.TCP.Routers)) {
		r := conf.TCP.Routers[name]
		if err := tcp.AddRoute(r.Rule, r.RuleSyntax, r.Priority, provider.ProviderName, nil); err != nil {
			bad = append(bad, fmt.Errorf("tcp router %s: %w", name, err))
		}
	}
	return errors.Join(bad...)
}
