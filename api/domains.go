package api

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/terse/terse/domains"
	"github.com/terse/terse/store"
)

// Paths of the domains.
const (
	domainsPath = apiPath + "domains"
	domainPath  = domainsPath + "/{host}"
)

// DomainSettings are the members that an addition and an edit of a domain share. It is exported
// because huma only reads exported embedded structs.
type DomainSettings struct {
	Shared         optional[bool]   `json:"shared,omitzero" required:"false" doc:"If true, every API key may create links on the domain."`
	Robots         optional[string] `json:"robots,omitzero" required:"false" enum:"default,disallow" doc:"What robots.txt of the domain allows. default: as on the default domain. disallow: nothing."`
	RootURL        optional[string] `json:"root_url,omitzero" required:"false" doc:"Where visits of the path / are redirected; null means a page of this service." example:"https://example.com/"`
	RootStatus     optional[int]    `json:"root_status,omitzero" required:"false" enum:"301,302,307,308" doc:"Status of the redirect to root_url. The default is 302."`
	NotFoundURL    optional[string] `json:"not_found_url,omitzero" required:"false" doc:"Where visits of unknown codes are redirected; null means a page of this service."`
	NotFoundStatus optional[int]    `json:"not_found_status,omitzero" required:"false" enum:"301,302,307,308" doc:"Status of the redirect to not_found_url. The default is 302."`
	EndedURL       optional[string] `json:"ended_url,omitzero" required:"false" doc:"Where visits of expired, used-up and deleted links are redirected; null means a page of this service."`
	EndedStatus    optional[int]    `json:"ended_status,omitzero" required:"false" enum:"301,302,307,308" doc:"Status of the redirect to ended_url. The default is 302."`

	AppleAssociation optional[string] `json:"apple_app_site_association,omitzero" required:"false" doc:"The text of the file apple-app-site-association, which opens links of the domain in apps of Apple devices: JSON of at most 16 KiB. null removes the file."`
	AssetLinks       optional[string] `json:"assetlinks,omitzero" required:"false" doc:"The text of the file assetlinks.json, which opens links of the domain in apps of Android: JSON of at most 16 KiB. null removes the file."`
}

// settings returns the settings for package domains.
func (s *DomainSettings) settings() domains.Settings {
	to := domains.Settings{
		Shared:   s.Shared.pointer(),
		Root:     domains.Redirect{URL: s.RootURL.pointer(), Status: s.RootStatus.pointer()},
		NotFound: domains.Redirect{URL: s.NotFoundURL.pointer(), Status: s.NotFoundStatus.pointer()},
		Ended:    domains.Redirect{URL: s.EndedURL.pointer(), Status: s.EndedStatus.pointer()},

		AppleAssociation: s.AppleAssociation.pointer(), AssetLinks: s.AssetLinks.pointer(),
	}
	if s.Robots.set {
		policy := store.RobotsDefault
		if s.Robots.value == robotsNames[store.RobotsDisallow] {
			policy = store.RobotsDisallow
		}
		to.Robots = &policy
	}
	return to
}

// robotsNames are the values of robots, by store.RobotsPolicy.
var robotsNames = [...]string{store.RobotsDefault: "default", store.RobotsDisallow: "disallow"}

// domainStates are the values of state, by store.DomainState.
var domainStates = [...]string{
	store.DomainPending: "pending",
	store.DomainActive:  "active",
	store.DomainOff:     "off",
	store.DomainRemoved: "removed",
}

type addDomainInput struct {
	Host     string   `json:"host" doc:"The primary host, which is in short URLs: a name that you own, without a port." example:"go.example.com"`
	Aliases  []string `json:"aliases,omitempty" doc:"Further hosts of the domain. The first label may be *, which stands for any one label."`
	Verified bool     `json:"verified,omitempty" doc:"Needs an admin key. If true, the domain is active at once, without verification. Use it for names that this server cannot reach itself."`
	DomainSettings
}

type editDomainInput struct {
	Host     optional[string]   `json:"host,omitzero" required:"false" nullable:"false" doc:"The new primary host. No link changes, and the previous primary host becomes an alias. While the domain is active, the new one must be a verified alias."`
	Aliases  optional[[]string] `json:"aliases,omitzero" required:"false" nullable:"false" doc:"All further hosts. A host that is not among them is released, so that another owner can add it."`
	Off      optional[bool]     `json:"off,omitzero" required:"false" nullable:"false" doc:"If true, the domain answers 421 until you set false."`
	Verified bool               `json:"verified,omitempty" doc:"Needs an admin key. If true, all hosts are verified without a check."`
	DomainSettings
}

// check rejects null for members without a default.
func (in *editDomainInput) check() error {
	var host, aliases, off error
	if in.Host.null {
		host = &store.FieldError{Field: "host", Reason: "must be a host"}
	}
	if in.Aliases.null {
		aliases = &store.FieldError{Field: "aliases", Reason: "must be a list"}
	}
	if in.Off.null {
		off = &store.FieldError{Field: "off", Reason: "must be true or false"}
	}
	return store.JoinInvalid(host, aliases, off)
}

// domainBody is a domain as the API shows it. Every member is always present.
type domainBody struct {
	ID             string       `json:"id" doc:"Never changes, also when the hosts change." example:"jT0xYqRm4"`
	Host           string       `json:"host" doc:"The primary host in lower-case ASCII." example:"go.example.com"`
	Hosts          []domainHost `json:"hosts" nullable:"false" doc:"All hosts, the primary one included."`
	State          string       `json:"state" enum:"pending,active,off" doc:"pending: the primary host is not verified yet. active: the links redirect. off: turned off by off."`
	Owner          string       `json:"owner" doc:"Id of the API key that added the domain." example:"key_7k3x0q9p2m4a"`
	Shared         bool         `json:"shared" doc:"Whether every API key may create links on the domain."`
	Robots         string       `json:"robots" enum:"default,disallow" doc:"What robots.txt allows."`
	RootURL        *string      `json:"root_url" doc:"Where visits of the path / are redirected; null means a page of this service."`
	RootStatus     *int         `json:"root_status" doc:"Status of the redirect to root_url; null without one."`
	NotFoundURL    *string      `json:"not_found_url" doc:"Where visits of unknown codes are redirected; null means a page of this service."`
	NotFoundStatus *int         `json:"not_found_status" doc:"Status of the redirect to not_found_url; null without one."`
	EndedURL       *string      `json:"ended_url" doc:"Where visits of ended links are redirected; null means a page of this service."`
	EndedStatus    *int         `json:"ended_status" doc:"Status of the redirect to ended_url; null without one."`
	Apple          *string      `json:"apple_app_site_association" doc:"The text of the file apple-app-site-association; null without one."`
	AssetLinks     *string      `json:"assetlinks" doc:"The text of the file assetlinks.json; null without one."`
	DNS            []dnsRecord  `json:"dns" nullable:"false" doc:"The DNS records that the hosts need. Empty for a shared domain of another owner."`
	CreatedAt      time.Time    `json:"created_at" doc:"When the domain was added."`
	UpdatedAt      time.Time    `json:"updated_at" doc:"When the domain was last changed."`
	VerifiedAt     *time.Time   `json:"verified_at" doc:"When the domain was verified; null before."`
	Version        int64        `json:"version" doc:"Increases by one with every edit. The ETag is this number in quotes."`
}

// domainHost is a host of a domain.
type domainHost struct {
	Host        string           `json:"host" doc:"The host in lower-case ASCII." example:"go.example.com"`
	VerifiedAt  *time.Time       `json:"verified_at" doc:"When the host was verified; null before. The host serves no link before."`
	Certificate *hostCertificate `json:"certificate,omitempty"`
}

// hostCertificate is the certificate of a host, as the node that answers knows it.
type hostCertificate struct {
	State   string     `json:"state" enum:"none,ordering,valid,expired,failed" doc:"none: no certificate, and no attempt yet. ordering: the certificate is being ordered. failed: no certificate, and the latest attempt failed."`
	Issuer  string     `json:"issuer" doc:"Name of the certificate authority; empty without a certificate." example:"R12"`
	EndsAt  *time.Time `json:"ends_at" doc:"End of the certificate; null without one."`
	Problem string     `json:"problem" doc:"Why the latest attempt failed; empty after a success. If state is valid, the renewal failed."`
	RetryAt *time.Time `json:"retry_at" doc:"No attempt is made before this time; null without a failure."`
}

// dnsRecord is a DNS record to set.
type dnsRecord struct {
	Host  string `json:"host" doc:"The host of the domain that needs the record." example:"go.example.com"`
	Type  string `json:"type" enum:"CNAME,ALIAS,TXT" doc:"ALIAS stands for what your DNS provider has for the name of a zone: ALIAS, ANAME, or A and AAAA records with the addresses of value. An A or AAAA record may replace a CNAME too."`
	Name  string `json:"name" doc:"The name of the record." example:"go.example.com"`
	Value string `json:"value" doc:"The value of the record." example:"sho.rt"`
}

// domainCheck is the result of a check of a host.
type domainCheck struct {
	Host     string   `json:"host" doc:"The host of the domain." example:"go.example.com"`
	Type     string   `json:"type" enum:"CNAME,ALIAS,TXT,HTTP" doc:"The type of the DNS record. HTTP: the answers to requests for the host."`
	Name     string   `json:"name" doc:"The name of the record, or the address that was requested." example:"go.example.com"`
	Expected string   `json:"expected" doc:"The expected value of the record, or the expected answer." example:"sho.rt"`
	Found    []string `json:"found" nullable:"false" doc:"The values of the record. For HTTP: the wrong answers, by address."`
	OK       bool     `json:"ok" doc:"Whether the check succeeded."`
	Problem  string   `json:"problem" doc:"Why the check failed; empty if it succeeded."`
}

// domainBody returns d as the API shows it to the caller.
func (a *API) domainBody(who *caller, d *domains.Domain) domainBody {
	b := domainBody{
		ID: d.ID, Host: d.Host, Hosts: make([]domainHost, len(d.Hosts)), State: domainStates[d.State], Owner: d.Owner, Shared: d.Shared, Robots: robotsNames[d.Robots],
		DNS: []dnsRecord{}, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, VerifiedAt: timeOrNull(d.VerifiedAt), Version: d.Version,
	}
	b.RootURL, b.RootStatus = redirectOrNull(&d.Root)
	b.NotFoundURL, b.NotFoundStatus = redirectOrNull(&d.NotFound)
	b.EndedURL, b.EndedStatus = redirectOrNull(&d.Ended)
	b.Apple, b.AssetLinks = textOrNull(&d.AppleAssociation), textOrNull(&d.AssetLinks)
	for i, h := range d.Hosts {
		b.Hosts[i] = domainHost{Host: h.Host, VerifiedAt: timeOrNull(h.VerifiedAt)}
	}
	if d.Owner == who.Owner() || who.Require(store.ScopeAdmin) == nil {
		for i := range b.Hosts {
			b.Hosts[i].Certificate = a.hostCertificate(b.Hosts[i].Host)
		}
		for _, r := range a.opts.Domains.Records(who, d) {
			b.DNS = append(b.DNS, dnsRecord(r))
		}
	}
	return b
}

// certified reports whether the server has certificates for a host.
func (a *API) certified(host string) bool {
	return a.opts.Certificates != nil && !strings.HasPrefix(host, store.WildcardLabel)
}

// hostCertificate returns the certificate of a host, or nil if the host cannot have one.
func (a *API) hostCertificate(host string) *hostCertificate {
	if !a.certified(host) {
		return nil
	}
	s := a.opts.Certificates.Status(host)
	return &hostCertificate{State: string(s.State), Issuer: s.Issuer, EndsAt: timeOrNull(s.EndsAt), Problem: s.Problem, RetryAt: timeOrNull(s.RetryAt)}
}

func textOrNull(text *string) *string {
	if *text == "" {
		return nil
	}
	return text
}

func redirectOrNull(r *store.DomainRedirect) (target *string, status *int) {
	if r.URL == "" {
		return nil, nil
	}
	return &r.URL, &r.Status
}

// HostParam names a domain in a path. It is exported because huma only reads exported embedded
// structs.
type HostParam struct {
	Host string `path:"host" maxLength:"1024" doc:"A host of the domain." example:"go.example.com"`
}

type domainOutput struct {
	ETag string `header:"ETag" doc:"The version of the domain, in quotes."`
	RateHeaders
	Body domainBody
}

// addDomainOutput is a domainOutput with the address of a new domain.
type addDomainOutput struct {
	Location string `header:"Location" doc:"The address of the domain in the API."`
	ETag     string `header:"ETag" doc:"The version of the domain, in quotes."`
	RateHeaders
	Body domainBody
}

// domainOrProblem returns the answer with a domain, or the problem.
func (a *API) domainOrProblem(ctx context.Context, d *domains.Domain, err error) (*domainOutput, error) {
	headers := chargeOf(ctx).headers
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, err))
	}
	return &domainOutput{ETag: etag(d.Version), RateHeaders: headers, Body: a.domainBody(callerOf(ctx), d)}, nil
}

// addDomain adds a domain. The precheck has charged the caller.
func (a *API) addDomain(ctx context.Context, _ *struct{}) (*addDomainOutput, error) {
	in, wrong := decode[addDomainInput](a.schemas, bodyOf(ctx))
	d, err := a.opts.Domains.Add(ctx, callerOf(ctx), domains.Addition{
		Host: in.Host, Aliases: in.Aliases, Verified: in.Verified, Settings: in.settings(), Err: wrong,
	})
	out, err := a.domainOrProblem(ctx, &d, err)
	if err != nil {
		return nil, err
	}
	return &addDomainOutput{Location: domainsPath + "/" + url.PathEscape(d.Host), ETag: out.ETag, RateHeaders: out.RateHeaders, Body: out.Body}, nil
}

func (a *API) getDomain(ctx context.Context, in *HostParam) (*domainOutput, error) {
	d, err := a.opts.Domains.Get(ctx, callerOf(ctx), in.Host)
	return a.domainOrProblem(ctx, &d, err)
}

type listDomainsInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of domains in the page."`
	Cursor string `query:"cursor" doc:"next_cursor of the previous page."`
}

type listDomainsOutput struct {
	Body struct {
		Domains    []domainBody `json:"domains" nullable:"false" doc:"The domains of the page, sorted by host."`
		NextCursor string       `json:"next_cursor" doc:"Empty on the last page."`
	}
}

func (a *API) listDomains(ctx context.Context, in *listDomainsInput) (*listDomainsOutput, error) {
	who := callerOf(ctx)
	after, err := base64.RawURLEncoding.Strict().DecodeString(in.Cursor)
	if err != nil {
		return nil, a.pageProblem(ctx, store.ErrCursor)
	}
	page, next, err := a.opts.Domains.List(who, string(after), in.Limit)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &listDomainsOutput{}
	out.Body.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(next))
	out.Body.Domains = make([]domainBody, len(page))
	for i := range page {
		out.Body.Domains[i] = a.domainBody(who, &page[i])
	}
	return out, nil
}

type changeDomainInput struct {
	HostParam
	IfMatch string `header:"If-Match" doc:"The expected ETag of the domain. The answer is 412 if it differs."`
}

// editDomain changes a domain. The precheck has charged the caller.
func (a *API) editDomain(ctx context.Context, in *changeDomainInput) (*domainOutput, error) {
	edit, wrong := decode[editDomainInput](a.schemas, bodyOf(ctx))
	if wrong == nil || store.IsInvalid(wrong) {
		wrong = store.JoinFound(wrong, edit.check())
	}
	d, err := a.opts.Domains.Update(ctx, callerOf(ctx), in.Host, domains.Edit{
		Versions: versionsOf(in.IfMatch), Host: edit.Host.pointer(), Aliases: edit.Aliases.pointer(), Off: edit.Off.pointer(), Verified: edit.Verified,
		Settings: edit.settings(), Err: wrong,
	})
	return a.domainOrProblem(ctx, &d, err)
}

type removeDomainInput struct {
	HostParam
	IfMatch string `header:"If-Match" doc:"The expected ETag of the domain. The answer is 412 if it differs."`
	Force   bool   `query:"force" doc:"If true, the domain is removed although it has links, which then no longer redirect."`
}

func (a *API) removeDomain(ctx context.Context, in *removeDomainInput) (*struct{}, error) {
	err := a.opts.Domains.Remove(ctx, callerOf(ctx), in.Host, versionsOf(in.IfMatch), in.Force)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return nil, nil
}

type verifyDomainOutput struct {
	RateHeaders
	Body struct {
		Domain domainBody    `json:"domain"`
		Checks []domainCheck `json:"checks" nullable:"false" doc:"The checks of each host that was not verified; of all hosts if all were."`
	}
}

// verifyDomain checks the hosts of a domain now. The precheck has charged the caller.
func (a *API) verifyDomain(ctx context.Context, in *HostParam) (*verifyDomainOutput, error) {
	headers := chargeOf(ctx).headers
	d, checks, err := a.opts.Domains.Verify(ctx, callerOf(ctx), in.Host)
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, err))
	}
	out := &verifyDomainOutput{RateHeaders: headers}
	out.Body.Domain = a.domainBody(callerOf(ctx), &d)
	out.Body.Checks = make([]domainCheck, len(checks))
	for i, c := range checks {
		if c.Found == nil {
			c.Found = []string{}
		}
		out.Body.Checks[i] = domainCheck(c)
	}
	return out, nil
}

// registerDomains registers the operations on domains.
func (a *API) registerDomains(h huma.API) {
	op := func(id, method, path, summary string, errors ...int) huma.Operation {
		return operation("Domains", id, method, path, summary, keyed, append(errors, 401, 403, 422)...)
	}
	writing := precheck{may: func(who *caller) error { return a.opts.Domains.MayWrite(who) }, writes: true}
	add := withBody[addDomainInput](a.schemas, op("addDomain", http.MethodPost, domainsPath, "Add a domain", 408, 409, 413, 415))
	add.DefaultStatus = http.StatusCreated
	huma.Register(h, a.withPrecheck(writing, add), a.addDomain)
	huma.Register(h, op("listDomains", http.MethodGet, domainsPath, "List your domains"), a.listDomains)
	huma.Register(h, op("getDomain", http.MethodGet, domainPath, "Read a domain", 404, 410), a.getDomain)
	huma.Register(h, a.withPrecheck(writing, withBody[editDomainInput](a.schemas, op("editDomain", http.MethodPatch, domainPath, "Change a domain", 404, 408, 409, 410, 412, 413, 415))), a.editDomain)
	remove := op("removeDomain", http.MethodDelete, domainPath, "Remove a domain", 404, 409, 410, 412)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(h, remove, a.removeDomain)
	huma.Register(h, a.withPrecheck(writing, op("verifyDomain", http.MethodPost, domainPath+"/verify", "Check the hosts of a domain now", 404, 408, 410, 412, 413, 415)), a.verifyDomain)
}

// challenge answers the requests of a node that verifies the host of a domain. The domain need
// not be active.
func (a *API) challenge(c echo.Context) error {
	answer, ok := a.opts.Domains.Challenge(c.Request().Host, c.Param("token"))
	setNoStore(c.Response().Header())
	if !ok {
		return c.String(http.StatusNotFound, "unknown token")
	}
	return c.String(http.StatusOK, answer)
}
