package store

import "context"

// Tags knows the tags of links. Implementations are safe for concurrent use and return
// ErrUnavailable as Store does.
type Tags interface {
	// ListTags returns the tags of an owner's links, sorted bytewise. It reads the index of tags, and
	// at most MaxTagLinks entries of each tag.
	ListTags(ctx context.Context, q TagQuery) (TagPage, error)
}

// MaxTagLinks is the most links of a tag that ListTags counts.
const MaxTagLinks = 1000

// TagQuery selects tags for ListTags.
type TagQuery struct {
	Owner string // exactly this owner; empty means anonymous links
	After string // the page begins after this tag; empty for the first page
	Limit int    // most tags in the page; below 1 counts as 1, above MaxPageLen as MaxPageLen
}

// Tag is a tag with the number of its links.
type Tag struct {
	Name  string
	Links int // at least 1; MaxTagLinks means that many or more
}

// TagPage is one page of tags. A page may be shorter than the limit although it is not the last one.
type TagPage struct {
	Tags        []Tag
	Next        string   // TagQuery.After of the next page; empty on the last page
	Unavailable []string // see Page
}
