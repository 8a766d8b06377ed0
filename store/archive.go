package store

import "context"

// Archive takes links out of one system whole, and puts them into another.
// Implementations are safe for concurrent use and return ErrUnavailable as Store
// does. What caches keep is not touched: a new code is no edit.
type Archive interface {
	// Export returns at most limit links, with all that is known of each, in an
	// order of its own that never changes: those behind the link with the code
	// after, which may be gone by now, or the first ones when it is empty. Fewer
	// than limit are the last ones. A limit below 1 counts as 1, one above
	// MaxPageLen as that. Tombstones are among them. A link that is edited meanwhile
	// comes as it was or as it is, and one that is created meanwhile may be missing.
	// It fails when any link cannot be read: an archive is whole.
	Export(ctx context.Context, after string, limit int) ([]Link, error)

	// Import adds l as it is, with its version, its dates and its counts, and
	// returns it as stored. RequestID is ignored. One with a DeletedAt becomes a
	// tombstone, which keeps its Remains. It returns ErrExists when the code is taken,
	// also by a tombstone and by the same link. An l with clicks needs a LastClickAt.
	Import(ctx context.Context, l Link) (Link, error)
}

// MaxVersion is the highest version that a link may be imported with. It leaves
// room for as many edits again.
const MaxVersion = 1_000_000_000
