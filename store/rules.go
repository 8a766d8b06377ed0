package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// Rules decides what people may put into a link: its target, its alias and its
// other fields. It never changes after NewRules and is safe for concurrent use.
type Rules struct {
	domains  domainParser
	browser  whatwg.Parser
	own      ownHosts
	blocked  Blocker         // nil: no host is
	reserved map[string]bool // in lower case
}

// RulesOptions configures Rules.
type RulesOptions struct {
	// OwnHosts are the hosts, each with its port as in the base URL, on which
	// short links are served. No target may lead back to them. A domain name or
	// an address is ours on every port. A loopback host is ours under all its
	// names, but on its own port alone; without a port on 80 and 443. Default:
	// none, and no target is refused for being ours.
	OwnHosts []string

	// Reserved are the first path segments that are served as something else
	// than a code. No alias may equal one, in capitals or not, nor begin with
	// CanaryPrefix. Default: none.
	Reserved []string

	// Blocked tells to which hosts no target may lead. Default: none.
	Blocked Blocker
}

// validate returns every problem of the options that needs no parsing.
func (o *RulesOptions) validate() error {
	var errs []error
	for _, segment := range o.Reserved {
		if segment == "" || strings.Contains(segment, "/") {
			errs = append(errs, fmt.Errorf("reserved segment %q must be one path segment", segment))
		}
	}
	return errors.Join(errs...)
}

// NewRules returns the rules for one service, or an error that joins every
// problem of the options.
func NewRules(opts RulesOptions) (*Rules, error) {
	r := &Rules{
		domains: newDomainParser(),
		// Being lax it never refuses a host that browsers take. It need not judge
		// hosts: it only has to find the same one as we do.
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

// Alias returns a *FieldError when alias cannot be the code of a link. Only
// codes that people chose are asked about: minted ones are valid as they are.
func (r *Rules) Alias(alias string) error {
	switch {
	case !ValidCode(alias):
		return &FieldError{
			Field:  "alias",
			Reason: fmt.Sprintf("must be 1 to %d characters, each a letter A to Z, a digit, - or _", MaxCodeLen),
		}
	case r.reserved[strings.ToLower(alias)], strings.HasPrefix(strings.ToLower(alias), CanaryPrefix):
		return &FieldError{Field: "alias", Reason: "is reserved, choose another one"}
	}
	return nil
}

// Check judges everything in l that people set, except the alias and the
// password, and is the same for a create and an edit. When all is well it
// brings l into its stored form: the target as Target returns it, the tags as
// NormalizeTags does, the times in UTC and whole microseconds. Otherwise it
// returns an InvalidError with every problem and leaves l as it was.
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
