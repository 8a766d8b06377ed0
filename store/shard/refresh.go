package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terse/terse/store"
)

// minGap is the shortest time between the starts of two rounds.
const minGap = 50 * time.Millisecond

// refresher reads the map of buckets in rounds: every RefreshEvery, and on demand. One
// goroutine runs all rounds.
type refresher struct {
	opts    Options
	metrics *metrics
	table   atomic.Pointer[table] // never nil
	loaded  chan struct{}         // closed when the first map is in use
	lack    atomic.Pointer[Lack]  // of the latest round

	cancel  context.CancelFunc
	stopped chan struct{} // closed when run has returned
	wake    chan struct{} // has one element if the next round is in demand

	mu   sync.Mutex
	next *round // the round that has not begun

	claims []claim // of the map in use; used only by run, as is journal
	journal
}

// round is one read of the map.
type round struct {
	done chan struct{} // closed when err is set
	err  error
}

func newRound() *round { return &round{done: make(chan struct{})} }

func startRefresher(opts Options, m *metrics) *refresher {
	ctx, cancel := context.WithCancel(context.Background())
	f := &refresher{
		opts: opts, metrics: m, loaded: make(chan struct{}),
		cancel: cancel, stopped: make(chan struct{}), wake: make(chan struct{}, 1),
		next: newRound(), claims: make([]claim, len(opts.Shards)), journal: journal{log: opts.Logger},
	}
	f.table.Store(newTable())
	go f.run(ctx)
	return f
}

// stop stops the goroutine and returns when it has ended.
func (f *refresher) stop() {
	f.cancel()
	<-f.stopped
}

// demand waits for a round that begins after this call. All callers that arrive before it
// begins share the round.
func (f *refresher) demand(ctx context.Context) error {
	f.mu.Lock()
	next := f.next
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // already in demand
	}
	select {
	case <-next.done:
		return next.err
	case <-ctx.Done():
		return ctx.Err()
	case <-f.stopped:
		return errClosed()
	}
}

func (f *refresher) run(ctx context.Context) {
	defer close(f.stopped)
	for {
		every := time.Duration(float64(f.opts.RefreshEvery) * (0.9 + 0.2*rand.Float64())) //nolint:gosec // spreads load
		select {
		case <-time.After(every):
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		gap := time.After(minGap)
		f.nextRound(ctx)
		select {
		case <-gap:
		case <-ctx.Done():
			return
		}
	}
}

// nextRound runs the next round.
func (f *refresher) nextRound(ctx context.Context) {
	f.mu.Lock()
	now := f.next
	f.next = newRound()
	f.mu.Unlock()
	now.err = f.refresh(ctx)
	close(now.done)
}

// refresh reads the map and uses it unless it is refused. Unreachable shards are not an error
// if any shard answered.
func (f *refresher) refresh(ctx context.Context) error {
	claims, errs := f.read(ctx)
	t, refused := deal(f.opts.Shards, claims)
	if refused != nil {
		// A bucket that moves between the reads of two shards looks like a contradiction.
		claims, errs = f.read(ctx)
		t, refused = deal(f.opts.Shards, claims)
	}
	if ctx.Err() != nil {
		return errClosed()
	}
	answered := slices.ContainsFunc(claims, func(c claim) bool { return c.fresh })
	f.metrics.countRefresh(errs, answered, refused)
	f.noteUnanswered(f.opts.Shards, errs)
	f.noteRefused(refused)
	f.noteLack(answered, refused, errs)
	switch {
	case refused != nil:
		return refused
	case !answered && !slices.ContainsFunc(errs, wrong):
		return fmt.Errorf("%w: %s", store.ErrUnavailable, errors.Join(errs...).Error())
	case answered:
		f.adopt(t, claims)
	}
	return errors.Join(slices.DeleteFunc(errs, unreachable)...)
}

// Lack is why a Router has no first map. A nil member means that this part is known.
type Lack struct {
	Schema  error // why no shard is known to have the right schema
	Buckets error // why the owners of the buckets are not known
}

func (f *refresher) noteLack(answered bool, refused error, errs []error) {
	var lack Lack
	if !answered {
		lack.Schema = errors.Join(errs...)
	}
	if lack.Buckets = refused; refused == nil {
		lack.Buckets = lack.Schema
	}
	if lack.Buckets != nil { // without an error the map is used next
		f.lack.Store(&lack)
	}
}

// read asks all shards at the same time, each with its own timeout, and returns their claims.
// For a shard that fails it returns the claim of the map in use.
func (f *refresher) read(ctx context.Context) (claims []claim, errs []error) {
	claims, errs = make([]claim, len(f.claims)), make([]error, len(f.claims))
	var wg sync.WaitGroup
	for i, s := range f.opts.Shards {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, f.opts.RefreshTimeout)
			defer cancel()
			buckets, version, err := s.Shard.Buckets(ctx)
			if err != nil {
				claims[i], errs[i] = f.claims[i], fmt.Errorf("shard %s: buckets: %w", s.Name, err)
				claims[i].fresh = false
				return
			}
			claims[i] = claim{buckets: buckets, version: version, fresh: true}
		})
	}
	wg.Wait()
	return claims, errs
}

func (f *refresher) adopt(t *table, claims []claim) {
	f.table.Store(t)
	f.claims = claims
	f.metrics.adopted(t, claims, f.opts.Now())
	select {
	case <-f.loaded:
	default:
		close(f.loaded)
	}
}

// unreachable reports whether err means that a shard could not be reached. It is also true for
// nil. Other errors mean that the shard is misconfigured.
func unreachable(err error) bool {
	return err == nil || errors.Is(err, store.ErrUnavailable) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// wrong reports whether a shard was reached but is misconfigured.
func wrong(err error) bool { return !unreachable(err) }

func errClosed() error { return fmt.Errorf("%w: the router is closed", store.ErrUnavailable) }

// names returns the names of the shards that failed, in the order of shards.
func names(shards []Named, errs []error) string {
	var failed []string
	for i, err := range errs {
		if err != nil {
			failed = append(failed, shards[i].Name)
		}
	}
	return strings.Join(failed, " ")
}
