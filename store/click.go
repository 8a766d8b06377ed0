package store

import (
	"context"
	"time"
)

// Click is one redirect that counts: a GET that was answered with a target and
// was no prefetch.
type Click struct {
	Code string
	At   time.Time // UTC
}

// ClickCount is what happened to one link between two flushes.
type ClickCount struct {
	Code string
	N    int64     // clicks, at least 1
	Last time.Time // the latest of them; UTC, microseconds
}

// ClickBatch is one flush of a click recorder.
type ClickBatch struct {
	Recorder string // names the recorder; unique to one process and its start
	Seq      int64  // grows by one with every batch of that recorder; starts at 1
	Counts   []ClickCount
}

// ClickSink adds clicks to the totals of links. A batch is added wholly or not
// at all, and one that was added before (by its Recorder and Seq) is
// acknowledged without counting again, so that a flush with an unknown outcome
// can be repeated. Clicks are of links that were there: nothing is shown of those
// that are tombstones by now, and clicks of a code that no link has may be shown
// by the link that gets it.
type ClickSink interface {
	AddClicks(ctx context.Context, b ClickBatch) error
}
