package store

import (
	"context"
	"time"
)

// ClickCount is the clicks of one link between two flushes: at least one of N and Robots is
// positive.
type ClickCount struct {
	Code   string    // the link key
	N      int64     // clicks of people
	Robots int64     // all other clicks
	Last   time.Time // the latest click of a person, UTC, microseconds; ignored if N is 0
}

// ClickBatch is one flush of a click recorder.
type ClickBatch struct {
	Recorder string // name of the recorder: unique to one start of one process, or to one log
	Seq      int64  // grows with every batch of that recorder; at least 1
	Keep     bool   // the store remembers Seq for ever; default: until the recorder has sent nothing for a week
	Counts   []ClickCount
	Days     []ClickDay // the same clicks, packed by link and day; of kind ClickLink, in any order; may be empty. Days of kind ClickLost have other clicks
}

// Clicks returns the number of clicks of people and robots.
func (b *ClickBatch) Clicks() (n int64) {
	for i := range b.Counts {
		n += b.Counts[i].N + b.Counts[i].Robots
	}
	return n
}

// ClickSink adds clicks to the totals of links, and keeps their days for ClickFolder. A batch
// is added completely or not at all. A batch with the Recorder and Seq of an earlier one is
// acknowledged but not counted again, so that a flush with an unknown outcome can be retried.
// Clicks of a tombstone have no effect. Clicks of an unknown code may appear on the link that
// gets the code later. AddClicks returns an error that wraps ErrClickDay if a day is invalid.
// Implementations are safe for concurrent use.
type ClickSink interface {
	AddClicks(ctx context.Context, b ClickBatch) error
}

// ClickLedger is a ClickSink for one database that also shows which batches it has added. A store
// over many databases has one ledger for each. Implementations are safe for concurrent use.
type ClickLedger interface {
	ClickSink

	// ClickSequences returns the Seq of the latest batch of each recorder, for every batch that
	// AddClicks has acknowledged. Recorders without a batch are missing.
	ClickSequences(ctx context.Context, recorders []string) (map[string]int64, error)
}
