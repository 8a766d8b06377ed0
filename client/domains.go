package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

const domainsPath = "/api/v1/domains"

// Domain is a domain of short links besides the default one.
type Domain struct {
	ID             string       `json:"id"`
	Host           string       `json:"host"`  // the primary host, which is in short URLs
	Hosts          []DomainHost `json:"hosts"` // all hosts, the primary one included
	State          string       `json:"state"` // pending, active or off
	Owner          string       `json:"owner"` // id of a workspace or of an API key
	Shared         bool         `json:"shared"`
	Robots         string       `json:"robots"`   // default or disallow
	RootURL        *string      `json:"root_url"` // nil: a page of the server; the same for NotFoundURL and EndedURL
	RootStatus     *int         `json:"root_status"`
	NotFoundURL    *string      `json:"not_found_url"`
	NotFoundStatus *int         `json:"not_found_status"`
	EndedURL       *string      `json:"ended_url"`
	EndedStatus    *int         `json:"ended_status"`
	Apple          *string      `json:"apple_app_site_association"` // text of the file; nil without one
	AssetLinks     *string      `json:"assetlinks"`                 // text of the file assetlinks.json; nil without one
	DNS            []DNSRecord  `json:"dns"`                        // to set; empty for a shared domain of another owner
	CreatedAt      time.Time    `json:"created_at"`
	UpdatedAt      time.Time    `json:"updated_at"`
	VerifiedAt     *time.Time   `json:"verified_at"` // nil before the first verification
	Version        int64        `json:"version"`
}

// DomainHost is a host of a domain.
type DomainHost struct {
	Host       string     `json:"host"`
	VerifiedAt *time.Time `json:"verified_at"` // nil: not verified, and serves no link

	// Certificate is nil if the server does not serve HTTPS itself, for a host with *, and for a
	// shared domain of another owner.
	Certificate *Certificate `json:"certificate"`
}

// Certificate describes the certificate of a host.
type Certificate struct {
	State   string     `json:"state"`    // none, ordering, valid, expired or failed
	Issuer  string     `json:"issuer"`   // empty without a certificate
	EndsAt  *time.Time `json:"ends_at"`  // nil without a certificate
	Problem string     `json:"problem"`  // why the latest attempt failed; empty after a success
	RetryAt *time.Time `json:"retry_at"` // no attempt is made before this time; nil without a failure
}

// DNSRecord is a DNS record to set.
type DNSRecord struct {
	Host  string `json:"host"` // of the domain
	Type  string `json:"type"` // CNAME, TXT, or ALIAS for ALIAS, ANAME, or A and AAAA records with the addresses of Value
	Name  string `json:"name"`
	Value string `json:"value"`
}

// DomainCheck is the result of one check of a host.
type DomainCheck struct {
	Host     string   `json:"host"`
	Type     string   `json:"type"` // CNAME, ALIAS, TXT or HTTP
	Name     string   `json:"name"` // of the record, or the address that was requested
	Expected string   `json:"expected"`
	Found    []string `json:"found"`
	OK       bool     `json:"ok"`
	Problem  string   `json:"problem"` // empty if OK
}

// Verification is the result of VerifyDomain.
type Verification struct {
	Domain Domain        `json:"domain"` // after the checks
	Checks []DomainCheck `json:"checks"`
}

// DomainPage is one page of domains.
type DomainPage struct {
	Domains    []Domain `json:"domains"`     // sorted by host
	NextCursor string   `json:"next_cursor"` // empty on the last page
}

// DomainChanges are the fields of a new domain, or the changes of an edit. A nil field has its
// default in a new domain, and stays as it is in an edit.
type DomainChanges struct {
	Host     *string   // the primary host; required for a new domain
	Aliases  *[]string // all further hosts
	Off      *bool     // only in an edit
	Verified bool      // without a check; needs an admin key

	Shared         *bool
	Robots         *string // default or disallow
	RootURL        *string // empty: a page of the server; the same for NotFoundURL and EndedURL
	RootStatus     *int    // 301, 302, 307 or 308; the same for NotFoundStatus and EndedStatus
	NotFoundURL    *string
	NotFoundStatus *int
	EndedURL       *string
	EndedStatus    *int
	Apple          *string // text of the file apple-app-site-association; empty: no file
	AssetLinks     *string // text of the file assetlinks.json; empty: no file
}

// MarshalJSON writes the fields that are not nil.
func (c DomainChanges) MarshalJSON() ([]byte, error) {
	body := map[string]any{}
	put(body, "host", c.Host)
	put(body, "aliases", c.Aliases)
	put(body, "off", c.Off)
	put(body, "shared", c.Shared)
	put(body, "robots", c.Robots)
	put(body, "root_url", c.RootURL)
	put(body, "root_status", c.RootStatus)
	put(body, "not_found_url", c.NotFoundURL)
	put(body, "not_found_status", c.NotFoundStatus)
	put(body, "ended_url", c.EndedURL)
	put(body, "ended_status", c.EndedStatus)
	put(body, "apple_app_site_association", c.Apple)
	put(body, "assetlinks", c.AssetLinks)
	if c.Verified {
		body["verified"] = true
	}
	for name, target := range map[string]*string{"root_url": c.RootURL, "not_found_url": c.NotFoundURL, "ended_url": c.EndedURL} {
		if target != nil && *target == "" {
			body[name] = nil
		}
	}
	return json.Marshal(body)
}

// AddDomain adds a domain. Its DNS lists the records to set: the domain becomes active by itself
// when they are there. If another domain has a host, the error is a *Problem with status 409.
func (c *Client) AddDomain(ctx context.Context, d DomainChanges) (Domain, error) {
	if p := invalidTexts(d.texts()); p != nil {
		return Domain{}, p
	}
	return c.domain(ctx, request{method: http.MethodPost, path: domainsPath, body: d})
}

// Domain returns the domain with a host.
func (c *Client) Domain(ctx context.Context, host string) (Domain, error) {
	return c.domain(ctx, request{method: http.MethodGet, path: domainPath(host), repeatable: true})
}

// Domains returns one page of the domains of the API key's owner and of the shared ones, or of all
// with an admin key. limit is 1 to 1000, or 0 for the server's default. cursor is the NextCursor
// of the previous page.
func (c *Client) Domains(ctx context.Context, limit int, cursor string) (DomainPage, error) {
	var page DomainPage
	err := c.call(ctx, request{method: http.MethodGet, path: domainsPath, query: pageQuery(limit, cursor), repeatable: true}, &page)
	return page, err
}

// EditDomain changes a domain. version is as for Edit. No link changes.
func (c *Client) EditDomain(ctx context.Context, host string, changes DomainChanges, version int64) (Domain, error) {
	if p := invalidTexts(changes.texts()); p != nil {
		return Domain{}, p
	}
	return c.domain(ctx, request{method: http.MethodPatch, path: domainPath(host), body: changes, version: version, repeatable: true})
}

// RemoveDomain removes a domain by its primary host. If it has links, the error is a *Problem with
// status 409 unless force is set. version is as for Edit.
func (c *Client) RemoveDomain(ctx context.Context, host string, version int64, force bool) error {
	r := request{method: http.MethodDelete, path: domainPath(host), version: version, repeatable: true}
	if force {
		r.query = url.Values{"force": {"true"}}
	}
	return c.call(ctx, r, nil)
}

// VerifyDomain checks the hosts of a domain now.
func (c *Client) VerifyDomain(ctx context.Context, host string) (Verification, error) {
	var v Verification
	err := c.call(ctx, request{method: http.MethodPost, path: domainPath(host) + "/verify", repeatable: true}, &v)
	return v, err
}

func (c *Client) domain(ctx context.Context, r request) (d Domain, err error) {
	err = c.call(ctx, r, &d)
	return d, err
}

// domainPath returns the path of a domain's resource.
func domainPath(host string) string { return domainsPath + "/" + url.PathEscape(host) }
