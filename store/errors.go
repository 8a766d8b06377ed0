package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The errors of a Store. Adapters wrap them with the name of the object. Callers check
// them with errors.Is.
var (
	ErrNotFound    = errors.New("no such link")
	ErrExists      = errors.New("code is taken")
	ErrGone        = errors.New("link was deleted")
	ErrVersion     = errors.New("link has another version")
	ErrNotLive     = errors.New("link is not live")
	ErrUnavailable = errors.New("store is unavailable")

	// ErrShed is the ErrUnavailable of a call that was rejected because of overload. The
	// store itself may be available.
	ErrShed = fmt.Errorf("%w: overloaded", ErrUnavailable)

	// ErrMoved is returned by a shard for a bucket that it does not own. Only the router
	// over shards receives it.
	ErrMoved = errors.New("bucket has moved")
)

// FieldError is a problem with one field of the caller's input.
type FieldError struct {
	Field  string // its name in the HTTP contract, such as "url" or "tags[2]"
	Reason string // what a valid value is, for the person who sent it
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Member returns the member of the input that the field belongs to: tags for tags[3].
func (e *FieldError) Member() string {
	if i := strings.IndexAny(e.Field, ".["); i >= 0 {
		return e.Field[:i]
	}
	return e.Field
}

// InvalidError is all problems with one input, in the order of its fields.
type InvalidError []*FieldError

func (e InvalidError) Error() string {
	parts := make([]string, len(e))
	for i, f := range e {
		parts[i] = f.Error()
	}
	return strings.Join(parts, "; ")
}

// IsInvalid reports whether err is about fields of the caller's input: a *FieldError or an
// InvalidError.
func IsInvalid(err error) bool {
	_, one := errors.AsType[*FieldError](err)
	_, all := errors.AsType[InvalidError](err)
	return one || all
}

// JoinInvalid joins the field errors of several checks of one input as an InvalidError. It
// returns nil if all checks passed. An error of another kind is returned alone, unchanged.
func JoinInvalid(errs ...error) error {
	var all InvalidError
	for _, err := range errs {
		var (
			fields InvalidError
			field  *FieldError
		)
		switch {
		case err == nil:
		case errors.As(err, &fields):
			all = append(all, fields...)
		case errors.As(err, &field):
			all = append(all, field)
		default:
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// JoinFound is JoinInvalid for errors that were found before, and errors of checks. The checks
// have seen a default instead of a member that was wrong before, so their errors of this member
// are dropped.
func JoinFound(before error, checks ...error) error {
	err := JoinInvalid(checks...)
	known, _ := errors.AsType[InvalidError](JoinInvalid(before))
	found, ok := errors.AsType[InvalidError](err)
	if len(known) == 0 || !ok {
		return JoinInvalid(err, before)
	}
	found = slices.DeleteFunc(found, func(f *FieldError) bool {
		return slices.ContainsFunc(known, func(k *FieldError) bool { return k.Member() == f.Member() })
	})
	return JoinInvalid(found, before)
}
