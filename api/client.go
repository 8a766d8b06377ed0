package api

import (
	"net/http"
	"net/netip"
)

// carrierNAT is the network between a provider's customers and its own addresses
// (RFC 6598), from which no visitor comes either.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// clientAddr returns the address of the client, by which strangers are told apart. A
// proxy that is not listed among the trusted ones makes all its clients one, which the
// operator should know.
func (a *API) clientAddr(r *http.Request) netip.Addr {
	client := a.opts.Clients.ClientAddr(r)
	if r.Header["X-Forwarded-For"] != nil && inside(client) && isPeer(r, client) {
		a.metrics.unlistedProxies.Inc()
		a.unlisted.Do(func() {
			a.opts.Logger.WarnContext(r.Context(), "a private address hands on X-Forwarded-For and is no trusted proxy: its clients share their limits", "peer", client)
		})
	}
	return client
}

// inside reports whether an address is of a network that is not the Internet.
func inside(addr netip.Addr) bool {
	return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || carrierNAT.Contains(addr)
}

// isPeer reports whether the request comes from addr itself.
func isPeer(r *http.Request, addr netip.Addr) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().WithZone("") == addr
}
