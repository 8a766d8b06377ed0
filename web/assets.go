package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var staticFiles embed.FS

// Cache-Control of the static files. A file with a fingerprint in its address never
// changes. A file with a fixed address may change with a new version.
const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheDay     = "public, max-age=86400"
)

// asset is one static file.
type asset struct {
	body         []byte
	contentType  string
	cacheControl string
}

// assets is the fixed set of static files. No request can list a directory or
// reach a file outside the set.
type assets struct {
	byPath map[string]asset  // by URL path
	paths  map[string]string // URL path by file name
}

// loadAssets reads the embedded files and assigns an address to each.
func loadAssets() (*assets, error) {
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("web: list static files: %w", err)
	}
	a := &assets{byPath: make(map[string]asset, len(entries)), paths: make(map[string]string, len(entries))}
	for _, e := range entries {
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("web: read static file: %w", err)
		}
		file := asset{body: body, contentType: contentType(e.Name()), cacheControl: cacheForever}
		at := "/static/" + fingerprinted(e.Name(), body)
		if e.Name() == "favicon.ico" || e.Name() == "robots.txt" {
			file.cacheControl = cacheDay
			at = "/" + e.Name()
		}
		a.byPath[at] = file
		a.paths[e.Name()] = at
	}
	return a, nil
}

// fingerprinted returns name with a hash of the content before its extension:
// app.css becomes app.0123456789ab.css.
func fingerprinted(name string, body []byte) string {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	return strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
}

// contentType returns the type of a static file. It ignores the type tables of the
// operating system, because they differ between machines.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".ico":
		return "image/x-icon"
	}
	return "text/plain; charset=utf-8"
}

// Asset returns the URL path of a static file: app.css becomes
// /static/app.0123456789ab.css. It panics for an unknown name, because names come
// from templates and tests, never from requests.
func (p *Pages) Asset(name string) string {
	at, ok := p.assets.paths[name]
	if !ok {
		panic(fmt.Sprintf("web: no static file %q", name))
	}
	return at
}

// Static serves /static/, /favicon.ico and /robots.txt by the path of the request,
// for GET and HEAD. It answers an unknown path with 404 and any other method with
// 405, both as plain text.
func (p *Pages) Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		file, ok := p.assets.byPath[r.URL.Path]
		if !ok {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "no such file", http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.contentType)
		h.Set("Cache-Control", file.cacheControl)
		h.Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file.body))
	})
}
