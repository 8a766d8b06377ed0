package links

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/terse/terse/store"
)

const (
	// maxOwnerLen is the longest owner of a link in characters.
	maxOwnerLen = 64

	// maxHashCost is the highest bcrypt cost of a password hash: every visitor who enters a
	// password makes this server compute the hash.
	maxHashCost = 14

	// maxCount is the highest click count that an import accepts. It leaves room for later
	// clicks.
	maxCount = 1 << 60

	// clockSkew is the tolerated difference between the clocks of two systems.
	clockSkew = time.Minute
)

// bcryptForm matches a complete bcrypt hash. bcrypt.Cost checks only its beginning.
var bcryptForm = regexp.MustCompile(`^\$2[aby]?\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// checkArchived checks a link to import, and converts it to the form that stores keep. A
// tombstone has no target to check. The error names every invalid field.
func (s *Service) checkArchived(l *store.Link, in *Archived, now time.Time) error {
	var code, fields error
	if err := s.rules.Code(l.Code); err != nil && (!l.IsCanary() || !store.ValidCode(l.Code)) {
		code = err
	}
	if l.DeletedAt.IsZero() {
		fields = s.checkTarget(l, in)
	}
	return store.JoinFound(in.Err, code, fields, checkOwner(l),
		store.CheckText("disabled_reason", l.DisabledReason, maxReasonLen), checkHash(l.PasswordHash),
		checkDates(l, in, now), checkHistory(l))
}

// checkTarget checks the fields that people set. The target of a link that redirects because of a
// rename is in the archive a short URL of the exporting server. Here it becomes the one of this
// server.
func (s *Service) checkTarget(l *store.Link, in *Archived) error {
	switch {
	case in.RenamedTo == "":
		return s.check(l, &in.Rules)
	case !store.ValidCode(in.RenamedTo), in.RenamedTo == l.Code:
		return &store.FieldError{Field: "renamed_to", Reason: "must be another code"}
	case l.DomainID() != "":
		return &store.FieldError{Field: "renamed_to", Reason: "must be empty for a link that is not on the default domain"}
	case !strings.HasSuffix(l.URL, "/"+in.RenamedTo):
		return &store.FieldError{Field: "url", Reason: "must be the short URL of renamed_to"}
	}
	l.URL = s.shortURL(in.RenamedTo)
	return store.JoinInvalid(s.rules.CheckRenamed(l), s.checkRules(l, &in.Rules))
}

// checkOwner rejects an invalid owner. The owner of canary links must have no other links.
func checkOwner(l *store.Link) error {
	if l.Owner == store.CanaryOwner && !l.IsCanary() {
		return &store.FieldError{Field: "owner", Reason: "is reserved for the links that nodes use to measure their caches"}
	}
	return store.CheckText("owner", l.Owner, maxOwnerLen)
}

// checkHash rejects a password hash that bcrypt cannot use or that costs too much.
func checkHash(hash string) error {
	if hash == "" {
		return nil
	}
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil || !bcryptForm.MatchString(hash) || cost > maxHashCost {
		return &store.FieldError{Field: "password_hash", Reason: fmt.Sprintf("must be a bcrypt hash with a cost of at most %d", maxHashCost)}
	}
	return nil
}

// checkDates rejects invalid dates, and converts the dates of l to UTC and microseconds. It
// checks the year only of dates that the caller sent: the others are defaults.
func checkDates(l *store.Link, in *Archived, now time.Time) error {
	var bad store.InvalidError
	refuse := func(field, reason string) {
		bad = append(bad, &store.FieldError{Field: field, Reason: reason})
	}
	for _, d := range []struct {
		field string
		sent  bool
		at    *time.Time
	}{
		{"created_at", in.CreatedAt != nil, &l.CreatedAt},
		{"updated_at", in.UpdatedAt != nil && !l.UpdatedAt.IsZero(), &l.UpdatedAt},
		{"disabled_at", !l.DisabledAt.IsZero(), &l.DisabledAt},
		{"deleted_at", !l.DeletedAt.IsZero(), &l.DeletedAt},
		{"last_click_at", in.LastClickAt != nil && !l.LastClickAt.IsZero(), &l.LastClickAt},
	} {
		*d.at = micros(*d.at)
		if year := d.at.Year(); d.sent && (year < 1990 || year > 9999) {
			refuse(d.field, "must be in the years 1990 to 9999")
		}
	}
	latest := now.Add(clockSkew)
	if in.CreatedAt != nil && l.CreatedAt.After(latest) {
		refuse("created_at", "must not be in the future")
	}
	if in.UpdatedAt != nil && l.UpdatedAt.Before(l.CreatedAt) {
		refuse("updated_at", "must not be before created_at")
	}
	switch {
	case l.DeletedAt.IsZero():
	case l.DeletedAt.After(latest):
		refuse("deleted_at", "must not be in the future")
	case l.DeletedAt.Before(l.CreatedAt):
		refuse("deleted_at", "must not be before created_at")
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}

// checkHistory rejects invalid counts, and a disabled_reason without disabled_at.
func checkHistory(l *store.Link) error {
	var bad store.InvalidError
	for _, c := range []struct {
		field string
		n     int64
	}{{"clicks", l.Clicks}, {"robots", l.Robots}, {"used_clicks", l.UsedClicks}} {
		if c.n < 0 || c.n > maxCount {
			bad = append(bad, &store.FieldError{Field: c.field, Reason: fmt.Sprintf("must be 0 to %d", int64(maxCount))})
		}
	}
	if l.DisabledReason != "" && l.DisabledAt.IsZero() {
		bad = append(bad, &store.FieldError{Field: "disabled_reason", Reason: "must be empty when disabled_at is not set"})
	}
	if len(bad) == 0 {
		return nil
	}
	return bad
}
