package cache

import (
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/terse/terse/store"
)

// entry is what L1 remembers of one code. It never changes once it is shared.
//
// A link is kept packed, which takes about half the memory of a store.Link: its
// texts lie end to end in one string, and its times are Unix microseconds, as
// exact as those of the contract. Clicks and LastClickAt are left out, as
// Store.Resolve allows.
type entry struct {
	code    string // apart from text, because otter keeps the first one of a key
	text    string // the six texts of packedTexts, then the tags
	lengths [6]uint32
	tags    []string // parts of text

	startsAt, expiresAt   int64
	disabledAt, deletedAt int64
	createdAt, updatedAt  int64

	maxClicks, usedClicks int64
	version               int64 // 0 when no link has the code
	status                uint16
	forward               store.ForwardQuery
	standIn               bool // serves for a store that could not answer

	loadedAt    time.Duration // when L2 or the store was asked for it, all on the cache's clock; before that began: may be outdated
	freshUntil  time.Duration // until then it is an answer
	usableUntil time.Duration // until then it may stand in
	contested   time.Duration // since when the primary has an older version; 0: it has none, as far as is known
}

func packedTexts(l *store.Link) [6]string {
	return [6]string{l.URL, l.Title, l.Owner, l.PasswordHash, l.DisabledReason, l.RequestID}
}

// pack returns an entry that shares no memory with l.
func pack(l *store.Link) *entry {
	e := &entry{
		code:     strings.Clone(l.Code),
		startsAt: l.StartsAt.UnixMicro(), expiresAt: l.ExpiresAt.UnixMicro(),
		disabledAt: l.DisabledAt.UnixMicro(), deletedAt: l.DeletedAt.UnixMicro(),
		createdAt: l.CreatedAt.UnixMicro(), updatedAt: l.UpdatedAt.UnixMicro(),
		maxClicks: l.MaxClicks, usedClicks: l.UsedClicks, version: l.Version,
		status: uint16(l.Status), forward: l.ForwardQuery, //nolint:gosec // an HTTP status
	}
	texts := packedTexts(l)
	e.text = strings.Join(slices.Concat(texts[:], l.Tags), "")
	start := 0
	for i, s := range texts {
		e.lengths[i] = uint32(len(s)) //nolint:gosec // the texts of a link are far shorter
		start += len(s)
	}
	if len(l.Tags) > 0 {
		e.tags = make([]string, len(l.Tags))
	}
	for i, s := range l.Tags {
		e.tags[i] = e.text[start : start+len(s)]
		start += len(s)
	}
	return e
}

// link returns what was packed. The texts are parts of the entry, which nobody
// can change; Tags are a copy, because their owner may.
func (e *entry) link() store.Link {
	rest := e.text
	next := func(i int) string {
		s := rest[:e.lengths[i]]
		rest = rest[e.lengths[i]:]
		return s
	}
	return store.Link{
		Code: e.code,
		URL:  next(0), Title: next(1), Owner: next(2),
		PasswordHash: next(3), DisabledReason: next(4), RequestID: next(5),
		Tags:   slices.Clone(e.tags),
		Status: int(e.status), ForwardQuery: e.forward,
		StartsAt: unpackTime(e.startsAt), ExpiresAt: unpackTime(e.expiresAt),
		DisabledAt: unpackTime(e.disabledAt), DeletedAt: unpackTime(e.deletedAt),
		CreatedAt: unpackTime(e.createdAt), UpdatedAt: unpackTime(e.updatedAt),
		MaxClicks: e.maxClicks, UsedClicks: e.usedClicks, Version: e.version,
	}
}

// unpackTime gives the zero time back as exactly that: its Unix microseconds
// are a number like any other.
func unpackTime(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// settledAt returns when it was found that e is the answer, or a moment before.
func (e *entry) settledAt() time.Duration {
	if e.standIn {
		return e.freshUntil - staleRetry
	}
	return e.loadedAt
}

// doubted returns e as a state that somebody may have left behind: it stands in for a
// store that cannot answer, and for none that was not asked.
func (e *entry) doubted() *entry {
	d := *e
	d.loadedAt = -1
	return &d
}

// negative reports whether the entry says that no link has the code.
func (e *entry) negative() bool { return e.version == 0 }

// newerThan reports whether e shows a later state of the link than o. Uses
// against MaxClicks leave the version as it is, and only grow within one.
func (e *entry) newerThan(o *entry) bool {
	return e.version > o.version || e.version == o.version && e.usedClicks > o.usedClicks && !e.contradicts(o)
}

// contradicts reports whether e and o, of which one may be nil, are two links of the same
// version: one of them was lost in a failover, and which one does not show.
func (e *entry) contradicts(o *entry) bool {
	return e != nil && o != nil && e.version == o.version && (e.text != o.text || e.lengths != o.lengths ||
		!slices.Equal(e.tags, o.tags) || e.startsAt != o.startsAt || e.expiresAt != o.expiresAt ||
		e.disabledAt != o.disabledAt || e.deletedAt != o.deletedAt || e.createdAt != o.createdAt ||
		e.updatedAt != o.updatedAt || e.maxClicks != o.maxClicks || e.status != o.status || e.forward != o.forward)
}

// newest returns the later of two states, of which either may be unknown.
func newest(a, b *entry) *entry {
	if a == nil || b != nil && b.newerThan(a) {
		return b
	}
	return a
}

// What one entry costs beyond its own struct: otter's node, which is 56 bytes
// in the allocator's class of 64, and its share of the hash table, whose buckets
// of 64 bytes hold 5 nodes and are between 3/8 and 3/4 full; and the eight bytes
// with which otter estimates how often a key is asked for.
const (
	nodeBytes  = 64
	tableBytes = 64 / 5 * 2
	countBytes = 8
	entryBytes = uint32(unsafe.Sizeof(entry{})) + nodeBytes + tableBytes + countBytes
	tagBytes   = uint32(unsafe.Sizeof(""))
)

// size returns the memory that the entry takes in L1, in bytes.
func (e *entry) size() uint32 {
	return entryBytes + allocated(len(e.code)) + allocated(len(e.text)) + tagBytes*uint32(len(e.tags)) //nolint:gosec // short
}

// allocated returns about what the allocator takes for n bytes.
func allocated(n int) uint32 {
	return uint32(n+15) &^ 15 //nolint:gosec // short
}
