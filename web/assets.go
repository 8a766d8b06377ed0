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

// Cache-Control of the static files. A fingerprinted file never changes; one
// whose address is fixed by custom may.
const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheDay     = "public, max-age=86400"
)

// asset is a static file, ready to be sent.
type asset struct {
	body         []byte
	contentType  string
	cacheControl string
}

// assets are the static files: a closed set, so that no address can list or
// leave a directory.
type assets struct {
	byPath map[string]asset  // by URL path
	paths  map[string]string // URL path by file name
}

// loadAssets reads the embedded files and gives each its address.
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

// contentType knows the types by heart: those of the system's tables differ
// from machine to machine.
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

// Asset returns the URL path of a static file, like
// /static/app.0123456789ab.css for app.css. It panics when there is no such
// file: names stand in templates and tests, never in requests.
func (p *Pages) Asset(name string) string {
	at, ok := p.assets.paths[name]
	if !ok {
		panic(fmt.Sprintf("web: no static file %q", name))
	}
	return at
}

// Static serves the static files below /static/, /favicon.ico and /robots.txt,
// by the path of the request. It answers GET and HEAD; anything else, and any
// other address, is a plain 404 or 405.
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
