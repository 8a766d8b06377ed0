package store

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DomainState is the state of a Domain.
type DomainState uint8

// The states of a domain. Their numbers are stored.
const (
	DomainPending DomainState = 0 // its hosts are not verified yet
	DomainActive  DomainState = 1 // its links redirect
	DomainOff     DomainState = 2 // turned off by its owner or by an admin
	DomainRemoved DomainState = 3 // keeps its id and its hosts, so that no other owner gets its links
)

// RobotsPolicy says what the robots.txt of a domain allows.
type RobotsPolicy uint8

// The policies. Their numbers are stored.
const (
	RobotsDefault  RobotsPolicy = 0 // as on the default domain
	RobotsDisallow RobotsPolicy = 1 // nothing
)

// MaxDomainFileLen is the most bytes of a file of a domain. All nodes have the files in memory.
const MaxDomainFileLen = 16 << 10

// DomainRedirect is where a domain sends visits that have no live link.
type DomainRedirect struct {
	URL    string // absolute http or https address; empty for a page of this service
	Status int    // 301, 302, 307 or 308; 0 if URL is empty
}

// Domain is a domain of short links besides the default one. Domains are values.
type Domain struct {
	ID     string // a minted code, see ValidDomainID; part of the keys of its links; never reused
	Host   string // its primary host, which is in short URLs, as ParseDomainHost returns it
	Owner  string // as Link.Owner
	Shared bool   // every owner may create links on it
	State  DomainState
	Robots RobotsPolicy

	Root     DomainRedirect // of the path /
	NotFound DomainRedirect // of codes without a link
	Ended    DomainRedirect // of links that have ended

	AppleAssociation string // the file apple-app-site-association: JSON of at most MaxDomainFileLen bytes; empty: none
	AssetLinks       string // the file assetlinks.json for Android, likewise

	CreatedAt  time.Time // UTC, microseconds
	UpdatedAt  time.Time // UTC, microseconds
	VerifiedAt time.Time // when it last became active; the zero time means never
	Version    int64     // starts at 1 and grows by one with every edit of the domain, but not of its hosts
}

// DomainHost is the claim of a domain on a host.
type DomainHost struct {
	Host       string // as ParseDomainHost returns it
	DomainID   string
	Owner      string    // of the domain
	ClaimedAt  time.Time // UTC, microseconds
	VerifiedAt time.Time // the zero time means never
}

// Domains keeps domains and the hosts that they claim. Each host has one claim at most. A
// domain is in the database of its id, a claim in the database of its host, so one call
// changes only one of them: package domains has the operations that need several calls.
// Writes keep the promises of Store. Implementations are safe for concurrent use and return
// ErrUnavailable as Store does.
type Domains interface {
	// AddDomain adds d with Version 1 and returns it as stored. It returns ErrExists if
	// there is a domain with this ID.
	AddDomain(ctx context.Context, d Domain) (Domain, error)

	// UpdateDomain replaces all fields except ID if the stored version equals d.Version. It
	// returns the domain with its new version, ErrVersion if the stored version differs, and
	// ErrNotFound for an unknown ID.
	UpdateDomain(ctx context.Context, d Domain) (Domain, error)

	// Domain returns the domain with an ID, or ErrNotFound.
	Domain(ctx context.Context, id string) (Domain, error)

	// ListDomains returns at most limit domains after the ID after, sorted bytewise by ID.
	ListDomains(ctx context.Context, after string, limit int) ([]Domain, error)

	// ClaimHost adds the claim h if the host has no claim. It returns the claim that the host
	// has afterwards. The call succeeded if that claim has the DomainID of h. Repeating it
	// changes nothing.
	ClaimHost(ctx context.Context, h DomainHost) (DomainHost, error)

	// UpdateHost replaces the claim on h.Host by h if it belongs to the domain from. It
	// returns ErrNotFound if the domain from has no claim on the host.
	UpdateHost(ctx context.Context, from string, h DomainHost) error

	// ReleaseHost removes the claim of a domain on a host. It returns ErrNotFound if the
	// domain has no claim on the host.
	ReleaseHost(ctx context.Context, host, domainID string) error

	// Host returns the claim on a host, or ErrNotFound.
	Host(ctx context.Context, host string) (DomainHost, error)

	// HostsOf returns all claims of a domain, sorted bytewise by host.
	HostsOf(ctx context.Context, domainID string) ([]DomainHost, error)

	// ListHosts returns at most limit claims after the host after, sorted bytewise by host.
	ListHosts(ctx context.Context, after string, limit int) ([]DomainHost, error)
}

// DomainsSource is the Domains of one database, with a version.
type DomainsSource interface {
	Domains

	// DomainsVersion returns a number that grows with every change of the domains and
	// hosts, and with every change of the buckets of the database.
	DomainsVersion(ctx context.Context) (int64, error)
}

// DomainHosts decides which hosts belong to domains. Implementations are safe for concurrent use
// and do no I/O.
type DomainHosts interface {
	// Serves reports whether a domain that is not removed has the host, and the host is
	// verified. host must be the result of CanonicalHost.
	Serves(host string) bool
}

// WildcardLabel as the first label of a host stands for any one label.
const WildcardLabel = "*"

// ParseDomainHost returns the stored form of a host for a domain: the canonical form of a DNS
// name with at least two labels, see CanonicalHost. The first label may be WildcardLabel. It
// returns a *FieldError for "host". It does not check who owns the name.
func ParseDomainHost(s string) (string, error) {
	host, err := CanonicalHost(s)
	if err != nil {
		return "", &FieldError{Field: "host", Reason: err.Error()}
	}
	refuse := func(reason string) (string, error) { return "", &FieldError{Field: "host", Reason: reason} }
	if _, port := cutPort(s); port != "" {
		return refuse("must have no port")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return refuse("must be a name, not an IP address")
	}
	labels := strings.Split(host, ".")
	if labels[0] == WildcardLabel {
		labels = labels[1:]
	}
	switch {
	case len(labels) < 2:
		return refuse("must be a name of at least two labels, such as go.example.com")
	case len(host) > maxNameLen:
		return refuse("must be at most 253 bytes long")
	case !slices.ContainsFunc(labels, badLabel):
		return host, nil
	}
	return refuse("must have labels of 1 to 63 letters, digits and hyphens, which begin and end with a letter or digit")
}

// badLabel reports whether a label is not the label of a host name (RFC 1123, section 2.1).
func badLabel(label string) bool {
	return label == "" || len(label) > maxLabelLen ||
		strings.ContainsFunc(label, func(c rune) bool { return c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') }) ||
		label[0] == '-' || label[len(label)-1] == '-'
}
