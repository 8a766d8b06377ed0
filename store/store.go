// Package store is the domain of Terse: what a link is, which targets and aliases are valid,
// and the contract of every store of links. It imports no other package of Terse. Adapters,
// the API and commands import it.
//
// It contains no database: store/sqlite and other adapters do. Each of them passes the
// conformance suite of store/storetest.
package store

import (
	"context"
	"time"
)

// Store keeps links. Implementations are safe for concurrent use. Decorators, such as a cache
// or a router over shards, implement the same contract.
//
// An acknowledged write survives the death of the process. If the context of a write ends
// first, the write is done completely or not at all. A write that finds nothing to do
// (the create is a repetition, the link was deleted or has another version) reports that
// once a failover can no longer lose what the write found. Every method returns
// ErrUnavailable, wrapped, if the database cannot answer, and the context's error if the
// context ended first.
type Store interface {
	// Create adds l with Version 1 and without clicks, and returns it as stored. The caller
	// has minted or chosen l.Code. Create returns ErrExists if the code is taken, also by a
	// tombstone. A repeated Create with the same Code, Owner and non-empty RequestID
	// returns the link of the first one.
	Create(ctx context.Context, l Link) (Link, error)

	// Resolve returns the link for a redirect. The link may come from a cache or a replica,
	// and its Clicks, Robots, LastClickAt and UsedClicks are unspecified. Links that are not live
	// (see Link.State) and tombstones are returned too. ErrNotFound means that no link has
	// ever had this code.
	Resolve(ctx context.Context, code string) (Link, error)

	// Get returns the link after the last acknowledged write, with its click totals.
	// Tombstones are returned too. An unknown code is ErrNotFound.
	Get(ctx context.Context, code string) (Link, error)

	// Confirm returns the link as Get does, once a failover can no longer lose what it
	// returns: Get may show a write that no standby has yet. Every answer "done already"
	// needs it. It costs as much as a write.
	Confirm(ctx context.Context, code string) (Link, error)

	// Update replaces the editable fields of the link l.Code if its stored version equals
	// l.Version. It returns the link with its new version. It returns ErrVersion if the
	// stored version differs, ErrGone for a tombstone and ErrNotFound for an unknown code.
	// It never changes Code, Owner, RequestID, CreatedAt, Clicks, Robots or LastClickAt.
	// UsedClicks only grows: to l.UsedClicks, if that is more than the stored count.
	Update(ctx context.Context, l Link) (Link, error)

	// Delete turns the link into a tombstone, deleted at the given time, and returns it. A
	// tombstone keeps only the fields of Link.Remains. version must equal the stored
	// version, or be 0 for any. Delete returns the same errors as Update.
	Delete(ctx context.Context, code string, version int64, at time.Time) (Link, error)

	// Restore makes the tombstone l.Code a link again, with the editable fields and the
	// RequestID of l. CreatedAt and the history of the link stay, and its version grows by
	// one. Restore returns ErrExists if the code has a link, or a tombstone of another owner
	// than l.Owner. It returns ErrVersion if the version of the tombstone differs from
	// l.Version, and ErrNotFound for an unknown code. A repeated Restore with the same Code,
	// Owner and non-empty RequestID returns the link of the first one.
	Restore(ctx context.Context, l Link) (Link, error)

	// Consume counts one use against MaxClicks if the link is live at now. Check and count
	// are one transaction, so that the limit is never exceeded. Consume returns the link
	// afterwards. It returns the link and ErrNotLive, and counts nothing, if the link is not
	// live, and ErrNotFound for an unknown code. It changes neither the version nor Clicks.
	Consume(ctx context.Context, code string, now time.Time) (Link, error)

	// List returns the links that match q, newest first, without tombstones. While links are
	// added, following Page.Next repeats no link and skips no link that existed when the
	// first page was read.
	List(ctx context.Context, q Query) (Page, error)

	// Reserve records that a create with an idempotency key will use r.Code, unless the
	// owner has used the key before. It returns the valid reservation: r or the earlier
	// one. If r.Replaces is the code of the earlier reservation, Reserve changes that
	// reservation to r.Code.
	Reserve(ctx context.Context, r Reservation) (Reservation, error)

	// CreateOnce does Reserve(r) and returns the reservation that stands. When that
	// is r (see Reservation.Stands), it does Create(l) as well and returns the link,
	// both in one transaction where one shard has both. Otherwise it creates nothing
	// and returns no error. l.Code must be r.Code, l.Owner r.Owner and l.RequestID
	// r.Key; r.Replaces must be empty. ErrExists means that r stands and that the
	// code is taken.
	CreateOnce(ctx context.Context, l Link, r Reservation) (Link, Reservation, error)
}

// CreateApart is Store.CreateOnce by two writes, for a store whose shards differ.
func CreateApart(ctx context.Context, s Store, l Link, r Reservation) (Link, Reservation, error) {
	stands, err := s.Reserve(ctx, r)
	if err != nil || !r.Stands(stands) {
		return Link{}, stands, err
	}
	l, err = s.Create(ctx, l)
	return l, stands, err
}

// ReservationTTL is the shortest life of a Reservation. A client that retries a create after
// this time may make a second link.
const ReservationTTL = 24 * time.Hour

// Reservation ties an idempotency key to the code of its create before the link is written.
// A retry after a crash then completes the same link.
type Reservation struct {
	Owner       string    // as Link.Owner; the same key of another owner is independent
	Key         string    // the client's key, 1 to MaxIdempotencyKeyLen bytes
	Fingerprint string    // digest of the request, to distinguish a retry from another request with the key
	Code        string    // the code that the create will use
	Replaces    string    // see Store.Reserve; never returned
	CreatedAt   time.Time // UTC, microseconds
}

// Bucket returns the bucket of the reservation, which need not be that of its code.
func (r Reservation) Bucket() int { return BucketOf(r.Owner + "\x00" + r.Key) }

// Stands reports whether standing, which is under the key of r, reserves the code of r
// for the same request.
func (r Reservation) Stands(standing Reservation) bool {
	return standing.Code == r.Code && standing.Fingerprint == r.Fingerprint
}

// MaxIdempotencyKeyLen is the longest idempotency key in bytes.
const MaxIdempotencyKeyLen = 255
