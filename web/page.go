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

// formsToSelf and formsToTargets say where the forms of a page may lead.
// Chromium applies form-action to the redirect that answers a form as well
// (CSP Level 3, section 6.4.1), so that a page whose form is answered with a
// redirect to a target must allow every target.
const (
	formsToSelf    = "'self'"
	formsToTargets = "'self' http: https:"
)

// permissions turns off what no page needs and a script could abuse.
const permissions = "camera=(), clipboard-read=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"

// page is one kind of page: its template and the headers that go with it.
type page struct {
	file     string // below templates/
	forms    string // sources of form-action
	referrer string // Referrer-Policy
	indexed  bool   // whether search engines may list it

	template *template.Template
}

// parse reads the page's template inside the common layout.
func (p *page) parse(asset func(string) string) error {
	t := template.New("layout.html").Funcs(template.FuncMap{
		"asset": asset,
		"date":  formatDate,
		"wait":  formatWait,
	})
	var err error
	p.template, err = t.ParseFS(templateFiles, "templates/layout.html", "templates/result.html", "templates/"+p.file)
	if err != nil {
		return fmt.Errorf("web: parse %s: %w", p.file, err)
	}
	return nil
}

// view is what a template sees.
type view struct {
	Site Options // the same on every page
	Name string  // of the page, before the name of the site
	Page any     // the view model
}

// write sends the page. Everything is rendered before the first byte leaves.
// It panics when the template does not fit its view model: that is a bug, and
// never depends on what visitors send.
func (p *page) write(w http.ResponseWriter, status int, v view) {
	var body bytes.Buffer
	if err := p.template.Execute(&body, v); err != nil {
		panic(fmt.Sprintf("web: render %s: %v", p.file, err))
	}
	p.setHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // whoever asked may be gone
}

// setHeaders sets what every page sends. Cache-Control is the caller's choice
// and no-store without one.
func (p *page) setHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; form-action "+p.forms+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", p.referrer)
	h.Set("Permissions-Policy", permissions)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if !p.indexed {
		h.Set("X-Robots-Tag", "noindex")
	}
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
}
