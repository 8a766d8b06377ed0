package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/abuse"
	"github.com/terse/terse/access"
	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/clicks"
	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// ClickRecorder records the clicks of redirects. Record never blocks, and keeps no reference to the
// texts of a click.
type ClickRecorder interface {
	Record(c clicks.Click)
}

// ClickDays reads the stored days of clicks, and deletes those of a link.
type ClickDays interface {
	stats.Days

	// ResetClicks does the same as in store.ClickDays.
	ResetClicks(ctx context.Context, key string) error
}

// Limiter takes up to n permits of a key under the limit l. Result.Allowed is the number of
// permits that it took.
type Limiter interface {
	Take(ctx context.Context, key string, l ratelimit.Limit, n int) (ratelimit.Result, error)
}

// ClientAddresser finds the address of the client behind trusted proxies.
type ClientAddresser interface {
	ClientAddr(r *http.Request) netip.Addr

	// FromProxy reports whether the request comes from a trusted proxy.
	FromProxy(r *http.Request) bool
}

// Visits resolves the codes that visitors request, usually from memory.
type Visits interface {
	// Peek returns the result of Load if it is in memory. Otherwise known is false. Peek
	// sends no request to another server.
	Peek(code string) (l store.Link, known bool, err error)

	// Load returns the link of a code that Peek does not know, like store.Store.Resolve. It
	// waits for admission when the server is busy, and returns store.ErrShed when it is not
	// admitted.
	Load(ctx context.Context, code string) (store.Link, error)

	// Holds reports whether the link is in memory, even if it is too old for Peek. Under
	// overload, a client that requested too many unknown codes gets only such links. Requests
	// for random codes then do not displace requests for links.
	Holds(code string) bool

	// Get and Consume do the same as in store.Store.
	Get(ctx context.Context, code string) (store.Link, error)
	Consume(ctx context.Context, code string, now time.Time) (store.Link, error)
}

// Keys are the API keys.
type Keys interface {
	// KeyByHash does the same as in store.Keys.
	KeyByHash(ctx context.Context, hash [sha256.Size]byte) (store.Key, error)

	// Knows reports whether KeyByHash has the answer in memory. If it is false, an unknown
	// token counts against Limits.Unknown, which bounds the queries for random tokens.
	Knows(hash [sha256.Size]byte) bool
}

// Countries finds the countries of visitors.
type Countries interface {
	// Country returns an ISO 3166-1 code from the header of a trusted proxy, else from the address.
	// It is empty if the country is unknown.
	Country(header string, addr netip.Addr) string
}

// noCountries are Countries that are all unknown.
type noCountries struct{}

func (noCountries) Country(string, netip.Addr) string { return "" }

// Certificates knows the certificates of hosts, in memory.
type Certificates interface {
	// Status returns the status of the certificate of a host in canonical form.
	Status(host string) store.CertificateStatus
}

// Clock is the time of this node and of the database.
type Clock interface {
	// LinkTime is the time of the database. Links and keys start and expire by it. While it
	// is unknown, requests that depend on it are answered 503.
	links.Clock

	// Now returns the time of this node.
	Now() time.Time
}

// nodeClock is the clock of this node, for both times.
type nodeClock struct{ links.NodeClock }

func (nodeClock) Now() time.Time { return time.Now() }

// Limits are the rate limits. The zero Limit is off.
type Limits struct {
	CreateAnonymous ratelimit.Limit // per client address
	CreateTotal     ratelimit.Limit // all clients without a key together
	CreateKey       ratelimit.Limit // per API key
	Unknown         ratelimit.Limit // unknown codes per client address, and separately unknown API keys
	Password        ratelimit.Limit // wrong passwords per link and client address; after ten times this of a link, its passwords are checked one at a time
	Report          ratelimit.Limit // reports of links per client address
}

// Options configure New.
type Options struct {
	Links   *links.Service   // Required. The use cases on links.
	Visits  Visits           // Required. Resolves the codes of Links for visitors.
	Keys    Keys             // Required.
	Abuse   *abuse.Service   // Required. The use cases against abuse.
	Access  *access.Service  // Required. The use cases on API keys and sessions.
	Clicks  ClickRecorder    // Required.
	Limiter Limiter          // Required.
	Clients ClientAddresser  // Required.
	Hosts   Hosts            // The domains besides the default one. Default: none.
	Domains *domains.Service // Required. The use cases on domains.

	ProxySignIn ProxySignIn // sign-in to the console by trusted proxies; default off

	Providers []Provider // identity providers for the console, each with a name of its own; default none

	ClickDays ClickDays // Required. The stored days of clicks.

	Clock Clock // Default: the clock of this node.

	Certificates Certificates // The certificates of the hosts of domains. Default: this server has none.

	Secret []byte // the same on all nodes; it keys the hash that gives visitors their targets of splits; default empty

	BaseURL     string   // Required. The start of short URLs: scheme://host[:port].
	AppURL      string   // the console on a host of its own, see ParseAppURL; default: below BaseURL
	CORSOrigins []string // origins that may call the API, see ParseOrigins; default none
	CDN         bool     // whether to send CDN-Cache-Control
	CDNVaries   bool     // whether the CDN sends the headers of vary.go and follows Vary; only with CDN
	Limits      Limits

	ClicksFromLogs bool   // visits that come through trusted proxies are counted from logs, and not by this server
	CDNHeader      string // header in canonical form that the CDN adds to each request: only these visits are in the logs; default: the visits of all trusted proxies

	Version string // of the binary, shown on the pages and in the OpenAPI document

	SiteName string // name of the website on the pages, see ParseSiteName; default Terse
	Contact  string // address for visitors, as ParseContact returns it; default: no address

	SecurityContacts []string // where to report vulnerabilities, see ParseContacts; default none, and no security.txt

	Countries     Countries // The countries of visitors, for rules. Default: all are unknown.
	CountryHeader string    // header in which a trusted proxy sends the country of the client, see ParseHeaderName; default none

	AccessLogSample float64 // share of the requests to log, 0 to 1

	Guard      *overload.Guard       // Required. Rejects requests when the process is overloaded.
	Registerer prometheus.Registerer // Required.
	Logger     *slog.Logger          // Required.
}

// withDefaults sets the defaults, and writes a valid BaseURL in its short form.
func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = nodeClock{}
	}
	if o.Countries == nil {
		o.Countries = noCountries{}
	}
	if o.Hosts == nil {
		o.Hosts = noHosts{}
	}
	if base, err := ParseBaseURL(o.BaseURL); err == nil {
		o.BaseURL = base.String()
		if app, err := ParseAppURL(o.AppURL, base); err == nil {
			o.AppURL = app.String()
		}
	}
	return o
}

func (o *Options) validate() error {
	var problems []error
	required := func(name string, missing bool) {
		if missing {
			problems = append(problems, fmt.Errorf("api: Options.%s is required", name))
		}
	}
	required("Links", o.Links == nil)
	required("Visits", o.Visits == nil)
	required("Keys", o.Keys == nil)
	required("Abuse", o.Abuse == nil)
	required("Access", o.Access == nil)
	required("Domains", o.Domains == nil)
	required("Clicks", o.Clicks == nil)
	required("ClickDays", o.ClickDays == nil)
	required("Limiter", o.Limiter == nil)
	required("Clients", o.Clients == nil)
	required("Guard", o.Guard == nil)
	required("Registerer", o.Registerer == nil)
	required("Logger", o.Logger == nil)
	base, err := ParseBaseURL(o.BaseURL)
	if err != nil {
		problems = append(problems, fmt.Errorf("api: Options.BaseURL: %w", err))
	} else if o.AppURL != "" {
		if _, err := ParseAppURL(o.AppURL, base); err != nil {
			problems = append(problems, fmt.Errorf("api: Options.AppURL: %w", err))
		}
	}
	if _, err := ParseOrigins(o.CORSOrigins); err != nil {
		problems = append(problems, fmt.Errorf("api: Options.CORSOrigins: %w", err))
	}
	if name, err := ParseHeaderName(o.CountryHeader); err != nil || name != o.CountryHeader {
		problems = append(problems, fmt.Errorf("api: Options.CountryHeader %q must be the canonical name of a header", o.CountryHeader))
	}
	for field, name := range map[string]string{"User": o.ProxySignIn.User, "Groups": o.ProxySignIn.Groups} {
		if canonical, err := ParseHeaderName(name); err != nil || canonical != name {
			problems = append(problems, fmt.Errorf("api: Options.ProxySignIn.%s %q must be the canonical name of a header", field, name))
		}
	}
	if _, err := ParseSiteName(o.SiteName); err != nil {
		problems = append(problems, fmt.Errorf("api: Options.SiteName: %w", err))
	}
	if _, err := ParseContact(o.Contact); err != nil {
		problems = append(problems, fmt.Errorf("api: Options.Contact: %w", err))
	}
	if _, err := ParseContacts(o.SecurityContacts); err != nil {
		problems = append(problems, fmt.Errorf("api: Options.SecurityContacts: %w", err))
	}
	return errors.Join(problems...)
}
