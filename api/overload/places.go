package overload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/terse/terse/store"
)

// places are the places of a class and the queue for them. Safe for concurrent use.
type places struct {
	bounds  Bounds
	metrics classMetrics

	mu      sync.Mutex
	limit   int            // Least to Most
	used    int            // may exceed limit after limit was reduced
	peak    int            // maximum of used in this window
	queue   []waiting      // oldest first
	emptied time.Time      // when the queue was last empty
	callers map[string]int // by Caller.ID: its requests that wait, run, or write their answer
}

// waiting is a request in a queue.
type waiting struct {
	who  Caller
	turn chan struct{} // closed when the request gets a place
}

// take takes a place, or waits for one.
func (p *places) take(ctx context.Context, who Caller) error {
	turn, ok := p.enter(who)
	if !ok {
		return p.refuse()
	}
	if turn != nil && !p.await(ctx, turn) {
		p.forget(who)
		if err := ctx.Err(); err != nil {
			return err
		}
		return p.refuse()
	}
	p.metrics.admitted.Inc()
	return nil
}

// room returns how many places the caller may fill.
func (p *places) room(who Caller) int {
	if who.Admin || who.ID == "" {
		return p.limit
	}
	return p.limit - p.limit/reserved
}

// exhausted reports whether the caller has all requests that one caller may have. The caller of
// this function holds mu.
func (p *places) exhausted(who Caller) bool {
	return who.ID != "" && p.callers[who.ID] >= max(1, p.limit/shared)
}

// count counts a request of the caller. The caller of this function holds mu.
func (p *places) count(who Caller) {
	if who.ID == "" {
		return
	}
	if p.callers == nil {
		p.callers = map[string]int{}
	}
	p.callers[who.ID]++
}

// forget ends a request of the caller.
func (p *places) forget(who Caller) {
	if who.ID == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.callers[who.ID]--; p.callers[who.ID] == 0 {
		delete(p.callers, who.ID)
	}
}

func (p *places) refuse() error {
	p.metrics.shed.Inc()
	return fmt.Errorf("%w: no free place in time", store.ErrShed)
}

// enter takes a place, or enters the queue. turn is nil if it got a place. ok is false if the
// caller is exhausted, or the queue takes no more requests. There is never a place for a request
// in the queue, so a free place is for the caller.
func (p *places) enter(who Caller) (turn chan struct{}, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.used < p.room(who)
	if p.exhausted(who) || !free && p.closed() {
		return nil, false
	}
	p.count(who)
	if free {
		p.use()
		return nil, true
	}
	if len(p.queue) == 0 {
		p.emptied = time.Now()
	}
	turn = make(chan struct{})
	p.queue = append(p.queue, waiting{who, turn})
	return turn, true
}

// closed reports whether the queue takes no more requests: it is full, or it has not been
// empty for longer than Bounds.Wait. Such a queue is not a short burst, so a wait would only
// delay the rejection ("controlled delay", Maurer: Fail at Scale, ACM Queue 13(8), 2015). The
// caller must hold the lock.
func (p *places) closed() bool {
	return len(p.queue) >= p.bounds.Queue || len(p.queue) > 0 && time.Since(p.emptied) > p.bounds.Wait
}

// await waits until turn is closed, and reports whether the request got a place.
func (p *places) await(ctx context.Context, turn chan struct{}) bool {
	timer := time.NewTimer(p.bounds.Wait)
	defer timer.Stop()
	select {
	case <-turn:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.queue, func(w waiting) bool { return w.turn == turn })
	if i < 0 { // turn was closed in the meantime
		return true
	}
	p.queue = slices.Delete(p.queue, i, i+1)
	return false
}

// leave returns a place.
func (p *places) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	p.admit()
}

// use takes a place. The caller holds mu.
func (p *places) use() {
	p.used++
	p.peak = max(p.peak, p.used)
}

// admit gives free places to the oldest requests in the queue that may have them. The caller
// holds mu.
func (p *places) admit() {
	for i := 0; i < len(p.queue) && p.used < p.limit; {
		w := p.queue[i]
		if p.used >= p.room(w.who) {
			i++
			continue
		}
		p.use()
		close(w.turn)
		p.queue = slices.Delete(p.queue, i, i+1)
	}
}

// full reports whether a request of the caller would be rejected at once. If so, it counts a
// rejection.
func (p *places) full(who Caller) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	full := p.exhausted(who) || p.used >= p.room(who) && p.closed()
	if full {
		p.metrics.shed.Inc()
	}
	return full
}

func (p *places) scarce() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 2*p.used >= p.limit
}

// adjust changes the limit after the given number of windows. If the delay exceeds the
// bound, the new limit is four fifths of the peak use. Otherwise the limit rises by a
// twentieth for each window. The limit can fall to a tenth within about a second and rise
// again within five.
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
