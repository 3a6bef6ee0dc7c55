package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"

	"gen.example/cmd/gen/internal/bundle"
)

// showDiff prints what gen would change with the same options. It reads like
// git's, and git apply and patch -p1 do in OUT what gen would do, but for what
// is binary.
func showDiff(c *command) int {
	dirs, code := c.compileTargets()
	if code != ok {
		return code
	}
	out := bufio.NewWriter(c.stdout)
	p := &patch{to: out, paint: painter(c.stdout)}
	for i, d := range dirs {
		c.progress.say("comparing %s, %d of %d", d.name, i+1, len(dirs))
		if err := p.directory(d); err != nil {
			out.Flush()
			return c.failed(err)
		}
	}
	if err := out.Flush(); err != nil {
		return c.failed(err)
	}
	if p.records > 0 {
		return found
	}
	return ok
}

// A patch is a diff in the making.
type patch struct {
	to      io.Writer
	paint   func(colour, text string) string
	records int
}

// A side of a record: a file before or after. None is nil.
type side struct {
	mode   uint32 // as git writes it
	body   []byte
	opaque bool // not text, or too much of it
}

// directory prints the changes of a directory in OUT.
func (p *patch) directory(d target) error {
	changes, err := d.bundle.Compare(d.dir)
	if err != nil {
		return err
	}
	slices.SortFunc(changes, func(a, b bundle.Change) int { return cmp.Compare(turn(a), turn(b)) })
	for _, ch := range changes {
		old, err := before(d.dir, ch)
		if err != nil {
			return err
		}
		p.change(d.name+"/"+ch.Path, old, after(ch))
	}
	return nil
}

// turn is by what changes are sorted: their paths, but a directory has to be
// empty before patch makes a file of it.
func turn(ch bundle.Change) string {
	if ch.New != nil && ch.Old != nil && ch.Old.IsDir() {
		return ch.Path + "/\xff"
	}
	return ch.Path
}

// change prints one record, or two where something becomes a file that was none.
func (p *patch) change(path string, old, now *side) {
	if old != nil && now != nil && old.mode&kind != now.mode&kind {
		p.record(path, old, nil)
		old = nil
	}
	if old != nil || now != nil { // a directory is in no patch
		p.record(path, old, now)
	}
}

// Modes of git's.
const (
	kind    = 0o170000
	regular = 0o100000
	symlink = 0o120000
)

// before is what is there.
func before(dir string, ch bundle.Change) (*side, error) {
	if ch.Old == nil || ch.Old.IsDir() {
		return nil, nil
	}
	at := filepath.Join(dir, filepath.FromSlash(ch.Path))
	const longest = 16 << 20
	switch mode := ch.Old.Mode(); {
	case mode&fs.ModeSymlink != 0:
		to, err := os.Readlink(at)
		return text(symlink, []byte(to)), err
	case !mode.IsRegular():
		return &side{opaque: true}, nil
	case ch.Old.Size() > longest:
		return &side{mode: regular | uint32(mode.Perm()), opaque: true}, nil
	default:
		body, err := os.ReadFile(at)
		return text(regular|uint32(mode.Perm()), body), err
	}
}

// after is what gen writes.
func after(ch bundle.Change) *side {
	if ch.New == nil {
		return nil
	}
	return text(regular|ch.New.Mode, ch.New.Body)
}

func text(mode uint32, body []byte) *side {
	return &side{mode: mode, body: body, opaque: bytes.IndexByte(body, 0) >= 0 || !utf8.Valid(body)}
}

// record prints how one file changes.
func (p *patch) record(path string, old, now *side) {
	from, to := named("a/"+path), named("b/"+path)
	head := "diff --git " + from + " " + to + "\n"
	switch {
	case old == nil:
		head += fmt.Sprintf("new file mode %06o\n", now.mode)
		from, old = "/dev/null", &side{}
	case now == nil:
		head += fmt.Sprintf("deleted file mode %06o\n", old.mode)
		to, now = "/dev/null", &side{}
	case old.mode != now.mode:
		head += fmt.Sprintf("old mode %06o\nnew mode %06o\n", old.mode, now.mode)
	}
	same := bytes.Equal(old.body, now.body)
	switch {
	case old.opaque != now.opaque, old.opaque && !same:
		p.binary(from, to)
	case same:
		p.lines(bold, head)
	default:
		p.lines(bold, head+"--- "+from+"\n+++ "+to+"\n")
		p.hunks(old.body, now.body)
	}
	p.records++
}

// binary is a line that git and patch pass over, as no part of a record: as one,
// git would refuse all of the patch, and patch would make an empty file.
func (p *patch) binary(from, to string) {
	if p.records > 0 {
		fmt.Fprintln(p.to)
	}
	p.lines(bold, "Binary files "+from+" and "+to+" differ\n")
}

// hunks prints the lines that change, and some around them.
func (p *patch) hunks(old, now []byte) {
	_, hunks, _ := bytes.Cut(diff.Diff("", old, "", now), []byte("\n@@"))
	for line := range strings.Lines("@@" + string(hunks)) {
		p.lines(map[byte]string{'@': cyan, '-': red, '+': green}[line[0]], line)
	}
}

// lines prints whole lines in a colour, or in none.
func (p *patch) lines(colour, text string) {
	for line := range strings.Lines(text) {
		if colour != "" {
			line = p.paint(colour, strings.TrimSuffix(line, "\n")) + "\n"
		}
		io.WriteString(p.to, line)
	}
}

// named is a path, quoted as git does where it would be misread. Git leaves
// blanks as they are; patch then finds no file whose mode alone changes.
func named(path string) string {
	odd := func(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' || r == '\\' || r == utf8.RuneError }
	if !strings.ContainsFunc(path, odd) {
		return path
	}
	var b strings.Builder
	for i := range len(path) {
		switch ch := path[i]; {
		case ch == '"' || ch == '\\':
			b.WriteString(`\` + string(rune(ch)))
		case ch < ' ' || ch >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, ch)
		default:
			b.WriteByte(ch)
		}
	}
	return `"` + b.String() + `"`
}
