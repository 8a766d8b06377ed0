package links

import (
	"time"

	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// Draft is a link to create.
type Draft struct {
	URL    string  // the target
	Domain *string // a host of the domain; nil: the default domain of the key, or of the server
	Alias  *string // the code; nil: a minted one
	Settings
	Reuse bool // whether an equal link of the caller may be returned instead; needs a key

	// Key is the idempotency key of this draft. Default: Batch.Key and the position.
	Key string

	// Request is the text of the request. It is used only with a key: a repeated request
	// with the same key must have the same text.
	Request []byte

	// Err is an error of the caller's input that was found before Create. Field errors are
	// reported together with the field errors of Create. Create returns any other error as
	// the result of the draft.
	Err error
}

// Edit is a change of a link.
type Edit struct {
	Versions Versions // the versions that may be edited
	URL      *string  // the target; nil: unchanged
	Settings
	Rename *Rename // nil: the code stays
	Err    error   // see Draft.Err
}

// Settings are fields of a link that creates and edits share. Nil means the default in a
// create, and no change in an edit. A pointer to a zero value means the default.
type Settings struct {
	Title        *string
	Tags         *[]string
	StartsAt     *time.Time
	ExpiresAt    *time.Time
	MaxClicks    *int64
	Confirm      *bool
	NoVisitors   *bool
	Status       *int
	ForwardQuery *store.ForwardQuery
	ForwardPath  *bool
	Rules        *[]rules.Rule
	Password     *string // in plain text; empty: no password
}

// apply sets the fields of l, except for the password, which must be hashed, and the rules, see
// Service.check.
func (s *Settings) apply(l *store.Link) {
	set(&l.Title, s.Title)
	set(&l.Tags, s.Tags)
	set(&l.StartsAt, s.StartsAt)
	set(&l.ExpiresAt, s.ExpiresAt)
	set(&l.MaxClicks, s.MaxClicks)
	set(&l.Confirm, s.Confirm)
	set(&l.NoVisitors, s.NoVisitors)
	set(&l.Status, s.Status)
	set(&l.ForwardQuery, s.ForwardQuery)
	set(&l.ForwardPath, s.ForwardPath)
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
