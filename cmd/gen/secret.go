package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/secret"
)

const secretUsage = `Usage:
    gen secret init-host HOST [-force]          make a host's identity
    gen secret new NAME [VALUE]                 make a secret that the fleet asks for
    gen secret edit NAME [-stdin] [-force]      replace a value by one that you give
    gen secret rotate NAME [VALUE] [-force]     replace a value by a new one
    gen secret rekey [NAME]...                  encrypt to whom the fleet names now
    gen secret verify                           decrypt everything, also as each host would
    gen secret list                             what there is, for whom, used by what
    gen secret show NAME                        print a value
    gen secret identity HOST                    print a host's private key

gen secret keeps one age file a secret, hosts/secrets/NAME.age, encrypted to the
fleet's operators and to the hosts that use it. NAME is one that gen secret list
prints; its environment may be left out where the rest tells. Values are never
in arguments, in temporary files or in messages.

VALUE is random unless one of these says otherwise:
    -length N       So many characters. 40 by default.
    -alphabet A     Of letters (and digits), hex, digits, easy (to read), or
                    of the characters that A itself is made of.
    -wireguard      A WireGuard key. Its public half is printed.
    -ssh            An ssh key. Its public half is printed.
    -stdin          What comes from standard input, byte for byte.
    -prompt         What you type, without echo.

Options:
    -C DIR          The repository. The current directory by default.
    -i FILE         Your age identity, for rekey, verify, show and identity; - is
                    standard input. $GEN_IDENTITY by default. If the file is
                    protected by a passphrase (age -p), that is asked for.
    -passphrase FILE
                    Where to read the passphrase from instead, up to the end of
                    the first line; - is standard input.
    -force          Replace what must live as long as the data, or a host's identity.

A changed value takes effect when the host's bundle is pushed: the units that
read it restart. rekey leaves the values as they are, so nothing restarts.

Example:
    $ age-keygen | age -p -a > ~/gen.identity
    $ gen secret init-host vps1
    $ gen secret new hedgedoc.sessionsecret
    $ gen secret show hedgedoc.dbURL -i ~/gen.identity
`

// secretOptions are the options of gen secret.
type secretOptions struct {
	identity, passphrase       string
	length                     int
	alphabet                   string
	wireguard, ssh             bool
	fromStdin, prompted, force bool
}

func (o *secretOptions) register(flags *pflag.FlagSet) {
	flags.StringVarP(&o.identity, "identity", "i", "", "")
	flags.StringVar(&o.passphrase, "passphrase", "", "")
	flags.IntVar(&o.length, "length", secret.DefaultLength, "")
	flags.StringVar(&o.alphabet, "alphabet", secret.DefaultAlphabet, "")
	flags.BoolVar(&o.wireguard, "wireguard", false, "")
	flags.BoolVar(&o.ssh, "ssh", false, "")
	flags.BoolVar(&o.fromStdin, "stdin", false, "")
	flags.BoolVar(&o.prompted, "prompt", false, "")
	flags.BoolVar(&o.force, "force", false, "")
}

// secretVerbs are the verbs of gen secret: the options each takes besides -C,
// and whether it is about one name, none, or any number.
var secretVerbs = map[string]struct {
	run     func(*keeper) error
	options string
	names   int
}{
	"init-host": {(*keeper).initHost, "force", 1},
	"new":       {(*keeper).create, "length alphabet wireguard ssh stdin prompt", 1},
	"edit":      {(*keeper).edit, "stdin prompt force", 1},
	"rotate":    {(*keeper).rotate, "length alphabet wireguard ssh stdin prompt force", 1},
	"rekey":     {(*keeper).rekey, "identity passphrase", -1},
	"verify":    {(*keeper).verify, "identity passphrase", 0},
	"list":      {(*keeper).list, "", 0},
	"show":      {(*keeper).show, "identity passphrase", 1},
	"identity":  {(*keeper).hostIdentity, "identity passphrase", 1},
}

// secretOptionNames are all options of gen secret's verbs.
const secretOptionNames = "identity passphrase length alphabet wireguard ssh stdin prompt force"

// A keeper is gen secret at work: the user's fleet, what it asks for, and what
// is there. It refuses before it writes.
type keeper struct {
	*command
	fleet  *fleet.Fleet
	wanted []*fleet.Wanted
}

// errSaid is a failure that was told already: there are findings.
var errSaid = errors.New("it is said already")

func secrets(c *command) int {
	if len(c.args) == 0 {
		return c.misusedSecret("say what to do: " + strings.Join(secretVerbNames(), ", "))
	}
	name, names := c.args[0], c.args[1:]
	v, known := secretVerbs[name]
	switch {
	case !known:
		return c.misusedSecret(fmt.Sprintf("gen secret has no verb %q; %s", name, finding.DidYouMean(name, secretVerbNames(), "it has "+strings.Join(secretVerbNames(), ", "))))
	case v.names == 1 && len(names) == 0:
		return c.misusedSecret("gen secret " + name + " needs a name")
	case v.names >= 0 && len(names) > v.names:
		return c.misusedSecret("gen secret " + name + " does not know what to do with " + strings.Join(names[v.names:], " "))
	}
	for option := range c.given {
		if option != "directory" && !slices.Contains(strings.Fields(v.options), option) {
			return c.misusedSecret(fmt.Sprintf("gen secret %s has no option -%s", name, option))
		}
	}
	c.args = names
	err := c.keep(v.run)
	var no *secret.Refusal
	switch {
	case err == nil:
		return ok
	case err == errSaid:
		return found
	case errors.As(err, &no):
		fmt.Fprintf(c.stderr, "gen: %s\n", no.What)
		if no.Hint != "" {
			fmt.Fprintf(c.stderr, "    hint: %s\n", strings.ReplaceAll(no.Hint, "\n", "\n          "))
		}
		return misused
	}
	return c.failed(err)
}

func secretVerbNames() []string {
	return []string{"init-host", "new", "edit", "rotate", "rekey", "verify", "list", "show", "identity"}
}

func (c *command) misusedSecret(what string) int {
	fmt.Fprintf(c.stderr, "gen: %s\ngen: see gen secret -help\n", what)
	return misused
}

// keep reads the whole fleet and then runs a verb: with a part of it, a secret
// would be encrypted to a part of its readers.
func (c *command) keep(verb func(*keeper) error) error {
	if info, err := os.Stat(c.dir); err != nil || !info.IsDir() {
		return secret.Refuse("", "%s is not a directory", c.dir)
	}
	f, fs := load.Fleet(os.DirFS(c.dir))
	if len(fs) > 0 {
		style(c.stderr).Print(c.stderr, finding.Sort(fs))
		return errSaid
	}
	return verb(&keeper{c, f, f.Wanted()})
}

// find is the secret that a name means.
func (k *keeper) find(name string) (*fleet.Wanted, error) {
	var all []string
	var fit []*fleet.Wanted
	for _, w := range k.wanted {
		if !fleet.IsSecretName(w.Short) {
			continue // check refuses it; it may lead anywhere
		}
		if w.Name == name {
			return w, nil
		}
		if w.Owner+"."+w.Short == name {
			fit = append(fit, w)
		}
		all = append(all, w.Name, w.Owner+"."+w.Short)
	}
	switch len(fit) {
	case 1:
		return fit[0], nil
	case 0:
		return nil, secret.Refuse(finding.DidYouMean(name, all, "gen secret list prints those it asks for"), "the fleet asks for no secret %q", name)
	}
	return nil, secret.Refuse("say which: "+fit[0].Name+" or "+fit[1].Name, "%q is the name of several secrets", name)
}

func (k *keeper) host(name string) (*fleet.Host, error) {
	var all []string
	for _, h := range k.fleet.Hosts {
		if h.Name.V == name {
			return h, nil
		}
		all = append(all, h.Name.V)
	}
	return nil, secret.Refuse(finding.DidYouMean(name, all, "there are "+strings.Join(all, ", ")), "there is no host %q", name)
}

// readers are those a secret is encrypted to.
func (k *keeper) readers(w *fleet.Wanted) ([]age.Recipient, error) {
	var hosts []*fleet.Host
	for _, u := range w.Uses {
		hosts = append(hosts, u.Host)
	}
	return secret.Readers(k.fleet, hosts...)
}

// ciphertext is the file of a secret.
func (k *keeper) ciphertext(w *fleet.Wanted) ([]byte, error) {
	switch c, there := k.fleet.Ciphertexts[w.Name]; {
	case !there:
		return nil, secret.Refuse("gen secret new "+w.Name, "%s is not in the repository", w.Name)
	case c.Wrong != nil:
		return nil, secret.Refuse("", "%s is not an age file: %v", secretPath(w.Name), c.Wrong)
	default:
		return c.Bytes, nil
	}
}

func secretPath(name string) string { return load.SecretsDir + "/" + name + ".age" }

// write puts a file into the repository.
func (k *keeper) write(path string, body []byte) error {
	return secret.Write(filepath.Join(k.dir, filepath.FromSlash(path)), body)
}

// identities are the operator's. Standard input can stand for one thing only.
func (k *keeper) identities() ([]age.Identity, error) {
	file := k.identity
	if file == "" {
		file = os.Getenv("GEN_IDENTITY")
	}
	switch {
	case file == "":
		return nil, secret.Refuse("name your age identity with -i FILE, or in $GEN_IDENTITY", "this needs an operator's identity")
	case file == "-" && k.passphrase == "-":
		return nil, secret.Refuse("name a file for one of them", "both the identity and the passphrase are to come from standard input")
	}
	text, err := k.read(file)
	if err != nil {
		return nil, secret.Refuse("", "the identity cannot be read: %v", err)
	}
	return secret.Identities(text, func() (string, error) {
		if k.passphrase == "" {
			return k.ask("passphrase of " + file + ": ")
		}
		b, err := k.read(k.passphrase)
		if err != nil {
			return "", secret.Refuse("", "the passphrase cannot be read: %v", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	})
}

// read reads a file, or standard input for "-".
func (k *keeper) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(k.stdin)
	}
	return os.ReadFile(file)
}

// askTerminal asks on the terminal itself, without echo: standard input and
// output may be a pipe that carries a value.
func askTerminal(prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", secret.Refuse("without one, a passphrase comes from -passphrase FILE, and a value from -stdin", "there is no terminal to ask at")
	}
	defer tty.Close()
	fmt.Fprint(tty, prompt)
	answer, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	return string(answer), err
}
