package store_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

func TestCanonicalHost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"evil.example", "evil.example"},
		{"EVIL.Example", "evil.example"},
		{"evil.example.", "evil.example"},
		{"evil.example..", "evil.example"},
		{"evil.example:443", "evil.example"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"ｅｖｉｌ.example", "evil.example"},
		{"evil。example", "evil.example"},
		{"ev%69l.example", "evil.example"},
		{"192.0.2.1", "192.0.2.1"},
		{"0xC0.0.2.1", "192.0.2.1"},
		{"3221225985", "192.0.2.1"},
		{"192.0.513", "192.0.2.1"},
		{"0300.0.02.01", "192.0.2.1"},
		{"[2001:DB8::1]", "2001:db8::1"},
		{"[2001:db8:0:0::1]:8080", "2001:db8::1"},
		{"2001:db8::1", "2001:db8::1"},
		{"[::ffff:192.0.2.1]", "192.0.2.1"},
		{"", ""},
		{" ", ""},
		{".", ""},
		{"evil example", ""},
		{"evil.example:99999", ""},
		{"evil.example/path", ""},
		{"256.1.1.1", ""},
		{"[2001:db8::1", ""},
		{"fe80::1%eth0", ""},
		{strings.Repeat("a", 2000), ""},
	} {
		got, err := store.CanonicalHost(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("CanonicalHost(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestHostPattern(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"evil.example", "evil.example"},
		{".Evil.example.", "evil.example"},
		{"=EVIL.example", "=evil.example"},
		{".zip", ".zip"},
		{"=localhost", "=localhost"},
		{"=192.0.2.1", "192.0.2.1"},
		{"2001:db8::1", "2001:db8::1"},
		{"zip", ""},
		{"", ""},
		{"=", ""},
		{".", ""},
		{"..zip", ""},
		{"==evil.example", ""},
		{"https://evil.example", ""},
	} {
		p, err := store.ParseHostPattern(tt.in)
		if tt.want == "" {
			wantFieldError(t, "ParseHostPattern("+tt.in+")", err, "host", "must")
			continue
		}
		if err != nil || p.String() != tt.want {
			t.Errorf("ParseHostPattern(%q) = %q, %v, want %q", tt.in, p, err, tt.want)
			continue
		}
		if again, err := store.ParseHostPattern(p.String()); err != nil || again != p {
			t.Errorf("ParseHostPattern(%q) = %+v, %v, want %+v", p, again, err, p)
		}
	}
}
