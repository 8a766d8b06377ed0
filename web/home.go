package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Home is the page with the form. The zero value is an empty form.
type Home struct {
	// What the visitor typed, shown again. A password never is.
	URL, Alias, Title string
	ExpiresAt         string // as in a datetime-local input, UTC
	MaxClicks         string

	// Errors says what is wrong with each field, by the field's name.
	Errors map[string]string

	// General says what is wrong with none of the fields.
	General string

	// Result is the link that was made. With it, there is no form.
	Result *Result
}

// Result is a link that was just made.
type Result struct {
	Code     string
	ShortURL string
	URL      string // where it leads
	QRPath   string // of its QR code, without a query
}

// Prefix returns the short URL up to its code, where a narrow line may break.
func (r Result) Prefix() string { return strings.TrimSuffix(r.ShortURL, r.Code) }

// PreviewPath returns where the preview of the link is.
func (r Result) PreviewPath() string { return previewPath(r.Code) }

func previewPath(code string) string { return "/" + url.PathEscape(code) + "+" }

// Home writes the page with the form, or with the result of it.
func (p *Pages) Home(w http.ResponseWriter, status int, h Home) {
	p.home.write(w, status, view{Site: p.opts, Page: p.form(h)})
}

// form is the home page with what follows from it.
type form struct {
	Home
	Focus  string   // the field that the visitor needs next
	Open   bool     // whether the options show
	Others []string // what is wrong with fields that the form lacks
	Blank  Result   // what the script fills

	MaxURLLen int
}

// fields are the names of the form's fields as they follow each other.
var fields = []string{"url", "alias", "title", "expires_at", "max_clicks", "password"}

func (p *Pages) form(h Home) form {
	f := form{Home: h, Focus: "url", MaxURLLen: p.opts.MaxURLLen}
	wrong := slices.IndexFunc(fields, func(name string) bool { return h.Errors[name] != "" })
	if wrong >= 0 {
		f.Focus = fields[wrong]
	}
	f.Open = h.Alias != "" || h.Title != "" || h.ExpiresAt != "" || h.MaxClicks != "" ||
		slices.ContainsFunc(fields[1:], func(name string) bool { return h.Errors[name] != "" })
	for _, name := range slices.Sorted(maps.Keys(h.Errors)) {
		if !slices.Contains(fields, name) {
			f.Others = append(f.Others, h.Errors[name])
		}
	}
	return f
}
