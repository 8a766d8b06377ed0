//go:build unix

package outbox_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/outbox"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/postgres/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// audience is an Invalidator that a test can make fail.
type audience struct {
	mu       sync.Mutex
	broken   error
	received []store.Edit

	// If hold is set, Invalidate closes began and then waits for hold, even after its context
	// has ended.
	began, hold chan struct{}
	once        sync.Once
}

func (a *audience) Invalidate(_ context.Context, edits []store.Edit) []error {
	if a.hold != nil {
		a.once.Do(func() { close(a.began) })
		<-a.hold
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	errs := make([]error, len(edits))
	for i := range edits {
		errs[i] = a.broken
	}
	if a.broken == nil {
		a.received = append(a.received, edits...)
	}
	return errs
}

func (a *audience) setBroken(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = err
}

// versions returns the highest version of a link that was delivered, and how often the
// link was delivered.
func (a *audience) versions(code string) (version int64, times int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.received {
		if e.Link.Code == code {
			version = max(version, e.Link.Version)
			times++
		}
	}
	return version, times
}

func newWorker(t *testing.T, box store.Outbox, caches, cdn store.Invalidator) *outbox.Worker {
	t.Helper()
	return startWorker(t, outbox.Options{
		Outboxes: []outbox.Named{{Name: "s1", Outbox: box}}, Caches: caches, CDN: cdn, Every: 50 * time.Millisecond,
	})
}

func startWorker(t *testing.T, opts outbox.Options) *outbox.Worker {
	t.Helper()
	opts.Logger, opts.Registerer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	w, err := outbox.New(opts)
	if err != nil {
		t.Fatalf("New = %v, want nil", err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close = %v, want nil", err)
		}
	})
	return w
}

const database = "terse"

// shard is a migrated database.
type shard struct {
	t       *testing.T
	cluster *testenv.Cluster
}

func newShard(t *testing.T, replicas int) shard {
	t.Helper()
	s := shard{t, testenv.NewCluster(t, testenv.ClusterOptions{Replicas: replicas})}
	if err := s.cluster.NewDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	migrator, err := schema.New(schema.Options{
		Targets: []schema.Target{{Name: "s1", DSN: s.cluster.DSN(database)}}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := migrator.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.cluster.WaitReplicas(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// open connects to the shard as a node does.
func (s shard) open(primary string) *postgres.Store {
	s.t.Helper()
	opts := postgres.Options{Name: "s1", Primary: primary, SchemaVersion: schema.Latest(), Logger: slog.New(slog.DiscardHandler)}
	for _, replica := range s.cluster.Replicas() {
		opts.Replicas = append(opts.Replicas, replica.DSN(database))
	}
	p, err := postgres.Open(s.t.Context(), opts)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			s.t.Errorf("Close = %v, want nil", err)
		}
	})
	return p
}

// edit updates a link. It creates the link first if it does not exist.
func edit(t *testing.T, s store.Store, code string) {
	t.Helper()
	at := time.UnixMicro(1_790_000_000_000_000).UTC()
	l, err := s.Create(t.Context(), store.Link{Code: code, URL: "https://example.com/", Status: 302, CreatedAt: at, UpdatedAt: at})
	if errors.Is(err, store.ErrExists) {
		l, err = s.Get(t.Context(), code)
	}
	if err == nil {
		_, err = s.Update(t.Context(), l)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func empty(t *testing.T, box store.Outbox, a store.Audience) bool {
	t.Helper()
	b, err := box.Backlog(t.Context(), a)
	return err == nil && b.Edits == 0
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := outbox.New(outbox.Options{Every: -1, MaxBatch: -1, InvalidateTimeout: -1})
	for _, field := range []string{"Outboxes", "Logger", "Registerer", "Every", "MaxBatch", "InvalidateTimeout"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("New = %v, want an error that names %s", err, field)
		}
	}
}

// TestWorkers checks that two processes over one shard deliver each edit, also after the
// CDN was unreachable and after one of them has ended.
func TestWorkers(t *testing.T) {
	t.Parallel()
	s := newShard(t, 1)
	one, other := s.open(s.cluster.DSN(database)), s.open(s.cluster.DSN(database))
	caches, cdn := &audience{}, &audience{broken: errors.New("unreachable")}
	first := newWorker(t, one, caches, cdn)
	newWorker(t, other, caches, cdn)

	edit(t, one, "first")
	testenv.Await(t, "caches get the edit twice", func() bool {
		version, times := caches.versions("first")
		return version == 2 && times >= 2
	})
	if _, times := cdn.versions("first"); times != 0 {
		t.Errorf("an unreachable CDN acknowledged %d edits", times)
	}
	if empty(t, one, store.CDN) {
		t.Error("no edit waits for the unreachable CDN")
	}
	cdn.setBroken(nil)
	testenv.Await(t, "the CDN gets the edit twice", func() bool { _, times := cdn.versions("first"); return times >= 2 })
	if _, times := caches.versions("first"); times > 3 {
		t.Errorf("caches got the edit %d times because the CDN failed", times)
	}

	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	edit(t, one, "second")
	for _, a := range []*audience{caches, cdn} {
		testenv.Await(t, "the other process delivers", func() bool { version, _ := a.versions("second"); return version == 2 })
	}
	testenv.Await(t, "the outbox is empty", func() bool { return empty(t, one, store.Caches) && empty(t, one, store.CDN) })
}

// TestRepeatToCaches checks that caches receive again the edits that they had
// acknowledged, also when the shard is unreachable at first. A CDN does not receive them.
func TestRepeatToCaches(t *testing.T) {
	t.Parallel()
	s := newShard(t, 0)
	p := s.open(s.cluster.DSN(database))
	caches, cdn := &audience{}, &audience{}
	w := newWorker(t, p, caches, cdn)
	edit(t, p, "abc")
	testenv.Await(t, "the outbox to be empty", func() bool { return empty(t, p, store.Caches) && empty(t, p, store.CDN) })
	_, seenByCaches := caches.versions("abc")
	_, seenByCDN := cdn.versions("abc")

	if err := s.cluster.Primary().Kill(); err != nil {
		t.Fatal(err)
	}
	w.RepeatToCaches(time.Now())
	w.RepeatToCaches(time.Now().Add(time.Hour)) // which leaves the earlier moment as it is
	if err := s.cluster.Primary().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "caches to receive the edit again", func() bool { _, times := caches.versions("abc"); return times > seenByCaches })
	if _, times := cdn.versions("abc"); times != seenByCDN {
		t.Errorf("the CDN received %d edits, want %d as before", times, seenByCDN)
	}
}

// TestNobodyToInvalidate checks that edits do not accumulate without an Invalidator.
func TestNobodyToInvalidate(t *testing.T) {
	t.Parallel()
	s := newShard(t, 0)
	p := s.open(s.cluster.DSN(database))
	w := newWorker(t, p, nil, nil)
	edit(t, p, "abc")
	w.Nudge()
	testenv.Await(t, "the outbox is empty", func() bool { return empty(t, p, store.Caches) && empty(t, p, store.CDN) })
}

// TestGoesOnWhileThereIsMore checks that a process which has delivered Limit edits
// continues at once, also when several edits were of one link.
func TestGoesOnWhileThereIsMore(t *testing.T) {
	t.Parallel()
	s := newShard(t, 0)
	p := s.open(s.cluster.DSN(database))
	for range 3 {
		edit(t, p, "often")
	}
	edit(t, p, "once")
	edit(t, p, "last")
	caches := &audience{}
	startWorker(t, outbox.Options{
		Outboxes: []outbox.Named{{Name: "s1", Outbox: p}}, Caches: caches, Every: time.Hour, MaxBatch: 2,
	})
	testenv.Await(t, "caches get all edits", func() bool { version, _ := caches.versions("last"); return version == 2 })
	if version, times := caches.versions("often"); version != 4 || times != 2 {
		t.Errorf("caches got version %d, %d times, want 4, twice", version, times)
	}
}

// TestFrozenWorker checks that another process takes over the outbox from a process that
// hangs, and that a late acknowledgement of the first does no harm.
func TestFrozenWorker(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newShard(t, 0)
	one, other := s.open(s.cluster.DSN(database)), s.open(s.cluster.DSN(database))
	frozen, awake := &audience{began: make(chan struct{}), hold: make(chan struct{})}, &audience{}
	newWorker(t, one, frozen, nil)
	edit(t, one, "abc")
	testenv.Await(t, "the first process delivers", func() bool {
		select {
		case <-frozen.began:
			return true
		default:
			return false
		}
	})
	_, err := other.Deliver(t.Context(), store.Caches, 1, awake.Invalidate)
	if !errors.Is(err, store.ErrBusy) {
		t.Errorf("Deliver during the delivery of the first process = %v, want %v", err, store.ErrBusy)
	}
	newWorker(t, other, awake, nil)
	took := testenv.Await(t, "the other process delivers", func() bool { version, _ := awake.versions("abc"); return version == 2 })
	t.Logf("the other process delivered after %v", took)
	close(frozen.hold)
	testenv.Await(t, "the outbox is empty", func() bool { return empty(t, other, store.Caches) })
}

// TestThroughPgBouncer checks deliveries through a pooler in transaction mode.
func TestThroughPgBouncer(t *testing.T) {
	t.Parallel()
	s := newShard(t, 0)
	pooler := testenv.NewPgBouncer(t, s.cluster.Primary())
	p := s.open(pooler.DSN(database) + "&default_query_exec_mode=cache_describe")
	caches := &audience{}
	newWorker(t, p, caches, nil)
	newWorker(t, p, caches, nil)
	for _, code := range []string{"a", "b", "c"} {
		edit(t, p, code)
	}
	for _, code := range []string{"a", "b", "c"} {
		testenv.Await(t, "caches get the edit", func() bool { version, _ := caches.versions(code); return version == 2 })
	}
	testenv.Await(t, "the outbox is empty", func() bool { return empty(t, p, store.Caches) })
}

// TestReplicaThatStandsStill checks that caches get the repeat only after the replica
// shows the edit.
func TestReplicaThatStandsStill(t *testing.T) {
	t.Parallel()
	s := newShard(t, 1)
	p := s.open(s.cluster.DSN(database))
	replica := s.cluster.Replicas()[0]
	if err := replica.PauseReplay(t.Context()); err != nil {
		t.Fatal(err)
	}
	caches := &audience{}
	newWorker(t, p, caches, nil)
	edit(t, p, "abc")
	testenv.Await(t, "caches get the edit", func() bool { version, _ := caches.versions("abc"); return version == 2 })
	for began := time.Now(); time.Since(began) < time.Second; time.Sleep(50 * time.Millisecond) {
		if _, times := caches.versions("abc"); times != 1 {
			t.Fatalf("caches got the edit %d times before the replica shows it", times)
		}
	}
	if err := replica.ResumeReplay(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "caches get the repeat", func() bool { _, times := caches.versions("abc"); return times == 2 })
	testenv.Await(t, "the outbox is empty", func() bool { return empty(t, p, store.Caches) })
}
