package api_test

import (
	"context"
	"crypto/sha256"
	"net/http"
	"testing"

	"github.com/terse/terse/store"
)

// TestKeysOwnLimit checks that a key's own limit replaces the limit of all keys. An empty or
// invalid own limit is ignored.
func TestKeysOwnLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(o *options) { o.Limits.CreateKey = limit(t, "3/1m") })
	for own, want := range map[string]string{
		"": `"create";q=3;w=60`, "7/1h": `"create";q=7;w=3600`, "off": "", "nonsense": `"create";q=3;w=60`,
	} {
		token, hash := store.NewToken()
		must(t, s.store.CreateKey(context.Background(), store.Key{
			ID: store.NewKeyID(), Hash: hash, Scopes: store.Scopes(), CreateLimit: own, CreatedAt: s.clock.Now(),
		}))
		a := s.send(http.MethodPost, "/api/v1/links", `{"url":"https://example.com"}`, "Authorization", "Bearer "+token)
		if got := a.header.Get("RateLimit-Policy"); a.status != http.StatusCreated || got != want {
			t.Errorf("create with the limit %q = %d under %q, want 201 under %q", own, a.status, got, want)
		}
	}
}

// confused always returns the same key.
type confused struct {
	store.Keys
	found store.Key
}

func (c confused) KeyByHash(context.Context, [sha256.Size]byte) (store.Key, error) {
	return c.found, nil
}

// TestKeyOfAnotherTokenIsRefused checks that a token is rejected if the store returns the key
// of another token.
func TestKeyOfAnotherTokenIsRefused(t *testing.T) {
	t.Parallel()
	right, hash := store.NewToken()
	wrong, _ := store.NewToken()
	s := newServer(t, func(o *options) {
		o.Keys = confused{o.Keys, store.Key{ID: "key_1", Hash: hash, Scopes: store.Scopes()}}
	})
	for token, want := range map[string]int{right: http.StatusOK, wrong: http.StatusUnauthorized} {
		if got := s.get("/api/v1/links", "Authorization", "Bearer "+token).status; got != want {
			t.Errorf("list = %d, want %d", got, want)
		}
	}
}
