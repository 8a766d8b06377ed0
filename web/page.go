package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed templates
var templateFiles embed.FS

// formsToSelf and formsToTargets are sources for the form-action directive.
// Chromium also applies form-action to a redirect that answers a form (CSP
// Level 3, section 6.4.1). So a page must allow every target when the answer to
// its form is a redirect to a target.
const (
	formsToSelf    = "'self'"
	formsToTargets = "'self' http: https:"
)

// permissions turns off browser features that no page needs.
const permissions = "camera=(), clipboard-read=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"

// page is one kind of page: its template and its response headers.
type page struct {
	file     string // template, relative to templates/
	forms    string // sources of form-action
	referrer string // Referrer-Policy
	indexed  bool   // whether search engines may list it
	console  bool   // whether it belongs to the console: its script needs no HTML from text

	template *template.Template
}

// parse reads the page's template into the common layout.
func (p *page) parse(asset func(string) string) error {
	layout, parts := "layout.html", []string{"result.html", "console/parts.html"}
	if p.console {
		layout, parts = "console.html", []string{"stats.html", "console/parts.html"}
	}
	files := []string{"templates/" + layout}
	for _, name := range append(parts, p.file) {
		files = append(files, "templates/"+name)
	}
	t := template.New(layout).Funcs(template.FuncMap{
		"asset":  asset,
		"change": formatChange,
		"count":  formatCount,
		"date":   formatDate,
		"wait":   formatWait,
	}).Funcs(consoleFuncs)
	var err error
	p.template, err = t.ParseFS(templateFiles, files...)
	if err != nil {
		return fmt.Errorf("web: parse %s: %w", p.file, err)
	}
	return nil
}

// view is the data of a template.
type view struct {
	Site Options // the same on every page
	Name string  // first part of the title
	Page any     // the view model

	Viewer  *Viewer // of a page of the console; nil: nobody has signed in
	Section string  // part of the console
}

// write sends the page. It renders the whole page before it sends the first byte.
// It panics when the template does not fit its view model: that is a bug, and no
// visitor's input can cause it.
func (p *page) write(w http.ResponseWriter, status int, v view) {
	var body bytes.Buffer
	if err := p.template.Execute(&body, v); err != nil {
		panic(fmt.Sprintf("web: render %s: %v", p.file, err))
	}
	p.setHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client may have disconnected
}

// setHeaders sets the headers of a page. A Cache-Control and a Referrer-Policy that the
// caller has set stay; the default of Cache-Control is no-store.
func (p *page) setHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self'; form-action " + p.forms + "; base-uri 'none'; frame-ancestors 'none'"
	if p.console {
		policy += "; manifest-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Referrer-Policy") == "" {
		h.Set("Referrer-Policy", p.referrer)
	}
	h.Set("Permissions-Policy", permissions)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if !p.indexed {
		h.Set("X-Robots-Tag", "noindex")
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
}
