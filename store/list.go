package store

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
)

// Query chooses what List returns. All its conditions hold together.
type Query struct {
	Owner  string // exactly this owner; the empty owner is the anonymous one
	Tag    string // links that carry this tag; empty for any
	Search string // links whose code, target or title contains this, ASCII case folded; empty for any
	Target string // links with exactly this stored target; empty for any
	Limit  int    // most links in the page; below 1 counts as 1, above MaxPageLen as that
	After  Cursor // the page begins behind this link; the zero Cursor begins with the newest
}

// MaxPageLen is the most links that one page holds.
const MaxPageLen = 1000

// Page is one page of a list.
type Page struct {
	Links []Link
	Next  Cursor // where the next page begins; zero when this is the last

	// Unavailable names the shards that did not answer, sorted: their links are
	// missing from this page. Nil when the page is whole.
	Unavailable []string
}

// Cursor is a place in a list: the key of the last link that was read.
type Cursor struct {
	CreatedAt time.Time // UTC, microseconds
	Code      string
}

// cursorV1 marks the layout: this byte, CreatedAt in Unix microseconds
// (big-endian), the code.
const cursorV1 = 1

// IsZero reports whether c is the beginning of a list.
func (c Cursor) IsZero() bool { return c.Code == "" }

// String returns c in a form for clients, opaque to them and safe in a URL. The
// zero Cursor is the empty string.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	b := make([]byte, 0, 9+len(c.Code))
	b = append(b, cursorV1)
	b = binary.BigEndian.AppendUint64(b, uint64(c.CreatedAt.UnixMicro()))
	b = append(b, c.Code...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseCursor reads what Cursor.String wrote. Anything else is a *FieldError
// that names "cursor".
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	lineBreak := strings.ContainsAny(s, "\r\n") // which base64 skips
	if err != nil || lineBreak || len(b) < 10 || b[0] != cursorV1 || !ValidCode(string(b[9:])) {
		return Cursor{}, &FieldError{Field: "cursor", Reason: "must be the next_cursor of an earlier answer"}
	}
	micros := int64(binary.BigEndian.Uint64(b[1:9])) //nolint:gosec // two's complement round trip
	return Cursor{CreatedAt: time.UnixMicro(micros).UTC(), Code: string(b[9:])}, nil
}
