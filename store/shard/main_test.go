package shard_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/shard"
)

// The Redis client retries an unreachable server every second, also once after it was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// group is a Router over shards s1, s2, … that reads the map only when Load or a moved bucket
// demands it.
type group struct {
	*shard.Router
	members []*member
}

// newGroup returns a group of n shards. Shard b mod n owns bucket b. change may change the
// options.
func newGroup(tb testing.TB, n int, change ...func(*shard.Options)) *group {
	tb.Helper()
	g := &group{}
	opts := shard.Options{Logger: slog.New(slog.DiscardHandler), RefreshEvery: time.Hour}
	for i := range n {
		m := newMember(tb)
		for b := i; b < store.Buckets; b += n {
			m.owned[b] = 1
		}
		g.members = append(g.members, m)
		opts.Shards = append(opts.Shards, shard.Named{Name: fmt.Sprintf("s%d", i+1), Shard: m, Leaser: m.Leases()})
	}
	for _, change := range change {
		change(&opts)
	}
	var err error
	if g.Router, err = shard.New(opts); err != nil {
		tb.Fatalf("New() = %v, want nil", err)
	}
	tb.Cleanup(g.Close)
	return g
}

// loaded returns a group that has read its map.
func loaded(tb testing.TB, n int, change ...func(*shard.Options)) *group {
	tb.Helper()
	g := newGroup(tb, n, change...)
	if err := g.Load(tb.Context()); err != nil {
		tb.Fatalf("Load() = %v, want nil", err)
	}
	return g
}

// move makes to the owner of bucket b. It moves no links.
func (g *group) move(b, from, to int) {
	epoch := g.members[from].lose(b)
	g.members[to].gain(b, epoch+1)
}

// newLink returns a link with a code for the given shard of a group of n.
func newLink(n, on int) store.Link {
	l := store.Link{
		URL: "https://example.com/", Owner: store.NewKeyID(), Status: 302,
		CreatedAt: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
	}
	l.UpdatedAt = l.CreatedAt
	for l.Code == "" || store.BucketOf(l.Code)%n != on {
		l.Code = store.NewKeyID()
	}
	return l
}

func mustCreate(tb testing.TB, s store.Store, l store.Link) store.Link {
	tb.Helper()
	created, err := s.Create(tb.Context(), l)
	if err != nil {
		tb.Fatalf("Create(%q) = %v, want nil", l.Code, err)
	}
	return created
}
