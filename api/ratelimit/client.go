package ratelimit

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are networks of trusted proxies: X-Forwarded-For from them is used. The zero
// Proxies trusts no one.
type Proxies struct{ trusted []netip.Prefix }

// None reports whether there are no trusted proxies.
func (p Proxies) None() bool { return len(p.trusted) == 0 }

// Trusts reports whether an address belongs to a trusted proxy. a must have no zone.
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
// "2001:db8::/32". The error lists every invalid one.
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

// FromProxy reports whether the peer of the request is a trusted proxy, so that headers
// which the proxy sets can be used.
func (p Proxies) FromProxy(r *http.Request) bool {
	peer, ok := parseHop(r.RemoteAddr)
	return ok && p.Trusts(peer)
}

// ClientAddr returns the address of the client: the peer of the connection or, if the
// peer is a trusted proxy, the last address in X-Forwarded-For that is not a trusted
// proxy. It reads the header from its end, which the nearest proxy wrote, and stops at
// the first text that is not an address: the client may have invented everything before
// it. Other headers are not used.
//
// The address has no zone, and an IPv4 address is never mapped into IPv6. It is the zero
// Addr when r.RemoteAddr is not an address.
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

// cutLast cuts the last element off a list separated by commas.
func cutLast(list string) (before, last string, more bool) {
	if i := strings.LastIndexByte(list, ','); i >= 0 {
		return list[:i], list[i+1:], true
	}
	return "", list, false
}

// parseHop reads an address with or without a port: 192.0.2.1, 192.0.2.1:80,
// 2001:db8::1, [2001:db8::1] or [2001:db8::1]:80. Blanks around it are ignored.
func parseHop(s string) (netip.Addr, bool) {
	s = strings.Trim(s, " \t")
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		s = inner[:len(inner)-1]
		if !strings.Contains(s, ":") {
			return netip.Addr{}, false
		}
	}
	if strings.HasPrefix(s, "[") || strings.Count(s, ":") == 1 { // with a port: no IPv6 address has one colon
		ap, err := netip.ParseAddrPort(s)
		return ap.Addr().WithZone("").Unmap(), err == nil
	}
	a, err := netip.ParseAddr(s)
	return a.WithZone("").Unmap(), err == nil
}

// ClientKey returns the key for the limits of a client. The key of an IPv4 address,
// mapped into IPv6 or not, is the address. The key of an IPv6 address is its /64
// network, because customers get no smaller one (RFC 6177). All invalid addresses have
// the same key.
func ClientKey(addr netip.Addr) string {
	addr = addr.Unmap()
	if !addr.Is6() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// NetworkTimes is how many times the limit of one client a /48 network has.
const NetworkTimes = 16

// NetworkKey returns the key for the limits of the /48 network around an IPv6 address. A
// provider may give a /48 to one customer, which has 65,536 keys by ClientKey. NetworkKey
// returns "" for other addresses, because a customer does not get thousands of those.
func NetworkKey(addr netip.Addr) string {
	if addr = addr.Unmap(); !addr.Is6() {
		return ""
	}
	return netip.PrefixFrom(addr, 48).Masked().String()
}
