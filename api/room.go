package api

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

// smallBody is the largest Content-Length of a small body, in bytes.
const smallBody = 64 << 10

// The most bytes of request bodies in memory. Small bodies have a room of their own: edits,
// takedowns, reports and passwords continue while large bodies fill the other room.
const (
	maxSmallBodies = 16 << 20
	maxLargeBodies = 64 << 20
)

// Parts of a room.
const (
	clientPart    = 8 // one client or API key has at most 1/clientPart
	networkPart   = 4 // one IPv6 network has at most 1/networkPart
	anonymousPart = 2 // all clients without a key together have at most 1/anonymousPart
)

// room bounds the bytes of the request bodies in memory. Safe for concurrent use.
type room struct {
	most int64

	mu   sync.Mutex
	used map[string]int64 // by part, see partsOf; parts without bytes are absent
}

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
		return []part{{"key:" + who.Key.ID, r.most / clientPart}, all}
	}
	parts := []part{{"client:" + ratelimit.ClientKey(who.addr), r.most / clientPart}}
	if network := ratelimit.NetworkKey(who.addr); network != "" {
		parts = append(parts, part{"network:" + network, r.most / networkPart})
	}
	return append(parts, part{"anonymous", r.most / anonymousPart}, all)
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
