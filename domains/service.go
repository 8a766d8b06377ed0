package domains

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// Caller is the sender of a request. A links.Caller is one.
type Caller interface {
	// Require returns an error if the caller lacks the scope, else nil.
	Require(scope store.Scope) error

	// Owner returns the owner of domains that the caller adds; "" without an API key.
	Owner() string
}

// Minter mints the IDs of domains.
type Minter interface {
	// NextCode returns a new code, or an error when it cannot mint now.
	NextCode() (string, error)
}

// Rules check the addresses that a domain redirects to. store.Rules implements it.
type Rules interface {
	// Target returns an address in its stored form, or a *store.FieldError.
	Target(raw string) (string, error)
}

// Lister lists the links of all domains.
type Lister interface {
	// List does the same as in store.Store.
	List(ctx context.Context, q store.Query) (store.Page, error)
}

// Keys are the API keys.
type Keys interface {
	// ListKeys does the same as in store.Keys.
	ListKeys(ctx context.Context) ([]store.Key, error)
}

// Claimer lets one process at a time do background work. store.Scanned implements it.
type Claimer interface {
	// ClaimScan does the same as in store.Scanned.
	ClaimScan(ctx context.Context, name, holder string, ttl time.Duration) (state string, err error)
}

// The defaults and limits of a Service.
const (
	DefaultPerOwner = 20
	DefaultPort     = 80
	DefaultRetry    = 5 * time.Second

	MaxHosts = 10 // hosts of one domain
)

// ServiceOptions configure NewService.
type ServiceOptions struct {
	Store  store.Domains // Required.
	Map    *Map          // Required. The domains of Store.
	Links  Lister        // Required.
	Keys   Keys          // Required.
	Minter Minter        // Required.
	Rules  Rules         // Required.

	// Claimers decide which process retries pending domains: the process with the claim of the
	// first reachable Claimer. Default: none, so this process does.
	Claimers []Claimer

	// Secret keys the answers and the TXT records that prove a host. All processes over one
	// database need the same one. Required.
	Secret []byte

	BaseHost string // Required. The host of the default domain, without a port.
	AppHost  string // The host of the console, without a port. Default: the console has no host of its own.
	PerOwner int    // most domains of an owner who is no admin, removed ones not counted; default DefaultPerOwner

	Port      int            // the port for the requests of verification; default DefaultPort
	DNSServer string         // address for DNS queries, HOST:PORT; default: the servers of the system
	Networks  []netip.Prefix // private networks to which verification may connect; default none

	Nodes func() int       // how many processes there are over one database; default 1
	Retry time.Duration    // between two searches for pending domains; default DefaultRetry
	Now   func() time.Time // the time of the database; default time.Now

	Registerer prometheus.Registerer // Required.
	Logger     *slog.Logger          // Required.
}

func (o ServiceOptions) withDefaults() ServiceOptions {
	if o.PerOwner == 0 {
		o.PerOwner = DefaultPerOwner
	}
	if o.Port == 0 {
		o.Port = DefaultPort
	}
	if o.Retry == 0 {
		o.Retry = DefaultRetry
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Nodes == nil {
		o.Nodes = func() int { return 1 }
	}
	return o
}

func (o *ServiceOptions) validate() error {
	var problems []error
	check := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, errors.New("domains: ServiceOptions."+problem))
		}
	}
	check(o.Store != nil, "Store is required")
	check(o.Map != nil, "Map is required")
	check(o.Links != nil, "Links is required")
	check(o.Keys != nil, "Keys is required")
	check(o.Minter != nil, "Minter is required")
	check(o.Rules != nil, "Rules is required")
	check(len(o.Secret) > 0, "Secret is required")
	check(o.BaseHost != "", "BaseHost is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.PerOwner > 0, "PerOwner must be positive")
	check(o.Port > 0 && o.Port < 1<<16, "Port must be 1 to 65535")
	check(o.Retry > 0, "Retry must be positive")
	return errors.Join(problems...)
}

// Service does the use cases on domains. Make one with NewService. Safe for concurrent use.
//
// Every method first checks that the caller has its scope. An owner sees its own domains and the
// shared ones, and changes only its own. An admin sees and changes all of them. For a domain
// that the caller does not see, the error is ErrUnknown. For invalid input it is a
// store.InvalidError or a *store.FieldError.
type Service struct {
	opts     ServiceOptions
	registry *Registry
	baseHost string // in canonical form
	appHost  string // in canonical form; may be empty
	secrets  secrets
	probes   *prober
	metrics  *serviceMetrics
	adding   chan struct{} // has one place: adds of owners with a limit run one after the other
	checking chan struct{} // its places limit the verifications at the same time
}

// maxChecking is the largest number of verifications that run at the same time in a process.
const maxChecking = 8

// NewService returns a Service. The error names every missing or invalid option.
func NewService(opts ServiceOptions) (*Service, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	base, err := store.CanonicalHost(opts.BaseHost)
	if err != nil {
		return nil, fmt.Errorf("domains: ServiceOptions.BaseHost: %w", err)
	}
	app := ""
	if opts.AppHost != "" {
		if app, err = store.CanonicalHost(opts.AppHost); err != nil {
			return nil, fmt.Errorf("domains: ServiceOptions.AppHost: %w", err)
		}
	}
	metrics, err := newServiceMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	return &Service{
		opts: opts, registry: NewRegistry(opts.Store, opts.now), baseHost: base, appHost: app, secrets: newSecrets(opts.Secret),
		probes: newProber(&opts), metrics: metrics,
		adding: make(chan struct{}, 1), checking: make(chan struct{}, maxChecking),
	}, nil
}

// now returns the time with the precision of stores.
func (o *ServiceOptions) now() time.Time { return o.Now().UTC().Truncate(time.Microsecond) }

// The errors of a Service. Others are in package store.
var (
	ErrUnknown = fmt.Errorf("%w: there is no such domain", store.ErrNotFound)
	ErrRemoved = fmt.Errorf("%w: the domain was removed", store.ErrGone)
	ErrChanged = fmt.Errorf("%w: the domain has changed", store.ErrVersion)
)

// InUseError is the error for removing a domain with links.
type InUseError struct{ Host string }

func (e *InUseError) Error() string { return fmt.Sprintf("domain %q has links", e.Host) }

// ClaimedError is the error for a host that another domain has. It wraps store.ErrExists.
type ClaimedError struct {
	Host string
	Own  string  // primary host of the domain if it belongs to the caller; else empty
	TXT  *Record // the record that would prove that the host belongs to the caller; nil if Own is set
}

func (e *ClaimedError) Error() string { return fmt.Sprintf("host %q: another domain has it", e.Host) }

// Unwrap returns store.ErrExists.
func (e *ClaimedError) Unwrap() error { return store.ErrExists }

// MayRead returns an error if the caller must not read domains, else nil.
func (s *Service) MayRead(who Caller) error { return who.Require(store.ScopeDomainsRead) }

// MayWrite returns an error if the caller must not change domains, else nil. Call it only to
// reject a request before its body is decoded.
func (s *Service) MayWrite(who Caller) error { return who.Require(store.ScopeDomainsWrite) }

func isAdmin(who Caller) bool { return who.Require(store.ScopeAdmin) == nil }

// sees reports whether the caller may know the domain.
func sees(who Caller, d *store.Domain) bool {
	return d.Owner == who.Owner() || isAdmin(who) || d.Shared && d.State != store.DomainRemoved
}

// Get returns the domain that has a host. Every host of the domain finds it. If it is a
// removed domain of the caller, the error is ErrRemoved.
func (s *Service) Get(ctx context.Context, who Caller, host string) (Domain, error) {
	if err := s.MayRead(who); err != nil {
		return Domain{}, err
	}
	return s.find(ctx, who, host)
}

// find is Get without the check of the scope.
func (s *Service) find(ctx context.Context, who Caller, host string) (Domain, error) {
	d, err := s.registry.Get(ctx, host)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !sees(who, &d.Domain):
		return Domain{}, ErrUnknown
	case err == nil && d.State == store.DomainRemoved:
		return Domain{}, ErrRemoved
	}
	return d, err
}

// change is find for a domain that the caller wants to change.
func (s *Service) change(ctx context.Context, who Caller, host string) (Domain, error) {
	d, err := s.find(ctx, who, host)
	if err == nil && d.Owner != who.Owner() {
		err = who.Require(store.ScopeAdmin)
	}
	return d, err
}

// List returns the domains that the caller sees, without removed ones, sorted by primary host. It
// reads them from memory: a change that another process made appears after the Map has read it.
// after is the primary host before the first of the page, and limit the maximum number of domains.
// next is empty on the last page. While some domains are unknown, the error is
// store.ErrUnavailable.
func (s *Service) List(who Caller, after string, limit int) (page []Domain, next string, err error) {
	if err := s.MayRead(who); err != nil {
		return nil, "", err
	}
	if !s.opts.Map.Complete() {
		return nil, "", fmt.Errorf("%w: not all domains are known yet", store.ErrUnavailable)
	}
	for _, d := range s.opts.Map.All() {
		if d.State != store.DomainRemoved && d.Host > after && sees(who, &d.Domain) {
			page = append(page, *d)
		}
	}
	sortDomains(page)
	if limit = max(limit, 1); len(page) > limit {
		page = page[:limit]
		next = page[limit-1].Host
	}
	return page, next, nil
}

// refresh makes a change known to this process at once. A failure is not an error of the change:
// the Map reads it later.
func (s *Service) refresh(ctx context.Context) { s.opts.Map.Refresh(ctx) }

// bare returns a host without the wildcard before it.
func bare(host string) string { return strings.TrimPrefix(host, store.WildcardLabel+".") }
