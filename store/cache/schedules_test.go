//go:build unix

package cache_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
	"github.com/terse/terse/store/cache/remote"
)

// TestSchedulesOverRedis runs nodes that share a Redis in thousands of seeded orders, while
// Redis evicts keys. It pauses a create before its answer and before its put, readers
// between their read and their fill, writers between their commit and their announcement,
// and the outbox between its read and its message. A reader on a node that receives
// announcements must not see an older version than the one acknowledged and announced
// before the read began. The fills of the deaf node must not change that.
func TestSchedulesOverRedis(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const workers = 8
	seeds := uint64(testenv.Rounds(10_000))
	shared := testenv.NewRedis(t, testenv.RedisOptions{})
	var running sync.WaitGroup
	for worker := range uint64(workers) {
		running.Go(func() {
			d := newDirector(t, shared.URL())
			for seed := worker; seed < seeds && !t.Failed(); seed += workers {
				d.newPlay(seed).run(60)
			}
		})
	}
	running.Wait()
}

const (
	nodes = 3
	deaf  = 2 // the node that receives no announcements
)

// director runs the schedules one after the other over the same connections.
type director struct {
	t       *testing.T
	client  *redis.Client
	remotes [nodes]*remote.Cache

	mu   sync.Mutex
	play *play
}

func newDirector(t *testing.T, url string) *director {
	d := &director{t: t}
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Error(err)
	}
	d.client = redis.NewClient(options)
	t.Cleanup(func() { _ = d.client.Close() })
	ctx, stop := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	for i := range d.remotes {
		d.remotes[i], err = remote.New(remote.Options{
			URL: url, Timeout: time.Minute, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Error(err)
			continue
		}
		if i == deaf {
			continue
		}
		ready := make(chan struct{}, 1)
		listening.Go(func() {
			d.remotes[i].Listen(ctx, func(l store.Link) { d.heard(i, l) }, func() {
				select {
				case ready <- struct{}{}:
				default:
				}
			})
		})
		<-ready
	}
	t.Cleanup(func() {
		stop()
		listening.Wait()
		for _, r := range d.remotes {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return d
}

// heard delivers an announcement to a node if it concerns the link of the running play.
func (d *director) heard(node int, l store.Link) {
	d.mu.Lock()
	p := d.play
	d.mu.Unlock()
	if p != nil && l.Code == p.code {
		p.nodes[node].hear(l)
		p.heard(node, l.Version)
	}
}

// play is one schedule for one code. One actor moves at a time, until it pauses or ends.
type play struct {
	*director

	seed  uint64
	code  string
	rand  *rand.Rand
	clock fakeClock
	under *memory
	nodes [nodes]*actor

	invalidated int64       // the newest version that all nodes have received
	creating    atomic.Bool // the create has not put its link yet

	lock     sync.Mutex
	paused   []chan struct{} // paused actors
	moving   int             // running actors
	versions [deaf]int64     // the newest version that each node has received
	changed  *sync.Cond
}

// actor is one node: a cache over the shared store. It pauses after answers of the store and
// before messages to other nodes.
type actor struct {
	*remote.Cache

	play  *play
	cache *cache.Cache
	hear  func(store.Link)
	reads atomic.Bool // a read is running
	began time.Time   // begin of the create, on the clock of the play
}

func (d *director) newPlay(seed uint64) *play {
	p := &play{
		director: d, seed: seed, code: fmt.Sprintf("play-%d", seed), rand: rand.New(rand.NewPCG(seed, 0)),
	}
	p.changed = sync.NewCond(&p.lock)
	p.under = newMemory()
	p.under.afterRead = func(context.Context) error { p.pause(); return nil }
	room := int64(1 << 20)
	if seed%2 == 1 {
		room = 1 // keeps L1 empty, because L1 would hide the answers of Redis
	}
	for i := range p.nodes {
		a := &actor{Cache: d.remotes[i], play: p}
		c, err := cache.New(cache.Options{
			Store: pausedCreates{p.under, p}, Remote: a, MaxBytes: room, LoadTimeout: time.Hour, Now: p.clock.now,
			Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			d.t.Error(err)
		}
		a.cache, p.nodes[i] = c, a
		c.Listen(context.Background()) // returns at once, see below
	}
	d.mu.Lock()
	d.play = p
	d.mu.Unlock()
	return p
}

// Listen keeps heard: the director listens for all plays.
func (a *actor) Listen(_ context.Context, heard func(store.Link), _ func()) { a.hear = heard }

// Begin records when the create begins on the clock of the play.
func (a *actor) Begin(ctx context.Context) time.Time {
	a.began = a.play.clock.now()
	return a.Cache.Begin(ctx)
}

func (a *actor) Put(ctx context.Context, l store.Link, began time.Time) error {
	a.play.pause()
	defer a.play.creating.Store(false)
	return a.Cache.Put(ctx, l, began.Add(a.began.Sub(a.play.clock.now())))
}

func (a *actor) Announce(ctx context.Context, l store.Link) error {
	a.play.pause()
	return a.Cache.Announce(ctx, l)
}

func (a *actor) Invalidate(ctx context.Context, edits []store.Edit) []error {
	a.play.pause()
	return a.Cache.Invalidate(ctx, edits)
}

// pause stops an actor until the schedule releases it.
func (p *play) pause() {
	p.lock.Lock()
	release := make(chan struct{})
	p.paused = append(p.paused, release)
	p.moving--
	p.changed.Broadcast()
	p.lock.Unlock()
	<-release
}

// act starts an actor, and returns when it and all actors that it started have paused or
// ended.
func (p *play) act(do func()) {
	p.lock.Lock()
	p.moving++
	p.lock.Unlock()
	go func() {
		defer p.rest()
		do()
	}()
	p.settle()
}

func (p *play) rest() {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.moving--
	p.changed.Broadcast()
}

func (p *play) settle() {
	p.lock.Lock()
	defer p.lock.Unlock()
	for p.moving > 0 {
		p.changed.Wait()
	}
}

// release lets one paused actor continue.
func (p *play) release() {
	p.lock.Lock()
	i := p.rand.IntN(len(p.paused))
	release := p.paused[i]
	p.paused = append(p.paused[:i], p.paused[i+1:]...)
	p.moving++
	p.lock.Unlock()
	close(release)
	p.settle()
}

func (p *play) waiting() int {
	p.lock.Lock()
	defer p.lock.Unlock()
	return len(p.paused)
}

func (p *play) heard(node int, version int64) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.versions[node] = max(p.versions[node], version)
	p.changed.Broadcast()
}

// pausedCreates pauses a create between its commit and its answer.
type pausedCreates struct {
	*memory
	play *play
}

func (c pausedCreates) Create(ctx context.Context, l store.Link) (store.Link, error) {
	l, err := c.memory.Create(ctx, l)
	c.play.pause()
	return l, err
}

func (p *play) run(steps int) {
	p.creating.Store(true)
	p.act(func() { _, _ = p.nodes[p.rand.IntN(nodes)].cache.Create(context.Background(), link(p.code, 0)) })
	for range steps {
		switch n := p.rand.IntN(14); {
		case n < 4:
			p.read(p.rand.IntN(nodes))
		case n < 6:
			a := p.nodes[p.rand.IntN(nodes)]
			p.act(func() { _, _ = a.cache.Update(context.Background(), link(p.code, 0)) })
		case n < 7:
			p.act(p.deliver)
		case n < 9:
			p.drop()
		case n < 13 && p.waiting() > 0:
			p.release()
		default:
			p.clock.advance(time.Duration(p.rand.IntN(15)) * time.Second)
		}
	}
	for p.waiting() > 0 {
		p.release()
	}
}

// drop evicts keys from Redis. While a create is running, it drops only expired keys: the
// marker of an edit lives longer than a create may take.
func (p *play) drop() {
	if p.creating.Load() {
		p.clock.advance(3 * time.Second)
	}
	if err := p.client.Del(context.Background(), remote.Key(p.code)).Err(); err != nil {
		p.t.Error(err)
	}
}

// read reads through one node, unless a read is running there: a second reader would join the
// load of the first one and not be an actor of its own.
func (p *play) read(node int) {
	a := p.nodes[node]
	if !a.reads.CompareAndSwap(false, true) {
		return
	}
	least := p.invalidated
	p.act(func() {
		defer a.reads.Store(false)
		l, err := a.cache.Resolve(context.Background(), p.code)
		switch {
		case err != nil:
			p.t.Errorf("seed %d: Resolve = %v", p.seed, err)
		case l.Version < least && node != deaf:
			p.t.Errorf("seed %d: Resolve = version %d after all nodes received %d", p.seed, l.Version, least)
		}
	})
}

// deliver does the work of the outbox: it announces the link as it is in the store.
func (p *play) deliver() {
	p.under.mu.Lock()
	l := p.under.links[p.code]
	p.under.mu.Unlock()
	if errs := p.nodes[0].Invalidate(context.Background(), []store.Edit{{Link: l}}); errs[0] != nil {
		p.t.Errorf("seed %d: Invalidate = %v", p.seed, errs[0])
		return
	}
	p.lock.Lock()
	for min(p.versions[0], p.versions[1]) < l.Version {
		p.changed.Wait()
	}
	p.lock.Unlock()
	p.invalidated = max(p.invalidated, l.Version)
}
