package postgres_test

import (
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store/postgres"
)

// batchSizes are the compared sizes of batches, by name.
func batchSizes() map[string]int { return map[string]int{"together": 0, "alone": 1} }

// spread calls fn b.N times from several concurrent callers.
func spread(b *testing.B, callers int, fn func(i int64) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := fn(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

func BenchmarkCreate(b *testing.B) {
	c := newCluster(b, 0)
	for name, maxBatch := range batchSizes() {
		for _, callers := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				s := c.open(b, c.database(b), maxBatch)
				spread(b, callers, func(i int64) error {
					_, err := s.Create(b.Context(), newLink(fmt.Sprint(i)))
					return err
				})
			})
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	const links = 1000
	c := newCluster(b, 0)
	for name, maxBatch := range batchSizes() {
		for _, callers := range []int{1, 16, 128} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				s := c.open(b, c.database(b), maxBatch)
				for i := range links {
					if _, err := s.Create(b.Context(), newLink(fmt.Sprint(i))); err != nil {
						b.Fatal(err)
					}
				}
				spread(b, callers, func(i int64) error {
					_, err := s.Resolve(b.Context(), fmt.Sprint(i%links))
					return err
				})
			})
		}
	}
}

// BenchmarkSize reports how many bytes a link takes in the table and in each index.
func BenchmarkSize(b *testing.B) {
	const links = 100_000
	c := newCluster(b, 0)
	for b.Loop() {
		database := c.database(b)
		createMany(b, c.open(b, database, 0), links)
		conn := c.connect(b, database)
		rows, err := conn.Query(b.Context(), `SELECT 'links', pg_relation_size('links')
			UNION ALL SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index WHERE indrelid = 'links'::regclass
			UNION ALL SELECT 'all', pg_total_relation_size('links')`)
		if err != nil {
			b.Fatal(err)
		}
		var relation string
		var bytes float64
		_, err = pgx.ForEachRow(rows, []any{&relation, &bytes}, func() error {
			b.ReportMetric(bytes/links, relation+"-bytes/link")
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// createMany creates links as users do: with targets of 100 bytes and random
// codes of nine characters.
func createMany(b *testing.B, s *postgres.Store, n int64) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				l := newLink(rand.Text()[:9])
				l.URL = fmt.Sprintf("https://example.com/%0*d", 80, i)
				l.Owner = "key_abcdefghijkl"
				l.CreatedAt = epoch.Add(time.Duration(i) * time.Millisecond)
				l.UpdatedAt = l.CreatedAt
				if _, err := s.Create(b.Context(), l); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
