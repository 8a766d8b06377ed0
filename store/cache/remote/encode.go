package remote

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/terse/terse/store"
)

// The kinds of values. The first byte of a value is its kind. The scripts use them, too.
const (
	kindLink   = 'L' // then 8 bytes of version, the format, and the link
	kindMarker = 'M' // then 8 bytes of version: an edit without a stored link
	kindLease  = 'R' // then 8 bytes that identify the reader

	kindRevocation = 'K' // never stored, only announced: then the digest of an API key's token, and 8 bytes of Unix microseconds
)

const (
	// The formats of a link: with 2 or 4 bytes for the bits of its optional fields. A link is
	// written in the first format that has all of its fields, so that nodes of before format 2
	// read most links. A link in another format counts as unknown.
	format1 = 1
	format2 = 2

	headerLen = 1 + 8 + 1
)

// The optional fields of a link: one bit each, in the order of writing.
const (
	hasTitle = 1 << iota
	hasTags
	hasOwner
	hasStatus // other than 302
	hasForward
	hasStartsAt
	hasExpiresAt
	hasMaxClicks
	hasUsedClicks
	hasPasswordHash
	hasDisabledAt
	hasDisabledReason
	hasDeletedAt
	hasCreatedAt
	hasUpdatedAt // other than CreatedAt
	hasRequestID
	hasConfirm // this and the next ones: format 2
	hasRules
	hasNoVisitors
	hasForwardPath
)

// leaseText returns the value of a key with a lease. No reader has lease 0.
func leaseText(lease uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte{kindLease}, lease))
}

func markerText(version int64) string {
	return string(binary.BigEndian.AppendUint64([]byte{kindMarker}, uint64(version))) //nolint:gosec // positive
}

// encode returns l in its stored form, without Clicks and LastClickAt, with times in
// microseconds.
func encode(l *store.Link) string {
	w := writer{text: make([]byte, 0, headerLen+len(l.Code)+len(l.URL)+64)}
	w.text = append(w.text, kindLink)
	w.text = binary.BigEndian.AppendUint64(w.text, uint64(l.Version)) //nolint:gosec // positive
	w.text = append(w.text, format1)
	w.string(l.Code)
	w.string(l.URL)
	at := len(w.text)
	w.text = append(w.text, 0, 0)
	long := l.Confirm || l.Rules != "" || l.NoVisitors || l.ForwardPath
	if long {
		w.text[headerLen-1] = format2
		w.text = append(w.text, 0, 0)
	}
	if l.Confirm {
		w.has |= hasConfirm
	}
	if l.NoVisitors {
		w.has |= hasNoVisitors
	}
	if l.ForwardPath {
		w.has |= hasForwardPath
	}
	w.optional(hasTitle, l.Title)
	w.tags(l.Tags)
	w.optional(hasOwner, l.Owner)
	w.number(hasStatus, int64(l.Status)-store.DefaultStatus)
	w.number(hasForward, int64(l.ForwardQuery))
	w.time(hasStartsAt, l.StartsAt)
	w.time(hasExpiresAt, l.ExpiresAt)
	w.number(hasMaxClicks, l.MaxClicks)
	w.number(hasUsedClicks, l.UsedClicks)
	w.optional(hasPasswordHash, l.PasswordHash)
	w.time(hasDisabledAt, l.DisabledAt)
	w.optional(hasDisabledReason, l.DisabledReason)
	w.time(hasDeletedAt, l.DeletedAt)
	w.time(hasCreatedAt, l.CreatedAt)
	if !l.UpdatedAt.Equal(l.CreatedAt) {
		w.has |= hasUpdatedAt
		w.text = binary.AppendVarint(w.text, l.UpdatedAt.UnixMicro())
	}
	w.optional(hasRequestID, l.RequestID)
	w.optional(hasRules, l.Rules)
	if long {
		binary.BigEndian.PutUint32(w.text[at:], w.has)
	} else {
		binary.BigEndian.PutUint16(w.text[at:], uint16(w.has)) //nolint:gosec // no bit of format 2
	}
	return string(w.text)
}

type writer struct {
	text []byte
	has  uint32
}

func (w *writer) string(s string) {
	w.text = binary.AppendUvarint(w.text, uint64(len(s)))
	w.text = append(w.text, s...)
}

func (w *writer) optional(bit uint32, s string) {
	if s != "" {
		w.has |= bit
		w.string(s)
	}
}

func (w *writer) number(bit uint32, n int64) {
	if n != 0 {
		w.has |= bit
		w.text = binary.AppendVarint(w.text, n)
	}
}

func (w *writer) time(bit uint32, t time.Time) {
	if !t.IsZero() {
		w.has |= bit
		w.text = binary.AppendVarint(w.text, t.UnixMicro())
	}
}

func (w *writer) tags(tags []string) {
	if len(tags) == 0 {
		return
	}
	w.has |= hasTags
	w.text = binary.AppendUvarint(w.text, uint64(len(tags)))
	for _, tag := range tags {
		w.string(tag)
	}
}

// decode returns the link in text. ok is false if text is not a link with the given code, or
// if the link is not deleted and store.Link.MayRedirect rejects it. The strings of the link
// share the memory of text.
func decode(text, code string) (l store.Link, ok bool) {
	if len(text) < headerLen || text[0] != kindLink || text[headerLen-1] != format1 && text[headerLen-1] != format2 {
		return l, false
	}
	r := reader{text: text[1:]}
	version, format := r.fixed(8), r.fixed(1)
	l.Code, l.URL = r.string(), r.string()
	r.has = uint32(r.fixed(2 * int(format))) //nolint:gosec // 2 or 4 bytes
	l.Version = int64(version)               //nolint:gosec // checked below
	l.Title = r.optional(hasTitle)
	l.Tags = r.tags()
	l.Owner = r.optional(hasOwner)
	l.Status = int(r.number(hasStatus) + store.DefaultStatus)
	l.ForwardQuery = store.ForwardQuery(r.number(hasForward)) //nolint:gosec // as it was written
	l.StartsAt = r.time(hasStartsAt)
	l.ExpiresAt = r.time(hasExpiresAt)
	l.MaxClicks = r.number(hasMaxClicks)
	l.UsedClicks = r.number(hasUsedClicks)
	l.PasswordHash = r.optional(hasPasswordHash)
	l.DisabledAt = r.time(hasDisabledAt)
	l.DisabledReason = r.optional(hasDisabledReason)
	l.DeletedAt = r.time(hasDeletedAt)
	l.CreatedAt = r.time(hasCreatedAt)
	l.UpdatedAt = l.CreatedAt
	if r.has&hasUpdatedAt != 0 {
		l.UpdatedAt = r.time(hasUpdatedAt)
	}
	l.RequestID = r.optional(hasRequestID)
	l.Confirm = r.has&hasConfirm != 0
	l.Rules = r.optional(hasRules)
	l.NoVisitors = r.has&hasNoVisitors != 0
	l.ForwardPath = r.has&hasForwardPath != 0
	unknown := r.has >= hasForwardPath<<1 // a field that only a newer node knows
	if unknown || r.bad || r.text != "" || l.Code != code || version == 0 || version > math.MaxInt64 {
		return store.Link{}, false
	}
	if l.DeletedAt.IsZero() && !l.MayRedirect() {
		return store.Link{}, false
	}
	return l, true
}

// reader reads the output of writer. After an error bad is true, and all reads return zero.
type reader struct {
	text string
	has  uint32
	bad  bool
}

func (r *reader) fixed(n int) (v uint64) {
	if len(r.text) < n {
		r.bad, r.text = true, ""
		return 0
	}
	for i := range n {
		v = v<<8 | uint64(r.text[i])
	}
	r.text = r.text[n:]
	return v
}

func (r *reader) uvarint() (v uint64) {
	for shift := 0; shift < 64; shift += 7 {
		b := r.fixed(1)
		v |= b & 0x7f << shift
		if b < 0x80 {
			return v
		}
	}
	r.bad = true
	return 0
}

// varint reads a varint of encoding/binary from a string without copying it.
func (r *reader) varint() int64 {
	u := r.uvarint()
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.text)) {
		r.bad, r.text = true, ""
		return ""
	}
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}

func (r *reader) optional(bit uint32) string {
	if r.has&bit == 0 {
		return ""
	}
	return r.string()
}

func (r *reader) number(bit uint32) int64 {
	if r.has&bit == 0 {
		return 0
	}
	return r.varint()
}

func (r *reader) time(bit uint32) time.Time {
	if r.has&bit == 0 {
		return time.Time{}
	}
	return time.UnixMicro(r.varint()).UTC()
}

func (r *reader) tags() []string {
	if r.has&hasTags == 0 {
		return nil
	}
	n := r.uvarint()
	if n > uint64(len(r.text)) { // each tag takes at least one byte
		r.bad = true
		return nil
	}
	tags := make([]string, n)
	for i := range tags {
		tags[i] = r.string()
	}
	return tags
}
