package domains

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/terse/terse/store"
)

// Settings are the fields of a domain that people set. A nil field stays unchanged; in a new
// domain it has its default.
type Settings struct {
	Shared *bool               // default false
	Robots *store.RobotsPolicy // default store.RobotsDefault

	Root, NotFound, Ended Redirect // default: a page of this service

	AppleAssociation *string // text of apple-app-site-association; default: empty, no file
	AssetLinks       *string // text of assetlinks.json; default: empty, no file
}

// Redirect is a change of a store.DomainRedirect.
type Redirect struct {
	URL    *string // empty: a page of this service
	Status *int    // default store.DefaultStatus
}

// hosts are the hosts in a request, in canonical form.
type hosts struct {
	primary string
	all     []string // the primary one first
}

// parseHosts checks the hosts of a request. Its error names every wrong one.
func (s *Service) parseHosts(primary string, aliases []string) (hosts, error) {
	name, err := s.parseHost("host", primary)
	if err == nil && strings.HasPrefix(name, store.WildcardLabel) {
		err = &store.FieldError{Field: "host", Reason: "must have no *, because it is in short URLs. Names with * can be aliases"}
	}
	all, errs := []string{name}, []error{err}
	for i, alias := range aliases {
		field := fmt.Sprintf("aliases[%d]", i)
		name, err := s.parseHost(field, alias)
		if err == nil && slices.Contains(all, name) {
			err = &store.FieldError{Field: field, Reason: "is named twice"}
		}
		all, errs = append(all, name), append(errs, err)
	}
	if len(all) > MaxHosts {
		errs = append(errs, &store.FieldError{Field: "aliases", Reason: fmt.Sprintf("must be at most %d hosts", MaxHosts-1)})
	}
	return hosts{name, all}, store.JoinInvalid(errs...)
}

// parseHost returns the canonical form of a host that a domain may have.
func (s *Service) parseHost(field, raw string) (string, error) {
	refuse := func(reason string) (string, error) { return "", &store.FieldError{Field: field, Reason: reason} }
	host, err := store.ParseDomainHost(raw)
	if wrong, ok := errors.AsType[*store.FieldError](err); ok {
		return refuse(wrong.Reason)
	}
	if err != nil {
		return "", err
	}
	name := bare(host)
	_, parent, _ := strings.Cut(s.baseHost, ".")
	_, appParent, _ := strings.Cut(s.appHost, ".")
	switch suffix, _ := publicsuffix.PublicSuffix(name); {
	case name == suffix:
		return refuse("must not be a public suffix: others register names under it")
	case host == s.baseHost:
		return refuse("must not be the host of this server's own short URLs")
	case host == store.WildcardLabel+"."+parent:
		return refuse("must not include the host of this server's own short URLs")
	case host == s.appHost, s.appHost != "" && host == store.WildcardLabel+"."+appParent:
		return refuse("must not be or include the host of the console")
	}
	return host, nil
}

// apply checks the settings and sets them in d. own are the hosts of d.
func (s *Service) apply(in *Settings, d *store.Domain, own []string) error {
	if in.Shared != nil {
		d.Shared = *in.Shared
	}
	if in.Robots != nil {
		d.Robots = *in.Robots
	}
	if in.AppleAssociation != nil {
		d.AppleAssociation = *in.AppleAssociation
	}
	if in.AssetLinks != nil {
		d.AssetLinks = *in.AssetLinks
	}
	return store.JoinInvalid(
		checkAppleAssociation(d.AppleAssociation),
		checkAssetLinks(d.AssetLinks),
		s.applyRedirect("root", in.Root, &d.Root, own),
		s.applyRedirect("not_found", in.NotFound, &d.NotFound, own),
		s.applyRedirect("ended", in.Ended, &d.Ended, own),
	)
}

// applyRedirect checks a change of one redirect and makes it. name is the prefix of its fields,
// such as root for root_url and root_status.
func (s *Service) applyRedirect(name string, in Redirect, to *store.DomainRedirect, own []string) error {
	next := *to
	if in.URL != nil {
		next.URL = *in.URL
	}
	if in.Status != nil {
		next.Status = *in.Status
	}
	switch {
	case next.URL != "" && next.Status == 0:
		next.Status = store.DefaultStatus
	case next.URL == "" && in.Status != nil && *in.Status != 0:
		return &store.FieldError{Field: name + "_status", Reason: "needs " + name + "_url"}
	case next.URL == "":
		next.Status = 0
	}
	if !slices.Contains([]int{0, http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}, next.Status) {
		return &store.FieldError{Field: name + "_status", Reason: "must be 301, 302, 307 or 308"}
	}
	if in.URL != nil && next.URL != "" {
		target, err := s.opts.Rules.Target(next.URL)
		if err == nil && s.isOwn(target, own) {
			err = &store.FieldError{Reason: "must not lead to this URL shortener itself"}
		}
		if wrong, ok := errors.AsType[*store.FieldError](err); ok {
			return &store.FieldError{Field: name + "_url", Reason: wrong.Reason}
		}
		if err != nil {
			return err
		}
		next.URL = target
	}
	*to = next
	return nil
}

// isOwn reports whether a target leads to one of the hosts, or to a verified host of another
// domain.
func (s *Service) isOwn(target string, own []string) bool {
	name, err := store.TargetHost(target)
	if err != nil {
		return true
	}
	if slices.Contains(own, name) || slices.Contains(own, wildcardOf(name)) {
		return true
	}
	return s.opts.Map.Serves(name)
}
