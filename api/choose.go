package api

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// maxCompiled is about the most bytes of compiled rules in memory.
const maxCompiled = 32 << 20

// chooser picks the targets of visits. Safe for concurrent use.
type chooser struct {
	sets *otter.Cache[string, *compiledRules] // by the key of the link
	seed uint64                               // of the splits
}

// compiledRules are the rules of a link.
type compiledRules struct {
	text string // their stored form
	set  *rules.Set
}

// newChooser returns a chooser. Visitors get the same targets of splits from all choosers with the same
// secret.
func newChooser(secret []byte) (chooser, error) {
	seed, err := hkdf.Key(sha256.New, secret, nil, "terse splits", 8)
	if err != nil {
		return chooser{}, fmt.Errorf("api: derive the seed of splits: %w", err)
	}
	sets, err := otter.New(&otter.Options[string, *compiledRules]{
		MaximumWeight: maxCompiled,
		Weigher:       func(_ string, c *compiledRules) uint32 { return uint32(1<<10 + 4*len(c.text)) }, //nolint:gosec // short
		Executor:      func(tidy func()) { tidy() },
	})
	if err != nil {
		return chooser{}, fmt.Errorf("api: cache of rules: %w", err)
	}
	return chooser{sets: sets, seed: binary.LittleEndian.Uint64(seed)}, nil
}

// rulesOf returns the compiled rules of a link, or nil if it has none. Rules that this version of the
// program cannot read are a store.ErrUnavailable.
func (c *chooser) rulesOf(l *store.Link) (*rules.Set, error) {
	if l.Rules == "" {
		return nil, nil
	}
	if known, ok := c.sets.GetIfPresent(l.Code); ok && known.text == l.Rules {
		return known.set, nil
	}
	set, err := rules.Parse(l.Rules)
	if err != nil {
		return nil, fmt.Errorf("%w: rules of %q: %w", store.ErrUnavailable, l.Code, err)
	}
	c.sets.Set(l.Code, &compiledRules{l.Rules, set})
	return set, nil
}

// choose returns the target of a visit of a link with rules. query is the query of the visit without the
// parameter for QR codes.
func (a *API) choose(r *http.Request, l *store.Link, set *rules.Set, query string, now time.Time) chosen {
	v := a.visitOf(r, l, set.Varies(), query, now)
	to := chosenBy(l, set.Choose(&v))
	to.bounded = a.bounded(r, set, &v)
	return to
}

// visitOf returns the facts of a request that rules with the given kinds of facts ask about.
func (a *API) visitOf(r *http.Request, l *store.Link, kinds rules.Facts, query string, now time.Time) rules.Visit {
	v := a.factsOf(r.Header, l, kinds, query, now)
	if r.Method == http.MethodPost { // the referrer is a page of this server
		v.Referrer = ""
	}
	if kinds.Has(rules.Address | rules.Country | rules.Split) {
		v.Address = a.clientAddr(r)
	}
	if kinds.Has(rules.Country) {
		v.Country = a.opts.Countries.Country(a.countryHeader(r), v.Address)
	}
	return v
}

// factsOf is the part of visitOf that does not depend on the address.
func (a *API) factsOf(h http.Header, l *store.Link, kinds rules.Facts, query string, now time.Time) rules.Visit {
	v := rules.Visit{
		Key: l.Code, Seed: a.chooser.seed, Time: now, Query: query,
		UserAgent: first(h, "User-Agent"), Language: first(h, "Accept-Language"), Referrer: first(h, "Referer"),
	}
	if kinds.Has(rules.Device | rules.Browser) {
		v.Agent = a.agents.Agent(v.UserAgent)
	}
	return v
}

// countryHeader returns the header of a trusted proxy with the country of the client, or an empty text.
func (a *API) countryHeader(r *http.Request) string {
	if name := a.opts.CountryHeader; name != "" && a.opts.Clients.FromProxy(r) {
		return first(r.Header, name)
	}
	return ""
}
