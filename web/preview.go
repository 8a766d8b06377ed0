package web

import (
	"net/http"
	"net/url"
	"time"
)

// Values of Preview.HiddenReason.
const (
	HiddenByPassword  = "password"   // the whole target is visible only with the password
	HiddenByMaxClicks = "max_clicks" // each visit of the target counts as a click
)

// Preview is the view model of the page that shows a link's target.
type Preview struct {
	Code         string
	ShortURL     string
	Title        string        // set by the owner; may be empty
	URL          string        // target
	Rules        []PreviewRule // other targets for some visits; URL is the target of all others
	Rest         string        // path of the visit after the code, with its slash; empty if the link does not forward it
	HiddenReason string        // HiddenByPassword or HiddenByMaxClicks if the page shows only the host of URL, and no rules
	CreatedAt    time.Time     // the zero time is not shown
	ExpiresAt    time.Time     // the zero time means never

	Report Report // the form to report the link
}

// PreviewRule is a rule of a link: where it leads, and when.
type PreviewRule struct {
	When    string // conditions in one line; empty: all visits
	Targets []PreviewTarget
}

// PreviewTarget is one target of a rule.
type PreviewTarget struct {
	URL   string
	Share string // of the visitors, such as "70 %"; empty: all
}

// Report is the view model of the form to report a link. The form posts reason,
// comment and email to the preview's own address. The zero value is an empty form.
type Report struct {
	// The visitor's input, shown again.
	Reason, Comment, Email string

	Errors     map[string]string // one message for each invalid field, by field name
	General    string            // message about the whole form
	RetryAfter time.Duration     // when the next report is allowed; 0 means unknown
	Done       string            // what happened to the report; replaces the form; empty: the form is shown
	Open       bool              // whether the form is open
}

// reason is one choice of the report form.
type reason struct{ Value, Text string }

// Reasons returns the choices of the report form.
func (Report) Reasons() []reason {
	return []reason{
		{"phishing", "It pretends to be another person or company"},
		{"malware", "It harms my device"},
		{"spam", "It is spam"},
		{"illegal", "It is against the law"},
		{"other", "Something else"},
	}
}

// Host returns the host of the target. It is empty if the target is not an http or
// https URL. The page shows such a target as text, without a link.
func (v Preview) Host() string { return hostOf(v.URL) }

// HasRest reports whether some visits meet the conditions of no rule, so that they lead to URL.
func (v Preview) HasRest() bool {
	return len(v.Rules) == 0 || v.Rules[len(v.Rules)-1].When != ""
}

func hostOf(target string) string {
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return u.Host
}

// PreviewPath returns the path of the preview; the report form posts to it.
func (v Preview) PreviewPath() string { return previewPath(v.Code) }

// Path returns the path of the short link.
func (v Preview) Path() string { return "/" + url.PathEscape(v.Code) + v.Rest }

// Preview writes the page that shows a link's target. If each visit counts, the page
// has a form that posts to the short link, and a redirect to the target answers it.
func (p *Pages) Preview(w http.ResponseWriter, status int, v Preview) {
	page := &p.preview
	if v.HiddenReason == HiddenByMaxClicks {
		page = &p.counted
	}
	page.write(w, status, view{Site: p.opts, Name: "Where " + v.ShortURL + " leads", Page: v})
}
