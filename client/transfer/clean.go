package transfer

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/terse/terse/client"
)

// The limits of secondary fields, as the API documents them. Lengths are in characters.
const (
	maxTitleLen  = 500
	maxTags      = 20
	maxTagLen    = 50
	maxMaxClicks = 1_000_000_000
	minYear      = 2000
	minPastYear  = 1990
	maxYear      = 9999
)

// cleaner wraps the Reader of a product. It rejects text that is not UTF-8, cleans secondary
// fields so that the server accepts them, and reports a file without rows.
type cleaner struct {
	Reader
	now    time.Time
	rows   int
	domain *string // of the first link
}

// describer says what a file without rows has.
type describer interface{ describe() string }

// Next implements Reader.
func (c *cleaner) Next() (Record, error) {
	r, err := c.Reader.Next()
	if errors.Is(err, io.EOF) && c.rows == 0 {
		if d, ok := c.Reader.(describer); ok {
			return r, noLinks("%s", d.describe())
		}
		return r, ErrNoLinks
	}
	c.rows++
	if err != nil {
		return r, err
	}
	if err := checkText(&r.Link); err != nil {
		return r, rowError(r.Line, err)
	}
	r.clean(c.now)
	if c.domain == nil {
		c.domain = &r.Domain
	} else if *c.domain != r.Domain {
		r.warn("domain", "%q was dropped: the file has links of several domains, and all become links of one", r.Domain)
	}
	return r, nil
}

// checkText returns a *RowError for text that is not UTF-8.
func checkText(l *client.ArchivedLink) error {
	for _, t := range []struct{ field, text string }{
		{"url", l.URL},
		{"code", l.Code},
		{"domain", l.Domain},
		{"title", l.Title},
		{"tags", strings.Join(l.Tags, "")},
		{"disabled_reason", l.DisabledReason},
		{"forward_query", l.ForwardQuery},
		{"forward_path", l.ForwardPath},
		{"password_hash", l.PasswordHash},
		{"renamed_to", l.RenamedTo},
	} {
		if !utf8.ValidString(t.text) {
			return wrong(t.field, notUTF8)
		}
	}
	for i, r := range l.Rules {
		if !utf8.ValidString(r.To) {
			return wrong(fmt.Sprintf("rules[%d].to", i), notUTF8)
		}
	}
	if l.Owner != nil && !utf8.ValidString(*l.Owner) {
		return wrong("owner", notUTF8)
	}
	return nil
}

const notUTF8 = "is not valid UTF-8. If the file has another encoding, name it with --encoding"

// clean changes or drops secondary fields that the server would reject, with a warning. It
// keeps the target and the code as they are.
func (r *Record) clean(now time.Time) {
	l := &r.Link
	if title := plainText(l.Title); title != l.Title {
		l.Title = title
		r.warn("title", "line breaks and control characters were removed")
	}
	if utf8.RuneCountInString(l.Title) > maxTitleLen {
		l.Title = strings.TrimSpace(string([]rune(l.Title)[:maxTitleLen]))
		r.warn("title", "was cut to %d characters", maxTitleLen)
	}
	r.cleanTags()
	r.cleanTimes(now)
	if l.MaxClicks < 0 || l.MaxClicks > maxMaxClicks {
		r.warn("max_clicks", "%d is not 0 to %d and was dropped", l.MaxClicks, maxMaxClicks)
		l.MaxClicks = 0
	}
	switch l.Status {
	case 0, http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		r.warn("status", "%d is not 301, 302, 307 or 308 and was dropped", l.Status)
		l.Status = 0
	}
	if l.ForwardQuery != "" && !slices.Contains([]string{"off", "append", "override"}, l.ForwardQuery) {
		r.warn("forward_query", "%q is not off, append or override and was dropped", l.ForwardQuery)
		l.ForwardQuery = ""
	}
	if l.ForwardPath != "" && !slices.Contains([]string{"off", "append"}, l.ForwardPath) {
		r.warn("forward_path", "%q is not off or append and was dropped", l.ForwardPath)
		l.ForwardPath = ""
	}
	for _, count := range []struct {
		field string
		n     *int64
	}{{"clicks", &l.Clicks}, {"robots", &l.Robots}, {"used_clicks", &l.UsedClicks}} {
		if *count.n < 0 || *count.n > maxCount {
			r.warn(count.field, "%d is not possible and was dropped", *count.n)
			*count.n = 0
		}
	}
	l.DisabledReason = plainText(l.DisabledReason)
}

// maxCount is the highest number of clicks.
const maxCount = 1 << 60

// cleanTags removes the tags that the server would reject.
func (r *Record) cleanTags() {
	var kept []string
	var problems []string
	for _, tag := range r.Link.Tags {
		plain := strings.TrimSpace(plainText(tag))
		switch {
		case plain == "" || utf8.RuneCountInString(plain) > maxTagLen:
			problems = append(problems, fmt.Sprintf("%.60q was dropped: a tag has 1 to %d characters", tag, maxTagLen))
		case len(kept) == maxTags:
			problems = append(problems, fmt.Sprintf("%q was dropped: a link has at most %d tags", tag, maxTags))
		case slices.Contains(kept, plain):
		default:
			if plain != tag {
				problems = append(problems, fmt.Sprintf("%q became %q", tag, plain))
			}
			kept = append(kept, plain)
		}
	}
	if len(problems) > 0 {
		r.warn("tags", "%s", strings.Join(problems, ", "))
	}
	if len(kept) < len(r.Link.Tags) || len(problems) > 0 {
		r.Link.Tags = kept
	}
}

// cleanTimes drops times that the server would reject.
func (r *Record) cleanTimes(now time.Time) {
	l := &r.Link
	drop := func(field string, at **time.Time, bad bool, reason string) {
		if bad {
			r.warn(field, "%s was dropped: %s", writeTime(*at), reason)
			*at = nil
		}
	}
	latest := now.Add(time.Minute)
	for _, t := range []struct {
		field string
		at    **time.Time
		first int
		past  bool
	}{
		{"starts_at", &l.StartsAt, minYear, false},
		{"expires_at", &l.ExpiresAt, minYear, false},
		{"created_at", &l.CreatedAt, minPastYear, true},
		{"updated_at", &l.UpdatedAt, minPastYear, false},
		{"last_click_at", &l.LastClickAt, minPastYear, false},
	} {
		if *t.at == nil {
			continue
		}
		year := (*t.at).UTC().Year()
		drop(t.field, t.at, year < t.first || year > maxYear, fmt.Sprintf("its year is not %d to %d", t.first, maxYear))
		if *t.at != nil {
			drop(t.field, t.at, t.past && (*t.at).After(latest), "it is in the future")
		}
	}
	if l.StartsAt != nil && l.ExpiresAt != nil {
		drop("starts_at", &l.StartsAt, !l.StartsAt.Before(*l.ExpiresAt), "it is not before expires_at")
	}
	if l.UpdatedAt != nil && l.CreatedAt != nil {
		drop("updated_at", &l.UpdatedAt, l.UpdatedAt.Before(*l.CreatedAt), "it is before created_at")
	}
}

// plainText returns a text as one line: a space for each run of line breaks and tabs, and no
// control characters or characters that change the direction of text.
func plainText(text string) string {
	if !strings.ContainsFunc(text, disruptsLine) {
		return text
	}
	parts := strings.FieldsFunc(text, func(c rune) bool { return c == '\u2028' || c == '\u2029' || c >= '\t' && c <= '\r' || c == '\u0085' })
	for i, part := range parts {
		parts[i] = strings.TrimSpace(strings.Map(func(c rune) rune {
			if disruptsLine(c) {
				return -1
			}
			return c
		}, part))
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// disruptsLine reports whether c is a control character, a line break, or a character that
// changes the direction of text (Unicode Standard Annex #9).
func disruptsLine(c rune) bool {
	return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || c >= '\u202A' && c <= '\u202E' || c >= '\u2066' && c <= '\u2069'
}
