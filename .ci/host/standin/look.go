package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
)

// A look is a program's look around when it starts: what it finds, and what it misses.
type look struct {
	seen
	missing []error
	told    bool
}

// newLook begins with what the unit alone decides.
func newLook(program string, args []string) *look {
	s := status()
	groups, err := os.Getgroups()
	if err != nil || groups == nil {
		groups = []int{}
	}
	l := &look{seen: seen{
		Program:    program,
		Args:       args,
		UID:        os.Getuid(),
		GID:        os.Getgid(),
		Groups:     groups,
		Caps:       capNames(s["CapEff"]),
		Bounding:   capNames(s["CapBnd"]),
		NoNewPrivs: s["NoNewPrivs"] == "1",
		Warnings:   []string{},
		Facts:      map[string]any{},
	}}
	if !l.NoNewPrivs {
		l.miss("no_new_privs is not set")
	}
	return l
}

func (l *look) miss(format string, args ...any) {
	l.missing = append(l.missing, fmt.Errorf(format, args...))
}

// warn is for what upstream only complains of.
func (l *look) warn(format string, args ...any) {
	l.Warnings = append(l.Warnings, fmt.Sprintf(format, args...))
}

// end says all that is missing, and is an error if anything is.
func (l *look) end() error {
	for _, w := range l.Warnings {
		log.Print("warning: ", w)
	}
	for _, err := range l.missing {
		log.Print(err)
	}
	if len(l.missing) > 0 {
		return errors.New("it does not start like this")
	}
	return nil
}

// caps wants the capabilities it needs, and none but those it may have besides.
func (l *look) caps(need, may string) {
	for _, name := range strings.Fields(need) {
		if !slices.Contains(l.Caps, name) {
			l.miss("as uid %d it needs the capability %s", l.UID, name)
		}
	}
	allowed := strings.Fields(need + " " + may)
	for _, name := range l.Caps {
		if !slices.Contains(allowed, name) {
			l.miss("it has the capability %s, which it has no use for", name)
		}
	}
}

// user wants to be started as one of these.
func (l *look) user(ids ...string) {
	me := fmt.Sprintf("%d:%d", l.UID, l.GID)
	if !slices.Contains(ids, me) {
		l.miss("it runs as %s instead of %s", me, strings.Join(ids, " or "))
	}
}

// volume wants a directory that outlives the container, of this owner, and writable by who asks.
func (l *look) volume(dir, ids string) {
	info, err := os.Stat(dir)
	if err != nil {
		l.miss("%s: %w", dir, reason(err))
		return
	}
	all := mounts()
	switch on := holder(all, dir); {
	case on == "/":
		l.miss("%s is no mount: what is written there goes with the container", dir)
	case all[on].anonymous:
		l.miss("%s is a volume without a name: it goes with the container", dir)
	case all[on].Type == "tmpfs":
		l.miss("%s is in memory: what is written there goes with the container", dir)
	}
	if got := owner(info); got != ids {
		l.miss("%s belongs to %s instead of %s", dir, got, ids)
	}
	if perm := info.Mode().Perm(); perm&0o700 != 0o700 || perm&0o002 != 0 {
		l.miss("%s has mode %s", dir, mode(info))
	}
	l.writable(dir)
}

func (l *look) writable(dir string) {
	if err := writable(dir); err != nil {
		l.missing = append(l.missing, err)
	}
}

// env wants variables that are not empty.
func (l *look) env(names ...string) {
	for _, name := range names {
		if os.Getenv(name) == "" {
			l.miss("%s is not set", name)
		}
	}
}

// secret is the content of a file, which it wants readable and not empty.
func (l *look) secret(path string) string {
	l.secrets = append(l.secrets, path)
	b, err := os.ReadFile(path)
	switch {
	case err != nil:
		l.miss("uid %d cannot read %s: %w", os.Getuid(), path, reason(err))
	case len(b) == 0:
		l.miss("%s is empty", path)
	}
	return string(b)
}

// line is a secret whose program takes every byte of the file for the value.
func (l *look) line(path string) string {
	value := l.secret(path)
	if strings.ContainsAny(value, "\r\n") {
		l.miss("%s has a newline, and the program takes it for a part of the value", path)
	}
	return value
}

// value is a variable's, or the content of the file that the variable with the suffix names.
func (l *look) value(name, suffix string) string {
	value, file := os.Getenv(name), os.Getenv(name+suffix)
	if value != "" && file != "" {
		l.miss("both %s and %s are set, and they exclude each other", name, name+suffix)
	}
	if file != "" {
		return strings.TrimRight(l.secret(file), "\n")
	}
	return value
}
