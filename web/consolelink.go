package web

import "net/http"

// QRPage is the view model of the QR code of a link. Its form sends size, margin, color, background and
// scans by GET.
type QRPage struct {
	LinkRow
	Size, Margin, Color, Background string // the visitor's input
	Scans                           bool   // whether statistics count scans separately
	Errors                          map[string]string
	Files                           []QRFile // the picture in each format; none if there are errors
}

// QRFile is a QR code in one format.
type QRFile struct{ Format, Path, Name string }

// QRPage writes the page with the QR code of a link.
func (p *Pages) QRPage(w http.ResponseWriter, status int, who Viewer, v QRPage) {
	p.console.qr.write(w, status, p.screen(who, "QR code of "+v.Name(), "", v))
}

// Explain is the view model of the page that tries a visit of a link. Its form sends user_agent,
// accept_language, referer, ip, country, at and query by GET.
type Explain struct {
	LinkRow
	Agent, Language, Referrer, IP, Country, At, Query string // the visitor's input
	Errors                                            map[string]string
	Result                                            *ExplainResult // nil if there are errors
}

// ExplainResult is the target of a visit and the reasons.
type ExplainResult struct {
	State string // of the link at the time, as in the API
	URL   string // the target
	Rule  string // number of the rule that applies, from 1; empty: none
	Drawn bool   // whether another visit may get another target of the rule
	Rules []ExplainRule
}

// StateText returns the state for people; empty for a live link.
func (r *ExplainResult) StateText() string { return LinkRow{State: r.State}.StateText() }

// ExplainRule is what a rule says to a visit.
type ExplainRule struct {
	Number  int
	When    string // conditions in one line; empty: all visits
	Applies bool
	Failed  string // the first condition that does not hold; empty if all hold
	Unknown bool   // whether the visit does not say what the condition asks about
}

// Explain writes the page that tries a visit.
func (p *Pages) Explain(w http.ResponseWriter, status int, who Viewer, v Explain) {
	p.console.explain.write(w, status, p.screen(who, "A visit of "+v.Name(), "", v))
}
