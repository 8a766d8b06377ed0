package visit

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync/atomic"

	"golang.org/x/net/publicsuffix"
)

const (
	// addressReferrer stands for all sites whose host is an IP address.
	addressReferrer = "(IP address)"

	// androidApp is how the referrer of a visit from an Android app begins.
	androidApp = "android-app://"

	// maxHost is the longest host in bytes, and maxReferrer the longest result.
	maxHost     = 253
	maxReferrer = 100

	// cacheLen is how many hosts have their names in memory, at most about 500 bytes each. It is
	// a power of two.
	cacheLen = 1 << 12
)

// referrers finds the names of referrers. Safe for concurrent use.
type referrers struct {
	seed maphash.Seed

	// The hash of a host selects the place of its name. A new host replaces the old one at its
	// place. The seed is random, so that clients cannot choose places.
	cache *[cacheLen]atomic.Pointer[namedHost]
}

type namedHost struct{ host, name string }

func newReferrers() referrers {
	return referrers{seed: maphash.MakeSeed(), cache: new([cacheLen]atomic.Pointer[namedHost])}
}

// name returns the name of a referrer. The name shares no memory with the referrer.
func (r *referrers) name(referrer string) string {
	if referrer == "" {
		return ""
	}
	scheme, rest, ok := strings.Cut(referrer, "://")
	if !ok {
		return Invalid
	}
	end := strings.IndexAny(rest, "/?#\\")
	if end >= 0 {
		rest = rest[:end]
	}
	switch lower(scheme) {
	case "http", "https":
		return r.site(rest)
	case "android-app":
		return app(rest)
	}
	return Invalid
}

// app returns the name of an Android app.
func app(pkg string) string {
	if name := apps[pkg]; name != "" {
		return name
	}
	if !isName(pkg, "._") || len(pkg) > maxReferrer-len(androidApp) {
		return Invalid
	}
	return androidApp + pkg
}

// site returns the name of the site at an authority: a host with or without a port and a user.
func (r *referrers) site(authority string) string {
	host := authority[strings.LastIndexByte(authority, '@')+1:]
	if strings.HasPrefix(host, "[") {
		return addressReferrer
	}
	host, _, _ = strings.Cut(host, ":")
	host = strings.TrimSuffix(host, ".")
	if len(host) > maxHost {
		return Invalid
	}
	place := &r.cache[maphash.String(r.seed, host)%cacheLen]
	if known := place.Load(); known != nil && known.host == host {
		return known.name
	}
	host = strings.Clone(host)
	name := siteName(lower(host))
	place.Store(&namedHost{host, name})
	return name
}

// siteName returns the name of the site with a host in lower case.
func siteName(host string) string {
	if !isName(host, "-._") {
		return Invalid
	}
	if _, err := netip.ParseAddr(host); err == nil || isDigit(host[len(host)-1]) {
		return addressReferrer
	}
	if name := sites[host]; name != "" {
		return name
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		domain = host // a single label, or a public suffix
	}
	if name := sites[domain]; name != "" {
		return name
	}
	if label, _, _ := strings.Cut(domain, "."); manySuffixes[label] != "" {
		if suffix, icann := publicsuffix.PublicSuffix(domain); icann && label+"."+suffix == domain && isCountry(suffix) {
			return manySuffixes[label]
		}
	}
	if len(domain) > maxReferrer {
		return Invalid
	}
	return domain
}

// isCountry reports whether a public suffix is of a country, such as de or co.uk.
func isCountry(suffix string) bool {
	return len(suffix[strings.LastIndexByte(suffix, '.')+1:]) == 2
}

// isName reports whether a text has only ASCII letters, digits and the given marks, with at least
// one byte, and no empty label.
func isName(s, marks string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if !isLetter(s[i]) && !isDigit(s[i]) && !isOneOf(s[i], marks) {
			return false
		}
	}
	return true
}
