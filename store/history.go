package store

import "context"

// Author is who makes a write, and why. Stores keep it with the version that the
// write makes.
type Author struct {
	ID   string // id of an API key, or what acts by itself, such as AuthorBlocklist; empty when nobody is known
	Note string // why, for people; mostly empty
}

// Authors that are no API keys. Their ids cannot be one's of a key.
const (
	AuthorBlocklist  = "system:blocklist"  // disables links to hosts that are blocked
	AuthorReputation = "system:reputation" // disables links that a reputation service warns of
)

type authorKey struct{}

// WithAuthor returns a context whose writes are a's.
func WithAuthor(ctx context.Context, a Author) context.Context {
	return context.WithValue(ctx, authorKey{}, a)
}

// AuthorOf returns whose the writes of ctx are; the zero Author when nobody said.
func AuthorOf(ctx context.Context) Author {
	a, _ := ctx.Value(authorKey{}).(Author)
	return a
}

// Revision is a link as one version left it.
type Revision struct {
	// Link has no counts and no RequestID. Its PasswordHash is a mark that differs
	// from password to password and tells nothing of it, or empty for none.
	Link Link

	// Author made the version. Version 1 is its Owner's.
	Author Author
}

// MaxRevisions is how many earlier versions of a link are kept at least, besides
// its first.
const MaxRevisions = 1000

// History tells how links came to be what they are. An Update or Delete keeps the
// version that it replaces, in its own transaction; a create costs nothing.
// Tombstones have a history too. Implementations are safe for concurrent use.
type History interface {
	// Revisions returns versions of a link, newest first, at most limit and, unless
	// before is 0, only those below it. It returns none for an unknown code.
	Revisions(ctx context.Context, code string, before int64, limit int) ([]Revision, error)
}
