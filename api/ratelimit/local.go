package ratelimit

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// DefaultMaxKeys is how many keys a Local remembers by default.
const DefaultMaxKeys = 1 << 16

// LocalOptions configure a Local.
type LocalOptions struct {
	MaxKeys int              // keys remembered at a time, at about 200 bytes each; default DefaultMaxKeys
	Now     func() time.Time // default time.Now
}

// Local limits within this process, by GCRA (the generic cell rate algorithm of
// ITU-T I.371), which keeps one number for each key: when all of its permits will
// be back. It is safe for concurrent use and needs no closing.
//
// Its memory is bounded. Keys whose permits are all back are forgotten as others
// come. When it is full of keys that are not, a new key takes the place of the
// one that would have all its permits back first, which so gains the least. A key
// that has used up its permits is thus forgotten only after MaxKeys others have
// each used more of theirs: a flood of keys that ask once pushes out itself.
// Limits whose windows differ widely are best kept in a Local each.
type Local struct {
	maxKeys int
	now     func() time.Time
	start   time.Time // what times are counted from, so that they are monotonic

	mu    sync.Mutex
	keys  map[string]*localKey
	order byFull
}

// localKey is one key. It is full when all of its permits are back.
type localKey struct {
	name   string
	fullAt time.Duration // since start
	place  int           // in Local.order
}

// NewLocal returns a limiter that has seen no key.
func NewLocal(opts LocalOptions) *Local {
	if opts.MaxKeys <= 0 {
		opts.MaxKeys = DefaultMaxKeys
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Local{
		maxKeys: opts.MaxKeys, now: opts.Now, start: opts.Now(),
		keys: map[string]*localKey{},
	}
}

// Take takes up to n permits of the key, as many as there are. With n = 0 it only
// looks. A limit that is off allows n, and the other fields of its Result are
// zero. The error is about a Limit or an n that cannot be; Take does not wait.
func (l *Local) Take(_ context.Context, key string, limit Limit, n int) (Result, error) {
	if err := limit.validate(); err != nil {
		return Result{}, fmt.Errorf("limit %v: %w", limit, err)
	}
	if n < 0 {
		return Result{}, errors.New("number of permits must not be negative")
	}
	if limit.Off() {
		return Result{Allowed: n}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Sub(l.start)
	l.forget(now)

	k := l.keys[key]
	fullAt := now
	if k != nil {
		fullAt = max(now, k.fullAt)
	}
	result, fullAt := take(limit, now, fullAt, n)
	if result.Allowed > 0 {
		l.remember(key, k, fullAt)
	}
	return result, nil
}

// take is the algorithm: one permit moves the moment at which all are back by the
// time in which one grows back, and that moment is never further away than all of
// them take.
func take(limit Limit, now, fullAt time.Duration, n int) (Result, time.Duration) {
	each := limit.Window / time.Duration(limit.Count)
	all := each * time.Duration(limit.Count) // at most Window, by rounding
	free := now + all - fullAt               // grows by each for every permit; negative under another, larger limit
	available := max(0, int(free/each))
	r := Result{Allowed: min(n, available)}
	fullAt += each * time.Duration(r.Allowed)
	r.Remaining = available - r.Allowed
	r.ResetAfter = roundUp(fullAt - now)
	if r.Allowed < n || n == 0 && available == 0 {
		r.RetryAfter = roundUp(fullAt + each - all - now)
	}
	return r, fullAt
}

// forget drops keys that are full, at most two at a time: more than one key can
// come at a time.
func (l *Local) forget(now time.Duration) {
	for range 2 {
		if len(l.order) == 0 || l.order[0].fullAt > now {
			return
		}
		l.drop()
	}
}

// drop forgets the key that is full first.
func (l *Local) drop() {
	k, _ := heap.Pop(&l.order).(*localKey)
	delete(l.keys, k.name)
}

// remember keeps when the key will be full; k is nil when it is new.
func (l *Local) remember(name string, k *localKey, fullAt time.Duration) {
	if k != nil {
		k.fullAt = fullAt
		heap.Fix(&l.order, k.place)
		return
	}
	if len(l.keys) >= l.maxKeys {
		l.drop()
	}
	k = &localKey{name: strings.Clone(name), fullAt: fullAt} // the caller's may be part of a whole request
	l.keys[k.name] = k
	heap.Push(&l.order, k)
}

// Len returns how many keys are remembered.
func (l *Local) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.keys)
}

// byFull is a heap.Interface with the key that is full first on top.
type byFull []*localKey

func (h byFull) Len() int           { return len(h) }
func (h byFull) Less(i, j int) bool { return h[i].fullAt < h[j].fullAt }

func (h byFull) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *byFull) Push(x any) {
	k, _ := x.(*localKey)
	k.place = len(*h)
	*h = append(*h, k)
}

func (h *byFull) Pop() any {
	last := len(*h) - 1
	k := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return k
}
