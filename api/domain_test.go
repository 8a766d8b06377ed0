package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// TestKeysAreNoAddresses checks that no request reaches a link of another domain by its key.
func TestKeysAreNoAddresses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := s.key("admin", store.ScopeAdmin)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	key := store.LinkKey("jT0xYqRm4", "spring")
	_, err := s.store.Create(t.Context(), store.Link{Code: key, URL: "https://example.com/", Status: 302, CreatedAt: now, UpdatedAt: now})
	must(t, err)
	const escaped = "jT0xYqRm4%2Fspring"
	for _, code := range []string{key, escaped, "jT0xYqRm4%252Fspring", "spring"} {
		for _, call := range []struct {
			method, path string
			body         any
		}{
			{http.MethodGet, "/" + code, nil},
			{http.MethodHead, "/" + code, nil},
			{http.MethodGet, "/" + code + "+", nil},
			{http.MethodPost, "/" + code, nil},
			{http.MethodGet, "/?created=" + code, nil},
			{http.MethodGet, "/api/v1/links/" + code, nil},
			{http.MethodPatch, "/api/v1/links/" + code, map[string]any{"title": "x"}},
			{http.MethodDelete, "/api/v1/links/" + code, nil},
			{http.MethodGet, "/api/v1/links/" + code + "/qr", nil},
			{http.MethodGet, "/api/v1/links/" + code + "/history", nil},
			{http.MethodPost, "/api/v1/links/" + code + "/disable", map[string]any{"reason": "x"}},
			{http.MethodPost, "/api/v1/links/" + code + "/enable", map[string]any{}},
			{http.MethodPost, "/api/v1/links/" + code + "/rollback", map[string]any{"version": 1}},
		} {
			if a := s.send(call.method, call.path, call.body, admin...); a.status/100 != 4 {
				t.Errorf("%s %s = %d, want an error", call.method, call.path, a.status)
			}
		}
	}
	if l, err := s.store.Get(t.Context(), key); err != nil || l.Version != 1 || l.Clicks != 0 {
		t.Errorf("Get(%q) = %+v, %v, want the link unchanged", key, l, err)
	}
}
