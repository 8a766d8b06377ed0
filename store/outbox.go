package store

import (
	"context"
	"errors"
	"time"
)

// Audience is a receiver of edits. Edits are delivered to each audience separately, so that
// an unreachable audience does not delay the others.
type Audience uint8

// The audiences. Their numbers are stored.
const (
	Caches Audience = 1 // the cache shared by processes, and the cache in each process
	CDN    Audience = 2
)

// Audiences returns all audiences.
func Audiences() []Audience { return []Audience{Caches, CDN} }

// String returns the name of the audience in metrics and logs.
func (a Audience) String() string {
	if a == CDN {
		return "cdn"
	}
	return "caches"
}

// Edit is a committed write to a link or a domain. Caches and CDNs may still have older answers.
type Edit struct {
	// Domain is the ID of a changed domain, or of the domain of a changed host: every answer of
	// the domain may be different now. Link is then the zero Link. Domain is empty for a write to
	// a link. Only a CDN gets edits of domains.
	Domain string

	// Link is the link on its primary when the edit was taken from the Outbox: the version
	// of the write, or a newer one. Clicks, Robots and LastClickAt are not set.
	Link Link

	// Age is the time from the write until then, by the database's clock.
	Age time.Duration

	// Repeat says that the audience has acknowledged this edit before. It is delivered
	// again once all replicas show the write, once answers on the way to a CDN have
	// arrived, or when the audience may have lost the edit: until then the audience may
	// have been filled with the old version.
	Repeat bool
}

// Invalidator invalidates edited links in a cache or a CDN. It returns one error for each edit,
// in the same order, nil if the edit is acknowledged. It may receive an edit more than once, and
// edits of one link in any order; the higher version is the newer one. Implementations
// are safe for concurrent use.
type Invalidator interface {
	Invalidate(ctx context.Context, edits []Edit) []error
}

// Outbox is a queue of edits that some audience has not acknowledged. Each new version of a
// link is added in the transaction that writes it: Update and Delete of the same Store. For the
// CDN, UpdateDomain, UpdateHost and ReleaseHost of a Domains in the same database add an edit of
// the domain.
// Implementations are safe for concurrent use.
type Outbox interface {
	// Deliver takes up to limit edits that are due for an audience, oldest first, and
	// passes them to invalidate. Several edits of one link or domain are passed as one. An acknowledged
	// edit is delivered once more, as a Repeat, if the store has replicas (once all of
	// them show it) or for a CDN (after AgainAfter). Then it is removed. Other edits are
	// due again after RetryDelay. With a nil invalidate all edits taken are removed.
	//
	// Deliver returns the number of edits taken; if it is limit or more, there may be
	// others. Only one process delivers to an audience at a time: Deliver returns ErrBusy
	// while another one does. When ctx ends or the process dies, nothing is removed.
	Deliver(ctx context.Context, to Audience, limit int, invalidate func(ctx context.Context, edits []Edit) []error) (int, error)

	// Repeat makes the links that were edited within the given time due again for an
	// audience, as repeats. It is for an audience that may have lost what it has
	// acknowledged.
	Repeat(ctx context.Context, to Audience, within time.Duration) error

	// Backlog returns the number and age of the edits that wait for an audience.
	Backlog(ctx context.Context, of Audience) (Backlog, error)
}

// ErrBusy means that another process is doing this work.
var ErrBusy = errors.New("another process is doing this")

// Backlog describes the edits that wait in an Outbox.
type Backlog struct {
	Edits  int           // counted up to MaxBacklog
	Oldest time.Duration // age of the oldest edit; 0 without edits
}

// MaxBacklog is the number at which the count of a Backlog stops.
const MaxBacklog = 10_000

// AgainAfter is the time between the acknowledgement of an edit by a CDN and its repeat. An
// answer from before the edit may reach the CDN after the purge and be cached. AgainAfter
// is longer than a redirect may take.
const AgainAfter = 4 * time.Second

// RetryDelay returns when a failed edit is due again. The delay grows with the age of the
// edit. For caches it is at most a second, so that they have all edits a second after they
// are reachable again. For CDNs it is at most 30 s, because CDNs limit requests.
func RetryDelay(a Audience, age time.Duration) time.Duration {
	most := time.Second
	if a == CDN {
		most = 30 * time.Second
	}
	return min(max(age/2, 250*time.Millisecond), most)
}

// Distinct returns the first edit of each link and of each domain, in order. of has the index in
// first for every edit.
func Distinct(edits []Edit) (first []Edit, of []int) {
	index := make(map[string]int, len(edits))
	of = make([]int, len(edits))
	for i := range edits {
		key := edits[i].Link.Code
		if id := edits[i].Domain; id != "" {
			key = DomainEditKey(id)
		}
		n, ok := index[key]
		if !ok {
			n = len(first)
			index[key] = n
			first = append(first, edits[i])
		}
		of[i] = n
	}
	return first, of
}

// DomainEditKey returns the key of the edits of a domain in the tables of outboxes. No link has
// this key, because its code would be empty.
func DomainEditKey(domainID string) string { return LinkKey(domainID, "") }

// EditedDomain is the inverse of DomainEditKey. It returns "" for the key of a link.
func EditedDomain(key string) (domainID string) {
	if id, code := SplitKey(key); code == "" {
		return id
	}
	return ""
}
