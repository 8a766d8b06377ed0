package postgres_test

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
	"github.com/terse/terse/store/storetest"
)

// shard is the name of the shard in tests.
const shard = "s1"

// cluster is a running cluster with a template database.
type cluster struct{ *testenv.Cluster }

// newCluster starts a cluster and stops it at the end of the test.
func newCluster(tb testing.TB, replicas int) cluster {
	tb.Helper()
	return newClusterWith(tb, replicas, nil)
}

// newClusterWith is newCluster with additional Postgres settings.
func newClusterWith(tb testing.TB, replicas int, more map[string]string) cluster {
	tb.Helper()
	settings := map[string]string{"max_connections": "400"}
	maps.Copy(settings, more)
	c := cluster{testenv.NewCluster(tb, testenv.ClusterOptions{Replicas: replicas, Settings: settings})}
	if err := c.NewDatabase(tb.Context(), "template_shard"); err != nil {
		tb.Fatal(err)
	}
	m, err := schema.New(schema.Options{
		Targets: []schema.Target{{Name: shard, DSN: c.Primary().DSN("template_shard")}},
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := m.Up(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return c
}

// database creates a database with the schema of a shard and returns its name.
func (c cluster) database(tb testing.TB) string {
	tb.Helper()
	name := "shard_" + strings.ToLower(rand.Text()[:10])
	err := c.Primary().Exec(tb.Context(), "postgres", fmt.Sprintf("create database %s template template_shard", name))
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.WaitReplicas(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return name
}

// open opens a database as a shard and closes it when the test ends.
func (c cluster) open(tb testing.TB, database string, maxBatch int) *postgres.Store {
	tb.Helper()
	const connect = "&connect_timeout=120" // as long as patient
	opts := postgres.Options{Primary: c.DSN(database) + connect, MaxBatch: maxBatch, CallTimeout: patient, ReadTimeout: patient}
	for _, replica := range c.Replicas() {
		opts.Replicas = append(opts.Replicas, replica.DSN(database)+connect)
	}
	return openStore(tb, opts)
}

// openStore opens the shard and closes it when the test ends.
func openStore(tb testing.TB, opts postgres.Options) *postgres.Store {
	tb.Helper()
	opts.Name, opts.SchemaVersion, opts.Logger = shard, schema.Latest(), slog.New(slog.DiscardHandler)
	s, err := postgres.Open(tb.Context(), opts)
	if err != nil {
		tb.Fatalf("Open() = %v, want nil", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close() = %v, want nil", err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	for name, maxBatch := range map[string]int{"together": 0, "alone": 1} {
		t.Run(name, func(t *testing.T) {
			open := func(tb testing.TB) *postgres.Store { return c.open(tb, c.database(tb), maxBatch) }
			t.Run("Store", func(t *testing.T) {
				storetest.Run(t, storetest.Options{Open: func(tb testing.TB) store.Store { return open(tb) }})
			})
			t.Run("Keys", func(t *testing.T) {
				storetest.RunKeys(t, func(tb testing.TB) store.Keys { return open(tb) })
			})
			t.Run("Clicks", func(t *testing.T) {
				storetest.RunClicks(t, func(tb testing.TB) (store.Store, store.ClickSink) {
					s := open(tb)
					return s, s
				})
			})
			t.Run("ClickDays", func(t *testing.T) {
				storetest.RunClickDays(t, func(tb testing.TB) (storetest.ClickDaysStore, []store.ClickFolder) {
					s := open(tb)
					return s, []store.ClickFolder{s}
				})
			})
			t.Run("ClickLedger", func(t *testing.T) {
				storetest.RunClickLedger(t, func(tb testing.TB) store.ClickLedger { return open(tb) })
			})
			t.Run("History", func(t *testing.T) {
				storetest.RunHistory(t, func(tb testing.TB) storetest.HistoryStore { return open(tb) })
			})
			t.Run("Tags", func(t *testing.T) {
				storetest.RunTags(t, func(tb testing.TB) storetest.TagStore { return open(tb) })
			})
			t.Run("Archive", func(t *testing.T) {
				storetest.RunArchive(t, func(tb testing.TB) (store.Store, store.Archive) {
					s := open(tb)
					return s, s
				})
			})
			t.Run("Blocklist", func(t *testing.T) {
				storetest.RunBlocklistSource(t, func(tb testing.TB) store.BlocklistSource { return open(tb) })
			})
			t.Run("Domains", func(t *testing.T) {
				storetest.RunDomainsSource(t, func(tb testing.TB) store.DomainsSource { return open(tb) })
			})
			t.Run("Reports", func(t *testing.T) {
				storetest.RunReports(t, func(tb testing.TB) store.Reports { return open(tb) })
			})
			t.Run("Scanned", func(t *testing.T) {
				storetest.RunScanned(t, func(tb testing.TB) storetest.ScannedStore { return open(tb) })
			})
			t.Run("Certificates", func(t *testing.T) {
				storetest.RunCertificates(t, func(tb testing.TB) store.Certificates { return open(tb) })
			})
			t.Run("Outbox", func(t *testing.T) {
				storetest.RunOutbox(t, storetest.OutboxOptions{Repeats: true, Open: func(tb testing.TB) (store.Store, store.Outbox) {
					s := open(tb)
					return s, s
				}})
			})
			t.Run("DomainEdits", func(t *testing.T) {
				storetest.RunDomainEdits(t, func(tb testing.TB) storetest.DomainsOutbox { return open(tb) })
			})
			t.Run("Durable", func(t *testing.T) {
				storetest.RunDurable(t, func(tb testing.TB) (store.Store, func() store.Store) {
					database := c.database(tb)
					s := c.open(tb, database, maxBatch)
					return s, func() store.Store {
						if err := s.Close(); err != nil {
							tb.Errorf("Close() = %v, want nil", err)
						}
						return c.open(tb, database, maxBatch)
					}
				})
			})
		})
	}
}

// TestOutboxWithoutReplicas runs the outbox of a shard without replicas. Each edit must
// be delivered once to caches, and twice to a CDN.
func TestOutboxWithoutReplicas(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	storetest.RunOutbox(t, storetest.OutboxOptions{Open: func(tb testing.TB) (store.Store, store.Outbox) {
		s := c.open(tb, c.database(tb), 0)
		return s, s
	}})
}
