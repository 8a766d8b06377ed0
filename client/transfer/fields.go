package transfer

import (
	"cmp"
	"net/url"
	"strings"
	"unicode"
)

// fields are the fields of one link at a source. A name is compared by its letters, digits
// and points in lower case, so that "Long URL", long_url and longUrl are the same name.
type fields interface {
	// text returns the first of the named fields that is not empty, or "".
	text(names ...string) string

	// list returns the items of the first of the named fields that is not empty. problem is
	// why they cannot be read.
	list(names ...string) (items []string, problem string)

	// json returns the named field as JSON. Empty if it is absent, empty or null.
	json(name string) string

	// wrongType returns the first of the named fields that is no text, or "".
	wrongType(names ...string) string
}

// fieldName returns the form of a name that is compared.
func fieldName(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) || c == '.' {
			return unicode.ToLower(c)
		}
		return -1
	}, name)
}

// layout names the fields of a product's export. Each list has alternatives: names of other
// versions and forms of the export. The first field that is not empty counts.
type layout struct {
	url       []string // the target
	code      []string
	short     []string // the short URL, if there is no code
	domain    []string // host of the short URL
	domains   bool     // whether links keep their domain
	title     []string
	tags      []string
	created   []string
	updated   []string
	starts    []string
	expires   []string
	clicks    []string
	maxClicks []string
	password  []string // a flag, a bcrypt hash, or a text that cannot be imported
	banned    []string // whether the link was taken down
	dropped   []string // fields with other targets, which are dropped with a warning

	// finish sets what the lists cannot describe. Default: nothing.
	finish func(f fields, r *Record) error
}

// record returns the link that f describes.
func (l *layout) record(f fields) (r Record, err error) {
	for _, names := range [][]string{l.url, l.code, l.short} {
		if name := f.wrongType(names...); name != "" {
			return r, wrong(name, "has the wrong type")
		}
	}
	to := &r.Link
	to.URL, to.Code, to.Title = f.text(l.url...), f.text(l.code...), f.text(l.title...)
	if to.URL == "" {
		return r, wrong("url", "is missing")
	}
	short, _, _ := strings.Cut(f.text(l.short...), ",") // Bitly lists several
	short = strings.TrimSpace(short)
	to.Code = cmp.Or(to.Code, codeOf(short))
	if l.domains {
		to.Domain = f.text(l.domain...)
	} else {
		r.Domain = cmp.Or(f.text(l.domain...), hostOf(short))
	}
	r.setTags(f, l.tags...)
	r.setTime("created_at", f.text(l.created...), &to.CreatedAt)
	r.setTime("updated_at", f.text(l.updated...), &to.UpdatedAt)
	r.setTime("starts_at", f.text(l.starts...), &to.StartsAt)
	r.setTime("expires_at", f.text(l.expires...), &to.ExpiresAt)
	to.Clicks = r.number("clicks", f.text(l.clicks...))
	to.MaxClicks = r.number("max_clicks", f.text(l.maxClicks...))
	r.setPassword(f.text(l.password...))
	r.Disabled = isTrue(f.text(l.banned...))
	for _, name := range l.dropped {
		if text := cmp.Or(f.text(name), f.wrongType(name)); text != "{}" && text != "[]" && isTrue(text) {
			r.warn(name, "was dropped: all visits go to the same target")
		}
	}
	if l.finish != nil {
		return r, l.finish(f, &r)
	}
	return r, nil
}

// missing returns the names for the target, the names for the code, or both, if has reports that
// no column has one of these names.
func (l *layout) missing(has func(names []string) bool) (missing [][]string) {
	if !has(l.url) {
		missing = append(missing, l.url)
	}
	if codes := append(append([]string{}, l.code...), l.short...); !has(codes) {
		missing = append(missing, codes)
	}
	return missing
}

// setPassword sets a password hash, or reports that the password is lost.
func (r *Record) setPassword(text string) {
	if strings.HasPrefix(text, "$2") && len(text) == bcryptLen {
		r.Link.PasswordHash = text
		return
	}
	r.PasswordLost = isTrue(text)
}

// bcryptLen is the length of a bcrypt hash in bytes.
const bcryptLen = 60

// codeOf returns the code of a short URL. The URL may lack its scheme. A URL without a code is
// returned as it is: the server rejects it.
func codeOf(short string) string {
	u := parseShort(short)
	if u == nil {
		return short
	}
	return cmp.Or(strings.Trim(u.Path, "/"), short)
}

// hostOf returns the host of a short URL, or "".
func hostOf(short string) string {
	u := parseShort(short)
	if u == nil {
		return ""
	}
	return u.Host
}

// parseShort returns nil for an empty or invalid URL.
func parseShort(short string) *url.URL {
	if short == "" {
		return nil
	}
	if !strings.Contains(short, "://") {
		short = "https://" + short
	}
	u, err := url.Parse(short)
	if err != nil {
		return nil
	}
	return u
}
