package store

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"
)

// Blocker tells to which hosts no link may lead. Implementations are safe for
// concurrent use and never wait.
type Blocker interface {
	// Blocks reports whether a host is blocked. host is as CanonicalHost returns it.
	Blocks(host string) bool
}

// hosts reads hosts that are not part of a target.
var hosts = newDomainParser()

// CanonicalHost returns what all spellings of a host have in common, as browsers
// read it: a domain name in lower-case ASCII without dots behind it, or an address
// as netip writes it, without brackets or its mapping into IPv6. A port is left
// out. The text of its error is a reason for the user.
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

// HostPattern is a host that is blocked: with all names below it, or alone.
type HostPattern struct {
	Host  string // canonical
	Exact bool   // the host alone; always false for an address, below which there is nothing
}

// ParseHostPattern reads what operators write: "evil.example" and
// ".evil.example" stand for the host and all names below it, "=evil.example" for
// the host alone. A name of one label needs the dot or the =, since it mostly is a
// slip that would block a whole top-level domain. It returns a *FieldError that
// names "host".
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

// String returns the one way in which a pattern is kept. ParseHostPattern reads it.
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

// BlockedHost is one row of a Blocklist.
type BlockedHost struct {
	Pattern   HostPattern
	Reason    string
	By        string    // as Author.ID; empty for the command line
	BlockedAt time.Time // UTC, microseconds
}

// Blocklist keeps the hosts that operators block. Implementations are safe for
// concurrent use and return ErrUnavailable as Store does.
type Blocklist interface {
	// BlockHost blocks a host. One that is blocked already gets the new reason.
	BlockHost(ctx context.Context, h BlockedHost) error

	// UnblockHost takes a pattern off the list, or returns ErrNotFound. It enables
	// no link that was disabled meanwhile.
	UnblockHost(ctx context.Context, p HostPattern) error

	// BlockedHosts returns at most limit of them, sorted bytewise by their
	// patterns' text, from the one behind after on.
	BlockedHosts(ctx context.Context, after string, limit int) ([]BlockedHost, error)
}

// BlocklistSource is a Blocklist in one place, which tells of its changes.
type BlocklistSource interface {
	Blocklist

	// BlocklistVersion returns a number that grows with every change of the list.
	BlocklistVersion(ctx context.Context) (int64, error)
}
