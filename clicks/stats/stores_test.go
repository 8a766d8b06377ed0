package stats_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/clicks/stats"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
	"github.com/terse/terse/store/shard"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// clickStore is a store with a folder for each of its shards.
type clickStore struct {
	store interface {
		store.Store
		store.ClickSink
		store.ClickDays
	}
	folders []store.ClickFolder
}

// fold folds all batches.
func (s *clickStore) fold(t fataler) {
	t.Helper()
	for _, f := range s.folders {
		for {
			n, err := f.FoldClicks(context.Background(), 2, day.Fold)
			if err != nil {
				t.Fatalf("FoldClicks = %v", err)
			}
			if n == 0 {
				break
			}
		}
	}
}

// fataler is testing.TB or *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func openSQLite(t testing.TB) clickStore {
	t.Helper()
	d := sqlitetest.Open(t)
	return clickStore{d, []store.ClickFolder{d}}
}

// openShards opens shards, each in a database of its own.
func openShards(t testing.TB, cluster *testenv.Cluster, n int) clickStore {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var targets []schema.Target
	for i := range n {
		database := fmt.Sprintf("stats_%d_%d", n, i)
		if err := cluster.NewDatabase(ctx, database); err != nil {
			t.Fatalf("NewDatabase = %v", err)
		}
		targets = append(targets, schema.Target{Name: fmt.Sprintf("s%d", i+1), DSN: cluster.Primary().DSN(database)})
	}
	logger := slog.New(slog.DiscardHandler)
	migrator, err := schema.New(schema.Options{Targets: targets, Logger: logger})
	if err != nil {
		t.Fatalf("New = %v", err)
	}
	if err := migrator.Up(ctx); err != nil {
		t.Fatalf("Up = %v", err)
	}
	const patient = 20 * time.Second // a busy machine needs more time than the defaults
	opts := shard.Options{Logger: logger, RefreshTimeout: patient}
	var folders []store.ClickFolder
	for _, target := range targets {
		s, err := postgres.Open(t.Context(), postgres.Options{
			Name: target.Name, Primary: target.DSN + "&connect_timeout=20", SchemaVersion: schema.Latest(),
			CallTimeout: patient, ReadTimeout: patient, Logger: logger,
		})
		if err != nil {
			t.Fatalf("Open = %v", err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		})
		opts.Shards = append(opts.Shards, shard.Named{Name: target.Name, Shard: s, Leaser: s.Leases("test")})
		folders = append(folders, s)
	}
	r, err := shard.New(opts)
	if err != nil {
		t.Fatalf("New = %v", err)
	}
	t.Cleanup(r.Close)
	if err := r.Load(ctx); err != nil {
		t.Fatalf("Load = %v", err)
	}
	return clickStore{r, folders}
}

// TestStoresAgainstRawClicks is TestAgainstRawClicks over real databases: clicks come in batches,
// some of them twice, and are folded now and then. The answers about links, owners, tags, domains
// and all links are equal to the clicks.
func TestStoresAgainstRawClicks(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		testStore(t, openSQLite(t))
	})
	t.Run("shards", func(t *testing.T) {
		t.Parallel()
		testenv.Long(t)
		cluster := testenv.NewClusters(t, 1, testenv.ClusterOptions{Settings: map[string]string{"max_connections": "200"}})[0]
		for _, n := range []int{1, 4} {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				testStore(t, openShards(t, cluster, n))
			})
		}
	})
}

// clickedLinks is the links of one owner, and their clicks.
type clickedLinks struct {
	owner string
	keys  []string
	tags  [][]string
}

const domainID = "domain001"

// newLinks creates links of a new owner: on two domains, with and without tags.
func newLinks(t fataler, s store.Store) clickedLinks {
	t.Helper()
	l := clickedLinks{
		owner: store.NewKeyID(),
		keys:  []string{"a" + rand.Text()[:10], "b" + rand.Text()[:10], store.LinkKey(domainID, "c"+rand.Text()[:10])},
		tags:  [][]string{{"blue", "red/dark"}, {"blue"}, nil},
	}
	for i, key := range l.keys {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		_, err := s.Create(context.Background(), store.Link{Code: key, URL: "https://example.com/", Owner: l.owner, Status: 302, Tags: l.tags[i], CreatedAt: now, UpdatedAt: now})
		if err != nil {
			t.Fatalf("Create = %v", err)
		}
	}
	return l
}

// set is a kind of days and its key.
type set struct {
	kind store.ClickKind
	key  string
}

// sets returns the sets that a link belongs to.
func (l *clickedLinks) sets(link int) []set {
	id, _ := store.SplitKey(l.keys[link])
	sets := []set{{store.ClickLink, l.keys[link]}, {store.ClickOwner, l.owner}, {store.ClickDomain, store.ClickDomainKey(l.owner, id)}, {store.ClickAll, ""}}
	for _, tag := range l.tags[link] {
		sets = append(sets, set{store.ClickTag, store.ClickTagKey(l.owner, tag)})
	}
	return sets
}

// batchOf packs clicks of links as a recorder does.
func batchOf(keys []string, clicks [][]rawClick) store.ClickBatch {
	b := store.ClickBatch{Recorder: rand.Text(), Seq: 1}
	for i, key := range keys {
		var raw rawClicks
		raw.clicks = map[string][]rawClick{key: clicks[i]}
		raw.pack(store.ClickLink, 1, func(*day.Day) {})
		b.Days = append(b.Days, raw.rows...)
		c := store.ClickCount{Code: key}
		for _, one := range clicks[i] {
			if one.person() {
				c.N++
				c.Last = one.at.UTC().Truncate(time.Microsecond)
			} else {
				c.Robots++
			}
		}
		if len(clicks[i]) > 0 {
			b.Counts = append(b.Counts, c)
		}
	}
	return b
}

func testStore(t *testing.T, s clickStore) {
	t.Helper()
	var all []rawClick // of all links in the store
	rapid.Check(t, func(t *rapid.T) {
		around, err := time.Parse(time.RFC3339, rapid.SampledFrom(moments).Draw(t, "around"))
		if err != nil {
			t.Fatal(err)
		}
		links := newLinks(t, s.store)
		clicks := map[set][]rawClick{}
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			parts := make([][]rawClick, len(links.keys))
			for i := range parts {
				parts[i] = drawClicks(t, around)
				for _, of := range links.sets(i) {
					clicks[of] = append(clicks[of], parts[i]...)
				}
			}
			batch := batchOf(links.keys, parts)
			for range rapid.IntRange(1, 2).Draw(t, "sends") {
				if err := s.store.AddClicks(context.Background(), batch); err != nil {
					t.Fatalf("AddClicks = %v", err)
				}
			}
			if rapid.Bool().Draw(t, "fold") {
				s.fold(t)
			}
		}
		s.fold(t)
		every := set{store.ClickAll, ""}
		all = append(all, clicks[every]...)
		clicks[every] = all
		q := drawQuery(t, around)
		now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		for of, want := range clicks {
			results, err := stats.Read(context.Background(), s.store, of.kind, []string{of.key}, &q, now)
			if err != nil {
				t.Fatalf("Read of kind %d = %v", of.kind, err)
			}
			compare(t, &q, &results[0], want)
		}
	})
}
