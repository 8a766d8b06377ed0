package server

import (
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// Proxies says which peers are trusted proxies. Trusts is safe for concurrent use.
type Proxies interface {
	Trusts(peer netip.Addr) bool
}

// proxied returns a listener that takes the client's address from PROXY headers.
// Trusted proxies must begin every connection with such a header, version 1 or 2: if
// the header were optional, a client behind a proxy that writes none could write its
// own. Connections of other peers are left as they are, so that a PROXY header from
// them is malformed HTTP.
func proxied(l net.Listener, proxies Proxies) net.Listener {
	if proxies == nil {
		return l
	}
	return &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: ReadHeaderTimeout,
		ConnPolicy: func(c proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			peer, err := netip.ParseAddrPort(c.Upstream.String())
			if err != nil || !proxies.Trusts(peer.Addr().WithZone("")) {
				return proxyproto.SKIP, nil
			}
			return proxyproto.REQUIRE, nil
		},
	}
}
