package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// DomainList is the view model of the domains and of the form to add one, which posts host, aliases and
// verified.
type DomainList struct {
	Rows          []DomainRow
	Next          string // address of the next page; empty on the last one
	Continued     bool   // whether this is not the first page
	Host, Aliases string // the visitor's input; aliases: one on each line
	Verified      bool   // the visitor's input
	Errors        map[string]string
	General       string // message about the whole form
	Done          string // what the last action has done
}

// DomainRow is one domain.
type DomainRow struct {
	Path   string // of the domain's page
	Host   string // the primary one
	State  string // as in the API: pending, active or off
	Owner  string // shown to administrators
	Shared bool
	Hosts  int // number of all hosts
}

// StateText returns the state for people.
func (r DomainRow) StateText() string {
	switch r.State {
	case "pending":
		return "Not verified"
	case "active":
		return "Active"
	case "off":
		return "Turned off"
	}
	return r.State
}

// DomainList writes the domains.
func (p *Pages) DomainList(w http.ResponseWriter, status int, who Viewer, v DomainList) {
	p.console.domains.write(w, status, p.screen(who, "Domains", "domains", v))
}

// DomainPage is the view model of the page of one domain. Its form to check the hosts posts nothing.
type DomainPage struct {
	DomainRow
	Changes    bool // whether the viewer may change the domain
	Hosts      []DomainHost
	Records    []DNSRecord   // to set
	Checks     []DomainCheck // results of the check that the visitor asked for
	Checked    bool          // whether the page has the results of a check
	RootURL    string
	NotFound   string
	EndedURL   string
	NoRobots   bool // whether robots.txt allows nothing
	CreatedAt  time.Time
	VerifiedAt time.Time
	Done       string // what the last action has done
}

// DomainHost is a host of a domain.
type DomainHost struct {
	Host        string
	VerifiedAt  time.Time
	Certificate *Certificate // nil: the server has none for the host
}

// Certificate is the certificate of a host.
type Certificate struct {
	State   string // as in the API: none, ordering, valid, expired or failed
	Issuer  string
	EndsAt  time.Time
	Problem string // why the latest attempt failed; empty after a success
	RetryAt time.Time
}

// StateText returns the state for people.
func (c *Certificate) StateText() string {
	names := map[string]string{"none": "None yet", "ordering": "Being ordered", "valid": "Valid", "expired": "Expired", "failed": "Failed"}
	if name, known := names[c.State]; known {
		return name
	}
	return c.State
}

// DNSRecord is a DNS record to set.
type DNSRecord struct{ Type, Name, Value string }

// DomainCheck is the result of a check of a host.
type DomainCheck struct {
	Host, Type, Name, Expected string
	Found                      []string
	OK                         bool
	Problem                    string // why the check failed; empty if it succeeded
}

// Certified reports whether the server has certificates for hosts of the domain.
func (v DomainPage) Certified() bool {
	return slices.ContainsFunc(v.Hosts, func(h DomainHost) bool { return h.Certificate != nil })
}

// AtApex reports whether a record has the type ALIAS, which not every DNS provider has.
func (v DomainPage) AtApex() bool {
	return slices.ContainsFunc(v.Records, func(r DNSRecord) bool { return r.Type == "ALIAS" })
}

// Passed reports whether all checks succeeded.
func (v DomainPage) Passed() bool {
	return !slices.ContainsFunc(v.Checks, func(c DomainCheck) bool { return !c.OK })
}

// LinksPath returns the address of the links on the domain.
func (r DomainRow) LinksPath() string {
	return ConsolePath + "links?" + url.Values{"domain": {r.Host}}.Encode()
}

// StatsPath returns the address of the statistics of the domain. The page of an administrator needs the owner of
// the links.
func (r DomainRow) StatsPath(admin bool) string {
	q := url.Values{"domain": {r.Host}}
	if admin {
		q.Set("owner", r.Owner)
	}
	return ConsolePath + "stats?" + q.Encode()
}

// DomainPage writes the page of a domain.
func (p *Pages) DomainPage(w http.ResponseWriter, status int, who Viewer, v DomainPage) {
	p.console.domain.write(w, status, p.screen(who, v.Host, "domains", v))
}

// DomainForm is the view model of the form for an existing domain. It posts the fields of the API and
// version. Switches have the value true.
type DomainForm struct {
	Path, Saved string // of the domain's page; the primary host before the edit

	// The visitor's input.
	Host, Aliases, Robots, RootURL, RootStatus, NotFoundURL, NotFoundStatus, EndedURL, EndedStatus string // aliases: one on each line
	Shared, Off, Verified                                                                          bool

	Version  string // the version that the form shows
	Errors   map[string]string
	General  string       // message about the whole form
	Conflict []Difference // changes of another person in the meantime
}

// Statuses returns the choices of the status of a redirect.
func (DomainForm) Statuses() []choice {
	return []choice{{"302", "302: may change"}, {"301", "301: permanent"}, {"307", "307: as 302, keeps the method"}, {"308", "308: as 301, keeps the method"}}
}

// RobotsChoices returns the choices of robots.
func (DomainForm) RobotsChoices() []choice {
	return []choice{{"default", "As on the default domain"}, {"disallow", "Forbid everything"}}
}

// Others returns messages about fields that are not in the form.
func (v DomainForm) Others() (messages []string) {
	shown := []string{"host", "aliases", "robots", "root_url", "root_status", "not_found_url", "not_found_status", "ended_url", "ended_status"}
	return otherMessages(v.Errors, shown)
}

// otherMessages returns messages about fields that a form does not show, sorted.
func otherMessages(errors map[string]string, shown []string) (messages []string) {
	for field, message := range errors {
		if !slices.Contains(shown, field) {
			messages = append(messages, strings.TrimSpace(field+" "+message))
		}
	}
	slices.Sort(messages)
	return messages
}

// EditDomain writes the form for an existing domain.
func (p *Pages) EditDomain(w http.ResponseWriter, status int, who Viewer, v DomainForm) {
	p.console.editDomain.write(w, status, p.screen(who, "Settings of "+v.Saved, "domains", v))
}

// DomainRemoval is the view model of the page that asks before a domain is removed. Its form posts version
// and force.
type DomainRemoval struct {
	DomainRow
	Version string
	InUse   bool // whether the domain has links, so that the form needs force
}

// RemoveDomain writes the page that asks before a domain is removed.
func (p *Pages) RemoveDomain(w http.ResponseWriter, status int, who Viewer, v DomainRemoval) {
	p.console.removeDomain.write(w, status, p.screen(who, "Remove "+v.Host, "domains", v))
}
