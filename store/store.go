// Package store is the domain of Terse: what a link is, which targets and
// aliases are allowed, and the contract that every place which keeps links
// fulfils. It imports nothing of ours; adapters, the API and commands import it.
//
// It is not a database: those are store/sqlite and the other adapters, and each
// of them passes the conformance suite of store/storetest.
package store

import (
	"context"
	"time"
)

// Store keeps links. Implementations are safe for concurrent use, and
// decorators (a cache, a router over shards) implement the same contract.
//
// A write that was acknowledged survives the death of the process. A write
// whose context ends before its answer is either wholly done or not at all.
// Every method returns ErrUnavailable, wrapped, when the place that keeps the
// links cannot answer, and the context's error when the caller gave up first.
type Store interface {
	// Create adds l, whose Code the caller minted or chose, with Version 1 and
	// no clicks, and returns it as stored. It returns ErrExists when the code is
	// taken, also by a tombstone. A repeated Create with the same Code, the same
	// Owner and the same non-empty RequestID returns the link that the first made.
	Create(ctx context.Context, l Link) (Link, error)

	// Resolve returns the link for a redirect. It may be served from a cache or
	// a replica and leaves Clicks, LastClickAt and UsedClicks unspecified. Links
	// that are not live (see Link.State) are returned too, tombstones among
	// them; ErrNotFound means that no link ever had this code.
	Resolve(ctx context.Context, code string) (Link, error)

	// Get returns the link as the last acknowledged write left it, with its
	// click totals. Tombstones are returned; an unknown code is ErrNotFound.
	Get(ctx context.Context, code string) (Link, error)

	// Update replaces the editable fields of the link named l.Code with those of
	// l when its stored version equals l.Version, and returns the link with the
	// version that this made. It returns ErrVersion when the stored version
	// differs, ErrGone for a tombstone and ErrNotFound for an unknown code.
	// Code, Owner, RequestID, CreatedAt and all counts are never changed by it.
	Update(ctx context.Context, l Link) (Link, error)

	// Delete turns the link into a tombstone deleted at the given time and
	// returns the tombstone: it keeps its code, owner, times and version and
	// loses everything else. version is the one that must be stored, or 0 for
	// any. Errors are those of Update.
	Delete(ctx context.Context, code string, version int64, at time.Time) (Link, error)

	// Consume counts one use against MaxClicks when the link is live at now, in
	// the same transaction in which it looked, so that the limit is never
	// exceeded. It returns the link as it then stands, with ErrNotLive (and
	// nothing counted) when the link was not live, or ErrNotFound. It neither
	// changes the version nor adds to Clicks.
	Consume(ctx context.Context, code string, now time.Time) (Link, error)

	// List returns the links that match q, newest first, without tombstones.
	// Pages stay stable while links are added: following Page.Next never repeats
	// a link and never skips one that existed when the first page was read.
	List(ctx context.Context, q Query) (Page, error)

	// Reserve records that a create with an idempotency key intends r.Code,
	// unless the owner has used that key already, and returns the reservation
	// that stands: the caller's own or the earlier one. A non-empty r.Replaces
	// moves a standing reservation of exactly that code to r.Code.
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

// ReservationTTL is how long a Reservation stands at least. Clients that retry
// a create later than this after the first attempt may make a second link.
const ReservationTTL = 24 * time.Hour

// Reservation ties an idempotency key to the code that its create uses, before
// the link is written, so that a retry after a crash completes the same link.
type Reservation struct {
	Owner       string    // as Link.Owner; keys of different owners never meet
	Key         string    // the client's key, 1 to MaxIdempotencyKeyLen bytes
	Fingerprint string    // digest of the request, to tell a retry from a reuse of the key
	Code        string    // the code that the create intends
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
