package store

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// Blocker decides which hosts links must not lead to. Implementations are safe for
// concurrent use and do no I/O.
type Blocker interface {
	// Blocks reports whether a host is blocked. host must be the result of CanonicalHost.
	Blocks(host string) bool
}

// hosts parses hosts outside targets.
var hosts = newDomainParser()

// CanonicalHost returns the form that all spellings of a host share in browsers: a domain
// name in lower-case ASCII without trailing dots, or an address in the form of netip,
// without brackets and not mapped into IPv6. It drops a port. Its error text is a reason
// for the user.
func CanonicalHost(s string) (string, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), nil
	}
	name, port := cutPort(s)
	if digits := strings.TrimPrefix(port, ":"); digits != "" {
		if _, err := parsePort(digits); err != nil {
			return "", err
		}
	}
	h, err := hosts.parse(name)
	if err != nil {
		return "", err
	}
	return h.key(), nil
}

// TargetHost returns the canonical host of a target as Rules.Target returned it.
func TargetHost(target string) (string, error) {
	t, err := splitTarget(target)
	if err != nil {
		return "", err
	}
	return CanonicalHost(t.host)
}

// HostPattern blocks a host, with or without all names below it.
type HostPattern struct {
	Host  string // canonical
	Exact bool   // only the host itself; always false for an address
}

// ParseHostPattern reads the notation of operators. "evil.example" and ".evil.example"
// mean the host and all names below it. "=evil.example" means only the host. A name with
// one label must begin with . or =, because without it a typing error could block a whole
// top-level domain. It returns a *FieldError for "host".
func ParseHostPattern(s string) (HostPattern, error) {
	name, exact := strings.CutPrefix(s, "=")
	wide := false
	if !exact {
		name, wide = strings.CutPrefix(s, ".")
	}
	host, err := CanonicalHost(name)
	if err == nil && (host[0] == '=' || host[0] == '.' || strings.Contains(host, "..")) {
		err = errHost
	}
	if err == nil && !exact && !wide && !strings.ContainsAny(host, ".:") {
		err = errors.New("must have a dot in front to block all names below a top-level domain")
	}
	if err != nil {
		return HostPattern{}, &FieldError{Field: "host", Reason: err.Error()}
	}
	_, notAddr := netip.ParseAddr(host)
	return HostPattern{Host: host, Exact: exact && notAddr != nil}, nil
}

// String returns the stored form of a pattern. ParseHostPattern reads it.
func (p HostPattern) String() string {
	switch {
	case p.Exact:
		return "=" + p.Host
	case !strings.ContainsAny(p.Host, ".:"):
		return "." + p.Host
	}
	return p.Host
}

// MaxBlockReasonLen is the longest reason for blocking a host in characters.
const MaxBlockReasonLen = 500

// BlockedHost is one entry of a Blocklist.
type BlockedHost struct {
	Pattern   HostPattern
	Reason    string
	By        string    // as Author.ID; empty for the command line
	BlockedAt time.Time // UTC, microseconds
}

// Blocklist keeps the hosts that operators block. Implementations are safe for
// concurrent use and return ErrUnavailable as Store does.
type Blocklist interface {
	// BlockHost blocks a host. If it is already blocked, only its reason is replaced.
	BlockHost(ctx context.Context, h BlockedHost) error

	// UnblockHost removes a pattern, or returns ErrNotFound. It does not enable links
	// that were disabled because of the pattern.
	UnblockHost(ctx context.Context, p HostPattern) error

	// BlockedHosts returns at most limit entries after the pattern text after, sorted
	// bytewise by the text of their patterns.
	BlockedHosts(ctx context.Context, after string, limit int) ([]BlockedHost, error)
}

// BlocklistSource is a Blocklist in one database, with a version.
type BlocklistSource interface {
	Blocklist

	// BlocklistVersion returns a number that grows with every change of the list.
	BlocklistVersion(ctx context.Context) (int64, error)
}
