package cache

import (
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/terse/terse/store"
)

// entry is what L1 caches for one code. A shared entry never changes.
//
// A link is packed, which takes about half the memory of a store.Link: its texts are
// joined in one string, and its times are Unix microseconds, as exact as the Store
// contract. Clicks and LastClickAt are left out, as Store.Resolve allows.
//
// It is not the form that package remote stores and announces: reading that form takes about
// twice as long as link, see BenchmarkLink here and BenchmarkDecode there.
type entry struct {
	code    string // not part of text, because otter keeps the first string of a key
	text    string // the texts of packedTexts, then the tags, then the rules
	lengths [6]uint32
	tags    []string // parts of text

	startsAt, expiresAt   int64
	disabledAt, deletedAt int64
	createdAt, updatedAt  int64

	maxClicks, usedClicks int64
	version               int64 // 0 if no link has the code
	status                uint16
	forward               store.ForwardQuery
	confirm, noVisitors   bool
	forwardPath           bool
	standIn               bool // served because the store could not answer

	// On the cache's clock:
	loadedAt    time.Duration // when L2 or the store was asked; negative if the entry may be outdated
	freshUntil  time.Duration // end of use as an answer
	usableUntil time.Duration // end of use while the store cannot answer
	contested   time.Duration // since when the primary has returned an older version; 0: it has not
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
		forwardPath: l.ForwardPath,
		status:      uint16(l.Status), forward: l.ForwardQuery, confirm: l.Confirm, noVisitors: l.NoVisitors, //nolint:gosec // an HTTP status
	}
	texts := packedTexts(l)
	e.text = strings.Join(slices.Concat(texts[:], l.Tags, []string{l.Rules}), "")
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

// link returns the packed link. Its texts share the memory of the entry. Tags are a copy,
// because the caller may change them.
func (e *entry) link() store.Link {
	rest := e.text
	next := func(i int) string {
		s := rest[:e.lengths[i]]
		rest = rest[e.lengths[i]:]
		return s
	}
	l := store.Link{
		Code: e.code,
		URL:  next(0), Title: next(1), Owner: next(2),
		PasswordHash: next(3), DisabledReason: next(4), RequestID: next(5),
		Tags:   slices.Clone(e.tags),
		Status: int(e.status), ForwardQuery: e.forward, Confirm: e.confirm, NoVisitors: e.noVisitors, ForwardPath: e.forwardPath,
		StartsAt: unpackTime(e.startsAt), ExpiresAt: unpackTime(e.expiresAt),
		DisabledAt: unpackTime(e.disabledAt), DeletedAt: unpackTime(e.deletedAt),
		CreatedAt: unpackTime(e.createdAt), UpdatedAt: unpackTime(e.updatedAt),
		MaxClicks: e.maxClicks, UsedClicks: e.usedClicks, Version: e.version,
	}
	for _, tag := range e.tags {
		rest = rest[len(tag):]
	}
	l.Rules = rest
	return l
}

// unpackTime also restores the zero time, because its Unix microseconds are exact, too.
func unpackTime(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// settledAt returns when e became the answer, or a moment earlier.
func (e *entry) settledAt() time.Duration {
	if e.standIn {
		return e.freshUntil - staleRetry
	}
	return e.loadedAt
}

// doubted returns e marked as possibly outdated. It may be served while the store cannot
// answer, but not when the store was not asked.
func (e *entry) doubted() *entry {
	d := *e
	d.loadedAt = -1
	return &d
}

// negative reports whether e means that no link has the code.
func (e *entry) negative() bool { return e.version == 0 }

// newerThan reports whether e is a later state of the link than o. Uses that count against
// MaxClicks do not change the version, and only grow within a version.
func (e *entry) newerThan(o *entry) bool {
	return e.version > o.version || e.version == o.version && e.usedClicks > o.usedClicks && !e.contradicts(o)
}

// contradicts reports whether e and o are different links with the same version. Then a
// failover has lost one of them; the entries do not show which one. Either may be nil.
func (e *entry) contradicts(o *entry) bool {
	return e != nil && o != nil && e.version == o.version && (e.text != o.text || e.lengths != o.lengths ||
		!slices.Equal(e.tags, o.tags) || e.startsAt != o.startsAt || e.expiresAt != o.expiresAt ||
		e.disabledAt != o.disabledAt || e.deletedAt != o.deletedAt || e.createdAt != o.createdAt ||
		e.updatedAt != o.updatedAt || e.maxClicks != o.maxClicks || e.status != o.status || e.forward != o.forward || e.confirm != o.confirm || e.noVisitors != o.noVisitors ||
		e.forwardPath != o.forwardPath)
}

// newest returns the later of two states. Either may be nil.
func newest(a, b *entry) *entry {
	if a == nil || b != nil && b.newerThan(a) {
		return b
	}
	return a
}

// The memory that one entry needs in addition to its own struct: otter's node of 56 bytes,
// which the allocator rounds to 64; its part of the hash table, in which a bucket of 64
// bytes has 5 slots and 3/8 to 3/4 of the slots are used; and 8 bytes for otter's estimate
// of how often a key is requested.
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

// allocated returns about how many bytes the allocator uses for n bytes.
func allocated(n int) uint32 {
	return uint32(n+15) &^ 15 //nolint:gosec // short
}
