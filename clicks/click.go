package clicks

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/store"
)

// Click is one answer that revealed the target of a link.
type Click struct {
	Key     string // of the link, see store.Link.Code
	At      time.Time
	Private bool // the visitor is not counted: the client asked not to be tracked, or the link has NoVisitors

	visit.Request
}

// Most bytes of the texts of a click. Longer texts are cut: classification does not read a User-Agent
// beyond its bound, ignores a longer language, and needs only the start of a referrer.
const (
	maxUserAgent = 2 << 10
	maxReferrer  = 1 << 10
	maxLanguage  = 64
	maxCountry   = 8
	maxQuery     = 8 << 10 // a parameter that exceeds it is left out
)

// quarterLen is the length of a quarter-hour.
const quarterLen = 24 * 60 * 60 / day.Quarters

// lastQuarter is the last quarter-hour since 1970 that the store accepts.
const lastQuarter = (store.MaxClickDay+1)*day.Quarters - 1

// bound cuts the texts of a click, and leaves out queries without UTM parameters.
func (c *Click) bound() {
	c.UserAgent = c.UserAgent[:min(len(c.UserAgent), maxUserAgent)]
	c.Referrer = c.Referrer[:min(len(c.Referrer), maxReferrer)]
	c.Language = c.Language[:min(len(c.Language), maxLanguage)]
	c.Country = c.Country[:min(len(c.Country), maxCountry)]
	c.Query = boundQuery(c.Query)
	c.TargetQuery = boundQuery(c.TargetQuery)
}

func boundQuery(query string) string {
	if query == "" || !visit.HasUTM(query) {
		return ""
	}
	if len(query) > maxQuery {
		query = query[:max(0, strings.LastIndexByte(query[:maxQuery+1], '&'))]
	}
	return query
}

// The flags of a record.
const (
	isHead = 1 << iota
	isPrefetch
	isQR
	isPrivate
)

// fixedLen is the length of a record without its texts and their lengths.
const fixedLen = 4 + 1 + 16

// texts are the number of texts of a record.
const texts = 8

// append appends the record of a click: all facts except for the exact time. Equal clicks of the
// same quarter-hour have equal records.
func (c *Click) append(to []byte) []byte {
	quarter := min(max(c.At.Unix()/quarterLen, 0), lastQuarter)
	to = binary.LittleEndian.AppendUint32(to, uint32(quarter))
	to = append(to, c.flags())
	addr := c.Address.As16()
	to = append(to, addr[:]...)
	to = appendText(to, c.Key)
	to = appendText(to, c.UserAgent)
	to = appendText(to, c.Referrer)
	to = appendText(to, c.Language)
	to = appendText(to, c.Country)
	to = appendText(to, c.Query)
	to = appendText(to, c.TargetQuery)
	return appendText(to, c.Rule)
}

func (c *Click) flags() (flags byte) {
	if c.Head {
		flags |= isHead
	}
	if c.Prefetch {
		flags |= isPrefetch
	}
	if c.QR {
		flags |= isQR
	}
	if c.Private {
		flags |= isPrivate
	}
	return flags
}

func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

// read sets c to the click of a record, and returns the number of its quarter-hour since 1970. The
// texts are parts of the record. c.At is not set.
func (c *Click) read(record string) (quarter int64) {
	var fixed [fixedLen]byte
	copy(fixed[:], record)
	quarter = int64(binary.LittleEndian.Uint32(fixed[:]))
	flags := fixed[4]
	c.Head, c.Prefetch, c.QR, c.Private = flags&isHead != 0, flags&isPrefetch != 0, flags&isQR != 0, flags&isPrivate != 0
	c.Address = netip.Addr{}
	if addr := [16]byte(fixed[5:]); addr != [16]byte{} {
		c.Address = netip.AddrFrom16(addr).Unmap()
	}
	rest := record[fixedLen:]
	for _, to := range [texts]*string{&c.Key, &c.UserAgent, &c.Referrer, &c.Language, &c.Country, &c.Query, &c.TargetQuery, &c.Rule} {
		*to, rest = cutText(rest)
	}
	return quarter
}

// cutText cuts the first text off the texts of a record.
func cutText(record string) (text, rest string) {
	n, at := 0, 0
	for shift := 0; ; shift += 7 {
		b := record[at]
		at++
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			return record[at : at+n], record[at+n:]
		}
	}
}
