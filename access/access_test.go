package access_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/access"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// bench is a Service over an embedded database, with a clock that tests set.
type bench struct {
	*access.Service
	t        *testing.T
	database *sqlite.Store
	now      time.Time
	reads    atomic.Int64 // of the clock
	ticks    bool         // each read of the clock is a microsecond later

	mu      sync.Mutex
	revoked []string                // ids that were announced
	before  func(call string) error // runs before a call of the database: list, create, open (a session) or revoke
}

// calls are the keys of a bench, with its function before.
type calls struct {
	*sqlite.Store
	b *bench
}

func (c calls) run(call string) error {
	if c.b.before == nil {
		return nil
	}
	return c.b.before(call)
}

func (c calls) ListKeys(ctx context.Context) ([]store.Key, error) {
	if err := c.run("list"); err != nil {
		return nil, err
	}
	return c.Store.ListKeys(ctx)
}

func (c calls) CreateKey(ctx context.Context, k store.Key) error {
	call := "create"
	if k.Session != nil {
		call = "open"
	}
	if err := c.run(call); err != nil {
		return err
	}
	return c.Store.CreateKey(ctx, k)
}

func (c calls) RevokeKey(ctx context.Context, id string, at time.Time) (store.Key, error) {
	if err := c.run("revoke"); err != nil {
		return store.Key{}, err
	}
	return c.Store.RevokeKey(ctx, id, at)
}

// fail makes one kind of call fail.
func (b *bench) fail(failing string) {
	b.before = func(call string) error {
		if call == failing {
			return store.ErrUnavailable
		}
		return nil
	}
}

// once runs f before the next call of a kind.
func (b *bench) once(at string, f func()) {
	b.before = func(call string) error {
		if call == at {
			b.before = nil
			f()
		}
		return nil
	}
}

func (b *bench) clock() time.Time {
	if !b.ticks {
		return b.now
	}
	return b.now.Add(time.Duration(b.reads.Add(1)) * time.Microsecond)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Now().UTC().Truncate(time.Microsecond)}
	var err error
	b.database = sqlitetest.Open(t)
	b.Service, err = access.New(b.options("secret"))
	must(t, err)
	return b
}

func (b *bench) options(secret string) access.Options {
	return access.Options{
		Keys: calls{b.database, b}, Secret: []byte(secret), Now: b.clock,
		Revoked: func(_ context.Context, k store.Key) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.revoked = append(b.revoked, k.ID)
		},
	}
}

// session returns the key of a session's token.
func (b *bench) session(token string) store.Key {
	b.t.Helper()
	hash, ok := store.HashToken(token)
	if !ok {
		b.t.Fatalf("%q has not the form of a token", token)
	}
	k, err := b.database.KeyByHash(b.t.Context(), hash)
	must(b.t, err)
	return k
}

func (b *bench) key(k store.Key) store.Key {
	b.t.Helper()
	k.ID, k.CreatedAt = store.NewKeyID(), b.now
	_, k.Hash = store.NewToken()
	must(b.t, b.database.CreateKey(b.t.Context(), k))
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func admin() *links.Caller {
	return &links.Caller{Key: &store.Key{ID: store.AuthorAdmin, Scopes: []store.Scope{store.ScopeAdmin}}}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	reader := b.key(store.Key{Name: "Ann", Scopes: []store.Scope{store.ScopeLinksRead}, Domains: []string{"d"}, DefaultDomain: "d", CreateLimit: "1/1m", ExpiresAt: b.now.Add(time.Hour)})
	token, err := b.SignIn(t.Context(), reader)
	must(t, err)
	s := b.session(token)
	if s.Session == nil || s.Session.Key != reader.ID || s.Session.Hash != reader.Hash || s.Owner() != reader.ID || s.Author() != reader.ID ||
		s.Can(store.ScopeLinksWrite) || !s.Can(store.ScopeLinksRead) || s.CreateLimit != "1/1m" || s.Domains[0] != "d" || s.DefaultDomain != "d" {
		t.Errorf("SignIn made %+v, want the rights of %+v", s, reader)
	}
	if !s.ExpiresAt.Equal(reader.ExpiresAt) {
		t.Errorf("the session ends at %v, want the end of its key, %v", s.ExpiresAt, reader.ExpiresAt)
	}
	again, err := b.SignIn(t.Context(), reader)
	must(t, err)
	if again == token {
		t.Error("two sessions have the same token")
	}
	member := b.key(store.Key{Workspace: "marketing"})
	token, err = b.SignIn(t.Context(), member)
	must(t, err)
	if s := b.session(token); s.Owner() != "marketing" || !s.ExpiresAt.Equal(b.now.Add(store.SessionLife)) {
		t.Errorf("SignIn made %+v, want the workspace of the key and the longest life", s)
	}
	for _, k := range []store.Key{s, {Share: &store.Share{}}} {
		if _, err := b.SignIn(t.Context(), k); !errors.Is(err, access.ErrNoSignIn) {
			t.Errorf("SignIn(%+v) = %v, want %v", k, err, access.ErrNoSignIn)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ann, bob := b.key(store.Key{Name: "Ann"}), b.key(store.Key{Name: "Bob"})
	var sessions []store.Key
	for _, k := range []store.Key{ann, ann, bob} {
		token, err := b.SignIn(t.Context(), k)
		must(t, err)
		sessions = append(sessions, b.session(token))
	}
	who := &links.Caller{Key: &sessions[0]}
	own, err := b.Sessions(t.Context(), who)
	if err != nil || len(own) != 2 {
		t.Errorf("Sessions = %+v, %v, want the two of the key", own, err)
	}
	for _, id := range []string{sessions[2].ID, ann.ID, "key_none"} {
		if err := b.EndSession(t.Context(), who, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("EndSession(%q) = %v, want %v", id, err, store.ErrNotFound)
		}
	}
	must(t, b.EndSession(t.Context(), who, sessions[1].ID))
	must(t, b.SignOut(t.Context(), &sessions[0]))
	if own, err := b.Sessions(t.Context(), who); err != nil || len(own) != 0 {
		t.Errorf("Sessions = %+v, %v, want none", own, err)
	}
	if got := strings.Join(b.revoked, " "); got != sessions[1].ID+" "+sessions[0].ID {
		t.Errorf("announced %q, want both ended sessions", got)
	}
}

func TestOneTimeLink(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	link := b.OneTimeLink()
	for range 2 { // a look at the link does not use it
		must(t, b.CheckLink(link))
	}
	var tokens []string
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			token, err := b.Redeem(context.Background(), link)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				tokens = append(tokens, token)
			} else if !errors.Is(err, access.ErrLink) {
				t.Errorf("Redeem = %v, want %v", err, access.ErrLink)
			}
		})
	}
	all.Wait()
	if len(tokens) != 1 {
		t.Fatalf("%d concurrent calls redeemed the link, want one", len(tokens))
	}
	s := b.session(tokens[0])
	if !s.Can(store.ScopeAdmin) || s.Owner() != store.DefaultWorkspace || s.Author() != store.AuthorAdmin || !s.Usable(b.now) {
		t.Errorf("the session is %+v, want a live one of an administrator", s)
	}
	must(t, b.SignOut(t.Context(), &s))
	if _, err := b.Redeem(t.Context(), link); !errors.Is(err, access.ErrLink) {
		t.Errorf("Redeem after the sign-out = %v, want %v", err, access.ErrLink)
	}

	other, err := access.New(b.options("another secret"))
	must(t, err)
	late := b.OneTimeLink()
	raw, err := base64.RawURLEncoding.DecodeString(late)
	must(t, err)
	longer := append([]byte{}, raw...)
	longer[0]++
	for name, token := range map[string]string{
		"empty": "", "noise": "noise", "another server": other.OneTimeLink(), "longer life": base64.RawURLEncoding.EncodeToString(longer),
		"cut": late[:len(late)-1], "more": late + "A", "line break": late[:4] + "\n" + late[4:],
	} {
		if _, err := b.Redeem(t.Context(), token); !errors.Is(err, access.ErrLink) {
			t.Errorf("Redeem(%s) = %v, want %v", name, err, access.ErrLink)
		}
	}
	b.now = b.now.Add(access.LinkLife)
	if err := b.CheckLink(late); !errors.Is(err, access.ErrLink) {
		t.Errorf("CheckLink after %v = %v, want %v", access.LinkLife, err, access.ErrLink)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k, token, err := b.CreateKey(t.Context(), admin(), access.NewKey{Name: "Ann", Scopes: []store.Scope{store.ScopeLinksRead}, ExpiresAt: b.now.Add(time.Hour)})
	must(t, err)
	if got := b.session(token); got.ID != k.ID || got.Workspace != store.AuthorAdmin || got.Name != "Ann" || !got.ExpiresAt.Equal(k.ExpiresAt) {
		t.Errorf("CreateKey made %+v", got)
	}
	_, _, err = b.CreateKey(t.Context(), admin(), access.NewKey{Name: " ", Workspace: "a b", Scopes: []store.Scope{"all"}, ExpiresAt: b.now})
	for _, field := range []string{"name", "workspace", "scopes", "expires_at"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("CreateKey of an invalid key = %v, want an error that names %s", err, field)
		}
	}
	signedIn, err := b.SignIn(t.Context(), k)
	must(t, err)
	all, err := b.Keys(t.Context(), admin())
	if err != nil || len(all) != 1 || all[0].ID != k.ID {
		t.Errorf("Keys = %+v, %v, want the API key alone", all, err)
	}
	session := b.session(signedIn)
	if _, err := b.RevokeKey(t.Context(), admin(), session.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("RevokeKey of a session = %v, want %v", err, store.ErrNotFound)
	}
	revoked, err := b.RevokeKey(t.Context(), admin(), k.ID)
	if err != nil || revoked.RevokedAt.IsZero() {
		t.Errorf("RevokeKey = %+v, %v", revoked, err)
	}
	reader := &links.Caller{Key: &session}
	_, err = b.Keys(t.Context(), reader)
	_, _, errCreate := b.CreateKey(t.Context(), reader, access.NewKey{Name: "x", Scopes: store.Scopes()})
	_, errRevoke := b.RevokeKey(t.Context(), reader, k.ID)
	for _, err := range []error{err, errCreate, errRevoke} {
		if _, is := errors.AsType[*links.ScopeError](err); !is {
			t.Errorf("a caller without the scope admin gets %v, want a ScopeError", err)
		}
	}
}
