package main

import (
	"bytes"
	"fmt"
	"io"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/load"
	"gen.example/cmd/gen/internal/secret"
)

// initHost makes the identity by which a host opens its secrets.
func (k *keeper) initHost() error {
	h, err := k.host(k.args[0])
	if err != nil {
		return err
	}
	name := h.Name.V
	if _, there := k.fleet.Keys[name]; there && !k.force {
		return secret.Refuse("to bring it to a machine: gen secret identity "+name+"\nto replace it, because somebody else may have it: gen secret init-host -force "+name,
			"%s has an identity already", name)
	}
	to, err := secret.Readers(k.fleet)
	if err != nil {
		return err
	}
	private, public, err := secret.NewHost(name)
	if err != nil {
		return err
	}
	sealed, err := secret.Seal(private, to)
	if err != nil {
		return err
	}
	// The private half first: a public half alone would be encrypted to, and nobody could decrypt.
	if err := k.write(load.KeysDir+"/"+name+".age", sealed); err != nil {
		return err
	}
	return k.write(load.KeysDir+"/"+name+".pub", []byte(public))
}

// create makes a secret that is not there yet.
func (k *keeper) create() error {
	for _, h := range k.fleet.Hosts {
		k.fleet.AskForTunnelKey(h) // a fleet asks for it by its public half, which comes only now
	}
	k.wanted = k.fleet.Wanted()
	w, err := k.find(k.args[0])
	if err != nil {
		return err
	}
	if _, there := k.fleet.Ciphertexts[w.Name]; there {
		return secret.Refuse("to give it another value: gen secret rotate "+w.Name, "%s is there already", w.Name)
	}
	return k.put(w)
}

// edit replaces a value by one that the user gives. It starts no editor: editors
// leave what they edit in swap, backup and undo files.
func (k *keeper) edit() error {
	k.prompted = !k.fromStdin
	return k.replace()
}

// rotate replaces a value by a new one.
func (k *keeper) rotate() error { return k.replace() }

func (k *keeper) replace() error {
	w, err := k.find(k.args[0])
	if err != nil {
		return err
	}
	if _, there := k.fleet.Ciphertexts[w.Name]; !there {
		return secret.Refuse("gen secret new "+w.Name, "%s is not there yet", w.Name)
	}
	if w.Secret.Stable.V && !k.force {
		return secret.Refuse("it is: "+w.Secret.About.V+"\nif the data is gone, or ready for another value, say -force",
			"%s must live as long as the data: what was written with it would be lost", w.Name)
	}
	if err := k.put(w); err != nil {
		return err
	}
	fmt.Fprintf(k.stderr, "gen: %s has a new value; it is: %s\n", w.Name, w.Secret.About.V)
	return nil
}

// put encrypts a value to the secret's readers, with a new file key.
func (k *keeper) put(w *fleet.Wanted) error {
	to, err := k.readers(w)
	if err != nil {
		return err
	}
	value, public, err := k.value(w)
	if err != nil {
		return err
	}
	sealed, err := secret.Seal(value, to)
	if err != nil {
		return err
	}
	if err := k.write(secretPath(w.Name), sealed); err != nil {
		return err
	}
	_, err = io.WriteString(k.stdout, public)
	return err
}

// value makes or reads the value that the options ask for, and its public half if it has one.
func (k *keeper) value(w *fleet.Wanted) (value []byte, public string, err error) {
	sources := 0
	for _, given := range []bool{k.given["length"] || k.given["alphabet"], k.wireguard, k.ssh, k.fromStdin, k.prompted} {
		if given {
			sources++
		}
	}
	switch {
	case sources > 1:
		return nil, "", secret.Refuse("", "a value has one source: random, -wireguard, -ssh, -stdin or -prompt")
	case k.wireguard || sources == 0 && w.Secret.WireGuard:
		value, public, err = secret.WireGuard()
		if w.Secret.WireGuard {
			fmt.Fprintf(k.stderr, "gen: say hosts: %s: mesh: publicKey: %q\n", w.Owner, public)
		}
		return value, public + "\n", err
	case k.ssh:
		return secret.NewHost(w.Owner + "." + w.Short)
	case k.fromStdin:
		value, err = io.ReadAll(k.stdin)
	case k.prompted:
		value, err = k.twice(w)
	case w.Secret.Form.Set:
		verb := "new"
		if _, there := k.fleet.Ciphertexts[w.Name]; there {
			verb = "edit"
		}
		return nil, "", secret.Refuse(w.Command(verb), "%s is not random: it is put together", w.Name)
	case k.given["length"]:
		value, err = secret.Random(k.length, k.alphabet)
	default:
		value, err = secret.Random(w.Secret.Length.V, k.alphabet)
	}
	if err == nil && len(value) == 0 {
		err = secret.Refuse("", "the value is empty; nothing was changed")
	}
	if err == nil && bytes.IndexByte(value, '\n') == len(value)-1 {
		fmt.Fprintf(k.stderr, "gen: %s ends in a newline, which most programs take as a part of it; printf %%s writes none\n", w.Name)
	}
	return value, "", err
}

func (k *keeper) twice(w *fleet.Wanted) ([]byte, error) {
	value, err := k.ask("value of " + w.Name + ": ")
	if err != nil {
		return nil, err
	}
	again, err := k.ask("again: ")
	if err == nil && again != value {
		err = secret.Refuse("", "the two are not the same; nothing was changed")
	}
	return []byte(value), err
}
