package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks whose X-Forwarded-For is believed. The zero Proxies
// believe nobody.
type Proxies struct{ trusted []netip.Prefix }

// None reports whether nobody is believed.
func (p Proxies) None() bool { return len(p.trusted) == 0 }

// Trusts reports whether an address, without a zone, is one of the proxies'.
func (p Proxies) Trusts(a netip.Addr) bool {
	a = a.Unmap()
	for _, prefix := range p.trusted {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// ParseProxies reads networks in CIDR notation, such as "10.0.0.0/8" and
// "2001:db8::/32", and returns everything that is wrong with them.
func ParseProxies(cidrs []string) (Proxies, error) {
	var p Proxies
	var errs []error
	for _, s := range cidrs {
		prefix, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("trusted proxy %q: must be a network such as 10.0.0.0/8 or 192.0.2.1/32", s))
			continue
		case prefix.Addr().Is4In6() && prefix.Bits() < 96:
			errs = append(errs, fmt.Errorf("trusted proxy %q: must be written as an IPv4 network", s))
			continue
		case prefix.Addr().Is4In6():
			prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
		}
		p.trusted = append(p.trusted, prefix.Masked())
	}
	return p, errors.Join(errs...)
}

// FromProxy reports whether a trusted proxy sent the request: what it says in headers
// of its own can be believed.
func (p Proxies) FromProxy(r *http.Request) bool {
	peer, ok := parseHop(r.RemoteAddr)
	return ok && p.Trusts(peer)
}

// ClientAddr returns the address of the client: the peer of the connection, or,
// when that is a trusted proxy, the last address in X-Forwarded-For that is not
// one. The header is read from its end, which the nearest proxy wrote, and no
// further than to what is not an address: what stands before that is anybody's
// invention. Other headers are never believed.
//
// The address has no zone, and IPv4 addresses are never mapped into IPv6. It is
// the zero Addr when r.RemoteAddr is none.
func (p Proxies) ClientAddr(r *http.Request) netip.Addr {
	client, ok := parseHop(r.RemoteAddr)
	if !ok {
		return netip.Addr{}
	}
	for _, rest := range slices.Backward(r.Header["X-Forwarded-For"]) {
		for more := true; more; {
			if !p.Trusts(client) {
				return client
			}
			var last string
			rest, last, more = cutLast(rest)
			hop, ok := parseHop(last)
			if !ok {
				return client
			}
			client = hop
		}
	}
	return client
}

// cutLast cuts the last element from a list that is separated by commas.
func cutLast(list string) (before, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}

// parseHop reads an address with or without a port: 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80, each also with blanks around.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		s = inner[:len(inner)-1]
		if !strings.Contains(s, ":") {
			return netip.Addr{}, false
		}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.WithZone("").Unmap(), true
}

// ClientKey returns the key under which a client is limited: an IPv4 address
// itself, mapped into IPv6 or not, and of an IPv6 address the network of 64 bits,
// since a site is given no smaller one (RFC 6177). All invalid
// addresses share a key.
func ClientKey(addr netip.Addr) string {
	addr = addr.Unmap()
	if !addr.Is6() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// SiteTimes is how many times as much as one client the site around it is allowed.
const SiteTimes = 16

// SiteKey returns the key of the site around an IPv6 address, the network of 48 bits
// that a provider may give to one customer, who has 65,536 clients by ClientKey then.
// It is empty for other addresses, which nobody has by the thousand.
func SiteKey(addr netip.Addr) string {
	if addr = addr.Unmap(); !addr.Is6() {
		return ""
	}
	return netip.PrefixFrom(addr, 48).Masked().String()
}
