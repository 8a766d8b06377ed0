package domains_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// epoch is the time of the database in tests.
var epoch = time.Date(2026, time.March, 4, 5, 6, 7, 890_123_000, time.UTC)

func openStore(tb testing.TB) *sqlite.Store {
	tb.Helper()
	s := sqlitetest.Open(tb)
	return s
}

// newID returns the id of a new domain.
func newID() string { return rand.Text()[:9] }

// newHost returns a host that no other test uses.
func newHost() string { return strings.ToLower(rand.Text()[:12]) + ".example" }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// add adds a domain with hosts to the database, without the Registry.
func add(tb testing.TB, s store.Domains, id string, hosts ...string) {
	tb.Helper()
	for _, h := range hosts {
		_, err := s.ClaimHost(tb.Context(), store.DomainHost{Host: h, DomainID: id, ClaimedAt: epoch})
		must(tb, err)
	}
	_, err := s.AddDomain(tb.Context(), store.Domain{ID: id, Host: hosts[0], State: store.DomainActive, CreatedAt: epoch, UpdatedAt: epoch})
	must(tb, err)
}
