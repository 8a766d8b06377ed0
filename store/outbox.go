package store

import (
	"context"
	"errors"
	"time"
)

// Audience is who is told of edits. Each is told of every edit by itself, so that
// one which cannot be reached keeps no other waiting.
type Audience uint8

// The audiences. Their numbers are stored.
const (
	Caches Audience = 1 // the cache that processes share, and what they keep for themselves
	CDN    Audience = 2
)

// Audiences are all of them.
func Audiences() []Audience { return []Audience{Caches, CDN} }

// String returns the name of the audience in metrics and logs.
func (a Audience) String() string {
	if a == CDN {
		return "cdn"
	}
	return "caches"
}

// Edit is a committed write to a link that caches and CDNs may still show as it
// was before.
type Edit struct {
	// Link is the link as its primary had it when the edit was taken from the
	// Outbox: as the write left it, or newer. Clicks and LastClickAt are not set.
	Link Link

	// Age is how long before that the write was done, by the database's clock.
	Age time.Duration

	// Repeat says that the audience was told before, and is told again: all replicas
	// show the write now, or what was under way to a CDN has come to rest, or the
	// audience may have lost the edit. What was filled meanwhile may be old.
	Repeat bool
}

// Teller is told of edits: a cache, a CDN. It returns one error for each edit, in
// their order, nil for those that it has acknowledged. It may be told of an edit
// more than once, and of edits of one link in any order; their versions tell
// which is newer. Implementations are safe for concurrent use.
type Teller interface {
	Tell(ctx context.Context, edits []Edit) []error
}

// Outbox is the queue of edits of which not everybody has been told. Whatever adds
// a version to a link adds to it, in the same transaction: Update and Delete of
// the Store that has it. Implementations are safe for concurrent use.
type Outbox interface {
	// Deliver takes at most limit edits that are due for an audience, the oldest
	// first, and hands them to tell, several edits of one link as one. Those that
	// it acknowledges are removed, once all replicas show them and it was told of
	// them again, of a CDN after AgainAfter; others are due later. A nil tell stands
	// for an audience that is nobody: all are removed. It returns how many edits it
	// took: as many as limit when there may be more. Meanwhile no other process
	// delivers to the same audience: ErrBusy says that one does. When ctx ends, or
	// the process dies, nothing is removed.
	Deliver(ctx context.Context, to Audience, limit int, tell func(ctx context.Context, edits []Edit) []error) (int, error)

	// Repeat makes the links that were edited within the given time due again for an
	// audience, as repeats. It is for an audience that may have lost what it has
	// acknowledged.
	Repeat(ctx context.Context, to Audience, within time.Duration) error

	// Backlog returns what waits for an audience.
	Backlog(ctx context.Context, of Audience) (Backlog, error)
}

// ErrBusy says that another process delivers.
var ErrBusy = errors.New("another process delivers")

// Backlog is what waits in an Outbox.
type Backlog struct {
	Edits  int           // counted to MaxBacklog at most
	Oldest time.Duration // the age of the oldest; 0 when there is none
}

// MaxBacklog is how far the edits of a Backlog are counted.
const MaxBacklog = 10_000

// AgainAfter is how long after a CDN has acknowledged an edit it is told again: an
// answer from before the edit may arrive there behind the purge, and be kept. It is
// longer than a redirect may take.
const AgainAfter = 4 * time.Second

// RetryDelay returns how long after a failure an edit is due again: longer, the
// older it is. Caches are asked again at least every second, so that they have
// everything a second after they are back; CDNs count what is asked of them.
func RetryDelay(a Audience, age time.Duration) time.Duration {
	most := time.Second
	if a == CDN {
		most = 30 * time.Second
	}
	return min(max(age/2, 250*time.Millisecond), most)
}

// Distinct returns the first edit of each link, in their order, and for every edit
// which of these is of the same link.
func Distinct(edits []Edit) (first []Edit, of []int) {
	place := make(map[string]int, len(edits))
	of = make([]int, len(edits))
	for i := range edits {
		n, ok := place[edits[i].Link.Code]
		if !ok {
			n = len(first)
			place[edits[i].Link.Code] = n
			first = append(first, edits[i])
		}
		of[i] = n
	}
	return first, of
}
