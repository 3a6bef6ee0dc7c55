package main

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
)

// scripts teach shells to ask gen complete, one script a shell.
//
//go:embed completion
var scripts embed.FS

func shells(*line) []string { return []string{"bash", "fish", "zsh"} }

// completion prints the script for a shell.
func completion(c *command) int {
	known := strings.Join(shells(nil), ", ")
	if len(c.args) == 0 {
		return c.misused("say for which shell: %s", known)
	}
	script, err := scripts.ReadFile("completion/gen." + c.args[0])
	if err != nil {
		return c.misused("there is no completion for %q; %s", c.args[0], finding.DidYouMean(c.args[0], shells(nil), "there is one for "+known))
	}
	if _, err := c.stdout.Write(script); err != nil {
		return c.failed(err)
	}
	return ok
}

// Answers that leave the search to the shell, which knows how to quote names.
var (
	directories = always(":directories")
	files       = always(":files")
	nothing     = always()
)

func always(answer ...string) func(*line) []string {
	return func(*line) []string { return answer }
}

// valuesOf are what can be an option's value. Every option that takes one is here.
var valuesOf = map[string]func(*line) []string{
	"directory":  directories,
	"out":        directories,
	"golden":     directories,
	"key":        files,
	"host":       hostNames,
	"identity":   files,
	"passphrase": files,
	"length":     nothing,
	"alphabet":   always("letters", "hex", "digits", "easy"),
}

// wordsOf are what can follow a verb. Every verb that takes words is here.
var wordsOf = map[string]func(*line) []string{
	"secret":     secretWords,
	"mesh":       peerNames,
	"init":       directories,
	"completion": shells,
	"complete":   nothing,
}

// namesOf are what can follow a verb of gen secret. Every one that takes names is here.
var namesOf = map[string]func(*line) []string{
	"init-host": hostNames,
	"identity":  hostNames,
	"new":       missingSecrets,
	"edit":      presentSecrets,
	"rotate":    presentSecrets,
	"rekey":     presentSecrets,
	"show":      presentSecrets,
}

// A line is a command line that is being typed, up to the cursor.
type line struct {
	flags  *pflag.FlagSet
	values map[string][]string // of options, by their long names
	words  []string            // verbs and names
	last   string              // what is before the cursor without a blank
	option *pflag.Flag         // whose value last is, if of any
}

// complete prints what could stand for the last of its words, one a line. A
// shell asks at a key press: it is never told that something is wrong.
func complete(c *command) (code int) {
	defer func() { _ = recover() }()
	for _, word := range readLine(c.args).candidates() {
		fmt.Fprintln(c.stdout, word)
	}
	return ok
}

func readLine(words []string) *line {
	l := &line{flags: (&command{}).options(), values: map[string][]string{}}
	words = joinEquals(words)
	if len(words) == 0 {
		return l
	}
	l.last = words[len(words)-1]
	for i, word := range words[:len(words)-1] {
		if word == "--" {
			l.words = append(l.words, words[i+1:len(words)-1]...)
			l.option = nil
			return l
		}
		l.read(unquote(word))
	}
	return l
}

// read takes in a word that is finished.
func (l *line) read(word string) {
	name, value, given := strings.Cut(strings.TrimLeft(word, "-"), "=")
	switch option := l.lookup(name); {
	case l.option != nil:
		l.values[l.option.Name] = append(l.values[l.option.Name], word)
		l.option = nil
	case !strings.HasPrefix(word, "-") || word == "-":
		l.words = append(l.words, word)
	case option == nil:
	case given:
		l.values[option.Name] = append(l.values[option.Name], value)
	case takesValue(option):
		l.option = option
	}
}

func (l *line) lookup(name string) *pflag.Flag {
	if len(name) == 1 {
		return l.flags.ShorthandLookup(name)
	}
	return l.flags.Lookup(name)
}

func takesValue(f *pflag.Flag) bool { return f.NoOptDefVal == "" }

// joinEquals undoes what bash does to -host=vps1: three words of it.
func joinEquals(words []string) (out []string) {
	for i, word := range words {
		if n := len(out); n > 0 && (word == "=" || words[i-1] == "=") {
			out[n-1] += word
		} else {
			out = append(out, word)
		}
	}
	return out
}

// unquote reads a word as a shell would, as far as names of files need it.
func unquote(word string) string {
	if rest, ok := strings.CutPrefix(word, "~/"); ok {
		word = filepath.Join(os.Getenv("HOME"), rest)
	}
	return strings.NewReplacer(`\`, "", `"`, "", "'", "").Replace(word)
}

// candidates are what could stand for the last word.
func (l *line) candidates() []string {
	name, value, given := strings.Cut(l.last, "=")
	switch {
	case l.option != nil:
		return fitting(valuesOf[l.option.Name](l), l.last, "")
	case given && strings.HasPrefix(name, "-"):
		if option := l.lookup(strings.TrimLeft(name, "-")); option != nil && takesValue(option) {
			return fitting(valuesOf[option.Name](l), value, name+"=")
		}
		return nil
	case strings.HasPrefix(l.last, "-"):
		return fitting(l.optionWords(), l.last, "")
	case len(l.words) == 0:
		return fitting(slices.DeleteFunc(verbNames(), isForShells), l.last, "")
	}
	if words := wordsOf[l.words[0]]; words != nil {
		return fitting(words(l), l.last, "")
	}
	return nil
}

// isForShells tells the verb that people have no use for.
func isForShells(verb string) bool { return verb == "complete" }

// fitting are the answers that begin as what is typed, and answers to the shell.
func fitting(all []string, typed, before string) (out []string) {
	for _, word := range all {
		switch {
		case strings.HasPrefix(word, ":"):
			out = append(out, word)
		case strings.HasPrefix(word, typed):
			out = append(out, before+word)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// optionWords are the options that the line's verb takes, as they are usually written.
func (l *line) optionWords() (words []string) {
	l.flags.VisitAll(func(f *pflag.Flag) {
		if !l.takes(f.Name) {
			return
		}
		if f.Shorthand != "" {
			words = append(words, "-"+f.Shorthand)
		} else {
			words = append(words, "-"+f.Name)
		}
		if strings.HasPrefix(l.last, "--") {
			words = append(words, "--"+f.Name)
		}
	})
	return append(words, "-help")
}

func (l *line) takes(option string) bool {
	if option == "version" || option == "directory" {
		return option == "directory" || len(l.words) == 0
	}
	if len(l.words) > 1 && l.words[0] == "secret" {
		return slices.Contains(strings.Fields(secretVerbs[l.words[1]].options), option)
	}
	name := ""
	if len(l.words) > 0 {
		name = l.words[0]
	}
	v, _ := verbNamed(name)
	return v.takes(option)
}

func secretWords(l *line) []string {
	if len(l.words) == 1 {
		return secretVerbNames()
	}
	name, given := l.words[1], l.words[2:]
	verb, names := secretVerbs[name], namesOf[name]
	if names == nil || verb.names >= 0 && len(given) >= verb.names {
		return nil
	}
	return slices.DeleteFunc(names(l), func(n string) bool { return slices.Contains(given, n) })
}

// root is the repository that the line is about.
func (l *line) root() fs.FS {
	if dirs := l.values["directory"]; len(dirs) > 0 {
		return os.DirFS(dirs[len(dirs)-1])
	}
	return os.DirFS(".")
}

func hostNames(l *line) []string {
	return slices.DeleteFunc(load.HostNames(l.root()), func(n string) bool { return slices.Contains(l.values["host"], n) })
}

func presentSecrets(l *line) (names []string) {
	files, _ := fs.Glob(l.root(), load.SecretsDir+"/*.age")
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".age"))
	}
	return l.shortened(names)
}

// keyPatience is how long somebody who pressed a key waits for the fleet to be evaluated.
const keyPatience = 500 * time.Millisecond

// missingSecrets are those that the fleet asks for and has not.
func missingSecrets(l *line) []string {
	return l.shortened(l.fromFleet(func(f *fleet.Fleet) (names []string) {
		for _, w := range f.Wanted() {
			if _, there := f.Ciphertexts[w.Name]; !there && fleet.IsSecretName(w.Short) {
				names = append(names, w.Name)
			}
		}
		return names
	}))
}

// peerNames are the mesh's peers that are no hosts.
func peerNames(l *line) []string {
	if len(l.words) > 1 {
		return nil
	}
	return l.fromFleet(func(f *fleet.Fleet) []string { return f.Mesh.Peers.Names() })
}

// fromFleet is what the fleet says, if that can be found out in time.
func (l *line) fromFleet(names func(*fleet.Fleet) []string) []string {
	answer := make(chan []string, 1)
	go func() {
		defer func() { _ = recover() }()
		f, _ := load.Fleet(l.root())
		answer <- names(f)
	}()
	select {
	case names := <-answer:
		return names
	case <-time.After(keyPatience):
		return nil
	}
}

// shortened leaves out the environment of secrets' names, where the rest tells
// and somebody began to type without it.
func (l *line) shortened(names []string) []string {
	if slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, l.last) }) {
		return names
	}
	times := map[string]int{}
	for _, n := range names {
		_, short, _ := strings.Cut(n, ".")
		times[short]++
	}
	var out []string
	for short, n := range times {
		if n == 1 {
			out = append(out, short)
		}
	}
	return out
}
