package api

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/terse/terse/store"
)

// maxSiteName is the longest name of a website in characters.
const maxSiteName = 50

// ParseSiteName checks the name of the website that the pages show: at most 50 characters in one
// line. It returns the name without the space around it. An empty name is valid.
func ParseSiteName(s string) (string, error) {
	name := strings.TrimSpace(s)
	if problem, ok := errors.AsType[*store.FieldError](store.CheckText("site_name", name, maxSiteName)); ok {
		return "", fmt.Errorf("%q %s", s, problem.Reason)
	}
	return name, nil
}

// emailForm matches an e-mail address that needs no escaping in a mailto: URI.
var emailForm = regexp.MustCompile(`^[0-9A-Za-z._+=~-]+@[0-9A-Za-z.-]+$`)

// ParseContact checks whom visitors may contact: an e-mail address, with or without mailto:, or
// the https address of a page. It returns a mailto: or https: URI. Empty text means nobody.
func ParseContact(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if address := strings.TrimPrefix(s, "mailto:"); emailForm.MatchString(address) {
		return "mailto:" + address, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%q must be an address such as help@example.com or https://example.com/help", s)
	}
	return s, nil
}
