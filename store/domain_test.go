package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

func TestParseDomainHost(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 61)
	for host, want := range map[string]string{
		"go.example.com": "go.example.com", "Go.Example.COM": "go.example.com", "go.example.com.": "go.example.com",
		"example.com": "example.com", "bücher.example": "xn--bcher-kva.example", "BÜCHER.example": "xn--bcher-kva.example",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "a-b.example": "a-b.example", "1a.example": "1a.example", "go。example。com": "go.example.com",
		"*.example.com": "*.example.com", "*.Bücher.example": "*.xn--bcher-kva.example", long: long,
	} {
		if got, err := store.ParseDomainHost(host); err != nil || got != want {
			t.Errorf("ParseDomainHost(%q) = %q, %v, want %q", host, got, err, want)
		}
		if got, err := store.ParseDomainHost(want); err != nil || got != want {
			t.Errorf("ParseDomainHost(%q) = %q, %v, want the same host", want, got, err)
		}
	}
	for _, host := range []string{
		"", " ", ".", "..", "com", "localhost", "*", "*.com", "*.*.com", "a.*.com", "x*.example.com", "**.example.com", "a..b", ".example.com",
		"go.example.com:80", "go.example.com:", "go.example.com:x", "https://go.example.com", "go.example.com/", "go.example.com/a", "a@b.example",
		"go example.com", "go.example.com\n", "\x00.example", "go_.example.com", "-go.example.com", "go-.example.com",
		"127.0.0.1", "127.1", "0x7f.1", "2130706433", "[::1]", "::1", "1.2.3.4.", "::ffff:1.2.3.4", "xn--.example", "xn--a-ü.example", "%00.example",
		strings.Repeat("a", 64) + ".example", long + "d", strings.Repeat("a.", 200) + "example", strings.Repeat("a", 2000), "a.\xff",
	} {
		got, err := store.ParseDomainHost(host)
		var field *store.FieldError
		if !errors.As(err, &field) || field.Field != "host" || got != "" {
			t.Errorf("ParseDomainHost(%q) = %q, %v, want a FieldError for host", host, got, err)
		}
	}
}
