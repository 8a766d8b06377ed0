package web

import (
	"net/http"
	"net/url"
	"time"
)

// Reasons for which a preview hides the target.
const (
	HiddenByPassword  = "password"   // only who knows the password may see it
	HiddenByMaxClicks = "max_clicks" // every look counts
)

// Preview shows where a link leads.
type Preview struct {
	Code         string
	ShortURL     string
	Title        string    // the owner's; empty for none
	URL          string    // where it leads; empty when hidden
	HiddenReason string    // HiddenByPassword or HiddenByMaxClicks when URL is empty
	CreatedAt    time.Time // the zero time is not shown
	ExpiresAt    time.Time // the zero time means never

	Report Report // the form below
}

// Report is the form by which a visitor reports a link. It posts reason, comment
// and email to the preview's own address. The zero value is an empty form.
type Report struct {
	// What the visitor typed, shown again.
	Reason, Comment, Email string

	Errors     map[string]string // what is wrong with each field, by its name
	General    string            // what is wrong with none of them
	RetryAfter time.Duration     // when another report is taken; 0 for unknown
	Sent       bool              // the report was taken: there is a word of thanks in place of the form
	Open       bool              // whether the form shows
}

// reason is a choice of the form.
type reason struct{ Value, Text string }

// Reasons returns the choices of the form.
func (Report) Reasons() []reason {
	return []reason{
		{"phishing", "It pretends to be somebody else"},
		{"malware", "It harms my device"},
		{"spam", "It is spam"},
		{"illegal", "It shows what is against the law"},
		{"other", "Something else"},
	}
}

// Host returns the host of the target, which is what a visitor must recognise.
// It is empty when the target is hidden, or is none that a browser would open:
// such a target is shown and not linked.
func (v Preview) Host() string {
	u, err := url.Parse(v.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return u.Host
}

// PreviewPath returns where the page is, and the form is sent.
func (v Preview) PreviewPath() string { return previewPath(v.Code) }

// Path returns where the link itself is.
func (v Preview) Path() string { return "/" + url.PathEscape(v.Code) }

// Preview writes the page that shows where a link leads.
func (p *Pages) Preview(w http.ResponseWriter, status int, v Preview) {
	p.preview.write(w, status, view{Site: p.opts, Name: "Where " + v.ShortURL + " leads", Page: v})
}
