package api

import (
	"errors"
	"fmt"
	"slices"

	"github.com/terse/terse/store"
)

// Routes returns the first path segments of all routes. No code may equal one, ignoring case.
func Routes() []string {
	return []string{".well-known", "api", "favicon.ico", "robots.txt", "static", "~"}
}

// officialNames are aliases that visitors could take for a page of the website itself, or that
// monitors request.
var officialNames = []string{
	"account", "accounts", "admin", "administrator", "auth", "console", "dashboard", "debug",
	"health", "health-check", "healthcheck", "healthz", "live", "livez", "log-in", "log-out", "login", "logout", "metrics",
	"oauth", "oauth2", "password", "ping", "ready", "readyz", "register", "root", "settings",
	"sign-in", "sign-out", "sign-up", "signin", "signout", "signup", "sso", "status", "system",
}

// Reserved returns the names that cannot be new aliases, ignoring case: names such as login and
// admin, and more, see ParseReserved.
func Reserved(more ...string) []string { return append(slices.Clone(officialNames), more...) }

// ParseReserved checks further names for Reserved, and returns them unchanged. The error names
// each that can never be an alias.
func ParseReserved(list []string) ([]string, error) {
	var problems []error
	for _, name := range list {
		if !store.ValidCode(name) {
			problems = append(problems, fmt.Errorf("%q must be 1 to %d characters, each a letter A to Z, a digit, - or _", name, store.MaxCodeLen))
		}
	}
	return list, errors.Join(problems...)
}
