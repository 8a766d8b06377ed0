package store_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

func newRules(tb testing.TB, ownHosts ...string) *store.Rules {
	tb.Helper()
	r, err := store.NewRules(store.RulesOptions{OwnHosts: ownHosts, Reserved: []string{"api", "Assets"}})
	if err != nil {
		tb.Fatalf("NewRules(%q) = %v", ownHosts, err)
	}
	return r
}

// reporter is what checks need of a test, a fuzz test or a property.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// wantFieldError fails the test unless err is a *FieldError for field whose
// reason contains reason.
func wantFieldError(tb reporter, call string, err error, field, reason string) {
	tb.Helper()
	var f *store.FieldError
	if !errors.As(err, &f) || f.Field != field || !strings.Contains(f.Reason, reason) {
		tb.Errorf("%s = %v, want a FieldError for %q with %q", call, err, field, reason)
	}
}

func TestTargetRefuses(t *testing.T) {
	t.Parallel()
	r := newRules(t, "sho.rt")
	for _, group := range hostileTargets() {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, raw := range group.raw {
				_, err := r.Target(raw)
				wantFieldError(t, fmt.Sprintf("Target(%q)", raw), err, "url", group.reason)
			}
		})
	}
}

func TestTargetKeeps(t *testing.T) {
	t.Parallel()
	r := newRules(t, "sho.rt")
	for _, raw := range plainTargets() {
		if got, err := r.Target(raw); err != nil || got != raw {
			t.Errorf("Target(%q) = %q, %v, want it unchanged", raw, got, err)
		}
	}
}

func TestTargetRewrites(t *testing.T) {
	t.Parallel()
	r := newRules(t, "sho.rt")
	for _, tt := range rewrittenTargets() {
		if got, err := r.Target(tt.raw); err != nil || got != tt.want {
			t.Errorf("Target(%q) = %q, %v, want %q", tt.raw, got, err, tt.want)
		}
	}
}

func TestTargetLength(t *testing.T) {
	t.Parallel()
	r := newRules(t)
	const prefix = "https://example.com/"
	tests := []struct {
		name string
		raw  string
		ok   bool
	}{
		{"longest", prefix + strings.Repeat("a", store.MaxURLLen-len(prefix)), true},
		{"one too many", prefix + strings.Repeat("a", store.MaxURLLen-len(prefix)+1), false},
		{"spaces count as sent", strings.Repeat(" ", store.MaxURLLen) + prefix, false},
		{"longest when rewritten", prefix + "aa" + strings.Repeat("é", (store.MaxURLLen-len(prefix)-2)/6), true},
		{"too long when rewritten", prefix + strings.Repeat("é", store.MaxURLLen/4), false},
		{"endless", "http://" + strings.Repeat("a.", 1<<20), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := r.Target(tt.raw)
			if !tt.ok {
				wantFieldError(t, "Target", err, "url", "at most 8192 bytes")
				return
			}
			if err != nil || len(got) > store.MaxURLLen {
				t.Errorf("Target = %d bytes, %v, want at most %d", len(got), err, store.MaxURLLen)
			}
		})
	}
}

// TestTargetRealURLs takes what people shorten: nothing but non-ASCII characters
// may be rewritten in it.
func TestTargetRealURLs(t *testing.T) {
	t.Parallel()
	r := newRules(t, "terse.example")
	for _, raw := range realURLs(t) {
		got, err := r.Target(raw)
		if want := escapeNonASCII(raw); err != nil || got != want {
			t.Errorf("Target(%q) = %q, %v, want %q", raw, got, err, want)
		}
	}
}

func realURLs(tb testing.TB) []string {
	tb.Helper()
	text, err := os.ReadFile("testdata/real-urls.txt")
	if err != nil {
		tb.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 1000 {
		tb.Fatalf("real-urls.txt has %d lines, want at least 1000", len(lines))
	}
	return lines
}

// escapeNonASCII percent-encodes the bytes of s that are not ASCII. For a URL
// with an ASCII host and no character that URLs forbid, that is its rewriting.
func escapeNonASCII(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < 0x80 {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}
