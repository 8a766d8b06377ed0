package api

import (
	"net/http"
	"net/netip"
)

// carrierNAT is the shared address space of carrier-grade NAT (RFC 6598). No visitor has
// such an address on the Internet.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// clientAddr returns the address of the client. Rate limits identify anonymous clients by
// it. All clients behind a proxy that is not trusted have the proxy's address, so this is
// counted and logged once.
func (a *API) clientAddr(r *http.Request) netip.Addr {
	client := a.opts.Clients.ClientAddr(r)
	if r.Header["X-Forwarded-For"] != nil && inside(client) && isPeer(r, client) {
		a.metrics.unlistedProxies.Inc()
		a.unlisted.Do(func() {
			a.opts.Logger.WarnContext(r.Context(), "a private address sends X-Forwarded-For but is not a trusted proxy: its clients share one rate limit", "peer", client)
		})
	}
	return client
}

// inside reports whether an address belongs to a private network.
func inside(addr netip.Addr) bool {
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || carrierNAT.Contains(addr)
}

// isPeer reports whether the TCP connection comes from addr.
func isPeer(r *http.Request, addr netip.Addr) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().WithZone("") == addr
}
