package store

import (
	"context"
	"time"
)

// Click is one counted redirect: a GET that was answered with a target and was not a
// prefetch.
type Click struct {
	Code string
	At   time.Time // UTC
}

// ClickCount is the clicks of one link between two flushes.
type ClickCount struct {
	Code string
	N    int64     // clicks, at least 1
	Last time.Time // the latest of them; UTC, microseconds
}

// ClickBatch is one flush of a click recorder.
type ClickBatch struct {
	Recorder string // name of the recorder, unique to one start of one process
	Seq      int64  // grows by one with every batch of that recorder; starts at 1
	Counts   []ClickCount
}

// ClickSink adds clicks to the totals of links. A batch is added completely or not at all.
// A batch with the Recorder and Seq of an earlier one is acknowledged but not counted
// again, so that a flush with an unknown outcome can be retried. Clicks of a tombstone
// have no effect. Clicks of an unknown code may appear on the link that gets the code
// later. Implementations are safe for concurrent use.
type ClickSink interface {
	AddClicks(ctx context.Context, b ClickBatch) error
}
