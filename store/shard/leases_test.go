package shard_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/terse/terse/idgen"
	"github.com/terse/terse/idgen/leasetest"
	"github.com/terse/terse/store/shard"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// lessor leases node ids from an embedded store. A test can make it fail.
type lessor struct {
	shard.Leaser
	dead atomic.Bool
	hung atomic.Bool // Acquire waits until its context ends
}

var errDead = errors.New("leases are unreachable")

func (l *lessor) Acquire(ctx context.Context, ttl time.Duration) (int64, time.Time, error) {
	switch {
	case l.dead.Load():
		return 0, time.Time{}, errDead
	case l.hung.Load():
		<-ctx.Done()
		return 0, time.Time{}, ctx.Err()
	}
	return l.Leaser.Acquire(ctx, ttl)
}

func (l *lessor) Renew(ctx context.Context, node int64, used time.Time, ttl time.Duration) (bool, error) {
	if l.dead.Load() {
		return false, errDead
	}
	return l.Leaser.Renew(ctx, node, used, ttl)
}

// office is three stores that lease node ids: store n mod 3 leases node n. Their clock moves
// only by advance.
type office struct {
	stores []*sqlite.Store
	clock  atomic.Int64 // Unix microseconds
}

func (o *office) now() time.Time { return time.UnixMicro(o.clock.Load()) }

func (o *office) advance(d time.Duration) { o.clock.Add(d.Microseconds()) }

func newOffice(tb testing.TB) *office {
	tb.Helper()
	o := &office{}
	o.advance(time.Duration(time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC).UnixNano()))
	for i := range 3 {
		dir := tb.TempDir()
		s := sqlitetest.Open(tb, func(opts *sqlite.Options) { opts.Dir, opts.Now = dir, o.now })
		keepNodes(tb, dir, i)
		o.stores = append(o.stores, s)
	}
	return o
}

// keepNodes removes the node ids of other stores from a database.
func keepNodes(tb testing.TB, dir string, i int) {
	tb.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "terse.db"))
	if err != nil {
		tb.Fatal(err)
	}
	_, err = db.ExecContext(tb.Context(), "DELETE FROM node_leases WHERE node % 3 <> ?", i)
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
}

// holder returns leases for a new holder, and the lessors behind them.
func (o *office) holder(tb testing.TB) (*shard.Leases, []*lessor) {
	tb.Helper()
	opts := shard.Options{Logger: slog.New(slog.DiscardHandler), RefreshEvery: time.Hour, Now: o.now}
	var lessors []*lessor
	for i, s := range o.stores {
		l := &lessor{Leaser: s.Leases()}
		lessors = append(lessors, l)
		opts.Shards = append(opts.Shards, shard.Named{Name: fmt.Sprintf("s%d", i+1), Shard: &member{Store: s}, Leaser: l})
	}
	r, err := shard.New(opts)
	if err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	tb.Cleanup(r.Close)
	return r.Leaser(), lessors
}

func TestLeaser(t *testing.T) {
	t.Parallel()
	leasetest.TestLeaser(t, func(tb testing.TB) (a, b idgen.Leaser, advance func(time.Duration)) {
		o := newOffice(tb)
		first, _ := o.holder(tb)
		second, _ := o.holder(tb)
		return first, second, o.advance
	})
}

const ttl = 30 * time.Second

func TestLeasesWithDeadShards(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	leases, lessors := o.holder(t)
	lessors[0].dead.Store(true)
	lessors[2].hung.Store(true)
	var node int64
	for range 6 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var err error
		if node, _, err = leases.Acquire(ctx, ttl); err != nil || node%3 != 1 {
			t.Fatalf("Acquire() = %d, %v, want a node id of s2", node, err)
		}
	}
	used := time.Now()
	if held, err := leases.Renew(t.Context(), node, used, ttl); err != nil || !held {
		t.Errorf("Renew(%d) = %v, %v, want true", node, held, err)
	}
	lessors[1].dead.Store(true)
	_, err := leases.Renew(t.Context(), node, used, ttl)
	wantErrorText(t, "Renew()", err, "shard s2: ")
	lessors[2].hung.Store(false)
	lessors[2].dead.Store(true)
	_, _, err = leases.Acquire(t.Context(), ttl)
	wantErrorText(t, "Acquire()", err, "shard s1: ", "shard s2: ", "shard s3: ")
}

// TestLeasesOfNobody renews and releases a node id that was never granted.
func TestLeasesOfNobody(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	leases, _ := o.holder(t)
	if held, err := leases.Renew(t.Context(), 7, time.Now(), ttl); held || err != nil {
		t.Errorf("Renew() of a node id that was never granted = %v, %v, want false", held, err)
	}
	if err := leases.Release(t.Context(), 7, time.Now()); err != nil {
		t.Errorf("Release() of a node id that was never granted = %v, want nil", err)
	}
}

// TestLeasesSpread checks that node ids come from all shards.
func TestLeasesSpread(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	leases, _ := o.holder(t)
	var from [3]int
	for range 60 {
		node, _, err := leases.Acquire(t.Context(), ttl)
		if err != nil {
			t.Fatalf("Acquire() = %v, want nil", err)
		}
		from[node%3]++
	}
	for i, n := range from {
		if n == 0 {
			t.Errorf("Acquire() = %d node ids of s%d, want some: %v", n, i+1, from)
		}
	}
}
