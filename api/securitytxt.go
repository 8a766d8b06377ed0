package api

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// securityTxtPath is the place of the file in RFC 9116 section 3.
const securityTxtPath = "/.well-known/security.txt"

// securityTxtLifetime is the time until the file expires. The server makes the file anew for
// each request, so a file expires when nobody runs the server any longer.
const securityTxtLifetime = 30 * 24 * time.Hour

// ParseContacts checks the addresses to which security reports may be sent, and returns them
// unchanged. Each is a URI of RFC 9116 section 2.5.3: mailto:, https: or tel:. The error names
// every invalid address.
func ParseContacts(list []string) ([]string, error) {
	var problems []error
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil || !slices.Contains([]string{"mailto", "https", "tel"}, u.Scheme) || u.Host == "" && u.Opaque == "" ||
			strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			problems = append(problems, fmt.Errorf("%q must be an address such as mailto:security@example.com or https://example.com/security", s))
		}
	}
	return list, errors.Join(problems...)
}

// securityTxt says where to report a vulnerability (RFC 9116).
func (a *API) securityTxt(c echo.Context) error {
	var b strings.Builder
	for _, contact := range a.opts.SecurityContacts {
		fmt.Fprintf(&b, "Contact: %s\n", contact)
	}
	fmt.Fprintf(&b, "Expires: %s\n", a.opts.Clock.Now().Add(securityTxtLifetime).UTC().Format(time.RFC3339))
	fmt.Fprintf(&b, "Canonical: %s%s\n", a.opts.BaseURL, securityTxtPath)
	c.Response().Header().Set("Cache-Control", "public, max-age=3600")
	return c.String(http.StatusOK, b.String())
}
