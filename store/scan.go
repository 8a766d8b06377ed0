package store

import (
	"context"
	"time"
)

// Change is a link that was created or edited.
type Change struct {
	// Link is the link as it is, maybe a tombstone by now. Clicks and LastClickAt
	// are not set.
	Link Link

	At time.Time // when it was created, or edited; UTC, microseconds
}

// Place returns where the change is in the order of changes.
func (c *Change) Place() Cursor { return Cursor{CreatedAt: c.At, Code: c.Link.Code} }

// Scanned is a place of links that is looked through in the background, by one of
// the processes that share it at a time. Implementations are safe for concurrent
// use and return ErrUnavailable as Store does.
type Scanned interface {
	// Export is that of Archive.
	Export(ctx context.Context, after string, limit int) ([]Link, error)

	// Changes returns at most limit changes behind a place, oldest first. A change
	// whose transaction ends late may come in before others that were returned.
	Changes(ctx context.Context, after Cursor, limit int) ([]Change, error)

	// ClaimScan makes holder the one who does the scan of that name, for ttl, and
	// returns what the last one saved, which is empty at first. It returns ErrBusy
	// while another holder's time runs.
	ClaimScan(ctx context.Context, name, holder string, ttl time.Duration) (state string, err error)

	// SaveScan keeps how far the holder has come, and gives it ttl from now. It
	// returns ErrBusy, and keeps nothing, when another holder has the scan.
	SaveScan(ctx context.Context, name, holder, state string, ttl time.Duration) error
}
