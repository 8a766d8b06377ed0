package shard_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/cache/remote"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
	"github.com/terse/terse/store/shard"
	"github.com/terse/terse/store/storetest"
)

// TestPostgres runs the conformance suites over three shards, each with a replica.
func TestPostgres(t *testing.T) {
	t.Parallel()
	clusters := testenv.NewClusters(t, 3, testenv.ClusterOptions{
		Replicas: 1, Settings: map[string]string{"max_connections": "200"},
	})
	t.Run("Store", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, storetest.Options{Open: func(tb testing.TB) store.Store { return openPostgres(tb, clusters, "store") }})
	})
	t.Run("Keys", func(t *testing.T) {
		t.Parallel()
		storetest.RunKeys(t, func(tb testing.TB) store.Keys { return openPostgres(tb, clusters, "keys") })
	})
	t.Run("Clicks", func(t *testing.T) {
		t.Parallel()
		storetest.RunClicks(t, func(tb testing.TB) (store.Store, store.ClickSink) {
			r := openPostgres(tb, clusters, "clicks")
			return r, r
		})
	})
	t.Run("ClickDays", func(t *testing.T) {
		t.Parallel()
		storetest.RunClickDays(t, func(tb testing.TB) (storetest.ClickDaysStore, []store.ClickFolder) {
			r, shards := openShards(tb, clusters, "days_"+strings.ToLower(rand.Text()[:10]))
			var folders []store.ClickFolder
			for _, s := range shards {
				folders = append(folders, s)
			}
			return r, folders
		})
	})
	t.Run("Archive", func(t *testing.T) {
		t.Parallel()
		storetest.RunArchive(t, func(tb testing.TB) (store.Store, store.Archive) {
			r := openPostgres(tb, clusters, "archive")
			return openCached(tb, r, nil), r
		})
	})
	t.Run("History", func(t *testing.T) {
		t.Parallel()
		storetest.RunHistory(t, func(tb testing.TB) storetest.HistoryStore { return openPostgres(tb, clusters, "history") })
	})
	t.Run("Tags", func(t *testing.T) {
		t.Parallel()
		storetest.RunTags(t, func(tb testing.TB) storetest.TagStore { return openPostgres(tb, clusters, "tags") })
	})
	t.Run("Blocklist", func(t *testing.T) {
		t.Parallel()
		storetest.RunBlocklist(t, func(tb testing.TB) store.Blocklist { return openPostgres(tb, clusters, "blocklist") })
	})
	t.Run("Domains", func(t *testing.T) {
		t.Parallel()
		storetest.RunDomains(t, func(tb testing.TB) store.Domains { return openPostgres(tb, clusters, "domains") })
	})
	t.Run("Reports", func(t *testing.T) {
		t.Parallel()
		storetest.RunReports(t, func(tb testing.TB) store.Reports { return openPostgres(tb, clusters, "reports") })
	})
	for name, redis := range map[string]func(testing.TB) string{
		"cached":            nil,
		"cached_redis_up":   func(tb testing.TB) string { return testenv.NewRedis(tb, testenv.RedisOptions{}).URL() },
		"cached_redis_down": func(testing.TB) string { return "redis://127.0.0.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Options{Open: func(tb testing.TB) store.Store {
				return openCached(tb, openPostgres(tb, clusters, name), redis)
			}})
		})
	}
	t.Run("Moved", func(t *testing.T) {
		t.Parallel()
		testPostgresMoved(t, openDatabase(t, clusters, "moved"), clusters)
	})
}

// openCached returns a cache over the shards. It uses Redis if redis is not nil.
func openCached(tb testing.TB, r *shard.Router, redis func(testing.TB) string) *cache.Cache {
	tb.Helper()
	opts := cache.Options{Store: r, Edited: r.Edited, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)}
	if redis != nil {
		l2, err := remote.New(remote.Options{URL: redis(tb), Timeout: 20 * time.Second, Registerer: prometheus.NewRegistry(), Logger: opts.Logger})
		if err != nil {
			tb.Fatalf("New() = %v, want nil", err)
		}
		tb.Cleanup(func() {
			if err := l2.Close(); err != nil {
				tb.Errorf("Close() = %v, want nil", err)
			}
		})
		opts.Remote = l2
	}
	c, err := cache.New(opts)
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	return c
}

// testPostgresMoved moves an empty bucket without informing the Router. A create, a read and an
// edit of its links must reach the new owner.
func testPostgresMoved(t *testing.T, r *shard.Router, clusters []*testenv.Cluster) {
	t.Helper()
	l := newLink(1, 0)
	bucket, from := store.BucketOf(l.Code), r.ShardOf(l.Code)
	to := (from + 1) % len(clusters)
	for i, sql := range map[int]string{
		from: "UPDATE buckets SET state = 'moved' WHERE bucket = %d",
		to:   "INSERT INTO buckets (bucket, state, epoch) VALUES (%d, 'owned', 2)",
	} {
		if err := clusters[i].Primary().Exec(t.Context(), "moved", fmt.Sprintf(sql, bucket)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Resolve(t.Context(), l.Code); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Resolve(%q) = %v, want %v", l.Code, err, store.ErrNotFound)
	}
	created := mustCreate(t, r, l)
	if got := r.ShardOf(l.Code); got != to {
		t.Errorf("ShardOf(%q) = %d, want %d", l.Code, got, to)
	}
	created.Title = "edited"
	if updated, err := r.Update(t.Context(), created); err != nil || updated.Version != 2 {
		t.Errorf("Update(%q) = %+v, %v, want version 2", l.Code, updated, err)
	}
}

// openPostgres returns a Router over a new database in each cluster. The names of the databases
// begin with purpose.
func openPostgres(tb testing.TB, clusters []*testenv.Cluster, purpose string) *shard.Router {
	tb.Helper()
	return openDatabase(tb, clusters, purpose+"_"+strings.ToLower(rand.Text()[:10]))
}

// openDatabase is openPostgres with the whole name of the databases.
func openDatabase(tb testing.TB, clusters []*testenv.Cluster, database string) *shard.Router {
	tb.Helper()
	r, _ := openShards(tb, clusters, database)
	return r
}

// patient is a time limit for calls that must succeed, and patientConnect is the same for connecting. A
// busy machine needs more time than the defaults.
const (
	patient        = 20 * time.Second
	patientConnect = "&connect_timeout=20"
)

// openShards is openDatabase that returns the shards, too.
func openShards(tb testing.TB, clusters []*testenv.Cluster, database string) (*shard.Router, []*postgres.Store) {
	tb.Helper()
	var stores []*postgres.Store
	var targets []schema.Target
	for i, c := range clusters {
		if err := c.NewDatabase(tb.Context(), database); err != nil {
			tb.Fatal(err)
		}
		targets = append(targets, schema.Target{Name: fmt.Sprintf("s%d", i+1), DSN: c.Primary().DSN(database)})
	}
	migrator, err := schema.New(schema.Options{Targets: targets, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	if err := migrator.Up(ctx); err != nil {
		tb.Fatalf("Up() = %v, want nil", err)
	}
	opts := shard.Options{Logger: slog.New(slog.DiscardHandler), RefreshTimeout: patient}
	for i, c := range clusters {
		if err := c.WaitReplicas(ctx); err != nil {
			tb.Fatal(err)
		}
		s := openShard(tb, targets[i], c.Replicas()[0].DSN(database), schema.Latest())
		stores, opts.Shards = append(stores, s), append(opts.Shards, shard.Named{Name: targets[i].Name, Shard: s, Leaser: s.Leases("test")})
	}
	r, err := shard.New(opts)
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	tb.Cleanup(r.Close)
	if err := r.Load(ctx); err != nil {
		tb.Fatalf("Load() = %v, want nil", err)
	}
	return r, stores
}

func openShard(tb testing.TB, primary schema.Target, replica string, version int) *postgres.Store {
	tb.Helper()
	s, err := postgres.Open(tb.Context(), postgres.Options{
		Name: primary.Name, Primary: primary.DSN + patientConnect, Replicas: []string{replica + patientConnect},
		SchemaVersion: version, CallTimeout: patient, ReadTimeout: patient, Logger: slog.New(slog.DiscardHandler),
	})
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
