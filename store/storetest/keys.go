package storetest

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// RunKeys tests all promises of store.Keys. open returns an empty store of keys and
// closes it with tb.Cleanup.
func RunKeys(t *testing.T, open func(tb testing.TB) store.Keys) {
	t.Helper()
	keys := open(t)
	for _, p := range []struct {
		name string
		test func(t *testing.T, keys store.Keys)
	}{
		{"keeps every field", keepsKey},
		{"unknown digest or id is not found", unknownKey},
		{"id and digest must be new", takenKey},
		{"lists oldest first", listsKeys},
		{"revokes once", revokesKey},
		{"records the last use", usesKeys},
		{"deletes old sessions alone", prunesSessions},
		{"ended context writes nothing", endedKey},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, keys)
		})
	}
}

// justNow returns the time of now as a store keeps it.
func justNow() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// prunesSessions creates sessions after an old one.
func prunesSessions(t *testing.T, keys store.Keys) {
	old := justNow().Add(-store.SessionTTL - time.Hour)
	session, share, plain, recent := newKey(), newKey(), newKey(), newKey()
	session.CreatedAt, share.CreatedAt, plain.CreatedAt = old, old, old
	session.Session, session.Share, plain.Share = &store.Session{Key: share.ID, Hash: share.Hash}, nil, nil
	recent.Session, recent.Share, recent.CreatedAt = session.Session, nil, old.Add(2*time.Hour)
	createKey(t, keys, recent)
	for _, k := range []store.Key{share, plain, session} {
		createKey(t, keys, k)
	}
	gone := func() bool {
		all, err := keys.ListKeys(t.Context()) // unlike KeyByHash, no cache answers it
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(all, func(k store.Key) bool { return k.ID == session.ID })
	}
	for range 1000 { // a shard deletes only its own sessions
		if gone() {
			break
		}
		next := newKey()
		next.Session, next.Share, next.CreatedAt = recent.Session, nil, justNow()
		createKey(t, keys, next)
	}
	if !gone() {
		t.Error("an old session was not deleted")
	}
	for _, want := range []store.Key{share, plain, recent} {
		wantKey(t, keys, want)
	}
}

// newKey returns a key with every field but Session, Member, Passkey and RevokedAt set. A store may delete old sessions.
func newKey() store.Key {
	_, hash := store.NewToken()
	return store.Key{
		ID: store.NewKeyID(), Name: "Ann's key: 100%", Prefix: "tk_0123abcd", Hash: hash,
		Scopes: []store.Scope{store.ScopeLinksRead, store.ScopeAdmin}, CreateLimit: "7/1m", Workspace: "marketing",
		Domains: []string{"", newDomainID()}, DefaultDomain: newDomainID(),
		Share:     &store.Share{Kind: store.ClickDomain, Key: "key_a/" + newDomainID(), PasswordHash: "$2a$10$hash"},
		CreatedAt: after(1), ExpiresAt: after(2), LastUsedAt: after(3),
	}
}

func createKey(t *testing.T, keys store.Keys, k store.Key) {
	t.Helper()
	if err := keys.CreateKey(t.Context(), k); err != nil {
		t.Fatalf("CreateKey(%q) = %v, want nil", k.ID, err)
	}
}

// wantKey looks up a key by its digest and checks it.
func wantKey(t *testing.T, keys store.Keys, want store.Key) {
	t.Helper()
	got, err := keys.KeyByHash(t.Context(), want.Hash)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("KeyByHash() = %+v, %v, want %+v", got, err, want)
	}
}

func keepsKey(t *testing.T, keys store.Keys) {
	whole, plain := newKey(), newKey()
	whole.RevokedAt = after(4)
	whole.Session, whole.CreatedAt = &store.Session{Key: store.NewKeyID(), Hash: plain.Hash}, justNow()
	whole.Member = &store.Member{Role: store.RoleEditor, Issuer: "https://id.example", Subject: "248289761001", By: store.NewKeyID()}
	whole.Passkey = &store.Passkey{Subject: store.NewKeyID(), Credential: []byte{0, 0xff, '{'}}
	for field, value := range reflect.ValueOf(whole).Fields() {
		if value.IsZero() {
			t.Errorf("Key.%s is a new field: give it a value in newKey or keepsKey", field.Name)
		}
	}
	plain.Name, plain.Prefix, plain.Scopes, plain.CreateLimit, plain.Workspace = "", "", nil, "", ""
	plain.Domains, plain.DefaultDomain, plain.Share = nil, "", nil
	plain.ExpiresAt, plain.LastUsedAt = time.Time{}, time.Time{}
	all := newKey()
	all.Share = &store.Share{Kind: store.ClickAll}
	link := newKey()
	link.Share = &store.Share{Kind: store.ClickLink, Key: "spring"}
	session := newKey()
	session.Share, session.Session, session.CreatedAt = nil, &store.Session{Key: store.AuthorAdmin}, justNow()
	invitation := newKey()
	invitation.Share, invitation.Member = nil, &store.Member{Role: store.RoleViewer, By: store.AuthorAdmin}
	passkey := newKey()
	passkey.Share, passkey.Passkey = nil, &store.Passkey{Subject: store.NewKeyID(), Credential: []byte("{}")}
	for _, want := range []store.Key{whole, plain, all, link, session, invitation, passkey} {
		createKey(t, keys, want)
		wantKey(t, keys, want)
	}
}

func unknownKey(t *testing.T, keys store.Keys) {
	k := newKey()
	_, err := keys.KeyByHash(t.Context(), k.Hash)
	wantError(t, "KeyByHash()", err, store.ErrNotFound)
	_, err = keys.RevokeKey(t.Context(), k.ID, epoch)
	wantError(t, "RevokeKey()", err, store.ErrNotFound)
}

func takenKey(t *testing.T, keys store.Keys) {
	first := newKey()
	createKey(t, keys, first)
	sameID, sameHash := newKey(), newKey()
	sameID.ID, sameHash.Hash = first.ID, first.Hash
	for _, k := range []store.Key{sameID, sameHash} {
		if err := keys.CreateKey(t.Context(), k); err == nil {
			t.Errorf("CreateKey(%+v) = nil, want an error because %+v exists", k, first)
		}
	}
	wantKey(t, keys, first)
	_, err := keys.KeyByHash(t.Context(), sameID.Hash)
	wantError(t, "KeyByHash() of a refused key", err, store.ErrNotFound)
}

func listsKeys(t *testing.T, keys store.Keys) {
	var want []store.Key
	for i := range 3 {
		k := newKey()
		k.CreatedAt = after(100 - i)
		createKey(t, keys, k)
		want = append(want, k)
	}
	slices.Reverse(want)
	all, err := keys.ListKeys(t.Context())
	if err != nil {
		t.Fatalf("ListKeys() = %v, want nil", err)
	}
	var got []store.Key
	for _, k := range all { // other subtests create keys too
		if slices.ContainsFunc(want, func(w store.Key) bool { return w.ID == k.ID }) {
			got = append(got, k)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ListKeys() = %+v, want %+v", got, want)
	}
}

func revokesKey(t *testing.T, keys store.Keys) {
	want := newKey()
	createKey(t, keys, want)
	want.RevokedAt = after(5)
	for i := range 2 {
		got, err := keys.RevokeKey(t.Context(), want.ID, after(5+i))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("RevokeKey() = %+v, %v, want %+v", got, err, want)
		}
	}
	wantKey(t, keys, want)
}

func usesKeys(t *testing.T, keys store.Keys) {
	used, fresh, other, unknown := newKey(), newKey(), newKey(), newKey()
	fresh.LastUsedAt = time.Time{}
	for _, k := range []store.Key{used, fresh, other} {
		createKey(t, keys, k)
	}
	use := func(uses ...store.KeyUse) {
		t.Helper()
		if err := keys.UseKeys(t.Context(), uses); err != nil {
			t.Errorf("UseKeys() = %v, want nil", err)
		}
	}
	use()
	use(store.KeyUse{Hash: used.Hash, At: after(20)}, store.KeyUse{Hash: unknown.Hash, At: after(20)}, store.KeyUse{Hash: fresh.Hash, At: after(10)})
	use(store.KeyUse{Hash: used.Hash, At: after(19)}, store.KeyUse{Hash: fresh.Hash, At: after(11)}) // used.Hash is late: 19 is before 20
	used.LastUsedAt, fresh.LastUsedAt = after(20), after(11)
	all, err := keys.ListKeys(t.Context())
	for _, want := range []store.Key{used, fresh, other} {
		if err != nil || !slices.ContainsFunc(all, func(k store.Key) bool { return reflect.DeepEqual(k, want) }) {
			t.Errorf("ListKeys() = %+v, %v, want %+v in it", all, err, want)
		}
	}
}

func endedKey(t *testing.T, keys store.Keys) {
	k := newKey()
	ctx := ended(t)
	wantError(t, "CreateKey()", keys.CreateKey(ctx, k), context.Canceled)
	_, err := keys.KeyByHash(t.Context(), k.Hash)
	wantError(t, "KeyByHash() of a key that was not created", err, store.ErrNotFound)
	createKey(t, keys, k)
	_, err = keys.RevokeKey(ctx, k.ID, epoch)
	wantError(t, "RevokeKey()", err, context.Canceled)
	wantKey(t, keys, k)
}
