package store

import "time"

// DefaultStatus is the status of a redirect when the creator of the link chose none.
const DefaultStatus = 302

// Link is one short link. Links are values: callers own what they receive,
// Tags included.
type Link struct {
	Code  string   // the key, see LinkKey; DomainID and BareCode return its parts
	URL   string   // absolute http or https target, at most MaxURLLen bytes of ASCII
	Title string   // shown to the owner and on the preview page; may be empty
	Tags  []string // sorted, without duplicates; nil when there are none
	Owner string   // workspace that owns it, see Key.Owner; empty for an anonymous create

	Status       int          // of the redirect: 301, 302, 307 or 308; see DefaultStatus
	ForwardQuery ForwardQuery // what happens to the query of a visit
	ForwardPath  bool         // the path of a visit after the code is added to the target, see CutPath
	StartsAt     time.Time    // UTC, microseconds; the zero time means at once
	ExpiresAt    time.Time    // UTC, microseconds; the zero time means never
	MaxClicks    int64        // most redirects; 0 means no limit
	PasswordHash string       // bcrypt; empty means no password
	Confirm      bool         // visitors have to press Continue before the redirect
	NoVisitors   bool         // clicks are counted without their visitors
	Rules        string       // other targets for some visits, in the stored form of package links/rules; at most MaxRulesLen bytes; empty: none

	DisabledAt     time.Time // when it was disabled for abuse; the zero time means not disabled
	DisabledReason string
	DeletedAt      time.Time // when it became a tombstone; the zero time means not deleted

	CreatedAt time.Time // UTC, microseconds
	UpdatedAt time.Time // UTC, microseconds; equals CreatedAt until the first edit
	Version   int64     // starts at 1 and grows by one with every edit and the delete
	RequestID string    // of a create with an idempotency key; else empty

	UsedClicks  int64     // redirects counted against MaxClicks; exact
	Clicks      int64     // total of all flushed clicks of people
	Robots      int64     // total of all other flushed clicks: crawlers, previews, prefetches, HEAD
	LastClickAt time.Time // the latest click of a person; the zero time means never
}

// MaxRulesLen is the most bytes of Link.Rules.
const MaxRulesLen = 16 << 10

// ForwardQuery says what a redirect does with the query of the visit.
type ForwardQuery uint8

// The ways to forward a query. Their numbers are stored.
const (
	ForwardOff      ForwardQuery = 0 // the visit's query is dropped
	ForwardAppend   ForwardQuery = 1 // it is appended to the target's query
	ForwardOverride ForwardQuery = 2 // it is appended, and replaces parameters of the same name
)

// State is the state of a link at one moment.
type State uint8

// The states of a link. The first that applies wins, in the order of State.
const (
	Live       State = iota
	Deleted          // a tombstone
	Disabled         // disabled for abuse
	Expired          // ExpiresAt has passed
	UsedUp           // MaxClicks is reached
	NotStarted       // StartsAt lies ahead
)

// State returns the state at now. A link is live if StartsAt <= now < ExpiresAt.
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

// Repeats reports whether a create of l repeats the create that made stored.
func (l *Link) Repeats(stored *Link) bool {
	return l.RequestID != "" && l.RequestID == stored.RequestID && l.Owner == stored.Owner
}

// Tombstone returns the tombstone that a delete of l at the given time leaves.
func (l *Link) Tombstone(at time.Time) Link {
	t := l.Remains()
	t.UpdatedAt, t.DeletedAt, t.Version = at, at, l.Version+1
	return t
}

// Remains returns l with only the fields that tombstones have.
func (l *Link) Remains() Link {
	return Link{
		Code: l.Code, Owner: l.Owner, Status: l.Status,
		CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt, DeletedAt: l.DeletedAt,
		Version: l.Version,
	}
}
