package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ClickKind is the set of links that a ClickDay counts. The numbers are stored.
type ClickKind int16

// The kinds of ClickDay, with their keys.
const (
	ClickLink   ClickKind = 0 // one link; the key is Link.Code
	ClickOwner  ClickKind = 1 // all links of an owner; the key is Link.Owner
	ClickTag    ClickKind = 2 // an owner's links with a tag; see ClickTagKey
	ClickDomain ClickKind = 3 // an owner's links on a domain; see ClickDomainKey
	ClickAll    ClickKind = 4 // all links; the key is empty
	ClickLost   ClickKind = 5 // clicks of all links that were lost before they were counted; the key is empty
)

// ClickTagKey is the key of ClickTag. An owner contains no slash.
func ClickTagKey(owner, tag string) string { return owner + "/" + tag }

// ClickDomainKey is the key of ClickDomain. The default domain has an empty domainID.
func ClickDomainKey(owner, domainID string) string { return owner + "/" + domainID }

// MaxClickDay is the last day of a ClickDay: 2099-12-31.
const MaxClickDay = 47481

// ClickDay is the clicks of one UTC day. Rows of a kind other than ClickLink are partial sums:
// a store over many shards has one row of the same Kind, Key and Day in each shard, and their
// sum is the answer.
type ClickDay struct {
	Kind ClickKind
	Key  string
	Day  int32  // days since 1970-01-01 UTC, from 0 to MaxClickDay
	Data []byte // packed clicks; opaque to the store
}

// ErrClickDay is returned for a ClickDay that cannot be added.
var ErrClickDay = errors.New("invalid day of clicks")

// ValidateAdded returns an error that wraps ErrClickDay if ClickBatch.Days cannot contain d.
func (d *ClickDay) ValidateAdded() error {
	switch {
	case d.Kind == ClickLost && d.Key != "":
		return fmt.Errorf("%w: lost clicks have the key %q, want none", ErrClickDay, d.Key)
	case d.Kind != ClickLost && (d.Kind != ClickLink || !ValidKey(d.Key)):
		return fmt.Errorf("%w: kind %d of key %q is not of a link", ErrClickDay, d.Kind, d.Key)
	case d.Day < 0 || d.Day > MaxClickDay:
		return fmt.Errorf("%w: day %d of link %q is not from 0 to %d", ErrClickDay, d.Day, d.Key, MaxClickDay)
	}
	return nil
}

// DayOf returns the ClickDay.Day of a time.
func DayOf(t time.Time) int32 {
	return int32(t.Unix() / secondsPerDay) //nolint:gosec // for a thousand years
}

// DayStart returns the first moment of a ClickDay.Day.
func DayStart(day int32) time.Time { return time.Unix(int64(day)*secondsPerDay, 0).UTC() }

const secondsPerDay = 24 * 60 * 60

// ClickDays reads the days that a ClickFolder has made. Implementations are safe for
// concurrent use, and return ErrUnavailable as Store does.
type ClickDays interface {
	// ListClickDays returns the rows of the keys from the day from until the day before to,
	// in no order. A store over many shards returns the rows of all shards, so that several
	// rows of one day have to be added up. It fails if one of those shards fails. Keys
	// without clicks have no rows. The rows lack the clicks of batches that wait for
	// ClickFolder.
	ListClickDays(ctx context.Context, kind ClickKind, keys []string, from, to int32) ([]ClickDay, error)

	// ResetClicks sets the totals of a link to zero and deletes its days. Clicks in batches
	// that were added before the reset do not come back. The rows of other kinds keep all
	// clicks. A link without clicks, or an unknown link, is no error.
	ResetClicks(ctx context.Context, key string) error

	// ClickSalt returns the salt of a UTC day for hashes of visitors: ClickSaltLen random
	// bytes. The first call makes the salt. Later calls return the same salt, unless the
	// database has lost it in a crash. The salt is in no write-ahead log, base backup or
	// replica. SweepClicks destroys it an hour after its day. ClickSalt returns ErrNotFound
	// from then on, and earlier than an hour before the day.
	ClickSalt(ctx context.Context, day int32) ([]byte, error)
}

// ClickSaltLen is the length of a salt in bytes.
const ClickSaltLen = 32

// ClickFolder adds the waiting batches of one shard to its days. Several processes may call it at
// the same time: one of them does the work, and the others get ErrBusy. If that process dies,
// the next call of another process continues. Implementations are safe for concurrent use, and
// return ErrUnavailable as Store does.
type ClickFolder interface {
	// FoldClicks takes at most limit of the oldest batches, gives their days to merge, and
	// stores the rows that merge returns. It stores the rows and deletes the batches in one
	// transaction. After an error of merge or of the database, the batches wait as before. It
	// returns the number of folded batches, 0 if none wait.
	FoldClicks(ctx context.Context, limit int, merge ClickMerge) (folded int, err error)

	// SweepClicks does one step of retention, and reports whether more steps remain. Each step
	// is one short transaction.
	SweepClicks(ctx context.Context, r ClickRetention) (more bool, err error)

	// ClickBacklog returns the number and age of the batches that wait for FoldClicks.
	ClickBacklog(ctx context.Context) (ClickBacklog, error)
}

// ClickMerge returns the rows to store, each Kind, Key and Day once. Rows that it does not
// return stay as they are. added are days of links, the oldest batch first; the same
// Key and Day may appear several times. stored reads links and rows as they are before the
// fold. A merge may run again after an error, so it must have no side effects.
type ClickMerge func(ctx context.Context, added []ClickDay, stored ClickRows) ([]ClickDay, error)

// ClickRows reads what a ClickMerge needs.
type ClickRows interface {
	// Links returns the owner and the tags of links by key. Unknown links and tombstones are
	// missing: their clicks have no effect.
	Links(ctx context.Context, keys []string) (map[string]ClickedLink, error)

	// Days returns the stored rows with the Kind, Key and Day of days, in no order. Days
	// without a row are missing.
	Days(ctx context.Context, days []ClickDay) ([]ClickDay, error)
}

// ClickedLink is what a ClickMerge needs to know of a link.
type ClickedLink struct {
	Owner string
	Tags  []string // sorted, without duplicates
}

// ClickRetention says how long days are kept, and with how much detail. The limits apply to
// whole months in UTC: a month is swept once all its days are before the limit.
type ClickRetention struct {
	CoarseBefore int32 // rows of days before it are rewritten once by Coarsen; 0 rewrites nothing
	DropBefore   int32 // rows of days before it are deleted; 0 deletes nothing

	// Coarsen returns the packed clicks of a row with less detail. Required with CoarseBefore.
	// The sweep rewrites each month once. It does not rewrite rows that a merge adds to an
	// old month later.
	Coarsen func(d ClickDay) ([]byte, error)
}

// ClickBacklog describes the batches that wait for FoldClicks.
type ClickBacklog struct {
	Batches int           // counted up to MaxBacklog
	Oldest  time.Duration // age of the oldest batch; 0 without batches
}

// WholeMonths returns r with both limits moved back to the first day of their month.
func (r ClickRetention) WholeMonths() ClickRetention {
	r.CoarseBefore, r.DropBefore = monthOf(r.CoarseBefore), monthOf(r.DropBefore)
	return r
}

// monthOf returns the first day of the month of a day.
func monthOf(day int32) int32 {
	at := DayStart(day)
	return DayOf(at.AddDate(0, 0, 1-at.Day()))
}
