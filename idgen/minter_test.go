package idgen_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/internal/testenv"
)

// ttl is the default TTL of a lease.
const ttl = 30 * time.Second

// newMinter returns a Minter and closes it when the test ends.
func newMinter(tb testing.TB, opts idgen.Options) *idgen.Minter {
	tb.Helper()
	m, err := idgen.NewMinter(tb.Context(), opts)
	if err != nil {
		tb.Fatalf("NewMinter() = %v, want a minter", err)
	}
	tb.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

// mint mints n ids.
func mint(tb testing.TB, m *idgen.Minter, n int) []idgen.ID {
	tb.Helper()
	ids := make([]idgen.ID, n)
	for i := range ids {
		id, err := m.Next()
		if err != nil {
			tb.Fatalf("Next() = %v, want an id", err)
		}
		ids[i] = id
	}
	return ids
}

// refuses checks that Next returns the error want.
func refuses(tb testing.TB, m *idgen.Minter, want error) {
	tb.Helper()
	if id, err := m.Next(); !errors.Is(err, want) {
		tb.Fatalf("Next() = %d, %v, want %v", id, err, want)
	}
}

// eventually waits until m mints an id, and returns it.
func eventually(tb testing.TB, m *idgen.Minter) idgen.ID {
	tb.Helper()
	var id idgen.ID
	testenv.Await(tb, "Next() to return an id", func() (ok bool) {
		var err error
		id, err = m.Next()
		return err == nil
	})
	return id
}

// distinct checks that no id occurs twice.
func distinct(tb testing.TB, ids ...[]idgen.ID) {
	tb.Helper()
	all := slices.Sorted(slices.Values(slices.Concat(ids...)))
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) {
		tb.Errorf("%d of %d ids are duplicates", len(all)-n, len(all))
	}
}

func TestNextIncreases(t *testing.T) {
	t.Parallel()
	start := time.Now().Truncate(time.Millisecond)
	m := newMinter(t, idgen.Options{Leaser: idgen.NewMemoryLeases(nil).Holder()})
	var before idgen.ID
	for _, id := range mint(t, m, 10_000) {
		if id <= before {
			t.Fatalf("Next() = %d after %d, want it greater", id, before)
		}
		if id.Node() != 0 {
			t.Errorf("Node() = %d, want 0", id.Node())
		}
		before = id
	}
	if last := before.Time(); last.Before(start) || last.After(time.Now()) {
		t.Errorf("Time() = %v, want it between %v and now", last, start)
	}
}

func TestIDLayout(t *testing.T) {
	t.Parallel()
	epoch := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		id       idgen.ID
		wantTime time.Time
		wantNode int64
	}{
		{0, epoch, 0},
		{1<<16 | 1<<7 | 1, epoch.Add(time.Millisecond), 1},
		{1<<16 - 1, epoch, 511},
		{1<<63 - 1, time.UnixMilli(epoch.UnixMilli() + 1<<47 - 1), 511},
	} {
		if got := tt.id.Time(); !got.Equal(tt.wantTime) || tt.id.Node() != tt.wantNode {
			t.Errorf("id %d has time %v and node %d, want %v and %d", tt.id, got, tt.id.Node(), tt.wantTime, tt.wantNode)
		}
	}
}

func TestNextConcurrent(t *testing.T) {
	t.Parallel()
	leases := idgen.NewMemoryLeases(nil)
	const minters, callers, each = 3, 4, 2000
	ids := make([][]idgen.ID, minters*callers)
	var wg sync.WaitGroup
	for i := range minters {
		m := newMinter(t, idgen.Options{Leaser: leases.Holder(), RenewEvery: time.Millisecond})
		for j := range callers {
			wg.Go(func() {
				for range each {
					id, err := m.Next()
					if err != nil {
						t.Errorf("Next() = %v, want an id", err)
						return
					}
					ids[i*callers+j] = append(ids[i*callers+j], id)
				}
			})
		}
	}
	wg.Wait()
	distinct(t, ids...)
}

func TestFloor(t *testing.T) {
	t.Parallel()
	leaser := &oneNode{floor: time.Now().Add(100 * time.Millisecond)}
	m := newMinter(t, idgen.Options{Leaser: leaser})
	if id := mint(t, m, 1)[0]; !id.Time().After(leaser.floor.Truncate(time.Millisecond)) {
		t.Errorf("Next() has the timestamp %v, want one after the floor %v", id.Time(), leaser.floor)
	}
}

// TestFloorHolds has ids that are behind the clock by less than the tolerated drift.
// They must be rejected until they are past the floor.
func TestFloorHolds(t *testing.T) {
	t.Parallel()
	var c clock
	c.advance(1500 * time.Millisecond)
	m := newMinter(t, idgen.Options{Leaser: &oneNode{floor: c.now().Add(-100 * time.Millisecond)}, Now: c.now})
	refuses(t, m, idgen.ErrClockBehind)
}

func TestFloorFarAhead(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{20 * time.Second, time.Hour, 200 * 365 * 24 * time.Hour} {
		leaser := &oneNode{floor: time.Now().Add(ahead)}
		m, err := idgen.NewMinter(t.Context(), idgen.Options{Leaser: leaser})
		if err != nil {
			t.Fatalf("NewMinter() with a floor in %v = %v, want a minter that rejects requests", ahead, err)
		}
		refuses(t, m, idgen.ErrClockBehind)
		refuses(t, m, idgen.ErrLeaseLost)
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
		if len(leaser.released) == 0 || !leaser.released[0].Equal(leaser.floor) {
			t.Errorf("Release() was called with %v, want the floor %v", leaser.released, leaser.floor)
		}
	}
}

func TestFloorWaitIsBounded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	leaser := &oneNode{floor: began.Add(1900 * time.Millisecond)}
	standing := func() time.Time { return began }
	if _, err := idgen.NewMinter(ctx, idgen.Options{Leaser: leaser, Now: standing}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("NewMinter() = %v, want %v", err, context.DeadlineExceeded)
	}
	if len(leaser.released) != 1 {
		t.Errorf("Release() was called %d times, want once", len(leaser.released))
	}
}

func TestNewMinterFails(t *testing.T) {
	t.Parallel()
	taken := prometheus.NewRegistry()
	newMinter(t, idgen.Options{Leaser: &oneNode{}, Registerer: taken})
	for _, tt := range []struct {
		name string
		opts idgen.Options
		want string
	}{
		{"no leaser", idgen.Options{}, "Leaser is required"},
		{"negative TTL", idgen.Options{Leaser: &oneNode{}, TTL: -1}, "must be positive"},
		{"late renewal", idgen.Options{Leaser: &oneNode{}, RenewEvery: 25 * time.Second}, "must be below TTL 30s"},
		{"wide margin", idgen.Options{Leaser: &oneNode{}, Margin: time.Minute}, "must be below TTL 30s"},
		{"metrics taken", idgen.Options{Leaser: &oneNode{}, Registerer: taken}, "duplicate metrics"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := idgen.NewMinter(t.Context(), tt.opts); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewMinter() = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	leaser := &oneNode{}
	m := newMinter(t, idgen.Options{Leaser: leaser})
	last := mint(t, m, 1000)[999]
	for range 2 {
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("Close() = %v, want nil", err)
		}
	}
	refuses(t, m, idgen.ErrLeaseLost)
	if len(leaser.released) != 1 || !leaser.released[0].Equal(last.Time()) {
		t.Errorf("Release() was called with %v, want once with %v", leaser.released, last.Time())
	}
}

func TestCloseFails(t *testing.T) {
	t.Parallel()
	r := &remote{Leaser: idgen.NewMemoryLeases(nil).Holder()}
	m := newMinter(t, idgen.Options{Leaser: r})
	r.down.Store(true)
	for range 2 {
		if err := m.Close(t.Context()); !errors.Is(err, errOutage) {
			t.Errorf("Close() = %v, want %v", err, errOutage)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	noon := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	m := newMinter(t, idgen.Options{Leaser: &oneNode{}, Registerer: reg, Now: func() time.Time { return noon }})
	mint(t, m, 3)
	const held = `
# HELP terse_idgen_lease_expiry_timestamp_seconds End of the node id lease unless it is renewed; 0 without a lease.
# TYPE terse_idgen_lease_expiry_timestamp_seconds gauge
terse_idgen_lease_expiry_timestamp_seconds 1.78031523e+09
# HELP terse_idgen_minted_total Ids minted.
# TYPE terse_idgen_minted_total counter
terse_idgen_minted_total 3
# HELP terse_idgen_node Node id of this process; -1 without a lease.
# TYPE terse_idgen_node gauge
terse_idgen_node 5
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(held), "terse_idgen_lease_expiry_timestamp_seconds", "terse_idgen_minted_total", "terse_idgen_node"); err != nil {
		t.Error(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	refuses(t, m, idgen.ErrLeaseLost)
	const closed = `
# HELP terse_idgen_lease_calls_total Calls to acquire, renew or release the node id lease, by call and result.
# TYPE terse_idgen_lease_calls_total counter
terse_idgen_lease_calls_total{call="acquire",result="error"} 0
terse_idgen_lease_calls_total{call="acquire",result="ok"} 1
terse_idgen_lease_calls_total{call="release",result="error"} 0
terse_idgen_lease_calls_total{call="release",result="ok"} 1
terse_idgen_lease_calls_total{call="renew",result="error"} 0
terse_idgen_lease_calls_total{call="renew",result="lost"} 0
terse_idgen_lease_calls_total{call="renew",result="ok"} 1
# HELP terse_idgen_lease_expiry_timestamp_seconds End of the node id lease unless it is renewed; 0 without a lease.
# TYPE terse_idgen_lease_expiry_timestamp_seconds gauge
terse_idgen_lease_expiry_timestamp_seconds 0
# HELP terse_idgen_minted_total Ids minted.
# TYPE terse_idgen_minted_total counter
terse_idgen_minted_total 3
# HELP terse_idgen_node Node id of this process; -1 without a lease.
# TYPE terse_idgen_node gauge
terse_idgen_node -1
# HELP terse_idgen_refused_total Requests for an id that were rejected, by reason.
# TYPE terse_idgen_refused_total counter
terse_idgen_refused_total{reason="clock_behind"} 0
terse_idgen_refused_total{reason="lease_lost"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(closed)); err != nil {
		t.Error(err)
	}
}

func TestNextAllocs(t *testing.T) {
	m := newMinter(t, idgen.Options{Leaser: &oneNode{}})
	if got := testing.AllocsPerRun(1000, func() { _, _ = m.Next() }); got >= 1 {
		t.Errorf("Next() allocates %v times, want 0", got)
	}
}

// BenchmarkNext has a lower limit from the layout of an ID: 128 ids a millisecond are
// 7.8 µs each.
func BenchmarkNext(b *testing.B) {
	m := newMinter(b, idgen.Options{Leaser: &oneNode{}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRefusesWithTheReason checks that a Minter without a node id reports the reason.
func TestRefusesWithTheReason(t *testing.T) {
	t.Parallel()
	m := newMinter(t, idgen.Options{Leaser: &oneNode{err: errOutage}})
	refuses(t, m, errOutage)
	refuses(t, m, idgen.ErrLeaseLost)
	refuses(t, newMinter(t, idgen.Options{Leaser: &oneNode{stolen: true}}), idgen.ErrLeaseLost)
}

// failing is a Leaser that cannot lease a node id until repaired is true.
type failing struct {
	idgen.Leaser
	repaired atomic.Bool
}

func (f *failing) Acquire(ctx context.Context, ttl time.Duration) (int64, time.Time, error) {
	if !f.repaired.Load() {
		return 0, time.Time{}, errors.New("disk is full")
	}
	return f.Leaser.Acquire(ctx, ttl)
}

// TestStartWithoutLease checks that a Minter starts when no node id can be leased,
// rejects requests until a node id is free, and then mints without a restart.
func TestStartWithoutLease(t *testing.T) {
	t.Parallel()
	leaser := &failing{Leaser: idgen.NewMemoryLeases(nil).Holder()}
	m := newMinter(t, idgen.Options{Leaser: leaser})
	refuses(t, m, idgen.ErrLeaseLost)
	leaser.repaired.Store(true)
	eventually(t, m)
}
