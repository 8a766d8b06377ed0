package api_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
)

// standbyAway is a store without a reachable standby: Get succeeds and Confirm fails.
type standbyAway struct {
	store.Store
	on  atomic.Bool
	err error
}

func (s *standbyAway) Confirm(ctx context.Context, code string) (store.Link, error) {
	if s.on.Load() {
		return store.Link{}, s.err
	}
	return s.Store.Confirm(ctx, code)
}

// TestNothingIsAcknowledgedFromARead sends writes that find nothing to change. They are
// answered 503 while Confirm fails, and succeed after it works again.
func TestNothingIsAcknowledgedFromARead(t *testing.T) {
	t.Parallel()
	var away *standbyAway
	s := newServer(t, func(o *api.Options) {
		away = &standbyAway{Store: o.Store, err: fmt.Errorf("shard s1: %w", store.ErrUnavailable)}
		o.Store = away
	})
	owner, admin := s.owner("owner"), s.key("admin", store.ScopeAdmin, store.ScopeLinksWrite, store.ScopeLinksRead)
	edited := s.create(`{"url":"https://example.com/1","title":"old"}`, owner...)
	link := "/api/v1/links/" + edited.Code
	deleted := "/api/v1/links/" + s.create(`{"url":"https://example.com/2"}`, owner...).Code
	taken := "/api/v1/links/" + s.create(`{"url":"https://example.com/3"}`, owner...).Code
	for _, path := range []string{deleted, deleted} {
		s.do(http.MethodDelete, path, nil, owner...)
	}
	s.send(http.MethodPatch, link, `{"title":"new"}`, owner...)
	s.send(http.MethodPost, taken+"/disable", `{"reason":"phishing"}`, admin...)
	once := func(key string) []string { return append([]string{"Idempotency-Key", key}, owner...) }
	s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/once"}`, once("once")...)
	s.create(`{"url":"https://example.com/reused"}`, owner...)
	archived := []map[string]any{{"code": "archived", "url": "https://example.com/archived", "created_at": "2026-03-01T08:30:00Z"}}
	s.put(archived, admin...)

	for _, tt := range []struct {
		name string
		ask  func() answer
		want int
	}{
		{"edit that changes nothing", func() answer { return s.send(http.MethodPatch, link, `{"title":"new"}`, owner...) }, 200},
		{"edit of an old version", func() answer {
			return s.send(http.MethodPatch, link, `{"title":"new"}`, append([]string{"If-Match", `"1"`}, owner...)...)
		}, 412},
		{"edit of a deleted link", func() answer { return s.send(http.MethodPatch, deleted, `{"title":"new"}`, owner...) }, 410},
		{"delete of an old version", func() answer {
			return s.do(http.MethodDelete, link, nil, append([]string{"If-Match", `"1"`}, owner...)...)
		}, 412},
		{"disable of a disabled link", func() answer { return s.send(http.MethodPost, taken+"/disable", `{"reason":"phishing"}`, admin...) }, 200},
		{"enable of an enabled link", func() answer { return s.send(http.MethodPost, link+"/enable", `{}`, admin...) }, 200},
		{"roll-back to the same target", func() answer { return s.send(http.MethodPost, link+"/rollback", `{"version":1}`, owner...) }, 200},
		{"repeated create", func() answer {
			return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/once"}`, once("once")...)
		}, 201},
		{"create that reuses", func() answer {
			return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/reused","reuse":true}`, owner...)
		}, 200},
		{"create with a key that reuses", func() answer {
			return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/reused","reuse":true}`, once("reuse")...)
		}, 200},
		{"repeated create that reuses", func() answer {
			return s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com/reused","reuse":true}`, once("reuse")...)
		}, 200},
	} {
		away.on.Store(true)
		if got := tt.ask(); got.status != http.StatusServiceUnavailable {
			t.Errorf("%s while no standby confirms = %d %.200s, want 503", tt.name, got.status, got.body)
		}
		away.on.Store(false)
		if got := tt.ask(); got.status != tt.want {
			t.Errorf("%s = %d %.200s, want %d", tt.name, got.status, got.body, tt.want)
		}
	}
	away.on.Store(true)
	if got := s.put(archived, admin...); got.Results[0].Status != http.StatusServiceUnavailable {
		t.Errorf("repeated import while no standby confirms = %+v, want 503", got)
	}
	away.on.Store(false)
	if got := s.put(archived, admin...); got.Results[0].Status != http.StatusOK {
		t.Errorf("repeated import = %+v, want 200", got)
	}
}
