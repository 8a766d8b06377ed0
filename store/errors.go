package store

import (
	"errors"
	"fmt"
	"strings"
)

// What a Store answers instead of a link. Adapters wrap these with the object,
// and callers ask with errors.Is.
var (
	ErrNotFound    = errors.New("no such link")
	ErrExists      = errors.New("code is taken")
	ErrGone        = errors.New("link was deleted")
	ErrVersion     = errors.New("link has another version")
	ErrNotLive     = errors.New("link is not live")
	ErrUnavailable = errors.New("store is unavailable")

	// ErrShed is an ErrUnavailable of what was not even tried, for lack of room: it says
	// nothing of whether there would be an answer.
	ErrShed = fmt.Errorf("%w: more is asked than can be done", ErrUnavailable)

	// ErrMoved is what a shard answers for a bucket that it does not own. Only
	// shards return it, to whoever routes to them.
	ErrMoved = errors.New("bucket has moved")
)

// FieldError says what is wrong with one field of the caller's input.
type FieldError struct {
	Field  string // its name in the HTTP contract, such as "url" or "tags[2]"
	Reason string // what would be right, for the person who sent it
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// InvalidError is everything that is wrong with one input, in the order of its
// fields.
type InvalidError []*FieldError

func (e InvalidError) Error() string {
	parts := make([]string, len(e))
	for i, f := range e {
		parts[i] = f.Error()
	}
	return strings.Join(parts, "; ")
}
