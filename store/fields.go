package store

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The limits of the fields that people set. Lengths count Unicode code points.
const (
	MaxTitleLen  = 500
	MaxTags      = 20
	MaxTagLen    = 50
	MaxMaxClicks = 1_000_000_000
)

// A link may start and expire in these years, in UTC.
const (
	minYear = 2000
	maxYear = 9999
)

// NormalizeTags returns the tags in their stored form: sorted bytewise, without duplicates,
// nil if empty. It does not change its argument.
func NormalizeTags(tags []string) []string {
	if len(tags) == 0 {
		return nil
	}
	sorted := slices.Clone(tags)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// add appends a problem.
func (e *InvalidError) add(field, reason string) {
	*e = append(*e, &FieldError{Field: field, Reason: reason})
}

func (e *InvalidError) checkTitle(title string) {
	if problem, ok := errors.AsType[*FieldError](CheckText("title", title, MaxTitleLen)); ok {
		*e = append(*e, problem)
	}
}

// checkTags names each invalid tag by its index in the caller's list. A list that is too
// long is one problem, and its tags are not checked.
func (e *InvalidError) checkTags(tags []string) {
	if len(tags) > MaxTags {
		e.add("tags", fmt.Sprintf("must be at most %d", MaxTags))
		return
	}
	for i, tag := range tags {
		field := fmt.Sprintf("tags[%d]", i)
		if reason := textProblem(tag); reason != "" {
			e.add(field, reason)
		}
		if n := utf8.RuneCountInString(tag); n < 1 || n > MaxTagLen {
			e.add(field, fmt.Sprintf("must be 1 to %d characters long", MaxTagLen))
		}
		if strings.TrimSpace(tag) != tag {
			e.add(field, "must not begin or end with a space")
		}
	}
}

// checkTimes checks the start and the end of a link. A zero time is unset.
func (e *InvalidError) checkTimes(starts, expires time.Time) {
	for _, t := range []struct {
		field string
		at    time.Time
	}{{"starts_at", starts}, {"expires_at", expires}} {
		if !t.at.IsZero() && (t.at.Year() < minYear || t.at.Year() > maxYear) {
			e.add(t.field, fmt.Sprintf("must be in the years %d to %d", minYear, maxYear))
		}
	}
	if !starts.IsZero() && !expires.IsZero() && !starts.Before(expires) {
		e.add("expires_at", "must be later than starts_at")
	}
}

// checkRedirect checks the status, the forwarding of queries and the limit of clicks.
func (e *InvalidError) checkRedirect(l *Link) {
	if l.MaxClicks < 0 || l.MaxClicks > MaxMaxClicks {
		e.add("max_clicks", fmt.Sprintf("must be 0, for any number, to %d", MaxMaxClicks))
	}
	if !redirects(l.Status) {
		e.add("status", "must be 301, 302, 307 or 308")
	}
	if l.ForwardQuery > ForwardOverride {
		e.add("forward_query", "must be off, append or override")
	}
}

// redirects reports whether a link may have the status.
func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// MayRedirect reports whether a visit may be answered from l: its status is one of a redirect,
// and its target is an http or https URL in printable ASCII, as Rules.Check stores it. It does
// not check the host. It is for links from a place that others can write, such as a shared
// cache, and costs less than a microsecond.
func (l *Link) MayRedirect() bool {
	scheme := schemeLen(l.URL)
	return redirects(l.Status) && l.ForwardQuery <= ForwardOverride &&
		scheme > 0 && len(l.URL) > scheme && len(l.URL) <= MaxURLLen && l.URL[scheme] != '/' && l.URL[scheme] != '\\' &&
		!strings.ContainsFunc(l.URL, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}

// textProblem returns why s is not safe to show as one line of plain text, or "" if it is.
func textProblem(s string) string {
	if !utf8.ValidString(s) {
		return "must be valid UTF-8"
	}
	if strings.ContainsFunc(s, disruptsLine) {
		return "must not contain control characters, line breaks or bidirectional overrides"
	}
	return ""
}

// disruptsLine reports whether c ends a line, is a control character (C0, DEL, C1), or
// changes the direction of the following text: the embeddings, overrides and isolates of
// Unicode Standard Annex #9.
func disruptsLine(c rune) bool {
	const lineSeparator, paragraphSeparator = '\u2028', '\u2029'
	return unicode.IsControl(c) || c == lineSeparator || c == paragraphSeparator ||
		(c >= '\u202A' && c <= '\u202E') || (c >= '\u2066' && c <= '\u2069')
}

// CheckText returns a *FieldError for the field unless s is one line of at most maxLen
// characters: valid UTF-8 without control characters and without characters that change
// the direction of text.
func CheckText(field, s string, maxLen int) error {
	if reason := textProblem(s); reason != "" {
		return &FieldError{Field: field, Reason: reason}
	}
	if utf8.RuneCountInString(s) > maxLen {
		return &FieldError{Field: field, Reason: fmt.Sprintf("must be at most %d characters long", maxLen)}
	}
	return nil
}
