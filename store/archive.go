package store

import "context"

// Archive exports complete links from one system and imports them into another.
// Implementations are safe for concurrent use and return ErrUnavailable as Store does.
// An import does not invalidate caches, because a new code is not an edit.
type Archive interface {
	// Export returns at most limit links with all their fields, tombstones included.
	// The order is the implementation's own and never changes. The page begins after
	// the code after, which need not exist any more; with an empty after it begins
	// with the first link. A page with fewer than limit links is the last. A limit
	// below 1 counts as 1, and above MaxPageLen as MaxPageLen. A link that is edited
	// during the export is returned before or after the edit, and a link that is
	// created during the export may be missing. Export fails if any link cannot be
	// read, so that an archive is always complete.
	Export(ctx context.Context, after string, limit int) ([]Link, error)

	// Import adds l with its version, times and counts, and returns it as stored.
	// RequestID is ignored. A link with a DeletedAt becomes a tombstone and keeps only
	// its Remains. Import returns ErrExists if the code is taken, also by a tombstone
	// or by the same link. A link with clicks needs a LastClickAt.
	Import(ctx context.Context, l Link) (Link, error)
}

// MaxVersion is the highest version of an imported link. Above it there is room for as
// many edits again.
const MaxVersion = 1_000_000_000
