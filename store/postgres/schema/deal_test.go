//go:build unix

package schema_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/terse/terse/store/postgres/schema"
)

var dealTests = map[string]func(*testing.T, *cluster){
	"EveryBucketOnce":         everyBucketOnce,
	"SharesAreRuns":           sharesAreRuns,
	"CompletesADeal":          completesADeal,
	"AddsAShard":              addsAShard,
	"OverlappingDeals":        overlappingDeals,
	"DealAfterAnAbandonedOne": dealAfterAnAbandonedOne,
}

func everyBucketOnce(t *testing.T, c *cluster) {
	for _, n := range []int{1, 2, 3, 5, 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			var targets []schema.Target
			for i := range n {
				targets = append(targets, c.target(t, fmt.Sprintf("s%d", i)))
			}
			up(t, targets...)
			dealtOnce(t, targets...)
			for _, target := range targets {
				got := query[int](t, target, "SELECT count(*) FROM buckets")
				if least := 4096 / n; got < least || got > least+1 {
					t.Errorf("%s has %d buckets of %d shards, want %d or one more", target.Name, got, n, least)
				}
			}
		})
	}
}

// sharesAreRuns pins the shares of a deal. Of n shards sorted by name, shard i gets
// bucket b if i is b*n/4096, and node id k if i is k*n/512.
func sharesAreRuns(t *testing.T, c *cluster) {
	targets := c.targets(t, "west", "east", "north")
	up(t, targets...)
	sorted := []schema.Target{targets[1], targets[2], targets[0]}
	for i, target := range sorted {
		for _, thing := range []struct {
			sql   string
			total int
		}{
			{"SELECT bucket FROM buckets", 4096},
			{"SELECT node FROM node_leases", 512},
		} {
			var want []int
			for b := range thing.total {
				if b*len(sorted)/thing.total == i {
					want = append(want, b)
				}
			}
			if got := numbers(t, thing.sql, target); !slices.Equal(got, want) {
				t.Errorf("%s on %s = %d numbers, want %d to %d", thing.sql, target.Name, len(got), want[0], want[len(want)-1])
			}
		}
	}
}

func completesADeal(t *testing.T, c *cluster) {
	const (
		untell  = "DELETE FROM shard"
		unshare = "DELETE FROM buckets; DELETE FROM node_leases"
		unend   = "UPDATE shard SET dealt = false"
	)
	for _, tt := range []struct {
		name   string
		undone [3][]string // by shard
	}{
		{"one has recorded the names", [3][]string{{unshare, unend}, {unshare, untell}, {unshare, untell}}},
		{"all have recorded the names", [3][]string{{unshare, unend}, {unshare, unend}, {unshare, unend}}},
		{"two have their share", [3][]string{{unend}, {unend}, {unshare, unend}}},
		{"all have their share", [3][]string{{unend}, {unend}, {unend}}},
		{"one has recorded the end", [3][]string{nil, {unend}, {unend}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			targets := c.targets(t, "s1", "s2", "s3")
			up(t, targets...)
			for i, statements := range tt.undone {
				execute(t, targets[i], statements...)
			}
			up(t, targets...)
			dealtOnce(t, targets...)
		})
	}
}

func addsAShard(t *testing.T, c *cluster) {
	targets := c.targets(t, "s2", "s3")
	up(t, targets...)
	added := c.target(t, "s1")
	up(t, append(targets, added)...)
	dealtOnce(t, append(targets, added)...)
	if got := numbers(t, "SELECT bucket FROM buckets UNION ALL SELECT node FROM node_leases", added); len(got) != 0 {
		t.Errorf("an added shard has buckets or node ids %v, want none", got)
	}
	want := []string{"s2", "s3"}
	if got := query[[]string](t, added, "SELECT dealt_among FROM shard"); !slices.Equal(got, want) {
		t.Errorf("dealt_among of the added shard = %v, want %v", got, want)
	}
	up(t, append(targets, added)...)
	// A moved bucket stays on its new shard, and the run fails if that shard has lost its
	// database.
	execute(t, added, "INSERT INTO buckets VALUES (7, 'owned', 2)")
	execute(t, targets[0], "UPDATE buckets SET state = 'moved', epoch = 2 WHERE bucket = 7")
	up(t, append(targets, added)...)
	if got := query[string](t, targets[0], "SELECT state FROM buckets WHERE bucket = 7"); got != "moved" {
		t.Errorf("state of a bucket that was moved = %s, want moved", got)
	}
	empty := c.target(t, "s1")
	err := migrator(t, append(targets, empty)...).Up(t.Context())
	refused(t, "Up() without what was added", err, "own 4095 of 4096 buckets", "s1")
}

// overlappingDeals checks that no bucket is assigned twice by concurrent runs with
// different shards.
func overlappingDeals(t *testing.T, c *cluster) {
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			targets := c.targets(t, "s1", "s2", "s3", "s4")
			s1, s2, s3, s4 := targets[0], targets[1], targets[2], targets[3]
			var all sync.WaitGroup
			var mu sync.Mutex
			succeeded := 0
			for _, some := range [][]schema.Target{{s1, s2, s3}, {s2, s4}, {s4, s3, s2, s1}, {s3, s2}} {
				m := migrator(t, some...)
				all.Go(func() {
					err := m.Up(t.Context())
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						succeeded++
					}
				})
			}
			all.Wait()
			if succeeded == 0 {
				t.Error("no run succeeded, want the first one to succeed")
			}
			for _, target := range targets { // targets of a rejected run may have no schema
				execute(t, target, "CREATE TABLE IF NOT EXISTS buckets (bucket smallint)")
			}
			once(t, "buckets", numbers(t, "SELECT bucket FROM buckets", targets...), 4096)
		})
	}
}

// dealAfterAnAbandonedOne interrupts a deal and starts a deal with other shards. At
// most one of them may assign buckets.
func dealAfterAnAbandonedOne(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3", "s4")
	up(t, targets[3]) // for its schema
	execute(t, targets[3], "DELETE FROM shard", "DELETE FROM buckets", "DELETE FROM node_leases")
	up(t, targets[:3]...)
	execute(t, targets[0], "DELETE FROM buckets", "DELETE FROM node_leases", "UPDATE shard SET dealt = false")
	for _, target := range targets[1:3] {
		execute(t, target, "DELETE FROM shard", "DELETE FROM buckets", "DELETE FROM node_leases")
	}
	up(t, targets[1], targets[3])
	err := migrator(t, targets[:3]...).Up(t.Context())
	refused(t, "Up()", err, "do not belong together", "s1, s2, s3", "s2, s4")
	once(t, "buckets", numbers(t, "SELECT bucket FROM buckets", targets...), 4096)
}
