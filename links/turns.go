package links

import (
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/store"
)

// parallel is how many links of a batch are created at the same time. The store writes
// concurrent creates in one transaction.
const parallel = 256

// inTurns calls do for each item, for many items at the same time, and stores the results.
// Items with the same code run in order, so that the first one becomes the link. If the result
// of an item is undecided, the later items with its code get the same result without a call of
// do. Items with an empty code never wait for each other.
func inTurns(results []Result, code func(item int) string, do func(item int) Result) {
	if len(results) == 1 {
		results[0] = do(0)
		return
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	turns := turns{results, map[string]turn{}}
	for i := range results {
		one := turns.next(code(i), i, func() { results[i] = do(i) })
		group.Go(func() error { one(); return nil })
	}
	_ = group.Wait() // every item has its own result
}

// turns orders the items with the same code. Only one goroutine may call next.
type turns struct {
	results []Result
	last    map[string]turn // the last item with each code
}

// turn is the last item so far with a code.
type turn struct {
	item int
	done chan struct{} // closed when the item has its result
}

// next returns a function that runs do for an item after the earlier items with its code. The
// caller must start the functions in the order of the items.
func (t *turns) next(code string, item int, do func()) func() {
	if code == "" {
		return do
	}
	before, repeated := t.last[code]
	own := turn{item, make(chan struct{})}
	t.last[code] = own
	return func() {
		defer close(own.done)
		if repeated {
			<-before.done
			if earlier := t.results[before.item]; earlier.undecided() {
				t.results[item] = earlier
				return
			}
		}
		do()
	}
}

// undecided reports whether the item failed without a decision about it: the same item may
// become a link when the client sends it again.
func (r *Result) undecided() bool {
	if r.Err == nil || store.IsInvalid(r.Err) {
		return false
	}
	for _, refusal := range []error{store.ErrNotFound, store.ErrExists, store.ErrGone, ErrLimited, ErrOtherRequest} {
		if errors.Is(r.Err, refusal) {
			return false
		}
	}
	return true
}
