package postgres_test

import (
	"fmt"
	"testing"

	"github.com/terse/terse/store/postgres"
)

// TestStatusTellsHowManyLinks checks that few links are counted, also before the first
// ANALYZE, and that many links are estimated.
func TestStatusTellsHowManyLinks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	s := shardTest{c.open(t, database, 0), t, c.connect(t, database)}
	status := func() postgres.Status {
		t.Helper()
		got := s.Status(t.Context())
		if got.Err != nil {
			t.Fatalf("Status() = %v, want no error", got.Err)
		}
		return got
	}
	for n := range 4 {
		if got := status(); got.Links != int64(n) || !got.Counted {
			t.Errorf("Status() = %d links, counted: %v, want %d, counted", got.Links, got.Counted, n)
		}
		s.create(fmt.Sprintf("l%d", n))
	}
	s.exec("ALTER TABLE links SET (autovacuum_enabled = false)")
	s.exec(`INSERT INTO links (created_at, version, bucket, code, target, owner)
		SELECT now(), 1, n % 4096, 'many-' || n, 'https://example.com/' || n, 'key_1' FROM generate_series(1, 30000) AS n`)
	if got := status(); got.Links <= 10_000 || got.Links > 90_000 || got.Counted {
		t.Errorf("Status() before the first ANALYZE = %d links, counted: %v, want an estimate of about 30,000", got.Links, got.Counted)
	}
	s.exec("ANALYZE links")
	if got := status(); got.Links < 29_000 || got.Links > 31_000 || got.Counted {
		t.Errorf("Status() = %d links, counted: %v, want an estimate of about 30,004", got.Links, got.Counted)
	}
}
