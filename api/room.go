package api

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

// smallBody is the largest Content-Length of a small body, in bytes.
const smallBody = 64 << 10

// Parts of a room.
const (
	keyPart       = 8 // one API key has at most 1/keyPart
	anonymousPart = 2 // all clients without a key together have at most 1/anonymousPart
)

// room bounds the bytes of the request bodies in memory. Safe for concurrent use.
type room struct {
	most    int64 // bytes of all bodies
	client  int64 // bytes of one client without a key
	network int64 // bytes of one network without a key, see bodyNetwork

	mu   sync.Mutex
	used map[string]int64 // by part, see partsOf; parts without bytes are absent
}

// smallRoom returns the room of small bodies: edits, takedowns, reports and passwords continue
// while large bodies fill the other room. One client may send four of the largest small bodies
// at the same time, because a few clients must not fill the part of all clients.
func smallRoom() *room { return &room{most: 16 << 20, client: 4 * smallBody, network: 1 << 20} }

// largeRoom returns the room of all other bodies.
func largeRoom() *room { return &room{most: 64 << 20, client: 8 * MaxBodyLen, network: 16 << 20} }

// part is a part of a room that a sender uses.
type part struct {
	name string
	most int64
}

// partsOf returns the parts of the room that a sender uses: its own part first, the whole room
// last.
func (r *room) partsOf(who *caller) []part {
	all := part{"all", r.most}
	if who.Key != nil {
		return []part{{"key:" + who.Key.Author(), r.most / keyPart}, all}
	}
	return []part{
		{"client:" + ratelimit.ClientKey(who.addr), r.client},
		{"network:" + bodyNetwork(who.addr).String(), r.network},
		{"anonymous", r.most / anonymousPart},
		all,
	}
}

// bodyNetwork returns the network of addresses that one customer may have: an IPv6 network of 48
// bits, or an IPv4 network of 24 bits. Rate limits do not count the latter, because it may have
// hundreds of clients. Their bodies seldom arrive at the same time.
func bodyNetwork(client netip.Addr) netip.Prefix {
	client = client.Unmap()
	bits := 48
	if client.Is4() {
		bits = 24
	}
	return netip.PrefixFrom(client, bits).Masked()
}

// Errors of a body for which there is no room.
var (
	errBodies = fmt.Errorf("%w: request bodies use too much memory", store.ErrShed)

	errOwnBodies = func() *problem {
		p := newProblem(http.StatusTooManyRequests, "You send too many bodies at the same time. Wait for the answers, or send smaller bodies.")
		p.retryAfter = time.Second
		return p
	}()
)

// take takes n bytes of all parts. It takes none and returns an error if a part has fewer left:
// a 429 for a part of the sender's own, else errBodies.
func (r *room) take(parts []part, n int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range parts {
		if r.used[p.name]+n <= p.most {
			continue
		}
		if i == 0 {
			return errOwnBodies
		}
		return errBodies
	}
	if r.used == nil {
		r.used = map[string]int64{}
	}
	for _, p := range parts {
		r.used[p.name] += n
	}
	return nil
}

// give returns n bytes.
func (r *room) give(parts []part, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range parts {
		if r.used[p.name] -= n; r.used[p.name] == 0 {
			delete(r.used, p.name)
		}
	}
}

// meteredBody takes the bytes of a body from a room. Read fails when there is no room.
type meteredBody struct {
	io.Reader
	room  *room
	parts []part
	taken int64
}

// Read implements io.Reader.
func (m *meteredBody) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if full := m.room.take(m.parts, int64(n)); full != nil {
		return n, full
	}
	m.taken += int64(n)
	return n, err
}

// free returns the bytes of the body.
func (m *meteredBody) free() { m.room.give(m.parts, m.taken) }
