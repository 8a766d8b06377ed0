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

// DefaultMaxKeys is how many keys of one limit a Local remembers by default.
const DefaultMaxKeys = 1 << 15

// LocalOptions configure a Local.
type LocalOptions struct {
	MaxKeys int              // most keys of each limit in memory, about 200 bytes each; default DefaultMaxKeys, also for a negative number
	Now     func() time.Time // default time.Now
}

func (o LocalOptions) withDefaults() LocalOptions {
	if o.MaxKeys < 1 {
		o.MaxKeys = DefaultMaxKeys
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Local limits calls in this process by GCRA, the generic cell rate algorithm of ITU-T
// I.371. For each key it stores one number: when all of the key's permits will have
// grown back. Safe for concurrent use. It needs no closing.
//
// The text of a key before its first colon names a limit: "create:192.0.2.1" is a key of
// the limit "create". Limits do not affect each other.
//
// The memory of a limit is bounded. A key is removed some time after all its permits have
// grown back. When MaxKeys other keys of the limit are in memory, a new key replaces the key
// that would have all permits back first, and so gains the least. A key without permits is
// therefore removed only after MaxKeys other keys of the limit have used more of theirs: a
// flood of keys with one call each removes its own keys. Across limits this would be wrong:
// one permit of a long window takes longer to grow back than all permits of a short one.
type Local struct {
	maxKeys int
	now     func() time.Time
	start   time.Time // times are durations since start, so that they are monotonic

	mu     sync.Mutex
	limits map[string]*localLimit // by name; names come from the program, so there are few
}

// localLimit is the keys of one limit.
type localLimit struct {
	keys  map[string]*localKey
	order byFull
}

// localKey is one key in memory. It is full when all its permits have grown back.
type localKey struct {
	name   string
	fullAt time.Duration // since start
	index  int           // in localLimit.order
}

// NewLocal returns a limiter without keys.
func NewLocal(opts LocalOptions) *Local {
	opts = opts.withDefaults()
	return &Local{maxKeys: opts.MaxKeys, now: opts.Now, start: opts.Now(), limits: map[string]*localLimit{}}
}

// Take takes n permits of the key, or all if fewer are available. With n = 0 it only
// reports the state. A Limit that is off allows n, and the other fields of the Result are
// zero. Take does not wait. It returns an error only for an invalid Limit or a negative
// n.
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
	of := l.of(key)
	of.forget(now)

	k := of.keys[key]
	fullAt := now
	if k != nil {
		fullAt = max(now, k.fullAt)
	}
	result, fullAt := take(limit, now, fullAt, n)
	if result.Allowed > 0 {
		of.remember(key, k, fullAt, l.maxKeys)
	}
	return result, nil
}

// of returns the limit of a key. The caller holds mu.
func (l *Local) of(key string) *localLimit {
	name, _, named := strings.Cut(key, ":")
	if !named {
		name = ""
	}
	of := l.limits[name]
	if of == nil {
		of = &localLimit{keys: map[string]*localKey{}}
		l.limits[strings.Clone(name)] = of
	}
	return of
}

// take is GCRA. Each permit moves fullAt later by the time that one permit needs to grow
// back. fullAt is at most the time for all permits away from now.
func take(limit Limit, now, fullAt time.Duration, n int) (Result, time.Duration) {
	each := limit.Window / time.Duration(limit.Count)
	all := each * time.Duration(limit.Count) // a bit less than Window, because each is rounded down
	free := now + all - fullAt               // each for every available permit; negative if the key was used with a larger limit
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

// forget removes up to two keys that are full. A call adds at most one key, so the full
// keys get fewer.
func (l *localLimit) forget(now time.Duration) {
	for range 2 {
		if len(l.order) == 0 || l.order[0].fullAt > now {
			return
		}
		l.drop()
	}
}

// drop removes the key that is full first.
func (l *localLimit) drop() {
	k, _ := heap.Pop(&l.order).(*localKey)
	delete(l.keys, k.name)
}

// remember stores when the key will be full. k is nil for a new key.
func (l *localLimit) remember(name string, k *localKey, fullAt time.Duration, maxKeys int) {
	if k != nil {
		k.fullAt = fullAt
		heap.Fix(&l.order, k.index)
		return
	}
	if len(l.keys) >= maxKeys {
		l.drop()
	}
	k = &localKey{name: strings.Clone(name), fullAt: fullAt} // a copy, so that name does not keep a request in memory
	l.keys[k.name] = k
	heap.Push(&l.order, k)
}

// Len returns how many keys of all limits are in memory.
func (l *Local) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, of := range l.limits {
		n += len(of.keys)
	}
	return n
}

// byFull is a heap.Interface with the key on top that is full first.
type byFull []*localKey

func (h byFull) Len() int           { return len(h) }
func (h byFull) Less(i, j int) bool { return h[i].fullAt < h[j].fullAt }

func (h byFull) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byFull) Push(x any) {
	k, _ := x.(*localKey)
	k.index = len(*h)
	*h = append(*h, k)
}

func (h *byFull) Pop() any {
	last := len(*h) - 1
	k := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return k
}
