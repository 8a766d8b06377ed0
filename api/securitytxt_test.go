package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/api"
)

// TestSecurityTxt checks the file against RFC 9116: every contact, one expiry in the future, and
// the type. Without a contact there is no file.
func TestSecurityTxt(t *testing.T) {
	t.Parallel()
	const path = "/.well-known/security.txt"
	contacts := []string{"mailto:security@example.com", "https://example.com/security"}
	s := newServer(t, func(o *options) { o.SecurityContacts = contacts })
	got := s.get(path)
	if got.status != http.StatusOK || !strings.EqualFold(got.header.Get("Content-Type"), "text/plain; charset=utf-8") {
		t.Errorf("%s = %d %s, want 200 text/plain; charset=utf-8", path, got.status, got.header.Get("Content-Type"))
	}
	lines := strings.Split(strings.TrimSuffix(string(got.body), "\n"), "\n")
	if len(lines) != 4 || lines[0] != "Contact: "+contacts[0] || lines[1] != "Contact: "+contacts[1] || !strings.HasPrefix(lines[3], "Canonical: http") || !strings.HasSuffix(lines[3], path) {
		t.Errorf("%s contains %q, want both contacts, an expiry and the address", path, lines)
	}
	expires, err := time.Parse(time.RFC3339, strings.TrimPrefix(lines[2], "Expires: "))
	if left := expires.Sub(s.clock.Now()); err != nil || left < 24*time.Hour || left > 365*24*time.Hour {
		t.Errorf("%s, %v, want a moment from a day to a year ahead", lines[2], err)
	}
	if head := s.do(http.MethodHead, path, nil); head.status != http.StatusOK || len(head.body) > 0 {
		t.Errorf("HEAD = %d with %d bytes, want 200 without a body", head.status, len(head.body))
	}
	if got := newServer(t).get(path); got.status != http.StatusNotFound {
		t.Errorf("%s without a contact = %d, want 404", path, got.status)
	}
}

func TestParseContacts(t *testing.T) {
	t.Parallel()
	right := []string{"mailto:security@example.com", "https://example.com/security?a=b", "tel:+1-201-555-0123"}
	if got, err := api.ParseContacts(right); err != nil || len(got) != len(right) {
		t.Errorf("ParseContacts(%q) = %q, %v", right, got, err)
	}
	for _, wrong := range []string{
		"security@example.com", "http://example.com/security", "javascript:alert(1)", "mailto:", "https://", "/security",
		"mailto:a@example.com\nContact: mailto:b@example.com", "mailto:a@exämple.com", "https://example.com/a b",
	} {
		if _, err := api.ParseContacts([]string{wrong}); err == nil || !regexp.MustCompile(`must be an address`).MatchString(err.Error()) {
			t.Errorf("ParseContacts(%q) = %v, want an error", wrong, err)
		}
	}
}
