package load

import (
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"cuelang.org/go/cue/token"
	"github.com/google/go-cmp/cmp"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/synthetic"
)

// TestParts: a host that is read in parts, as it is on many processors, has the
// same values at the same places, and its mistakes are told in the same words.
func TestParts(t *testing.T) {
	one := syntheticHost()
	r := &repository{root: one}
	r.readHosts()
	if r.whole["h000"] || r.whole[""] {
		t.Fatal("the synthetic host is not read in parts")
	}
	repositories := map[string]fs.FS{"the example": os.DirFS("../../../.."), "synthetic": one}
	const host = "hosts/h000.cue"
	for what, line := range map[string]string{
		"a value that does not fit":           `hosts: h000: swap: "much"`,
		"a value in a service":                `hosts: h000: services: wiki: version: 3`,
		"values in two parts":                 "hosts: h000: services: wiki: version: 3\nhosts: h000: services: chat: version: 3",
		"a field that there is not":           `hosts: h000: adress: "203.0.113.1"`,
		"a field of a service":                `hosts: h000: services: wiki: verson: "2.0"`,
		"a hidden conflict":                   `hosts: h000: _mine: 1 & 2`,
		"a hidden conflict among services":    `hosts: h000: services: _mine: 1 & 2`,
		"a hidden conflict in a service":      `hosts: h000: services: wiki: _mine: 1 & 2`,
		"a conflict in a pattern":             `hosts: [string]: _mine: 1 & 2`,
		"a conflict in all services":          `hosts: h000: services: [string]: _mine: 1 & 2`,
		"a definition's conflict":             `hosts: h000: #mine: 1 & 2`,
		"an embedded conflict":                `hosts: h000: {if true {_mine: 1 & 2}}`,
		"a reference to another service":      `hosts: h000: services: wiki: domain: "x." + hosts.h000.services.git.domain`,
		"a reference to a service's conflict": "hosts: h000: services: git: domain: 3\nhosts: h000: services: wiki: domain: hosts.h000.services.git.domain",
	} {
		with := fstest.MapFS{}
		for name, file := range one {
			with[name] = file
		}
		with["hosts/more.cue"] = &fstest.MapFile{Data: []byte("package hosts\n\n" + line + "\n")}
		repositories[what] = with
	}
	without := func(words string) fs.FS {
		less := fstest.MapFS{}
		for name, file := range one {
			less[name] = file
		}
		text := string(one[host].Data)
		if !strings.Contains(text, words) {
			t.Fatalf("%s has no %q", host, words)
		}
		less[host] = &fstest.MapFile{Data: []byte(strings.Replace(text, words, "", 1))}
		return less
	}
	repositories["no os"] = without(`os: "debian-13"`)
	repositories["no address"] = without(`address: "203.0.0.1"`)

	for name, repository := range repositories {
		t.Run(name, func(t *testing.T) {
			whole, told := on(1, repository)
			parts, toldToo := on(16, repository)
			places := cmp.Transformer("place", func(p token.Pos) string { return p.String() })
			if diff := cmp.Diff(whole, parts, places); diff != "" {
				t.Errorf("the model, whole and in parts:\n%s", diff)
			}
			if diff := cmp.Diff(told, toldToo); diff != "" {
				t.Errorf("what is wrong, whole and in parts:\n%s", diff)
			}
		})
	}
}

// syntheticHost is a fleet of one host of twenty services.
func syntheticHost() fstest.MapFS {
	files := fstest.MapFS{}
	for name, text := range synthetic.CUE(1) {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

// on reads a repository on some processors.
func on(processors int, root fs.FS) (f *fleet.Fleet, told []string) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
	f, found := Fleet(root)
	for _, x := range found {
		told = append(told, x.Error())
	}
	return f, told
}
