package store

import (
	"strings"
	"testing"
)

// TestPlainDomains checks that the short cut for plain domains changes no result. It tries
// all short texts of the allowed characters and some long ones. Each must have the same
// result with and without the short cut, and in other parsers.
func TestPlainDomains(t *testing.T) {
	t.Parallel()
	r, err := NewRules(RulesOptions{})
	if err != nil {
		t.Fatalf("NewRules() = %v", err)
	}
	plain := 0
	for _, s := range append(textsOf("aZ0-.xn", 5),
		strings.Repeat("a", 64)+".com", strings.Repeat("a.", 127)+"com", strings.Repeat("a", 300),
		"www.example.com", "WWW.EXAMPLE.COM", "3com.com", "0x7f.com", "1.2.3.com", "-a-.-b-.com", "a..b") {
		if !isPlainDomain(s) {
			continue
		}
		plain++
		short, err := r.domains.parse(s)
		if err != nil {
			t.Fatalf("parse(%q) = %v, want nil", s, err)
		}
		if long, err := r.domains.parseDomain(s); err != nil || long != short {
			t.Fatalf("%q is %v with the short cut and %v, %v without", s, short, long, err)
		}
		for _, u := range []string{
			"http://" + s, "HTTPS://" + s + ":8080/a:b@c", "http://" + s + "?q@e.com", "http://" + s + ":#f:1@e.com", "http://" + s + "//e.com",
		} {
			if !r.agreed(u, short) {
				t.Fatalf("parsers disagree about %q", u)
			}
		}
	}
	if plain < 4_000 {
		t.Errorf("%d plain texts, want thousands", plain)
	}
}

func TestNotPlainDomains(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", ".", "a.", "a.1", "a.-1", "0x7f", "a.b-c", "xn--a", "xn--a.com", "a.xn--b", "XN--A.com", "r3---a.com",
		"a_b", "a%2eb", "[::1]", "b\u00fccher.de", "a b", "a:b", "a@b", "a/b", "a\\b", "a\x00",
	} {
		if isPlainDomain(s) {
			t.Errorf("isPlainDomain(%q) = true, want false", s)
		}
	}
}

// textsOf returns all texts of 1 to n of these characters.
func textsOf(characters string, n int) []string {
	if n == 0 {
		return nil
	}
	var texts []string
	for _, c := range characters {
		texts = append(texts, string(c))
	}
	for _, tail := range textsOf(characters, n-1) {
		for _, c := range characters {
			texts = append(texts, string(c)+tail)
		}
	}
	return texts
}
