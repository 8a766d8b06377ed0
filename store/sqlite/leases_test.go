package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/idgen/leasetest"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// clock is a clock that tests move.
type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time { return time.UnixMicro(c.micros.Load()).UTC() }

func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// openAt opens an empty database with its own clock.
func openAt(t *testing.T) (*sqlite.Store, *clock) {
	t.Helper()
	c := &clock{}
	c.micros.Store(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC).UnixMicro())
	return sqlitetest.Open(t, func(o *sqlite.Options) { o.Now = c.now }), c
}

// TestLeaser runs the conformance tests of idgen.Leaser.
func TestLeaser(t *testing.T) {
	t.Parallel()
	leasetest.TestLeaser(t, func(t testing.TB) (a, b idgen.Leaser, advance func(time.Duration)) {
		t.Helper()
		var ahead atomic.Int64
		start := time.Now()
		database, err := sqlite.Open(context.Background(), sqlite.Options{
			Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return start.Add(time.Duration(ahead.Load())) },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := database.Close(); err != nil {
				t.Error(err)
			}
		})
		return database.Leases(), database.Leases(), func(d time.Duration) { ahead.Add(int64(d)) }
	})
}

const ttl = 30 * time.Second

// leaveFree leases all node ids except the first n, without an end.
func leaveFree(t *testing.T, s *sqlite.Store, n int) {
	t.Helper()
	_, err := s.Writer().ExecContext(t.Context(),
		`UPDATE node_leases SET holder = 'somebody', leased_until = ? WHERE node >= ?`, math.MaxInt64, n)
	if err != nil {
		t.Fatal(err)
	}
}

func TestThereAre512NodeIDs(t *testing.T) {
	t.Parallel()
	var n, first, last int
	row := sqlitetest.Open(t).Lists().QueryRowContext(t.Context(), `SELECT count(*), min(node), max(node) FROM node_leases`)
	if err := row.Scan(&n, &first, &last); err != nil || n != 512 || first != 0 || last != 511 {
		t.Errorf("%d node ids from %d to %d, %v, want 512 from 0 to 511", n, first, last, err)
	}
}

func acquire(t *testing.T, l *sqlite.Leases) (node int64, floor time.Time) {
	t.Helper()
	node, floor, err := l.Acquire(t.Context(), ttl)
	if err != nil || node < 0 || node > 511 {
		t.Fatalf("Acquire() = %d, %v, want 0 to 511", node, err)
	}
	return node, floor
}

// acquireNode leases node ids until it gets want, and returns the floor of want.
func acquireNode(t *testing.T, l *sqlite.Leases, want int64) (floor time.Time) {
	t.Helper()
	for range 512 {
		if node, floor := acquire(t, l); node == want {
			return floor
		}
	}
	t.Fatalf("Acquire() never returned node %d, want it to be free", want)
	return time.Time{}
}

func wantRenew(t *testing.T, l *sqlite.Leases, node int64, used time.Time, want bool) {
	t.Helper()
	if held, err := l.Renew(t.Context(), node, used, ttl); err != nil || held != want {
		t.Errorf("Renew(%d) = %v, %v, want %v", node, held, err, want)
	}
}

func TestLeasesExclude(t *testing.T) {
	t.Parallel()
	s, clock := openAt(t)
	leaveFree(t, s, 4)
	a, b := s.Leases(), s.Leases()
	node, floor := acquire(t, a)
	if !floor.IsZero() {
		t.Errorf("Acquire() = floor %v, want the zero time for a new node id", floor)
	}
	used := clock.now().Add(time.Second)
	wantRenew(t, a, node, used, true)
	wantRenew(t, b, node, used.Add(time.Hour), false)
	if err := b.Release(t.Context(), node, used.Add(time.Hour)); err != nil {
		t.Errorf("Release() of another holder's node = %v, want nil", err)
	}
	if other, _ := acquire(t, b); other == node {
		t.Errorf("Acquire() = node %d, want one that is free", other)
	}
	clock.advance(ttl)
	wantRenew(t, a, node, used, true) // late, but no other holder took it
	clock.advance(ttl)
	if floor := acquireNode(t, b, node); !floor.Equal(used) {
		t.Errorf("Acquire() = node %d, floor %v, want the recorded %v", node, floor, used)
	}
	wantRenew(t, a, node, used, false)
}

func TestReleaseRecordsWhatWasUsed(t *testing.T) {
	t.Parallel()
	s, clock := openAt(t)
	leaveFree(t, s, 4)
	a := s.Leases()
	node, _ := acquire(t, a)
	wantRenew(t, a, node, clock.now().Add(time.Hour), true)
	used := clock.now().Add(-time.Millisecond)
	if err := a.Release(t.Context(), node, used); err != nil {
		t.Fatalf("Release() = %v, want nil", err)
	}
	if floor := acquireNode(t, s.Leases(), node); !floor.Equal(used) {
		t.Errorf("Acquire() = node %d, floor %v, want %v", node, floor, used)
	}
}

func TestLeasesAreLimitedAndAvoidFutureFloors(t *testing.T) {
	t.Parallel()
	s, clock := openAt(t)
	leaveFree(t, s, 34)
	a := s.Leases()
	far, _ := acquire(t, a)
	near, _ := acquire(t, a)
	for node, floor := range map[int64]time.Time{
		far: clock.now().Add(2 * time.Hour), near: clock.now().Add(time.Hour),
	} {
		if err := a.Release(t.Context(), node, floor); err != nil {
			t.Fatalf("Release() = %v, want nil", err)
		}
	}
	var seen [512]atomic.Bool
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			node, _, err := a.Acquire(t.Context(), ttl)
			if err != nil || seen[node].Swap(true) || node == far || node == near {
				t.Errorf("Acquire() = %d, %v, want an unused node with a floor in the past", node, err)
			}
		})
	}
	wg.Wait()
	for _, want := range []int64{near, far} {
		if node, _ := acquire(t, a); node != want {
			t.Errorf("Acquire() = %d, want %d with the earliest floor", node, want)
		}
	}
	if node, _, err := a.Acquire(t.Context(), ttl); err == nil {
		t.Errorf("Acquire() when all node ids are leased = %d, want an error", node)
	}
}

func TestSecretIsMadeOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	errMake := errors.New("no entropy")
	if _, err := s.Secret(t.Context(), "key", func() ([]byte, error) { return nil, errMake }); !errors.Is(err, errMake) {
		t.Errorf("Secret() = %v, want %v", err, errMake)
	}
	got := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			got[i], err = s.Secret(t.Context(), "key", func() ([]byte, error) { return []byte{byte(i)}, nil })
			if err != nil {
				t.Errorf("Secret() = %v, want nil", err)
			}
		})
	}
	wg.Wait()
	kept, err := open(t, dir).Secret(t.Context(), "key", func() ([]byte, error) { return nil, errMake })
	if err != nil {
		t.Fatalf("Secret() = %v, want the stored secret", err)
	}
	for _, value := range got {
		if !bytes.Equal(value, kept) {
			t.Errorf("Secret() = %v, want %v for every caller", value, kept)
		}
	}
}

func TestOldReservationNoLongerStands(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	first := store.Reservation{Owner: "o", Key: "k", Fingerprint: "f", Code: "first", CreatedAt: childLink("").CreatedAt}
	second := first
	second.Code, second.CreatedAt = "second", first.CreatedAt.Add(store.ReservationTTL+time.Microsecond)
	for _, r := range []store.Reservation{first, second} {
		if got, err := s.Reserve(t.Context(), r); err != nil || got != r {
			t.Errorf("Reserve() = %+v, %v, want %+v", got, err, r)
		}
	}
}

// TestOldReservationsAreForgotten counts the remaining rows.
func TestOldReservationsAreForgotten(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	at := childLink("").CreatedAt
	reserve := func(i int) {
		r := store.Reservation{Owner: "o", Key: string(rune('a' + i)), Code: "c", CreatedAt: at}
		if _, err := s.Reserve(t.Context(), r); err != nil {
			t.Errorf("Reserve() = %v, want nil", err)
		}
	}
	for i := range 6 {
		reserve(i)
	}
	at = at.Add(2 * store.ReservationTTL)
	for i := range 2 {
		reserve(10 + i)
	}
	var left int
	if err := s.Lists().QueryRowContext(t.Context(), "SELECT count(*) FROM reservations").Scan(&left); err != nil || left != 2 {
		t.Errorf("%d reservations remain, %v, want 2", left, err)
	}
}
