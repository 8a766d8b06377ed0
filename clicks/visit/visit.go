// Package visit turns a request for a link into the values of statistics: the class of the client,
// its country and device, the referrer, and so on. It stores nothing. A client can send any bytes;
// the values are short and printable, so a page or a spreadsheet can show them.
package visit

import (
	"errors"
	"net/netip"

	"github.com/terse/terse/clicks/country"
	"github.com/terse/terse/useragent"
)

// Invalid stands for a text that is too long or malformed.
const Invalid = "(invalid)"

// The values of Visit.Source.
const (
	FromLink = "link"
	FromQR   = "qr"
)

// Request is the facts of a request for a link.
type Request struct {
	Head     bool // the method is HEAD
	Prefetch bool // see useragent.Prefetched
	QR       bool // see CutQR

	UserAgent   string
	Referrer    string     // the header Referer
	Language    string     // the header Accept-Language
	Query       string     // of the short URL, without the question mark
	TargetQuery string     // of the link's target, without the question mark
	Country     string     // the header of a trusted proxy with the country; empty: none
	Rule        string     // what picked the target of a link with rules; empty: the link has none
	Address     netip.Addr // of the client; the zero Addr: unknown
}

// Visit is the values of a request in statistics. Empty texts are unknown. The UTM values may share
// memory with the Request.
type Visit struct {
	Class    string // "person", "preview", "crawler", "tool", "scanner", "prefetch" or "head"
	Country  string // ISO 3166-1 code, such as "DE"
	Referrer string // name of a site or an app, or a host, see Classifier.Visit; empty: opened without a link on a page
	Device   string // see useragent.Agent
	Browser  string
	OS       string
	Language string // the language that the client prefers, such as "en", without its region
	Source   string // FromLink or FromQR
	Rule     string // Request.Rule
	UTM      UTM
}

// Countries finds the country of an address.
type Countries interface {
	// Of returns an ISO 3166-1 code, or an empty text if the country is unknown.
	Of(addr netip.Addr) string
}

// Classifier turns requests into visits. Create one with New. Safe for concurrent use.
type Classifier struct {
	agents    *useragent.Classifier
	countries Countries
	referrers referrers
}

// New returns a Classifier. Both arguments are required.
func New(agents *useragent.Classifier, countries Countries) (*Classifier, error) {
	if agents == nil || countries == nil {
		return nil, errors.New("visit: agents and countries are required")
	}
	return &Classifier{agents: agents, countries: countries, referrers: newReferrers()}, nil
}

// Visit returns the values of a request in statistics. A referrer is the name of a well-known site or
// app, such as "LinkedIn", else the registrable domain of the site, such as "example.co.uk", or an
// Android app such as "android-app://com.example". Each UTM value comes from
// the short URL, or from the target if the short URL does not have it.
func (c *Classifier) Visit(r *Request) Visit {
	agent := c.agents.Agent(r.UserAgent)
	v := Visit{
		Class:    agent.Class.String(),
		Country:  c.Country(r.Country, r.Address),
		Referrer: c.referrers.name(r.Referrer),
		Device:   agent.Device,
		Browser:  agent.Browser,
		OS:       agent.OS,
		Language: language(r.Language),
		Source:   FromLink,
		Rule:     r.Rule,
	}
	switch {
	case r.Head:
		v.Class = useragent.Head.String()
	case r.Prefetch:
		v.Class = useragent.Prefetch.String()
	}
	if r.QR {
		v.Source = FromQR
	}
	v.UTM.add(r.Query)
	v.UTM.add(r.TargetQuery)
	return v
}

// Country returns the country of a client as an ISO 3166-1 code, from the header of a trusted proxy, else
// from the address. It is empty if the country is unknown.
func (c *Classifier) Country(header string, addr netip.Addr) string {
	if code := country.Header(header); code != "" {
		return code
	}
	return c.countries.Of(addr)
}

// language returns the language that a client prefers, in lower case and without its region. The
// header is a list in the order of preference.
func language(accepted string) string {
	if accepted == "" || accepted[0] == '*' {
		return ""
	}
	n := 0
	for n < len(accepted) && isLetter(accepted[n]) {
		n++
	}
	if n < 2 || n > 3 || n < len(accepted) && !isOneOf(accepted[n], "-_,; ") {
		return Invalid
	}
	return lower(accepted[:n])
}
