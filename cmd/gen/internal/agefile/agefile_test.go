package agefile

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// sealed is a file that the age library makes for an operator and a host.
func sealed(t testing.TB, plain string) (file []byte, operator *age.X25519Identity, host string) {
	t.Helper()
	operator, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	host = string(ssh.MarshalAuthorizedKey(key))
	recipient, err := agessh.ParseRecipient(host)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, operator.Recipient(), recipient)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, plain)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), operator, host
}

// TestReadsAndWritesWhatAgeDoes: a header that age wrote is read, and written again byte for byte.
func TestReadsAndWritesWhatAgeDoes(t *testing.T) {
	for _, plain := range []string{"", "secret", strings.Repeat("x", 64<<10), strings.Repeat("x", 64<<10+1)} {
		file, operator, host := sealed(t, plain)
		f, err := Parse(file)
		if err != nil {
			t.Fatalf("%d bytes: %v", len(plain), err)
		}
		tag, err := Tag(host)
		if err != nil || !slices.Equal(f.Tags(), []string{tag}) || f.Count(X25519) != 1 || f.Others() != nil {
			t.Errorf("it is for %+v, want an operator and %s (%v)", f.Stanzas, tag, err)
		}
		header := file[:len(file)-len(f.Payload)]
		key, err := age.DecryptHeader(header, operator)
		if err != nil {
			t.Fatal(err)
		}
		if got := Header(f.Stanzas, key); !bytes.Equal(got, header) {
			t.Errorf("the header is written as\n%s\nand age writes\n%s", got, header)
		}
	}
}

// TestHeaderWraps: a body as long as a line is followed by an empty one.
func TestHeaderWraps(t *testing.T) {
	for _, n := range []int{0, 1, 47, 48, 49, 96, 500} {
		s := Stanza{"x-test", []string{"a", "b"}, bytes.Repeat([]byte{7}, n)}
		file := append(Header([]Stanza{s}, make([]byte, 16)), make([]byte, 32)...)
		f, err := Parse(file)
		if err != nil || len(f.Stanzas) != 1 || !bytes.Equal(f.Stanzas[0].Body, s.Body) {
			t.Errorf("a body of %d bytes: %v", n, err)
		}
		if _, err := age.ExtractHeader(bytes.NewReader(file)); err != nil {
			t.Errorf("a body of %d bytes: age says %v", n, err)
		}
	}
}

// TestRefuses: what is not quite an age file.
func TestRefuses(t *testing.T) {
	file, _, _ := sealed(t, "secret")
	good := string(file)
	lines := strings.SplitAfterN(good, "\n", 7) // intro, two stanzas of two lines, MAC, payload
	payload := lines[6]
	replace := func(i int, line string) string {
		changed := slices.Clone(lines)
		changed[i] = line
		return strings.Join(changed, "")
	}
	for what, c := range map[string]struct{ file, says string }{
		"nothing":             {"", "empty"},
		"plain text":          {"hunter2\n", "does not begin like one"},
		"armor":               {"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", "armored"},
		"armor, indented":     {"\n  -----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n", "armored"},
		"another version":     {"age-encryption.org/v2\n", "does not begin like one"},
		"windows lines":       {strings.ReplaceAll(good, "\n", "\r\n"), "does not begin like one"},
		"only the intro":      {intro, "cut off"},
		"cut in the header":   {strings.Join(lines[:4], ""), "cut off"},
		"no recipients":       {lines[0] + lines[5] + payload, "no recipients"},
		"no payload":          {strings.Join(lines[:6], ""), "cut off"},
		"a short payload":     {strings.Join(lines[:6], "") + payload[:31], "cut off"},
		"an empty last chunk": {strings.Join(lines[:6], "") + strings.Repeat("x", nonceSize+chunkSize+tagSize), "cut off"},
		"a blank too many":    {replace(1, strings.Replace(lines[1], " X25519 ", " X25519  ", 1)), "damaged"},
		"no blank":            {replace(1, strings.Replace(lines[1], "-> ", "->", 1)), "damaged"},
		"a control letter":    {replace(1, strings.Replace(lines[1], "X25519", "X2\x015519", 1)), "damaged"},
		"an argument more":    {replace(1, strings.TrimSuffix(lines[1], "\n")+" more\n"), "X25519"},
		"a short body":        {replace(2, "AAAA\n"), "X25519"},
		"a long line":         {replace(2, strings.Repeat("A", 68)+"\n"), "damaged"},
		"padding":             {replace(2, "AAA=\n"), "damaged"},
		"two spellings":       {replace(2, strings.Repeat("A", 42)+"B\n"), "damaged"},
		"a short tag":         {replace(3, "-> ssh-ed25519 AAAA "+strings.Fields(lines[3])[3]+"\n"), "ssh-ed25519"},
		"a short MAC":         {replace(5, "--- AAAA\n"), "damaged"},
		"no MAC":              {replace(5, "---\n"), "damaged"},
		"words after the MAC": {replace(5, strings.TrimSuffix(lines[5], "\n")+" x\n"), "damaged"},
		"many recipients":     {intro + strings.Repeat("-> x\n\n", 1025) + lines[5] + payload, "1024"},
		"a header of 3 MiB":   {intro + "-> x\n" + strings.Repeat(strings.Repeat("A", 64)+"\n", 3<<20/65), "larger"},
		"two passphrases":     {intro + strings.Repeat("-> scrypt AAAA 10\nAAAA\n", 2) + lines[5] + payload, "passphrase"},
	} {
		if _, err := Parse([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}
	if _, err := Parse(file); err != nil {
		t.Errorf("the file itself: %v", err)
	}
}

// FuzzParse: no bytes make it panic, and what it accepts, age reads as a file
// with the same header.
func FuzzParse(f *testing.F) {
	file, _, _ := sealed(f, "secret")
	f.Add(file)
	f.Add(append(Header([]Stanza{{"x-grease", nil, make([]byte, 48)}}, nil), make([]byte, 32)...))
	f.Add([]byte(intro + "-> scrypt AAAA 10\nAAAA\n--- AAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := Parse(b)
		if err != nil {
			return
		}
		header, err := age.ExtractHeader(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("we accept what age does not: %v", err)
		}
		if !bytes.Equal(append(header, parsed.Payload...), b) {
			t.Fatal("the payload does not begin where age says")
		}
	})
}

// TestTag: a tag is that of the stanzas that age makes, and other lines have none.
func TestTag(t *testing.T) {
	_, _, host := sealed(t, "")
	key := strings.TrimSpace(host)
	want, err := Tag(host)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{key, key + "\n", key + " vps1\n", key + " a comment of words\n\n"} {
		if tag, err := Tag(line); err != nil || tag != want {
			t.Errorf("%q: %s, %v", line, tag, err)
		}
	}
	for _, line := range []string{"", "\n", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa " + key[12:], key + "\n" + key, " no " + key, key[:len(key)-4], key + "AAAA",
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIQ==", "-----BEGIN OPENSSH PRIVATE KEY-----"} {
		if tag, err := Tag(line); err == nil {
			t.Errorf("%q has the tag %s", line, tag)
		}
	}
}

// TestRecipient: age's own are right, and one wrong letter is found.
func TestRecipient(t *testing.T) {
	for range 20 {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		s := id.Recipient().String()
		if err := Recipient(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
		for i := range s {
			for _, c := range "qpz1B" {
				if wrong := s[:i] + string(c) + s[i+1:]; wrong != s && Recipient(wrong) == nil {
					t.Errorf("%s passes, and %s is right", wrong, s)
				}
			}
		}
	}
}
