package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Home is the view model of the home page. The zero value shows an empty form.
type Home struct {
	// The visitor's input, shown again. There is no field for the password.
	URL, Alias, Title string
	ExpiresAt         string // UTC, in the format of a datetime-local input
	MaxClicks         string

	// Errors has one message for each invalid field. The key is the field's name.
	Errors map[string]string

	// General is an error message about the whole form.
	General string

	// Result is the new link. It replaces the form. Search engines must not list such a page.
	Result *Result
}

// Result is a new link.
type Result struct {
	Code     string
	ShortURL string
	URL      string // target
	Hidden   bool   // whether the page shows only the host of URL
	QRPath   string // path of the QR code, without a query

	Title     string    // may be empty
	ExpiresAt time.Time // the zero time means never
	MaxClicks int64     // 0 means no limit
	Protected bool      // whether visitors must enter a password
}

// Host returns the host of the target, like Preview.Host.
func (r Result) Host() string { return hostOf(r.URL) }

// Plain reports whether the link has none of the settings that the page shows.
func (r Result) Plain() bool {
	return r.Title == "" && r.ExpiresAt.IsZero() && r.MaxClicks == 0 && !r.Protected
}

// Prefix returns the short URL up to its code. The page allows a line break there.
func (r Result) Prefix() string { return strings.TrimSuffix(r.ShortURL, r.Code) }

// PreviewPath returns the path of the link's preview.
func (r Result) PreviewPath() string { return previewPath(r.Code) }

func previewPath(code string) string { return "/" + url.PathEscape(code) + "+" }

// Home writes the home page: the form, or the new link when h has a Result.
func (p *Pages) Home(w http.ResponseWriter, status int, h Home) {
	page := &p.home
	if h.Result != nil {
		page = &p.result
	}
	page.write(w, status, view{Site: p.opts, Page: p.form(h)})
}

// form is Home with the values that its template derives.
type form struct {
	Home
	Focus  string   // field that gets the focus
	Open   bool     // whether the options are open
	Others []string // messages for fields that are not in the form
	Blank  Result   // empty; the script fills it in

	MaxURLLen int
}

// fields are the names of the form's fields, in the order of the page.
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
