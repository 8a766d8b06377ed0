// Package leasetest is the conformance suite of [idgen.Leaser], for tests of the
// packages that implement it.
package leasetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/idgen"
)

// ttl is the length of the leases in this suite.
const ttl = 30 * time.Second

// margin is how long before its end the suite checks a lease. A busy machine may need
// seconds between two calls.
const margin = 15 * time.Second

// Timestamps in the past and in the future of any test machine's clock. They have
// milliseconds, because every millisecond must be stored.
var (
	past   = time.Date(2001, time.February, 3, 4, 5, 6, 789e6, time.UTC)
	future = time.Date(2201, time.February, 3, 4, 5, 6, 789e6, time.UTC)
)

// Open returns two holders of the same new, empty leases, and a function that advances
// the clock of the leases. It registers its cleanup with t.Cleanup.
type Open func(t testing.TB) (a, b idgen.Leaser, advance func(time.Duration))

// TestLeaser runs the suite. Each subtest opens its own leases.
func TestLeaser(t *testing.T, open Open) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, open Open)
	}{
		{"node ids are distinct", testDistinct},
		{"node ids are distinct under concurrency", testConcurrent},
		{"first floor is zero", testFirstFloor},
		{"lease excludes others until it expires", testExclusion},
		{"renewal extends the lease", testRenewExtends},
		{"expired lease is held until it is taken", testRenewLate},
		{"stranger cannot renew or release", testStranger},
		{"former holder cannot renew or release", testFormerHolder},
		{"floor is the renewed timestamp", testFloorOfRenew},
		{"floor outlives a holder that used nothing", testFloorOutlives},
		{"release replaces the floor", testFloorOfRelease},
		{"future floor is avoided", testFutureFloor},
		{"all node ids held is an error", testExhaustion},
		{"ended context is an error", testContext},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, open)
		})
	}
}

// acquire leases any free node id.
func acquire(t *testing.T, l idgen.Leaser) (node int64, floor time.Time) {
	t.Helper()
	node, floor, err := l.Acquire(t.Context(), ttl)
	if err != nil {
		t.Fatalf("Acquire() = %v, want a node id", err)
	}
	if node < 0 || node >= idgen.Nodes {
		t.Fatalf("Acquire() = node %d, want 0 to %d", node, idgen.Nodes-1)
	}
	return node, floor
}

// acquireNode leases node ids until it gets want, and returns the floor of want.
func acquireNode(t *testing.T, l idgen.Leaser, want int64) (floor time.Time) {
	t.Helper()
	for range idgen.Nodes {
		if node, floor := acquire(t, l); node == want {
			return floor
		}
	}
	t.Fatalf("Acquire() never returned node %d, want it to be free", want)
	return time.Time{}
}

// renew calls Renew and checks its result.
func renew(t *testing.T, l idgen.Leaser, node int64, used time.Time, want bool) {
	t.Helper()
	held, err := l.Renew(t.Context(), node, used, ttl)
	if err != nil || held != want {
		t.Fatalf("Renew(%d) = %v, %v, want %v", node, held, err, want)
	}
}

func release(t *testing.T, l idgen.Leaser, node int64, used time.Time) {
	t.Helper()
	if err := l.Release(t.Context(), node, used); err != nil {
		t.Fatalf("Release(%d) = %v, want nil", node, err)
	}
}

// drain leases all free node ids and returns how often each was leased.
func drain(t *testing.T, l idgen.Leaser) map[int64]int {
	t.Helper()
	given := make(map[int64]int)
	for range idgen.Nodes + 1 {
		node, _, err := l.Acquire(t.Context(), ttl)
		if err != nil {
			return given
		}
		given[node]++
	}
	t.Fatalf("Acquire() leased more than %d node ids", idgen.Nodes)
	return nil
}

func testDistinct(t *testing.T, open Open) {
	a, b, _ := open(t)
	first, _ := acquire(t, a)
	second, _ := acquire(t, b)
	third, _ := acquire(t, a)
	if first == second || second == third || first == third {
		t.Errorf("Acquire() = nodes %d, %d, %d, want different nodes", first, second, third)
	}
}

func testConcurrent(t *testing.T, open Open) {
	a, b, _ := open(t)
	const each = 16
	nodes := make(chan int64, 2*each)
	var wg sync.WaitGroup
	for _, l := range []idgen.Leaser{a, b} {
		for range each {
			wg.Go(func() {
				node, _, err := l.Acquire(t.Context(), ttl)
				if err != nil {
					t.Errorf("Acquire() = %v, want a node id", err)
				}
				nodes <- node
			})
		}
	}
	wg.Wait()
	close(nodes)
	seen := make(map[int64]bool)
	for node := range nodes {
		if seen[node] {
			t.Errorf("Acquire() leased node %d twice", node)
		}
		seen[node] = true
	}
}

func testFirstFloor(t *testing.T, open Open) {
	a, _, _ := open(t)
	if node, floor := acquire(t, a); !floor.IsZero() {
		t.Errorf("Acquire() = node %d, floor %v, want the zero time", node, floor)
	}
}

func testExclusion(t *testing.T, open Open) {
	a, b, advance := open(t)
	node, _ := acquire(t, a)
	advance(ttl - margin)
	if given := drain(t, b); given[node] != 0 {
		t.Errorf("node %d was leased before its lease expired", node)
	}
	advance(margin + time.Second)
	acquireNode(t, b, node)
}

func testRenewExtends(t *testing.T, open Open) {
	a, b, advance := open(t)
	node, _ := acquire(t, a)
	for range 3 {
		advance(ttl / 2)
		renew(t, a, node, past, true)
	}
	advance(ttl - margin)
	if given := drain(t, b); given[node] != 0 {
		t.Errorf("node %d was leased before its renewed lease expired", node)
	}
}

func testRenewLate(t *testing.T, open Open) {
	a, b, advance := open(t)
	node, _ := acquire(t, a)
	advance(2 * ttl)
	renew(t, a, node, past, true)
	if given := drain(t, b); given[node] != 0 {
		t.Errorf("node %d was leased after a late renewal", node)
	}
}

func testStranger(t *testing.T, open Open) {
	a, b, advance := open(t)
	node, _ := acquire(t, a)
	renew(t, a, node, past, true)
	renew(t, b, node, future, false)
	release(t, b, node, future)
	if given := drain(t, b); given[node] != 0 {
		t.Errorf("node %d was leased after another holder tried to release it", node)
	}
	advance(2 * ttl)
	if floor := acquireNode(t, b, node); !floor.Equal(past) {
		t.Errorf("floor = %v, want its holder's %v", floor, past)
	}
}

func testFormerHolder(t *testing.T, open Open) {
	a, b, advance := open(t)
	node, _ := acquire(t, a)
	advance(2 * ttl)
	acquireNode(t, b, node)
	renew(t, b, node, past, true)

	renew(t, a, node, future, false)
	release(t, a, node, future)
	renew(t, b, node, past, true)

	release(t, b, node, past)
	renew(t, b, node, future, false)
	if floor := acquireNode(t, a, node); !floor.Equal(past) {
		t.Errorf("floor = %v, want its last holder's %v", floor, past)
	}
}

func testFloorOfRenew(t *testing.T, open Open) {
	a, b, advance := open(t)
	node, _ := acquire(t, a)
	renew(t, a, node, past, true)
	used := past.Add(time.Millisecond)
	renew(t, a, node, used, true)
	advance(2 * ttl)
	if floor := acquireNode(t, b, node); !floor.Equal(used) {
		t.Errorf("floor = %v, want %v", floor, used)
	}
}

func testFloorOutlives(t *testing.T, open Open) {
	a, b, advance := open(t)
	node, _ := acquire(t, a)
	renew(t, a, node, past, true)
	advance(2 * ttl)
	acquireNode(t, b, node)
	advance(2 * ttl)
	if floor := acquireNode(t, a, node); !floor.Equal(past) {
		t.Errorf("floor = %v, want %v", floor, past)
	}
}

func testFloorOfRelease(t *testing.T, open Open) {
	a, b, _ := open(t)
	node, _ := acquire(t, a)
	renew(t, a, node, future, true)
	release(t, a, node, past)
	if floor := acquireNode(t, b, node); !floor.Equal(past) {
		t.Errorf("floor = %v, want %v", floor, past)
	}
}

func testFutureFloor(t *testing.T, open Open) {
	a, b, _ := open(t)
	node, _ := acquire(t, a)
	release(t, a, node, future)
	for range idgen.Nodes - 1 {
		if other, _ := acquire(t, b); other == node {
			t.Fatalf("Acquire() = node %d with a floor in the future, want another node", node)
		}
	}
	if last, floor := acquire(t, b); last != node || !floor.Equal(future) {
		t.Errorf("Acquire() = node %d, floor %v, want the last free node %d, floor %v", last, floor, node, future)
	}
}

func testExhaustion(t *testing.T, open Open) {
	a, b, advance := open(t)
	if given := drain(t, a); len(given) != idgen.Nodes {
		t.Errorf("Acquire() leased %d node ids before it failed, want %d", len(given), idgen.Nodes)
	}
	if node, _, err := b.Acquire(t.Context(), ttl); err == nil {
		t.Errorf("Acquire() = node %d, want an error while all node ids are held", node)
	}
	advance(2 * ttl)
	acquire(t, b)
}

func testContext(t *testing.T, open Open) {
	a, _, _ := open(t)
	node, _ := acquire(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := a.Acquire(ctx, ttl); err == nil {
		t.Error("Acquire() = nil, want an error")
	}
	if _, err := a.Renew(ctx, node, past, ttl); err == nil {
		t.Error("Renew() = nil, want an error")
	}
	if err := a.Release(ctx, node, past); err == nil {
		t.Error("Release() = nil, want an error")
	}
}
