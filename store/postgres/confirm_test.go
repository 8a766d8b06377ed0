package postgres_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
)

// newSyncCluster starts a primary with a synchronous standby, and a database with the
// schema of a shard.
func newSyncCluster(t *testing.T) (c cluster, database string) {
	t.Helper()
	c = cluster{testenv.NewCluster(t, testenv.ClusterOptions{Replicas: 1, Sync: true})}
	database = "terse"
	must(t, c.NewDatabase(t.Context(), database))
	m, err := schema.New(schema.Options{
		Targets: []schema.Target{{Name: shard, DSN: c.Primary().DSN(database)}}, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	must(t, m.Up(t.Context()))
	must(t, c.WaitReplicas(t.Context()))
	return c, database
}

// repetition is a write that is repeated because its first answer was lost.
type repetition struct {
	name string
	do   func(ctx context.Context, s *postgres.Store) error
	want error // the answer after the standby has returned
}

// repetitions returns every kind of write that may find nothing to do. Each one has its
// own objects, which repetitions creates.
func repetitions(t *testing.T, s *postgres.Store) []repetition {
	t.Helper()
	ctx := t.Context()
	made := func(code string) store.Link {
		l, err := s.Create(ctx, link(code))
		must(t, err)
		return l
	}
	once := link("once")
	once.RequestID = "request"
	edited, deleted, unchanged, reported, imported := made("edited"), made("deleted"), made("unchanged"), made("reported"), link("imported")
	imported.Version = 3
	at := edited.CreatedAt
	key := store.Key{ID: "key_1", Name: "key", Prefix: "tk_1", Hash: sha256.Sum256([]byte("key")), CreatedAt: at}
	must(t, s.CreateKey(ctx, key))
	blocked, err := store.ParseHostPattern("evil.example")
	must(t, err)
	unblocked, err := store.ParseHostPattern("good.example")
	must(t, err)
	must(t, s.BlockHost(ctx, store.BlockedHost{Pattern: unblocked, BlockedAt: at}))
	domain, err := s.AddDomain(ctx, store.Domain{ID: "updated", CreatedAt: at})
	must(t, err)
	released, err := s.ClaimHost(ctx, store.DomainHost{Host: "released.example", DomainID: domain.ID, ClaimedAt: at})
	must(t, err)
	report := func(ctx context.Context, s *postgres.Store) error {
		return s.AddReport(ctx, store.Report{ID: store.NewReportID(reported.Code), Code: reported.Code, Reason: "spam", At: at})
	}
	for range store.MaxReportsPerLink - 1 {
		must(t, report(ctx, s))
	}
	resolved := store.Report{ID: store.NewReportID(unchanged.Code), Code: unchanged.Code, Reason: "spam", At: at}
	must(t, s.AddReport(ctx, resolved))
	lease := s.Leases("test")
	node, _, err := lease.Acquire(ctx, ttl)
	must(t, err)
	reservation := store.Reservation{Owner: "key_1", Key: "key", Fingerprint: "f", Code: "reserved", CreatedAt: time.Now().UTC()}
	clicks := store.ClickBatch{Recorder: "r", Seq: 1, Counts: []store.ClickCount{{Code: unchanged.Code, N: 1, Last: at}}}
	return []repetition{
		{"Create of one request", func(ctx context.Context, s *postgres.Store) error { return second(s.Create(ctx, once)) }, nil},
		{"Create of a taken code", func(ctx context.Context, s *postgres.Store) error { return second(s.Create(ctx, link("taken"))) }, store.ErrExists},
		{"Update of one version", func(ctx context.Context, s *postgres.Store) error { return second(s.Update(ctx, edited)) }, store.ErrVersion},
		{"Delete", func(ctx context.Context, s *postgres.Store) error { return second(s.Delete(ctx, deleted.Code, 0, at)) }, store.ErrGone},
		{"Confirm", func(ctx context.Context, s *postgres.Store) error { return second(s.Confirm(ctx, unchanged.Code)) }, nil},
		{"Import", func(ctx context.Context, s *postgres.Store) error { return second(s.Import(ctx, imported)) }, store.ErrExists},
		{"Reserve", func(ctx context.Context, s *postgres.Store) error { return second(s.Reserve(ctx, reservation)) }, nil},
		{"RevokeKey", func(ctx context.Context, s *postgres.Store) error { return second(s.RevokeKey(ctx, key.ID, at)) }, nil},
		{"BlockHost", func(ctx context.Context, s *postgres.Store) error {
			return s.BlockHost(ctx, store.BlockedHost{Pattern: blocked, BlockedAt: at})
		}, nil},
		{"UnblockHost", func(ctx context.Context, s *postgres.Store) error { return s.UnblockHost(ctx, unblocked) }, store.ErrNotFound},
		{"AddDomain", func(ctx context.Context, s *postgres.Store) error {
			return second(s.AddDomain(ctx, store.Domain{ID: "added", CreatedAt: at}))
		}, store.ErrExists},
		{"UpdateDomain", func(ctx context.Context, s *postgres.Store) error { return second(s.UpdateDomain(ctx, domain)) }, store.ErrVersion},
		{"ClaimHost", func(ctx context.Context, s *postgres.Store) error {
			return second(s.ClaimHost(ctx, store.DomainHost{Host: "claimed.example", DomainID: domain.ID, ClaimedAt: at}))
		}, nil},
		{"ReleaseHost", func(ctx context.Context, s *postgres.Store) error {
			return s.ReleaseHost(ctx, released.Host, domain.ID)
		}, store.ErrNotFound},
		{"AddReport", report, store.ErrEnough},
		{"ResolveReport", func(ctx context.Context, s *postgres.Store) error {
			return second(s.ResolveReport(ctx, resolved.ID, store.Author{}, at))
		}, nil},
		{"AddClicks", func(ctx context.Context, s *postgres.Store) error { return s.AddClicks(ctx, clicks) }, nil},
		{"Renew", func(ctx context.Context, _ *postgres.Store) error { return second(lease.Renew(ctx, node, at, ttl)) }, nil},
	}
}

// second returns the error of a result.
func second[T any](_ T, err error) error { return err }

// TestNothingIsAcknowledgedFromARead disconnects the only standby. A write is then
// committed and visible, but its answer must be an outage, because the standby lacks it.
// Each repetition must get the same answer until the standby has everything that the
// answer depends on.
func TestNothingIsAcknowledgedFromARead(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c, database := newSyncCluster(t)
	open := func() *postgres.Store {
		return openStore(t, postgres.Options{Primary: c.DSN(database), CallTimeout: 2 * time.Second, ProbeEvery: time.Second, MaxLag: 2 * time.Second})
	}
	all := repetitions(t, open())
	stores := make([]*postgres.Store, len(all)) // one store each, so that connections and breakers are not shared
	for i := range all {
		stores[i] = open()
		must(t, second(stores[i].Get(t.Context(), "edited")))
	}
	standby := c.Replicas()[0]
	must(t, standby.CutOff(t.Context()))
	for _, round := range []string{"", " again", " a third time"} {
		var calls sync.WaitGroup
		for i, r := range all {
			calls.Go(func() {
				if err := r.do(t.Context(), stores[i]); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("%s%s without a standby = %v, want %v", r.name, round, err, store.ErrUnavailable)
				}
			})
		}
		calls.Wait()
	}
	must(t, standby.Reconnect(t.Context()))
	for i, r := range all {
		var err error
		confirmed := func() error {
			if err = r.do(t.Context(), stores[i]); errors.Is(err, store.ErrUnavailable) {
				return err
			}
			return nil
		}
		eventually(t, r.name, confirmed)
		if err == nil { // on a busy machine the first call may end before Postgres has the write
			eventually(t, r.name+" again", confirmed)
		}
		if !errors.Is(err, r.want) {
			t.Errorf("%s with the standby back = %v, want %v", r.name, err, r.want)
		}
	}
}

// TestCancelledWaitIsNoSuccess cancels a commit that waits for its standby, as an
// operator would. Postgres reports success with a warning, and the write must not be
// acknowledged.
func TestCancelledWaitIsNoSuccess(t *testing.T) {
	t.Parallel()
	c, database := newSyncCluster(t)
	s := openStore(t, postgres.Options{Primary: c.DSN(database), CallTimeout: time.Minute})
	known, err := s.Create(t.Context(), link("known"))
	must(t, err)
	must(t, c.Replicas()[0].CutOff(t.Context()))
	conn := connect(t, c, database)
	for name, write := range map[string]func() error{
		"Update":  func() error { return second(s.Update(t.Context(), known)) },
		"Confirm": func() error { return second(s.Confirm(t.Context(), known.Code)) },
		"Create":  func() error { return second(s.Create(t.Context(), link("new"))) },
	} {
		answer := make(chan error, 1)
		go func() { answer <- write() }()
		eventually(t, "the wait of "+name+" is cancelled", func() error {
			var cancelled bool
			err := conn.QueryRow(t.Context(), `SELECT coalesce(bool_or(pg_cancel_backend(pid)), false) FROM pg_stat_activity
				WHERE wait_event = 'SyncRep' AND datname = current_database()`).Scan(&cancelled)
			if err == nil && !cancelled {
				err = errors.New("nothing waits for a standby")
			}
			return err
		})
		if err := <-answer; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s with a cancelled wait = %v, want %v", name, err, store.ErrUnavailable)
		}
	}
}
