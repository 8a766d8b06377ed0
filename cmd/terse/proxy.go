package main

import (
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// proxied returns a listener that takes the client's address from PROXY headers, if
// the settings say that there are any. Trusted proxies have to begin every connection
// with one, version 1 or 2: without the duty, a client behind one that writes none
// could write its own. Connections of others are left as they are, so that a header of
// theirs is no HTTP.
func (p *process) proxied(l net.Listener) net.Listener {
	if !p.settings.proxyProtocol {
		return l
	}
	return &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: readHeaderTimeout,
		ConnPolicy: func(c proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			peer, err := netip.ParseAddrPort(c.Upstream.String())
			if err != nil || !p.settings.proxies.Trusts(peer.Addr().WithZone("")) {
				return proxyproto.SKIP, nil
			}
			return proxyproto.REQUIRE, nil
		},
	}
}
