package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// TestReplicaOfLostPrimary kills a primary and promotes a replica that lags behind
// another replica. Writes that only the lost primary and the other replica had must not
// be shown after the promotion.
func TestReplicaOfLostPrimary(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, 2)
	s := newShardTest(t, c)
	known := s.create("known")
	must(t, c.WaitReplicas(t.Context()))
	ahead, heir := c.Replicas()[0], c.Replicas()[1]
	must(t, heir.Stop()) // so that it does not receive the next writes
	usable(t, s.Store, "replica-2", false)
	s.exec("UPDATE links SET target = 'https://lost.example/', version = version + 1 WHERE code = $1", known.Code)
	for range 5 {
		s.exec("SELECT pg_logical_emit_message(false, 'pad', repeat('x', 1000000))")
	}
	var written string
	must(t, s.conn.QueryRow(t.Context(), "SELECT pg_current_wal_flush_lsn()::text").Scan(&written))
	eventually(t, "the lost edit is replicated", func() error {
		got, err := s.Resolve(t.Context(), known.Code)
		if err == nil && got.Version != 2 {
			err = fmt.Errorf("version %d", got.Version)
		}
		return err
	})
	usable(t, s.Store, "replica-1", true)
	eventually(t, "all lost writes are replayed", func() error {
		return ahead.Exec(t.Context(), "postgres", fmt.Sprintf(
			"DO $$ BEGIN ASSERT pg_last_wal_replay_lsn() >= '%s'; END $$", written))
	})
	must(t, c.Primary().Kill())
	must(t, heir.Start(t.Context()))
	must(t, heir.Promote(t.Context()))
	eventually(t, "create", func() error {
		_, err := s.Create(t.Context(), link("after"))
		return err
	})
	eventually(t, "the replica is found ahead", func() error {
		if !s.Unfit("replica-1") {
			return errors.New("it is not")
		}
		return nil
	})
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); {
		if got, err := s.Resolve(t.Context(), known.Code); err != nil || got.URL != known.URL {
			t.Fatalf("Resolve() = %q, %v, want %q, the version of the primary", got.URL, err, known.URL)
		}
	}
	must(t, ahead.Kill())
	must(t, ahead.Follow(t.Context(), heir))
	usable(t, s.Store, "replica-1", true)
	resolves(t, s.Store, known)
}

// TestPrimaryThatIsAReplica lists a replica as the primary. It must answer neither hits
// nor misses.
func TestPrimaryThatIsAReplica(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	must(t, c.WaitReplicas(t.Context()))
	s := openStore(t, postgres.Options{Primary: c.Replicas()[0].DSN(database)})
	for range 10 {
		if _, err := s.Resolve(t.Context(), "unknown"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Resolve() = %v, want %v", err, store.ErrUnavailable)
		}
	}
	if _, err := s.Create(t.Context(), link("abc")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Create() = %v, want %v", err, store.ErrUnavailable)
	}
}

// TestHitInMovedBucket checks that a link left in a bucket of another shard is not an
// answer, neither from the primary nor from a replica.
func TestHitInMovedBucket(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{0, 1} {
		c := newCluster(t, replicas)
		s := newShardTest(t, c)
		l := s.create("abc")
		for _, replica := range []string{"primary", "replica-1"}[:replicas+1] {
			usable(t, s.Store, replica, true)
		}
		resolves(t, s.Store, l)
		s.exec("UPDATE buckets SET state = 'moved', epoch = epoch + 1 WHERE bucket = $1", store.BucketOf(l.Code))
		must(t, c.WaitReplicas(t.Context()))
		if got, err := s.Resolve(t.Context(), l.Code); !errors.Is(err, store.ErrMoved) {
			t.Errorf("Resolve() with %d replicas = %q, %v, want %v", replicas, got.URL, err, store.ErrMoved)
		}
	}
}

// TestOtherReplicaIsAsked kills one of two replicas. The other one must answer, and the
// primary must not be asked.
func TestOtherReplicaIsAsked(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	database := c.database(t)
	reg := prometheus.NewRegistry()
	s := openStore(t, postgres.Options{
		Primary: c.DSN(database), Replicas: []string{c.Replicas()[0].DSN(database), c.Replicas()[1].DSN(database)}, Registerer: reg,
	})
	known, err := s.Create(t.Context(), link("known"))
	must(t, err)
	must(t, c.WaitReplicas(t.Context()))
	usable(t, s, "replica-1", true)
	usable(t, s, "replica-2", true)
	must(t, c.Replicas()[0].Kill())
	for range 50 {
		resolves(t, s, known)
	}
	if got := value(t, reg, "terse_postgres_cold_batch_links", "server=primary"); got != 0 {
		t.Errorf("the primary was asked for %v batches of links, want 0", got)
	}
}
