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
	served   DomainHosts     // nil: no other host is ours
	blocked  Blocker         // nil: no host is blocked
	routes   map[string]bool // in lower case
	reserved map[string]bool // in lower case
}

// RulesOptions configure Rules.
type RulesOptions struct {
	// OwnHosts are the hosts that serve short links, each with its port as in the base
	// URL. Targets must not lead to them. A domain name or an address is ours on every
	// port. A loopback host is ours under all its names, but only on its own port, or on
	// 80 and 443 if it has none. Default: no host, so no target is refused as ours.
	OwnHosts []string

	// Served decides which other hosts are ours, on every port. Default: none.
	Served DomainHosts

	// Routes are first path segments that serve something other than a code. No code may
	// equal one, ignoring case. Default: none.
	Routes []string

	// Reserved are names that new aliases must not have, ignoring case. Existing links may
	// have them. Default: none.
	Reserved []string

	// Blocked decides which hosts targets must not lead to. Default: no host is blocked.
	Blocked Blocker
}

// validate returns the problems that it can find without parsing hosts.
func (o *RulesOptions) validate() error {
	var errs []error
	for name, segments := range map[string][]string{"Routes": o.Routes, "Reserved": o.Reserved} {
		for i, segment := range segments {
			if segment == "" || strings.Contains(segment, "/") {
				errs = append(errs, fmt.Errorf("store: RulesOptions.%s[%d] must be one path segment: %q", name, i, segment))
			}
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
		served:   opts.Served,
		routes:   lowered(opts.Routes),
		reserved: lowered(opts.Reserved),
	}
	own, err := newOwnHosts(r.domains, opts.OwnHosts)
	if err := errors.Join(opts.validate(), err); err != nil {
		return nil, err
	}
	r.own = own
	return r, nil
}

// lowered returns the set of the names in lower case.
func lowered(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[strings.ToLower(name)] = true
	}
	return set
}

// Code returns a *FieldError for "code" if no link can have the key. Existing links may have
// codes that Alias rejects.
func (r *Rules) Code(key string) error {
	_, code := SplitKey(key)
	switch {
	case !ValidKey(key):
		return &FieldError{Field: "code", Reason: invalidCode}
	case r.routes[strings.ToLower(code)], strings.HasPrefix(strings.ToLower(code), CanaryPrefix):
		return &FieldError{Field: "code", Reason: "is reserved, choose another one"}
	}
	return nil
}

// invalidCode is the reason for rejecting a code that has not the syntax of a code.
var invalidCode = fmt.Sprintf("must be 1 to %d characters, each a letter A to Z, a digit, - or _", MaxCodeLen)

// Alias returns a *FieldError if alias cannot be the code of a link. It is for codes that
// people choose, without its domain. Minted codes are always valid.
func (r *Rules) Alias(alias string) error {
	problem, invalid := errors.AsType[*FieldError](r.Code(alias))
	switch {
	case !ValidCode(alias):
		return &FieldError{Field: "alias", Reason: invalidCode}
	case invalid:
		return &FieldError{Field: "alias", Reason: problem.Reason}
	case strings.TrimRight(alias, TrailingPunctuation) != alias:
		return &FieldError{Field: "alias", Reason: "must not end with " + alias[len(alias)-1:] + ", which visits ignore there"}
	case r.reserved[strings.ToLower(alias)]:
		return &FieldError{Field: "alias", Reason: "is reserved, choose another one"}
	}
	return nil
}

// Check checks all fields of l that people set, except the alias and the password. It is the
// same for creates and edits. If all fields are valid it changes l to its stored form: the
// target as Target returns it, the tags as NormalizeTags does, the times in UTC and whole
// microseconds. Otherwise it returns an InvalidError with every problem and does not
// change l.
func (r *Rules) Check(l *Link) error { return r.check(l, false) }

// CheckRenamed is Check for a link whose target is the new short URL of a renamed link. It does
// not reject a target on our own hosts.
func (r *Rules) CheckRenamed(l *Link) error { return r.check(l, true) }

func (r *Rules) check(l *Link, mayBeOwn bool) error {
	var (
		bad    InvalidError
		stored = *l
	)
	target, err := r.rewrite(l.URL, mayBeOwn)
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
