// Command gen compiles a fleet, described in CUE, to a tree of plain files for
// each of its hosts.
//
// A fleet is checked, then rendered to a tree:
//
//	schema/*.cue  ─┐
//	services/*.cue ├─ load ─ fleet.Fleet ─ check ─ render ─ tree.Tree ─ close ─ bundle ─ write
//	hosts/*.cue   ─┘
//
// load reads CUE, evaluates each host by itself and decodes it into the model,
// package fleet. check finds what is wrong with it. Both may blame the user, at
// a place in the user's files. render spells it: a backend is a total function
// of the checked fleet and a host that returns files, so it cannot fail. What
// concerns several hosts, firewalls and tunnels above all, comes from one ledger
// of who reaches what, package exposure, and what is watched from package watch. A
// tree is closed when everything its units name is in it; that is also where it
// shows who reads what. bundle adds the lists and scripts that bring a tree to
// a host, and writes them: the only effect that gen has. What there is to write
// is compared with what is there first, and gen diff stops after that.
//
// gen secret stands beside this: it makes the ciphertexts that load reads, and
// it alone can decrypt them.
//
// Every value carries its place in CUE from load to the finished tree.
package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"gen.example/cmd/gen/internal/bundle"
	"gen.example/cmd/gen/internal/finding"
)

// Exit codes.
const (
	ok      = 0 // nothing to say
	found   = 1 // findings, or differences
	misused = 2 // called wrongly
	failed  = 3 // the machine failed us, or somebody interrupted
)

const usage = `Usage:
    gen [-C DIR] [-host NAME]... [-o OUT]
    gen diff [-C DIR] [-host NAME]... [-o OUT]
    gen check [-C DIR] [-golden DIR] [-json | -github]
    gen secret VERB [-C DIR] …
    gen mesh PEER [-C DIR] [-key FILE]
    gen init DIR
    gen vendor [-C DIR]
    gen completion bash|zsh|fish
    gen man

gen checks a fleet described in CUE and compiles it to plain files: OUT/NAME
for each host, with what brings them there, and OUT/fleet for what belongs to
no single host.

Options:
    -C DIR        The repository. The current directory by default.
    -host NAME    Write this host only; may be given several times. All hosts
                  are checked in any case.
    -o OUT        Where to write. "out" by default. gen removes there what it
                  no longer writes, and refuses directories it did not make.
    -golden DIR   Compare what gen -o DIR would write with what is there.
    -json         Print findings as a JSON array, on standard output.
    -github       Print findings as annotations of a workflow on GitHub.
    -key FILE     The private key of the peer, - for standard input.
    -version      Print the version.
    -h, -help     Print this text.

gen diff prints what gen would change in OUT, for people, git apply and
patch -p1. gen check prints every finding, and with -golden also which files
are out of date. Both write nothing. gen secret makes, changes and shows what
is encrypted in the repository: see gen secret -help. gen mesh prints what
wg-quick reads on a peer of the mesh that is no host, such as a laptop. gen init
makes a repository of one's own, with a host and a service to begin with. gen
vendor writes the schema and the catalogue that gen brings to cue.mod/pkg, for
editors and plain cue. gen completion prints a script for a shell, and gen man
the manual.

On a terminal findings and diffs are coloured, unless NO_COLOR is set, and a
run that takes longer than a second says what it is doing.

Exit status: 0 nothing to say, 1 findings or differences, 2 called wrongly,
3 the machine failed (a full disk, say) or the run was interrupted.

Example:
    $ gen -host vps1 -o out/
    $ out/vps1/push root@203.0.113.10
`

func main() {
	setHeap()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// A command is what the user asked for.
type command struct {
	dir     string
	out     string
	golden  string
	key     string // a file
	hosts   []string
	json    bool // findings for a program
	github  bool // findings for a workflow on GitHub
	version bool
	verb    string
	args    []string // after the verb

	secretOptions

	stdin          io.Reader
	stdout, stderr io.Writer
	given          map[string]bool // options, by their long names
	ask            func(prompt string) (string, error)
	progress       *progress
}

// A verb is one of gen's commands.
type verb struct {
	name    string // "" compiles
	options string // that it takes besides -C, by their long names
	words   int    // how many it takes at most, -1 for any number
	run     func(*command) int
}

func verbs() []verb {
	return []verb{
		{"", "out host", 0, generate},
		{"check", "golden json github", 0, checkOnly},
		{"diff", "out host", 0, showDiff},
		{"secret", secretOptionNames, -1, secrets},
		{"mesh", "key", 1, mesh},
		{"init", "", 1, initialize},
		{"vendor", "", 0, vendor},
		{"completion", "", 1, completion},
		{"complete", "", -1, complete},
		{"man", "", 0, manual},
	}
}

// verbNamed is the verb that has a name, false if there is none.
func verbNamed(name string) (verb, bool) {
	all := verbs()
	i := slices.IndexFunc(all, func(v verb) bool { return v.name == name })
	if i < 0 {
		return verb{}, false
	}
	return all[i], true
}

// verbNames are the names of the verbs that have one.
func verbNames() (names []string) {
	for _, v := range verbs() {
		if v.name != "" {
			names = append(names, v.name)
		}
	}
	return names
}

// run is the whole program as a function: tests call it.
func run(args []string, stdout, stderr io.Writer) int {
	c := &command{stdin: os.Stdin, stdout: stdout, stderr: stderr, ask: askTerminal}
	return c.run(args)
}

// options are all that gen has, of whichever verb.
func (c *command) options() *pflag.FlagSet {
	flags := pflag.NewFlagSet("gen", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVarP(&c.dir, "directory", "C", ".", "")
	flags.StringVarP(&c.out, "out", "o", "out", "")
	flags.StringVar(&c.golden, "golden", "", "")
	flags.StringArrayVar(&c.hosts, "host", nil, "")
	flags.StringVar(&c.key, "key", "", "")
	flags.BoolVar(&c.json, "json", false, "")
	flags.BoolVar(&c.github, "github", false, "")
	c.secretOptions.register(flags)
	flags.BoolVar(&c.version, "version", false, "")
	return flags
}

func (c *command) run(args []string) int {
	flags := c.options()
	args, err := longNames(flags, args)
	if err == nil {
		err = flags.Parse(args)
	}
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(c.stdout, map[bool]string{false: usage, true: secretUsage}[slices.Contains(args, "secret")])
		return ok
	case err != nil:
		return c.misused("%v", err)
	case c.version:
		fmt.Fprintln(c.stdout, "gen", programVersion())
		return ok
	case flags.NArg() > 0:
		c.verb, c.args = flags.Arg(0), flags.Args()[1:]
	}
	c.given = map[string]bool{}
	flags.Visit(func(f *pflag.Flag) { c.given[f.Name] = true })
	v, known := verbNamed(c.verb)
	if !known || c.verb == "" && flags.NArg() > 0 {
		return c.misused("there is no command %q; %s", c.verb, finding.DidYouMean(c.verb, verbNames(), "to compile, give none"))
	}
	if v.words >= 0 && len(c.args) > v.words {
		return c.misused("%s does not know what to do with %s", v, strings.Join(c.args[v.words:], " "))
	}
	for _, option := range slices.Sorted(maps.Keys(c.given)) {
		if !v.takes(option) {
			return c.misused("%s has no option -%s; %s", v, option, belongs(option))
		}
	}
	defer c.showProgress(patience)()
	return v.run(c)
}

func (v verb) String() string { return strings.TrimSpace("gen " + v.name) }

func (v verb) takes(option string) bool {
	return option == "directory" || option == "version" || slices.Contains(strings.Fields(v.options), option)
}

// belongs says which verbs take an option.
func belongs(option string) string {
	var takers []string
	for _, v := range verbs() {
		if v.takes(option) {
			takers = append(takers, v.String())
		}
	}
	return "it belongs to " + strings.Join(takers, ", ")
}

// longNames lets -host mean --host, which pflag would read as four options of
// one letter, and refuses other words after a single dash.
func longNames(flags *pflag.FlagSet, args []string) ([]string, error) {
	var out []string
	for i, arg := range args {
		if arg == "--" {
			return append(out, args[i:]...), nil
		}
		word, isOption := strings.CutPrefix(arg, "-")
		switch {
		case !isOption || len(word) < 2 || word[0] == '-':
			out = append(out, arg)
		case isLong(flags, word):
			out = append(out, "-"+arg)
		case flags.ShorthandLookup(word[:1]) != nil && strings.ContainsAny(word[1:2], "./~=-"): // -o./out
			out = append(out, arg)
		default:
			name, _, _ := strings.Cut(word, "=")
			return nil, fmt.Errorf("there is no option -%s; %s", name,
				finding.DidYouMean(name, longOptions(flags), "a value stands apart, as in -o out"))
		}
	}
	return out, nil
}

func longOptions(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return append(names, "help")
}

func isLong(flags *pflag.FlagSet, word string) bool {
	name, _, _ := strings.Cut(word, "=")
	return flags.Lookup(name) != nil || name == "help"
}

func (c *command) misused(format string, args ...any) int {
	fmt.Fprintf(c.stderr, "gen: "+format+"\n", args...)
	fmt.Fprintln(c.stderr, "gen: see gen -help")
	return misused
}

func (c *command) failed(err error) int {
	fmt.Fprintf(c.stderr, "gen: %v\n", err)
	var machine *bundle.Failure
	if errors.As(err, &machine) && machine.Hint() != "" {
		fmt.Fprintf(c.stderr, "    hint: %s\n", machine.Hint())
	}
	return failed
}

// programVersion is the module's version that the go command stamped.
func programVersion() string {
	info, known := debug.ReadBuildInfo()
	if !known || slices.Contains([]string{"", "(devel)"}, info.Main.Version) {
		return "of a working tree"
	}
	return info.Main.Version
}
