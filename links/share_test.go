package links_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

func TestShare(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	counter := keyed("key_owner", store.ScopeStatsRead)
	code := b.created(owner, links.Draft{URL: "https://example.com/"}).Code
	ends := b.now().Add(time.Hour)
	k, token, err := b.ShareLink(t.Context(), counter, code, links.Share{ExpiresAt: ends, Password: new("open sesame")})
	must(t, err)
	hash, ok := store.HashToken(token)
	if kept, err := b.database.KeyByHash(t.Context(), hash); !ok || err != nil || !reflect.DeepEqual(kept, k) {
		t.Errorf("the key of the token = %+v, %v, want %+v", kept, err, k)
	}
	if k.Share.Kind != store.ClickLink || k.Share.Key != code || len(k.Scopes) != 0 || !k.ExpiresAt.Equal(ends) || !strings.Contains(k.Name, "key_owner") {
		t.Errorf("ShareLink = %+v of %+v, want a key of the link without scopes", k, k.Share)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(k.Share.PasswordHash), []byte("open sesame")); err != nil {
		t.Errorf("the hash is not that of the password: %v", err)
	}
	all, _, err := b.ShareSet(t.Context(), admin, links.ClickSet{Owner: new(links.AllOwners)}, links.Share{})
	if err != nil || *all.Share != (store.Share{Kind: store.ClickAll}) || !all.ExpiresAt.IsZero() {
		t.Errorf("ShareSet of all links = %+v, %v", all.Share, err)
	}
}

func TestShareNamesEveryProblem(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	counter := keyed("key_stats", store.ScopeStatsRead)
	_, _, err := b.ShareSet(t.Context(), counter, links.ClickSet{Domain: "unknown.example"}, links.Share{
		ExpiresAt: b.now(), Password: new(strings.Repeat("x", 73)), Err: &store.FieldError{Field: "before", Reason: "is wrong"},
	})
	if got, want := fields(err), []string{"before", "domain", "expires_at", "password"}; !slices.Equal(got, want) {
		t.Errorf("ShareSet names %q, want %q", got, want)
	}
	if _, _, err := b.ShareLink(t.Context(), counter, "unknown", links.Share{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("ShareLink of an unknown link = %v, want %v", err, store.ErrNotFound)
	}
}
