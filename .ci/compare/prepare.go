package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
)

// prepare writes a fleet for all programs and makes sure that they say the same of it.
func prepare(dir, size string) {
	bin := filepath.Join(filepath.Dir(dir), "bin")
	run(exec.Command(bin+"/write", dir, size))
	run(exec.Command(bin+"/gen", "-C", dir, "-o", filepath.Join(dir, "out")))
	archive(filepath.Join(dir, "out.tar"), filepath.Join(dir, "out"))
	if n, err := strconv.Atoi(size); err != nil || n > *others {
		return
	}
	want := output(dir, bin+"/cue", "export", "./hosts")
	catalogue(want, filepath.Join(dir, "jsonnet/catalogue.json"))
	if !reflect.DeepEqual(want, output(dir, bin+"/jsonnet", "jsonnet/fleet.jsonnet")) {
		must(fmt.Errorf("cue and jsonnet do not print the same of %s hosts", size))
	}
}

func output(dir string, args ...string) (out map[string]any) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	text, err := cmd.Output()
	must(err)
	must(json.Unmarshal(text, &out))
	return out
}

// catalogue gives jsonnet what the catalogue's services come to, which it does not compute.
func catalogue(all map[string]any, path string) {
	out := map[string]any{}
	for name, host := range all["hosts"].(map[string]any) {
		services := host.(map[string]any)["services"].(map[string]any)
		out[name] = map[string]any{"node": services["node"], "traefik": services["traefik"]}
	}
	text, err := json.Marshal(out)
	must(err)
	must(os.WriteFile(path, text, 0o644))
}

// archive puts all that gen wrote into a file for the plain writer.
func archive(path, dir string) {
	f, err := os.Create(path)
	must(err)
	w := tar.NewWriter(f)
	must(w.AddFS(os.DirFS(dir)))
	must(w.Close())
	must(f.Close())
}
