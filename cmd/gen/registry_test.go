package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
)

// A registry keeps images in memory, as far as podman asks for it (OCI distribution 1.1):
// it takes what is pushed, also to a tag that is there, and serves it.
type registry struct {
	sync.Mutex
	uploads map[string]*bytes.Buffer
	blobs   map[string][]byte // by digest
	images  map[string]manifest
}

// A manifest goes by its image's name, a blank, and its tag or digest.
type manifest struct {
	kind string
	body []byte
}

func newRegistry() *registry {
	return &registry{uploads: map[string]*bytes.Buffer{}, blobs: map[string][]byte{}, images: map[string]manifest{}}
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body) // before the lock: what is sent may wait for another answer
	r.Lock()
	defer r.Unlock()
	dir, ref := path.Split(q.URL.Path)
	switch name := strings.TrimPrefix(dir, "/v2/"); {
	case strings.HasSuffix(dir, "/blobs/uploads/"):
		r.upload(w, q, dir, ref, body)
	case strings.HasSuffix(dir, "/manifests/"):
		r.manifest(w, q, strings.TrimSuffix(name, "/manifests/"), ref, body)
	case strings.HasSuffix(dir, "/blobs/"):
		serve(w, q, "application/octet-stream", ref, r.blobs[ref])
	default:
		w.WriteHeader(http.StatusOK) // it is a registry
	}
}

// upload takes a blob in pieces.
func (r *registry) upload(w http.ResponseWriter, q *http.Request, dir, id string, body []byte) {
	if q.Method == http.MethodPost {
		id = fmt.Sprint(len(r.uploads))
		r.uploads[id] = &bytes.Buffer{}
	}
	to := r.uploads[id]
	to.Write(body)
	w.Header().Set("Location", dir+id)
	if digest := q.URL.Query().Get("digest"); digest != "" {
		r.blobs[digest] = to.Bytes()
		w.WriteHeader(http.StatusCreated)
		return
	}
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(to.Len()-1, 0)))
	w.WriteHeader(http.StatusAccepted)
}

func (r *registry) manifest(w http.ResponseWriter, q *http.Request, name, ref string, body []byte) {
	if q.Method == http.MethodPut {
		for _, as := range []string{ref, digestOf(body)} {
			r.images[name+" "+as] = manifest{q.Header.Get("Content-Type"), body}
		}
		w.WriteHeader(http.StatusCreated)
		return
	}
	m := r.images[name+" "+ref]
	serve(w, q, m.kind, digestOf(m.body), m.body)
}

func serve(w http.ResponseWriter, q *http.Request, kind, digest string, body []byte) {
	if body == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if q.Method != http.MethodHead {
		w.Write(body)
	}
}

func digestOf(body []byte) string {
	s := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(s[:])
}
