package main

import (
	"os"

	"gopkg.in/yaml.v3"
)

// document reads a YAML file, and misses what it cannot.
func (l *look) document(path string) map[string]any {
	b, err := os.ReadFile(path)
	if err != nil {
		l.miss("uid %d cannot read %s: %w", os.Getuid(), path, reason(err))
		return nil
	}
	out := map[string]any{}
	if err := yaml.Unmarshal(b, &out); err != nil {
		l.miss("%s: %w", path, err)
	}
	return out
}

// A value of a document, by its path; zero where it is not there, or is of another type.
func at[T any](v any, path ...string) T {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	out, _ := v.(T)
	return out
}
