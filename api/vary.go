package api

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/terse/terse/links/rules"
)

// A CDN sends facts about the visitor in these headers. Each has few values, so the CDN can keep an answer for
// each value. The CDN removes the headers from the requests of visitors. If it is not certain of a fact, it
// sends no header. The target of a visit never depends on device and language in these headers: they only
// decide whether the CDN may keep the answer.
const (
	deviceHeader   = "Terse-Device"   // see rules.Set.Bounded
	countryHeader  = "Terse-Country"  // ISO 3166-1 code; used if it is Options.CountryHeader
	languageHeader = "Terse-Language" // see rules.Set.Bounded
)

// varyBy are the values of the header Vary by the facts that rules ask about.
var varyBy = func() (by [variable + 1][]string) {
	for facts := range rules.Facts(len(by)) {
		var names []string
		for _, one := range []struct {
			fact   rules.Facts
			header string
		}{{rules.Device, deviceHeader}, {rules.Country, countryHeader}, {rules.Language, languageHeader}} {
			if facts.Has(one.fact) {
				names = append(names, one.header)
			}
		}
		by[facts] = []string{strings.Join(names, ", ")}
	}
	return by
}()

// bounded reports whether all visits with the same headers of the CDN get the same answer, at the same time and
// with the same query. Only the headers for facts that the rules ask about count.
func (a *API) bounded(r *http.Request, set *rules.Set, v *rules.Visit) bool {
	varies := set.Varies()
	if !a.opts.CDNVaries || !varies.Has(variable) || !a.opts.Clients.FromProxy(r) {
		return false
	}
	if varies.Has(rules.Country) {
		sent := first(r.Header, countryHeader)
		if a.opts.CountryHeader != countryHeader || sent == "" || a.opts.Countries.Country(sent, netip.Addr{}) == "" {
			return false // the country depends on the address
		}
	}
	return set.Bounded(v, first(r.Header, deviceHeader), first(r.Header, languageHeader))
}
