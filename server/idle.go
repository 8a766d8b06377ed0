package server

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/pires/go-proxyproto"
)

// networkPart is the part of all connections that one client network may have: a quarter.
const networkPart = 4

// networkBits is the length of the prefix of an IPv6 network. A provider may give that much
// to one customer.
const networkBits = 48

// networkOf returns the network of a peer: an IPv4 address, or the first address of an IPv6
// network. It returns the zero Addr for a trusted proxy, which has the connections of many
// clients.
func networkOf(c net.Conn, trusted Proxies) netip.Addr {
	if behind, ok := c.(*proxyproto.Conn); ok { // its own RemoteAddr waits for the PROXY header
		c = behind.Raw()
	}
	peer, err := netip.ParseAddrPort(c.RemoteAddr().String())
	addr := peer.Addr().Unmap().WithZone("")
	if err != nil || trusted != nil && trusted.Trusts(addr) {
		return netip.Addr{}
	}
	if addr.Is4() {
		return addr
	}
	return netip.PrefixFrom(addr, networkBits).Masked().Addr()
}

// idleConn is a connection that waits for a request.
type idleConn struct {
	conn  *conn
	since int64 // by the clock
}

// longestIdle returns the connection that waits longest for a request, of those that match.
// It returns nil if none waits. A connection whose request head is incomplete waits, too. The
// connections are collected once and then used one after another: under a flood of
// connections, a search for each would take long. The caller holds mu.
func (c *connections) longestIdle(match func(*conn) bool) *conn {
	if found := c.takeIdle(match); found != nil {
		return found
	}
	now := c.clock.at(time.Now())
	if pause := int64(collectEvery) * int64(len(c.open)>>10); now-c.looked < pause {
		return nil
	}
	c.collect(now)
	return c.takeIdle(match)
}

// collectEvery is the least time between two collections, for each 1024 connections.
const collectEvery = 10 * time.Millisecond

// takeIdle returns the first collected connection that matches and still waits.
func (c *connections) takeIdle(match func(*conn) bool) *conn {
	for i := range c.idle {
		candidate := c.idle[i]
		if candidate.conn == nil || !match(candidate.conn) {
			continue
		}
		c.idle[i].conn = nil
		_, open := c.open[candidate.conn]
		if open && candidate.conn.waiting.CompareAndSwap(candidate.since, 0) {
			return candidate.conn
		}
	}
	return nil
}

// collect collects the connections that wait for a request, the longest first. The caller
// holds mu.
func (c *connections) collect(now int64) {
	c.looked, c.idle = now, c.idle[:0]
	for open := range c.open {
		if since := open.waiting.Load(); since > 0 {
			c.idle = append(c.idle, idleConn{open, since})
		}
	}
	slices.SortFunc(c.idle, func(a, b idleConn) int { return cmp.Compare(a.since, b.since) })
}

// waits notes since when the connection waits for a request.
func (c *conn) waits(since int64) { c.waiting.Store(since) }

// changed is the http.Server.ConnState of all connections.
func changed(c net.Conn, state http.ConnState) {
	own, ok := under(c).(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		own.requested.Store(true)
		own.waits(0)
	case http.StateIdle:
		own.waits(own.of.clock.at(time.Now()))
	case http.StateNew, http.StateHijacked, http.StateClosed:
	}
}
