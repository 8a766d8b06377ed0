package store

import "time"

// Link is one short link. Links are values: callers own what they receive,
// Tags included.
type Link struct {
	Code  string   // 1 to MaxCodeLen bytes of [0-9A-Za-z_-]; the key
	URL   string   // absolute http or https target, at most MaxURLLen bytes of ASCII
	Title string   // shown to the owner and on the preview; may be empty
	Tags  []string // sorted, without duplicates; nil when there are none
	Owner string   // id of the API key that created it; empty for an anonymous create

	Status       int          // of the redirect: 301, 302, 307 or 308
	ForwardQuery ForwardQuery // what happens to the query of a visit
	StartsAt     time.Time    // UTC, microseconds; the zero time means at once
	ExpiresAt    time.Time    // UTC, microseconds; the zero time means never
	MaxClicks    int64        // redirects that it may serve; 0 means any number
	PasswordHash string       // bcrypt; empty means that no password is asked

	DisabledAt     time.Time // when it was taken down for abuse; zero when it was not
	DisabledReason string
	DeletedAt      time.Time // when it became a tombstone; zero when it is none

	CreatedAt time.Time // UTC, microseconds
	UpdatedAt time.Time // UTC, microseconds; equals CreatedAt until the first edit
	Version   int64     // starts at 1 and grows by one with every edit and the delete
	RequestID string    // of the create that carried an idempotency key; else empty

	UsedClicks  int64     // redirects counted against MaxClicks; exact
	Clicks      int64     // total, as far as it has been flushed
	LastClickAt time.Time // zero when there was none
}

// ForwardQuery says what a redirect does with the query of the visit.
type ForwardQuery uint8

// The ways to forward a query. Their numbers are stored.
const (
	ForwardOff      ForwardQuery = 0 // the visit's query is dropped
	ForwardAppend   ForwardQuery = 1 // it is added behind the target's own
	ForwardOverride ForwardQuery = 2 // as append, and replaces parameters of the same name
)

// State is what a visitor may expect of a link at one moment.
type State uint8

// The states of a link, in the order in which they are decided.
const (
	Live       State = iota
	Deleted          // a tombstone
	Disabled         // taken down for abuse
	Expired          // its end has come
	UsedUp           // MaxClicks is reached
	NotStarted       // its start has not come
)

// State tells what the link is at now. The start belongs to the time in which
// it is live, the end does not: live means StartsAt <= now < ExpiresAt.
func (l *Link) State(now time.Time) State {
	switch {
	case !l.DeletedAt.IsZero():
		return Deleted
	case !l.DisabledAt.IsZero():
		return Disabled
	case !l.ExpiresAt.IsZero() && !now.Before(l.ExpiresAt):
		return Expired
	case l.MaxClicks > 0 && l.UsedClicks >= l.MaxClicks:
		return UsedUp
	case now.Before(l.StartsAt):
		return NotStarted
	}
	return Live
}

// Tombstone returns what is kept of l once it was deleted at the given time.
func (l *Link) Tombstone(at time.Time) Link {
	t := l.Remains()
	t.UpdatedAt, t.DeletedAt, t.Version = at, at, l.Version+1
	return t
}

// Remains returns of l what tombstones have.
func (l *Link) Remains() Link {
	return Link{
		Code: l.Code, Owner: l.Owner, Status: l.Status,
		CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt, DeletedAt: l.DeletedAt,
		Version: l.Version,
	}
}
