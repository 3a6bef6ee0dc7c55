// Package agefile reads and writes what stands in the clear of an age file
// (https://age-encryption.org/v1): the header, which says for whom it is. Bytes
// go in and bytes come out, and nothing is decrypted: this is how gen catches a
// secret for the wrong host, and how a header is replaced while the payload
// stays. The age library can read a header but exports no way to write one.
//
//	age-encryption.org/v1
//	-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc
//	EmECAEcKN+n/Vs9SbWiV+Hu0r+E8R77DdWYyd83nw7U
//	-> ssh-ed25519 1t5JdQ pA33HIBg82ebZ0zj5pQbLWGLqOjlW4cZ0Ru4w+CAYHg
//	Q6yV5o1kJYGiUTcYyv1GHYbhMUjYAbPkCdYMAFbKVnQ
//	--- Vn+54jqiiUCE+WZcEVY3f1sqHjlu/z1LCQ/T7Xm7qI0
//	[payload]
package agefile

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A File is an age file as far as anybody can read it.
type File struct {
	Stanzas []Stanza
	MAC     []byte // of the header, keyed by the file key
	Payload []byte // every byte after the header's last line
}

// A Stanza is the file key, wrapped for one recipient.
type Stanza struct {
	Type string
	Args []string
	Body []byte
}

const (
	intro  = "age-encryption.org/v1\n"
	armor  = "-----BEGIN AGE ENCRYPTED FILE-----"
	column = 64 // of a line of base64; a stanza ends with a shorter one

	// The limits are those of the age library, which must read the file too.
	mostHeader  = 2 << 20
	mostStanzas = 1024
	mostArgs    = 128
)

// base64 as age has it: without padding, and with one spelling for each value.
var b64 = base64.RawStdEncoding.Strict()

// Parse reads a binary age file. It is as strict as age itself; an error says
// what the file is instead, to follow "the file is not an age file: ".
func Parse(b []byte) (*File, error) {
	switch {
	case len(b) == 0:
		return nil, errors.New("it is empty")
	case bytes.HasPrefix(bytes.TrimSpace(b), []byte(armor)):
		return nil, ErrArmored
	case !bytes.HasPrefix(b, []byte(intro)):
		return nil, ErrPlain
	}
	r := &reader{rest: b[len(intro):], left: mostHeader}
	f := &File{}
	for bytes.HasPrefix(r.rest, []byte("->")) {
		s, err := r.stanza()
		if err != nil {
			return nil, err
		}
		if f.Stanzas = append(f.Stanzas, s); len(f.Stanzas) > mostStanzas {
			return nil, fmt.Errorf("it has more than %d recipients", mostStanzas)
		}
	}
	mac, err := r.mac()
	if err != nil {
		return nil, err
	}
	f.MAC, f.Payload = mac, r.rest
	return f, f.sound()
}

// ErrArmored is a file in age's text form, and ErrPlain one that is not encrypted with age at all.
var (
	ErrArmored = errors.New("it is armored")
	ErrPlain   = errors.New("it does not begin like one")
)

// A reader goes through a header line by line.
type reader struct {
	rest []byte
	left int // bytes that the header may still have
}

func (r *reader) line() (string, error) {
	line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
	if r.left -= len(line) + 1; r.left < 0 {
		return "", errors.New("its header is larger than age reads")
	}
	if !ok {
		return "", errors.New("its header is cut off")
	}
	r.rest = rest
	return string(line), nil
}

func (r *reader) stanza() (s Stanza, err error) {
	line, err := r.line()
	if err != nil {
		return s, err
	}
	words := strings.Split(line, " ")
	if words[0] != "->" || len(words) < 2 || len(words) > mostArgs+2 || slices.ContainsFunc(words, odd) {
		return s, errors.New("its header is damaged")
	}
	s.Type, s.Args = words[1], words[2:]
	for {
		if line, err = r.line(); err != nil {
			return s, err
		}
		part, err := decode(line)
		if err != nil || len(line) > column {
			return s, errors.New("its header is damaged")
		}
		s.Body = append(s.Body, part...)
		if len(line) < column {
			return s, s.sound()
		}
	}
}

func (r *reader) mac() ([]byte, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	text, ok := strings.CutPrefix(line, "--- ")
	mac, err := decode(text)
	if !ok || err != nil || len(mac) != sha256.Size {
		return nil, errors.New("its header is damaged")
	}
	return mac, nil
}

// decode refuses the line breaks that base64 would skip.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("a line break")
	}
	return b64.DecodeString(s)
}

// odd reports whether a word of a stanza's first line may not be there.
func odd(word string) bool {
	return word == "" || strings.ContainsFunc(word, func(r rune) bool { return r < '!' || r > '~' })
}

// sizes are the arguments and bodies, in bytes, of the stanzas that gen knows.
// Others may follow rules of their own.
var sizes = map[string]struct {
	args []int
	body int
}{
	X25519:  {[]int{32}, 32},
	Ed25519: {[]int{4, 32}, 32},
}

// The types of stanza that gen makes: for an operator and for a host.
const (
	X25519  = "X25519"
	Ed25519 = "ssh-ed25519"
)

func (s *Stanza) sound() error {
	want, known := sizes[s.Type]
	if !known {
		return nil
	}
	damaged := fmt.Errorf("a recipient of its header (%s) is damaged", s.Type)
	if len(s.Args) != len(want.args) || len(s.Body) != want.body {
		return damaged
	}
	for i, a := range s.Args {
		if b, err := decode(a); err != nil || len(b) != want.args[i] {
			return damaged
		}
	}
	return nil
}

// The payload is a nonce and chunks of at most 64 KiB, each with a tag. The
// last one is full, or shorter; it is empty only if it is the only one.
const (
	nonceSize = 16
	tagSize   = 16
	chunkSize = 64<<10 + tagSize
)

// sound checks what holds for every file, whatever is in it.
func (f *File) sound() error {
	if len(f.Stanzas) == 0 {
		return errors.New("it has no recipients")
	}
	if len(f.Stanzas) > 1 && f.Count("scrypt") > 0 {
		return errors.New("it has a passphrase and other recipients")
	}
	chunks := len(f.Payload) - nonceSize
	last := chunks % chunkSize
	if chunks < tagSize || last > 0 && last < tagSize || last == tagSize && chunks > chunkSize {
		return errors.New("it is cut off")
	}
	return nil
}

// Count is the number of recipients of a type.
func (f *File) Count(kind string) (n int) {
	for _, s := range f.Stanzas {
		if s.Type == kind {
			n++
		}
	}
	return n
}

// Tags are those of the ssh-ed25519 recipients, sorted.
func (f *File) Tags() (tags []string) {
	for _, s := range f.Stanzas {
		if s.Type == Ed25519 {
			tags = append(tags, s.Args[0])
		}
	}
	slices.Sort(tags)
	return tags
}

// Others are the types of recipients that are neither operators nor hosts,
// sorted. Grease, which some programs add to keep readers tolerant, is nobody.
func (f *File) Others() (types []string) {
	for _, s := range f.Stanzas {
		if s.Type != X25519 && s.Type != Ed25519 && !strings.HasSuffix(s.Type, "-grease") {
			types = append(types, s.Type)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// PayloadHash is the hex SHA-256 of the payload: it stays when only the header
// is rewritten, and says nothing about the plaintext.
func (f *File) PayloadHash() string {
	hash := sha256.Sum256(f.Payload)
	return hex.EncodeToString(hash[:])
}

// Header is the header of these stanzas with its MAC, from "age-encryption.org"
// to the line before the payload.
func Header(stanzas []Stanza, fileKey []byte) []byte {
	var b bytes.Buffer
	b.WriteString(intro)
	for _, s := range stanzas {
		b.WriteString("-> " + strings.Join(append([]string{s.Type}, s.Args...), " ") + "\n")
		text := b64.EncodeToString(s.Body)
		for ; len(text) >= column; text = text[column:] {
			b.WriteString(text[:column] + "\n")
		}
		b.WriteString(text + "\n") // perhaps empty: the last line is short
	}
	b.WriteString("---")
	sum := mac(fileKey, b.Bytes())
	b.WriteString(" " + b64.EncodeToString(sum) + "\n")
	return b.Bytes()
}

// mac authenticates a header up to and including its three dashes.
func mac(fileKey, header []byte) []byte {
	key, err := hkdf.Key(sha256.New, fileKey, nil, "header", sha256.Size)
	if err != nil {
		panic("agefile: HKDF refuses a key of its own size: " + err.Error())
	}
	h := hmac.New(sha256.New, key)
	h.Write(header)
	return h.Sum(nil)
}
