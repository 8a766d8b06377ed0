package store_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

func TestCursor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cursor store.Cursor
		want   string
	}{
		{store.Cursor{}, ""},
		{store.Cursor{CreatedAt: time.UnixMicro(0).UTC(), Code: "a"}, "AQAAAAAAAAAAYQ"},
		{store.Cursor{CreatedAt: time.UnixMicro(-1).UTC(), Code: "a"}, "Af__________YQ"},
		{store.Cursor{CreatedAt: time.UnixMicro(1767225600000001).UTC(), Code: "Zz-_09"}, "AQAGR0hGIEABWnotXzA5"},
	}
	for _, tt := range tests {
		if got := tt.cursor.String(); got != tt.want {
			t.Errorf("String(%v) = %q, want %q", tt.cursor, got, tt.want)
		}
		if got, err := store.ParseCursor(tt.want); err != nil || got != tt.cursor {
			t.Errorf("ParseCursor(%q) = %v, %v, want %v", tt.want, got, err, tt.cursor)
		}
		if got, want := tt.cursor.IsZero(), tt.want == ""; got != want {
			t.Errorf("IsZero(%v) = %v, want %v", tt.cursor, got, want)
		}
	}
}

func TestParseCursorRefuses(t *testing.T) {
	t.Parallel()
	encode := func(b string) string { return base64.RawURLEncoding.EncodeToString([]byte(b)) }
	const head = "\x01\x00\x00\x00\x00\x00\x00\x00\x00"
	for name, s := range map[string]string{
		"noise":            "!",
		"spaces":           " ",
		"short":            encode("\x01"),
		"no code":          encode(head),
		"bad code":         encode(head + "a/b"),
		"long code":        encode(head + strings.Repeat("a", store.MaxCodeLen+1)),
		"other version":    encode("\x02" + head[1:] + "a"),
		"padded":           encode(head+"a") + "==",
		"line break":       "AQAAAAAA\nAAAAYQ",
		"carriage return":  "AQAAAAAAAAAAYQ\r",
		"loose last bits":  "AQAAAAAAAAAAYR",
		"standard charset": "Af//////////YQ",
		"huge":             strings.Repeat("A", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := store.ParseCursor(s)
			wantFieldError(t, fmt.Sprintf("ParseCursor(%.40q)", s), err, "cursor", "next_cursor")
		})
	}
}

// FuzzCursor checks that each cursor has exactly one text.
func FuzzCursor(f *testing.F) {
	f.Add("", int64(0), "")
	f.Add("AQAAAAAAAAAAYQ", int64(1767225600000001), "abc")
	f.Add("Af__________YQ", int64(math.MinInt64), "-")
	f.Add("", int64(1767225600000001), "jT0xYqRm4/spring")
	f.Add("AQAAAAAAAAAAYQ==", int64(math.MaxInt64), "_")
	f.Fuzz(func(t *testing.T, text string, micros int64, code string) {
		if c, err := store.ParseCursor(text); err == nil && c.String() != text {
			t.Errorf("ParseCursor(%q).String() = %q, want the same text", text, c.String())
		}
		if !store.ValidKey(code) {
			return
		}
		c := store.Cursor{CreatedAt: time.UnixMicro(micros).UTC(), Code: code}
		if got, err := store.ParseCursor(c.String()); err != nil || got != c {
			t.Errorf("ParseCursor(%q) = %v, %v, want %v", c.String(), got, err, c)
		}
	})
}
