package overload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// standingWait is how long work waits in a queue that has not been empty for longer than
// its class may wait: such a queue is no burst, and a longer wait would only delay the
// refusal ("controlled delay", Maurer: Fail at Scale, ACM Queue 13(8), 2015).
const standingWait = 5 * time.Millisecond

// places are what a class may do at once, and the queue before them. Safe for
// concurrent use.
type places struct {
	bounds         Bounds
	admitted, shed prometheus.Counter

	mu      sync.Mutex
	limit   int             // Least to Most
	used    int             // also above limit, while that falls
	peak    int             // of used in this window
	queue   []chan struct{} // oldest first; closed when its work has a place
	emptied time.Time       // when the queue was last empty
}

// take takes a place, or waits for one.
func (p *places) take(ctx context.Context) error {
	turn, wait, ok := p.enter()
	if !ok {
		return p.refuse()
	}
	if turn != nil && !p.await(ctx, turn, wait) {
		if err := ctx.Err(); err != nil {
			return err
		}
		return p.refuse()
	}
	p.admitted.Inc()
	return nil
}

func (p *places) refuse() error {
	p.shed.Inc()
	return fmt.Errorf("%w: no place within its time", store.ErrShed)
}

// enter takes a place, then turn is nil, or enters the queue. It reports false when
// there is no room in either.
func (p *places) enter() (turn chan struct{}, wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.used < p.limit && len(p.queue) == 0:
		p.use()
		return nil, 0, true
	case len(p.queue) >= p.bounds.Queue:
		return nil, 0, false
	}
	now := time.Now()
	if len(p.queue) == 0 {
		p.emptied = now
	}
	wait = p.bounds.Wait
	if now.Sub(p.emptied) > wait {
		wait = min(wait, standingWait)
	}
	turn = make(chan struct{})
	p.queue = append(p.queue, turn)
	return turn, wait, true
}

// await waits for a turn, and reports whether it came.
func (p *places) await(ctx context.Context, turn chan struct{}, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-turn:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.queue, turn)
	if i < 0 { // it came at this moment
		return true
	}
	p.queue = slices.Delete(p.queue, i, i+1)
	return false
}

// leave gives a place back.
func (p *places) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	p.admit()
}

// use takes a place. The lock must be held.
func (p *places) use() {
	p.used++
	p.peak = max(p.peak, p.used)
}

// admit gives free places to the queue. The lock must be held.
func (p *places) admit() {
	for len(p.queue) > 0 && p.used < p.limit {
		p.use()
		close(p.queue[0])
		p.queue = p.queue[1:]
	}
}

// full reports whether neither the places nor the queue have room, and counts a refusal
// then.
func (p *places) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := p.used >= p.limit && len(p.queue) >= p.bounds.Queue
	if full {
		p.shed.Inc()
	}
	return full
}

func (p *places) scarce() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 2*p.used >= p.limit
}

// adjust moves the limit after some windows: down by a fifth of the used places when the
// processor was short, else up by a twentieth for each. So it falls to a tenth within a
// second, and is back within five.
func (p *places) adjust(delay time.Duration, windows int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delay > p.bounds.Delay {
		p.limit = max(min(p.limit, p.peak)*4/5, p.bounds.Least)
	} else {
		for range windows {
			p.limit = min(p.limit+p.limit/20+1, p.bounds.Most)
		}
	}
	p.peak = p.used
	p.admit()
}
