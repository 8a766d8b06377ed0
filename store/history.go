package store

import "context"

// Author is the author of a write and the reason for it. Stores record it with the version
// that the write makes.
type Author struct {
	ID   string // id of an API key, AuthorAdmin, or the name of a part of the system such as AuthorBlocklist; empty if unknown
	Note string // the reason, for people; usually empty
}

// AuthorAdmin is the author of writes by an administrator of the server who signed in by a one-time
// link. No API key has this id.
const AuthorAdmin = "admin"

// Authors that are parts of the system. No API key has such an id.
const (
	AuthorBlocklist  = "system:blocklist"  // disables links to blocked hosts
	AuthorDomains    = "system:domains"    // disables links to hosts of domains
	AuthorReputation = "system:reputation" // disables links that a reputation service reports
)

type authorKey struct{}

// WithAuthor returns a context for writes by a.
func WithAuthor(ctx context.Context, a Author) context.Context {
	return context.WithValue(ctx, authorKey{}, a)
}

// AuthorOf returns the author set by WithAuthor, or the zero Author.
func AuthorOf(ctx context.Context) Author {
	a, _ := ctx.Value(authorKey{}).(Author)
	return a
}

// Revision is one version of a link.
type Revision struct {
	// Link has no counts and no RequestID. Its PasswordHash is a short mark that differs
	// between passwords and does not reveal them, or empty without a password.
	Link Link

	// Author made this version. The author of version 1 is the link's Owner.
	Author Author
}

// MaxRevisions is how many earlier versions of a link are kept at least, in addition to
// the first.
const MaxRevisions = 1000

// History keeps earlier versions of links. Update, Delete and Restore store the version that
// they replace, in the same transaction. A create stores nothing extra. Tombstones have a
// history too, and are versions in the history of a restored link. Implementations are safe for concurrent use.
type History interface {
	// Revisions returns at most limit versions of a link, newest first. Unless before is
	// 0, it returns only versions below before. For an unknown code the result is empty.
	Revisions(ctx context.Context, code string, before int64, limit int) ([]Revision, error)
}
