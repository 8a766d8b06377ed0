package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// Rules checks what people may put into a link: target, alias and other fields. It is
// immutable and safe for concurrent use.
type Rules struct {
	domains  domainParser
	browser  whatwg.Parser
	own      ownHosts
	blocked  Blocker         // nil: no host is blocked
	reserved map[string]bool // in lower case
}

// RulesOptions configure Rules.
type RulesOptions struct {
	// OwnHosts are the hosts that serve short links, each with its port as in the base
	// URL. Targets must not lead to them. A domain name or an address is ours on every
	// port. A loopback host is ours under all its names, but only on its own port, or on
	// 80 and 443 if it has none. Default: no host, so no target is refused as ours.
	OwnHosts []string

	// Reserved are first path segments that serve something other than a code. An alias
	// must not equal one, ignoring case, and must not begin with CanaryPrefix. Default:
	// none.
	Reserved []string

	// Blocked decides which hosts targets must not lead to. Default: no host is blocked.
	Blocked Blocker
}

// validate returns the problems that it can find without parsing hosts.
func (o *RulesOptions) validate() error {
	var errs []error
	for i, segment := range o.Reserved {
		if segment == "" || strings.Contains(segment, "/") {
			errs = append(errs, fmt.Errorf("store: RulesOptions.Reserved[%d] must be one path segment: %q", i, segment))
		}
	}
	return errors.Join(errs...)
}

// NewRules returns the rules of one service, or an error with every invalid option.
func NewRules(opts RulesOptions) (*Rules, error) {
	r := &Rules{
		domains: newDomainParser(),
		// Lax, so that it never rejects a host that browsers accept. It is only used to
		// compare hosts, not to check them.
		browser:  whatwg.NewParser(whatwg.WithLaxHostParsing()),
		blocked:  opts.Blocked,
		reserved: make(map[string]bool, len(opts.Reserved)),
	}
	own, err := newOwnHosts(r.domains, opts.OwnHosts)
	if err := errors.Join(opts.validate(), err); err != nil {
		return nil, err
	}
	r.own = own
	for _, segment := range opts.Reserved {
		r.reserved[strings.ToLower(segment)] = true
	}
	return r, nil
}

// Alias returns a *FieldError if alias cannot be the code of a link. It is for codes that
// people choose. Minted codes are always valid.
func (r *Rules) Alias(alias string) error {
	switch {
	case !ValidCode(alias):
		return &FieldError{
			Field:  "alias",
			Reason: fmt.Sprintf("must be 1 to %d characters, each a letter A to Z, a digit, - or _", MaxCodeLen),
		}
	case strings.TrimRight(alias, TrailingPunctuation) != alias:
		return &FieldError{Field: "alias", Reason: "must not end with " + alias[len(alias)-1:] + ", which visits ignore there"}
	case r.reserved[strings.ToLower(alias)], strings.HasPrefix(strings.ToLower(alias), CanaryPrefix):
		return &FieldError{Field: "alias", Reason: "is reserved, choose another one"}
	}
	return nil
}

// Check checks all fields of l that people set, except the alias and the password. It is the
// same for creates and edits. If all fields are valid it changes l to its stored form: the
// target as Target returns it, the tags as NormalizeTags does, the times in UTC and whole
// microseconds. Otherwise it returns an InvalidError with every problem and does not
// change l.
func (r *Rules) Check(l *Link) error {
	var (
		bad    InvalidError
		stored = *l
	)
	target, err := r.rewrite(l.URL)
	if err != nil {
		bad.add("url", err.Error())
	}
	stored.URL = target
	stored.Tags = NormalizeTags(l.Tags)
	stored.StartsAt = l.StartsAt.UTC().Truncate(time.Microsecond)
	stored.ExpiresAt = l.ExpiresAt.UTC().Truncate(time.Microsecond)

	bad.checkTitle(l.Title)
	bad.checkTags(l.Tags)
	bad.checkTimes(stored.StartsAt, stored.ExpiresAt)
	bad.checkRedirect(l)
	if len(bad) > 0 {
		return bad
	}
	*l = stored
	return nil
}
