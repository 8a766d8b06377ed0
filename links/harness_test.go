package links_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// baseURL is the start of short URLs.
const baseURL = "https://go.terse.example"

// bench is a Service over an embedded database, with a clock that tests set.
type bench struct {
	*links.Service
	t        *testing.T
	database *sqlite.Store

	mu   sync.Mutex
	time time.Time
}

func newBench(t *testing.T, change ...func(*links.Options)) *bench {
	t.Helper()
	b := &bench{t: t, time: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	b.database = sqlitetest.Open(t)
	minter, err := idgen.NewMinter(t.Context(), idgen.Options{Leaser: b.database.Leases()})
	must(t, err)
	t.Cleanup(func() { must(t, minter.Close(context.Background())) })
	cipher, err := idgen.NewCipher(bytes.Repeat([]byte{1, 2, 3, 4}, 8))
	must(t, err)
	opts := links.Options{
		Store: b.database, Archive: b.database, History: b.database, Tags: b.database, Minter: idgen.NewCodes(minter, cipher, nil), Keys: b.database, Clock: b, BaseURL: baseURL,
		Rules:        store.RulesOptions{OwnHosts: []string{"go.terse.example"}, Reserved: []string{"login"}},
		PasswordCost: bcrypt.MinCost, Registerer: prometheus.NewRegistry(),
	}
	for _, f := range change {
		f(&opts)
	}
	b.Service, err = links.New(opts)
	must(t, err)
	return b
}

// LinkTime implements links.Clock.
func (b *bench) LinkTime() (time.Time, bool) { return b.now(), true }

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.time
}

func (b *bench) wait(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.time = b.time.Add(d)
}

// Callers of tests.
var (
	owner = keyed("key_owner", store.ScopeLinksRead, store.ScopeLinksWrite)
	other = keyed("key_other", store.ScopeLinksRead, store.ScopeLinksWrite)
	admin = keyed("key_admin", store.ScopeAdmin)
)

func keyed(id string, scopes ...store.Scope) *links.Caller {
	return &links.Caller{Key: &store.Key{ID: id, Scopes: scopes}}
}

// one creates one link and returns its result.
func (b *bench) one(who *links.Caller, d links.Draft) links.Result {
	b.t.Helper()
	results, err := b.Create(b.t.Context(), who, links.Batch{Drafts: []links.Draft{d}})
	must(b.t, err)
	return results[0]
}

// created creates one link and returns it.
func (b *bench) created(who *links.Caller, d links.Draft) store.Link {
	b.t.Helper()
	r := b.one(who, d)
	must(b.t, r.Err)
	return r.Link
}

// fields returns the names of the invalid fields in err.
func fields(err error) (names []string) {
	if all, ok := errors.AsType[store.InvalidError](err); ok {
		for _, f := range all {
			names = append(names, f.Field)
		}
	}
	if one, ok := errors.AsType[*store.FieldError](err); ok {
		names = append(names, one.Field)
	}
	slices.Sort(names)
	return names
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
