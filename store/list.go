package store

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
)

// Query selects links for List. A link must meet all conditions.
type Query struct {
	Owner     string  // exactly this owner; empty means anonymous links
	AllOwners bool    // links of every owner except CanaryOwner; Owner and Target must be empty
	Domain    *string // links on the domain with this ID, which is empty for the default domain; nil for any
	Tag       string  // links with this tag; empty for any
	Search    string  // links with this text in the code (without its domain), target or title, ignoring ASCII case; empty for any
	Target    string  // links with exactly this stored target; empty for any

	CreatedFrom time.Time // links created at this time or later; the zero time for any
	CreatedTo   time.Time // links created before this time; the zero time for any
	State       *State    // links with this state at Now; nil for any. Deleted finds nothing
	Now         time.Time // the time for State

	Limit int    // most links in the page; below 1 counts as 1, above MaxPageLen as MaxPageLen
	After Cursor // the page begins after this link; the zero Cursor begins with the newest
}

// MaxPageLen is the most links in one page.
const MaxPageLen = 1000

// Page is one page of a list.
type Page struct {
	Links []Link
	Next  Cursor // where the next page begins; zero on the last page

	// Unavailable names the shards that did not answer, sorted. Their links are missing
	// from this page. Nil when the page is complete.
	Unavailable []string
}

// Cursor is a position in a list: the key of the last link that was read.
type Cursor struct {
	CreatedAt time.Time // UTC, microseconds
	Code      string
}

// cursorV1 is the version of the layout: this byte, CreatedAt in Unix microseconds
// (big-endian), the key of the link.
const cursorV1 = 1

// IsZero reports whether c is the beginning of a list.
func (c Cursor) IsZero() bool { return c.Code == "" }

// String returns c in a form for clients. It is opaque and needs no encoding in a URL. The
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

// ErrCursor is the error for a cursor that is not from an earlier page of the list.
var ErrCursor = &FieldError{Field: "cursor", Reason: "must be the next_cursor of an earlier answer"}

// ParseCursor reads the result of Cursor.String. For any other text it returns ErrCursor.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	lineBreak := strings.ContainsAny(s, "\r\n") // base64 would skip these
	if err != nil || lineBreak || len(b) < 10 || b[0] != cursorV1 || !ValidKey(string(b[9:])) {
		return Cursor{}, ErrCursor
	}
	micros := int64(binary.BigEndian.Uint64(b[1:9])) //nolint:gosec // two's complement round trip
	return Cursor{CreatedAt: time.UnixMicro(micros).UTC(), Code: string(b[9:])}, nil
}
