package links

import (
	"time"

	"github.com/terse/terse/store"
)

// Draft is a link to create.
type Draft struct {
	URL   string  // the target
	Alias *string // the code; nil: a minted one
	Settings
	Reuse bool // whether an equal link of the caller may be returned instead

	// Key is the idempotency key of this draft. If it is empty, Batch.Key and the position are
	// the key.
	Key string

	// Request is the text of the request. It is only used with a key: a repetition with the
	// same key must have the same text.
	Request []byte

	// Err is why the caller's input is invalid. Field errors are reported together with those
	// that Create finds. Any other error becomes the result.
	Err error
}

// Edit is a change of a link.
type Edit struct {
	Versions Versions // the versions that may be edited
	URL      *string  // the target; nil: unchanged
	Settings
	Err error // as Draft.Err
}

// Settings are fields of a link that creates and edits share. Nil means the default in a
// create, and no change in an edit. The zero value means the default.
type Settings struct {
	Title        *string
	Tags         *[]string
	StartsAt     *time.Time
	ExpiresAt    *time.Time
	MaxClicks    *int64
	Status       *int
	ForwardQuery *store.ForwardQuery
	Password     *string // in clear; empty: none
}

// apply sets the fields of l, except for the password, which must be hashed.
func (s *Settings) apply(l *store.Link) {
	set(&l.Title, s.Title)
	set(&l.Tags, s.Tags)
	set(&l.StartsAt, s.StartsAt)
	set(&l.ExpiresAt, s.ExpiresAt)
	set(&l.MaxClicks, s.MaxClicks)
	set(&l.Status, s.Status)
	set(&l.ForwardQuery, s.ForwardQuery)
	if l.Status == 0 {
		l.Status = store.DefaultStatus
	}
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// hasPassword reports whether the settings set a password.
func (s *Settings) hasPassword() bool { return s.Password != nil && *s.Password != "" }

// checkPassword returns a *store.FieldError if the password is invalid.
func (s *Settings) checkPassword() error {
	if !s.hasPassword() {
		return nil
	}
	return CheckPassword(*s.Password)
}
