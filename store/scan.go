package store

import (
	"context"
	"time"
)

// Change is a link that was created or edited.
type Change struct {
	// Link is the current link, maybe a tombstone. Clicks and LastClickAt are not set.
	Link Link

	At time.Time // when it was created, or edited; UTC, microseconds
}

// Place returns the position of the change in the order of changes.
func (c *Change) Place() Cursor { return Cursor{CreatedAt: c.At, Code: c.Link.Code} }

// Scanned gives access to links for background scans. One process at a time does each scan.
// Implementations are safe for concurrent use and return ErrUnavailable as Store does.
type Scanned interface {
	// Export is Archive.Export.
	Export(ctx context.Context, after string, limit int) ([]Link, error)

	// Changes returns at most limit changes after a position, oldest first. A transaction
	// that commits late may add a change before changes that were already returned.
	Changes(ctx context.Context, after Cursor, limit int) ([]Change, error)

	// ClaimScan makes holder the holder of the named scan for ttl. It returns the state that
	// was last saved, or "" at first. It returns ErrBusy while another holder has a valid
	// claim.
	ClaimScan(ctx context.Context, name, holder string, ttl time.Duration) (state string, err error)

	// SaveScan saves the state of the scan and extends the claim to ttl from now. It returns
	// ErrBusy and saves nothing if another holder has the scan.
	SaveScan(ctx context.Context, name, holder, state string, ttl time.Duration) error
}
