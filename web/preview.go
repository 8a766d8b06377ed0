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

// Path returns where the link itself is.
func (v Preview) Path() string { return "/" + url.PathEscape(v.Code) }

// Preview writes the page that shows where a link leads.
func (p *Pages) Preview(w http.ResponseWriter, status int, v Preview) {
	p.preview.write(w, status, view{Site: p.opts, Name: "Where " + v.ShortURL + " leads", Page: v})
}
