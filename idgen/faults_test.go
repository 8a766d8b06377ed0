package idgen_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/idgen"
)

// TestFrozenMinters freezes one process after another until its lease has expired.
// Each time another process takes over the node id. Only the last process may mint.
func TestFrozenMinters(t *testing.T) {
	t.Parallel()
	var c clock
	leases := idgen.NewMemoryLeases(c.now)
	var minters []*idgen.Minter
	var ids []idgen.ID
	for range 3 {
		m := newMinter(t, idgen.Options{
			Leaser: leases.Holder(), Now: c.now, // no renewal is due during this test
			TTL: time.Hour, RenewEvery: 45 * time.Minute, Margin: 5 * time.Minute,
		})
		minted := mint(t, m, 500)
		if node := minted[0].Node(); node != 0 {
			t.Fatalf("Node() = %d, want 0, taken over from the frozen process", node)
		}
		for _, frozen := range minters {
			refuses(t, frozen, idgen.ErrLeaseLost)
		}
		ids = append(ids, minted...)
		minters = append(minters, m)
		c.frozen.Lock()
		c.advance(time.Hour + time.Minute)
		c.frozen.Unlock()
	}
	distinct(t, ids)
}

// TestFrozenInNext freezes a process inside Next, before it reads the clock.
func TestFrozenInNext(t *testing.T) {
	t.Parallel()
	var own, others clock
	leases := idgen.NewMemoryLeases(others.now)
	r := &remote{Leaser: leases.Holder()}
	m := newMinter(t, idgen.Options{Leaser: r, Now: own.now})
	ids := mint(t, m, 10)

	own.frozen.Lock()
	r.down.Store(true)
	type answer struct {
		id  idgen.ID
		err error
	}
	answers := make(chan answer)
	go func() {
		id, err := m.Next()
		answers <- answer{id, err}
	}()
	others.advance(time.Minute)
	successor := newMinter(t, idgen.Options{Leaser: leases.Holder(), Now: others.now})
	taken := mint(t, successor, 10)
	if a, b := ids[0].Node(), taken[0].Node(); a != b {
		t.Fatalf("successor has node %d, want %d", b, a)
	}
	own.advance(time.Minute)
	own.frozen.Unlock()

	if got := <-answers; got.err == nil {
		t.Errorf("Next() = %d across the freeze, want %v", got.id, idgen.ErrLeaseLost)
	}
	distinct(t, ids, taken)
}

// TestFrozenAfterTheClock delays a process for some milliseconds between reading the
// clock and using the value. The timestamp of the id must not be later than the clock
// that the lease was checked with.
func TestFrozenAfterTheClock(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var shown time.Time
	m := newMinter(t, idgen.Options{Leaser: &oneNode{}, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		shown = time.Now()
		for time.Since(shown) < 3*time.Millisecond {
			runtime.Gosched()
		}
		return shown
	}})
	id := mint(t, m, 1)[0]
	mu.Lock()
	defer mu.Unlock()
	if id.Time().After(shown) {
		t.Errorf("Next() has the timestamp %v, want at most %v, the time of the lease check", id.Time(), shown)
	}
}

// TestSuccessorStartsLater checks why a freeze at any other moment is harmless. An id
// that the old holder returns late is lower than every id of the next holder, even
// when the next holder's clock is behind.
func TestSuccessorStartsLater(t *testing.T) {
	t.Parallel()
	var ahead, behind clock
	ahead.advance(20 * time.Second)
	leases := idgen.NewMemoryLeases(behind.now)
	r := &remote{Leaser: leases.Holder()}
	m := newMinter(t, idgen.Options{Leaser: r, Now: ahead.now})
	r.down.Store(true)
	ahead.advance(24 * time.Second)
	late := mint(t, m, 10)

	behind.advance(31 * time.Second) // the lease has expired; the old holder's clock was at 51 s
	successor := newMinter(t, idgen.Options{Leaser: leases.Holder(), Now: behind.now})
	if nextIDs := mint(t, successor, 10); nextIDs[0].Node() == late[9].Node() && nextIDs[0] <= late[9] {
		t.Errorf("successor minted %d after %d of the same node, want it greater", nextIDs[0], late[9])
	}
}

func TestLeaseRunsOut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		pass func(c *clock)
	}{
		{"time passes", func(c *clock) { c.advance(ttl) }},
		{"time passes up to the margin", func(c *clock) { c.advance(25 * time.Second) }},
		{"machine is suspended: the monotonic clock stands still", func(c *clock) { c.setWall(ttl) }},
		{"wall clock is set back while time passes", func(c *clock) { c.advance(ttl); c.setWall(-ttl) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var c clock
			r := &remote{Leaser: idgen.NewMemoryLeases(c.now).Holder()}
			m := newMinter(t, idgen.Options{Leaser: r, Now: c.now})
			mint(t, m, 1)
			r.down.Store(true)
			tt.pass(&c)
			refuses(t, m, idgen.ErrLeaseLost)
		})
	}
}

func TestMintsUpToTheMargin(t *testing.T) {
	t.Parallel()
	var c clock
	r := &remote{Leaser: idgen.NewMemoryLeases(c.now).Holder()}
	m := newMinter(t, idgen.Options{Leaser: r, Now: c.now, Margin: time.Second, RenewEvery: time.Second})
	r.down.Store(true)
	c.advance(20 * time.Second)
	mint(t, m, 1)
}

func TestMintingResumes(t *testing.T) {
	t.Parallel()
	var c clock
	leases := idgen.NewMemoryLeases(c.now)
	r := &remote{Leaser: leases.Holder()}
	m := newMinter(t, idgen.Options{Leaser: r, Now: c.now, RenewEvery: time.Millisecond})
	before := mint(t, m, 1)
	r.down.Store(true)
	c.advance(2 * ttl)
	refuses(t, m, idgen.ErrLeaseLost)
	successor := mint(t, newMinter(t, idgen.Options{Leaser: leases.Holder(), Now: c.now}), 1)
	if a, b := before[0].Node(), successor[0].Node(); a != b {
		t.Fatalf("successor has node %d, want %d", b, a)
	}
	r.down.Store(false)
	after := eventually(t, m)
	if after.Node() == successor[0].Node() {
		t.Errorf("Node() = %d, want another than the successor's node", after.Node())
	}
	distinct(t, before, successor, []idgen.ID{after})
}

func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	var c clock
	leaser := &oneNode{}
	m := newMinter(t, idgen.Options{Leaser: leaser, Now: c.now, RenewEvery: time.Millisecond})
	for range 5 {
		c.advance(ttl)
		id := eventually(t, m)
		leaser.mu.Lock()
		renewed := leaser.renewed
		leaser.mu.Unlock()
		if id.Time().After(renewed) {
			t.Errorf("Next() has the timestamp %v, want at most the recorded %v", id.Time(), renewed)
		}
	}
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	var c clock
	r := &remote{Leaser: idgen.NewMemoryLeases(c.now).Holder()}
	m := newMinter(t, idgen.Options{Leaser: r, Now: c.now})
	before := mint(t, m, 200)
	r.down.Store(true)
	c.setWall(-time.Hour)
	refuses(t, m, idgen.ErrClockBehind)
	c.setWall(time.Hour + 10*time.Second)
	earliest := c.now().Add(-time.Second)
	after := mint(t, m, 10_000)
	distinct(t, before, after)
	if at, latest := after[0].Time(), c.now().Add(time.Second); at.Before(earliest) || at.After(latest) {
		t.Errorf("Next() has the timestamp %v after the clock was set, want %v to %v", at, earliest, latest)
	}
}

func TestClockNudgedBack(t *testing.T) {
	t.Parallel()
	var c clock
	leaser := &oneNode{}
	m := newMinter(t, idgen.Options{Leaser: leaser, Now: c.now, RenewEvery: time.Millisecond})
	before := mint(t, m, 200)
	c.setWall(-time.Second)
	after := mint(t, m, 200)
	leaser.awaitRenewals(t, 5)
	leaser.mu.Lock()
	defer leaser.mu.Unlock()
	if leaser.fell {
		t.Error("Renew() recorded an earlier timestamp than the previous call, want it to never decrease")
	}
	if after[0] <= before[199] {
		t.Errorf("Next() = %d after %d, want it greater", after[0], before[199])
	}
}

func TestClockSetBackTakesAnotherNode(t *testing.T) {
	t.Parallel()
	var c clock
	leases := idgen.NewMemoryLeases(c.now)
	m := newMinter(t, idgen.Options{Leaser: leases.Holder(), Now: c.now, RenewEvery: time.Millisecond})
	before := mint(t, m, 200)
	c.setWall(-time.Hour)
	after := eventually(t, m)
	if after.Node() == before[0].Node() {
		t.Errorf("Node() = %d, want another node id, because the timestamps of this one are used", after.Node())
	}
}

func TestClockSetBackAcrossRestart(t *testing.T) {
	t.Parallel()
	var c clock
	leases := idgen.NewMemoryLeases(c.now)
	first := newMinter(t, idgen.Options{Leaser: leases.Holder(), Now: c.now})
	before := mint(t, first, 200)
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.setWall(-time.Hour)
	second := newMinter(t, idgen.Options{Leaser: leases.Holder(), Now: c.now})
	distinct(t, before, mint(t, second, 200))
}

// TestNoScheduleRepeatsAnID runs three processes with their own clocks through random
// schedules of minting, freezes, clock changes, outages and restarts.
func TestNoScheduleRepeatsAnID(t *testing.T) {
	t.Parallel()
	type process struct {
		clock  clock
		remote *remote
		minter *idgen.Minter // nil while the process is down
	}
	rapid.Check(t, func(t *rapid.T) {
		var leaseClock clock
		leases := idgen.NewMemoryLeases(leaseClock.now)
		var processes [3]process
		seen := make(map[idgen.ID]bool)
		pick := func() *process {
			return &processes[rapid.IntRange(0, len(processes)-1).Draw(t, "process")]
		}
		seconds := func(low, high int) time.Duration {
			return time.Duration(rapid.IntRange(low, high).Draw(t, "tens of seconds")) * 10 * time.Second
		}
		stop := func(p *process) {
			if p.minter != nil {
				_ = p.minter.Close(context.Background())
				p.minter = nil
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"restart": func(t *rapid.T) {
				p := pick()
				stop(p)
				p.remote = &remote{Leaser: leases.Holder()}
				renewEvery := rapid.SampledFrom([]time.Duration{time.Millisecond, 10 * time.Second}).Draw(t, "renew every")
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond) // do not wait for a floor
				defer cancel()
				m, err := idgen.NewMinter(ctx, idgen.Options{Leaser: p.remote, Now: p.clock.now, RenewEvery: renewEvery})
				if err == nil {
					p.minter = m
				}
			},
			"mint": func(t *rapid.T) {
				p := pick()
				for range rapid.IntRange(1, 300).Draw(t, "ids") {
					if p.minter == nil {
						return
					}
					id, err := p.minter.Next()
					if err != nil {
						return
					}
					if seen[id] {
						t.Fatalf("Next() = %d, which was minted already", id)
					}
					seen[id] = true
				}
			},
			"kill": func(*rapid.T) { // no release: the lease expires
				p := pick()
				if p.minter != nil {
					p.remote.down.Store(true)
					stop(p)
				}
			},
			"outage": func(t *rapid.T) {
				if p := pick(); p.remote != nil {
					p.remote.down.Store(rapid.Bool().Draw(t, "down"))
				}
			},
			"time passes": func(*rapid.T) {
				d := seconds(0, 4)
				leaseClock.advance(d)
				for i := range processes {
					processes[i].clock.advance(d)
				}
			},
			"clock is set":      func(*rapid.T) { pick().clock.setWall(seconds(-6, 6)) },
			"lease clock jumps": func(*rapid.T) { leaseClock.advance(seconds(0, 4)) },
		})
		for i := range processes {
			stop(&processes[i])
		}
	})
}
