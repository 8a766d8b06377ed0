// Package cdn purges answers about edited links and domains from a CDN. Each answer about a link
// has the tag link-KEY, and each answer of a custom domain the tag domain-ID.
//
// It has no queue and does not retry: package outbox does.
package cdn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// The values of Options.Provider.
const (
	Varnish    = "varnish"
	Fastly     = "fastly"
	Cloudflare = "cloudflare"
)

// DefaultTimeout is the default of Options.Timeout.
const DefaultTimeout = 3 * time.Second

// longestPause limits the wait that a provider requests with Retry-After.
const longestPause = 5 * time.Minute

// Options configure a Purger. The settings of the chosen Provider are required.
type Options struct {
	Provider   string                // required: Varnish, Fastly or Cloudflare
	Registerer prometheus.Registerer // required

	VarnishURLs   []string // all Varnish servers, such as http://10.0.0.7:80
	VarnishSecret string   // sent as X-Purge-Secret, as the VCL requires; empty: not sent

	FastlyService, FastlyToken      string
	CloudflareZone, CloudflareToken string

	Rate    float64       // most requests a second to the provider; default: the limit of its smallest plan
	Burst   int           // most requests at once; default: the limit of its smallest plan
	Nodes   func() int    // how many processes share Rate and Burst equally; default: only this process
	Timeout time.Duration // of one request; default DefaultTimeout
	API     string        // base URL of the provider's API; default: the public one
}

func (o Options) withDefaults() Options {
	l := limitsOf(o.Provider)
	o.Rate = cmp.Or(o.Rate, l.rate)
	o.Burst = cmp.Or(o.Burst, l.burst)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("cdn: Options."+problem))
		}
	}
	check(o.Registerer != nil, "Registerer is required")
	check(o.Rate > 0, "Rate must be positive")
	check(o.Burst > 0, "Burst must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	switch o.Provider {
	case Varnish:
		check(len(o.VarnishURLs) > 0, "VarnishURLs is required")
		for _, u := range o.VarnishURLs {
			check(CheckURL(u) == nil, "VarnishURLs must be URLs such as http://10.0.0.7:80")
		}
	case Fastly:
		check(o.FastlyService != "", "FastlyService is required")
		check(o.FastlyToken != "", "FastlyToken is required")
	case Cloudflare:
		check(o.CloudflareZone != "", "CloudflareZone is required")
		check(o.CloudflareToken != "", "CloudflareToken is required")
	default:
		check(false, "Provider must be varnish, fastly or cloudflare")
	}
	return errors.Join(errs...)
}

// limits are the limits of a provider, from its documentation.
type limits struct {
	tags  int     // in one request
	rate  float64 // requests a second
	burst int
}

// limitsOf returns the limits of a provider's smallest plan.
func limitsOf(provider string) limits {
	switch provider {
	case Fastly:
		// 256 keys a request: https://www.fastly.com/documentation/reference/api/purging/
		// The documentation has no rate. One request a second is a careful guess.
		return limits{tags: 256, rate: 1, burst: 30}
	case Cloudflare:
		// 100 tags a request; 5 requests a minute from a bucket of 25 on the free plan:
		// https://developers.cloudflare.com/cache/how-to/purge-cache/
		return limits{tags: 100, rate: 5.0 / 60, burst: 25}
	}
	return limits{tags: 100, rate: 1000, burst: 1000}
}

// CheckURL returns an error unless text can be the URL of a Varnish.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return errors.New("must be URLs such as http://10.0.0.7:80, with nothing after the port")
	}
	return nil
}

// provider makes the purge requests of one CDN.
type provider interface {
	// requests returns one request to each server of the CDN. tags must fit into one
	// request.
	requests(ctx context.Context, tags []string) ([]*http.Request, error)
	// refusal returns an error unless the answer acknowledges the purge.
	refusal(status int, body []byte) error
}

// Purger purges edited links and domains. It implements store.Invalidator. Safe for concurrent use.
type Purger struct {
	name     string
	provider provider
	maxTags  int // in one request
	limiter  *limiter
	client   *http.Client
	paused   atomic.Int64 // no requests before this time, in Unix nanoseconds; set when the provider asks for a pause
	metrics  *metrics
}

var _ store.Invalidator = (*Purger)(nil)

// New returns a Purger, or an error with every invalid option.
func New(opts Options) (*Purger, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	return &Purger{
		name: opts.Provider, provider: newProvider(&opts), maxTags: limitsOf(opts.Provider).tags, metrics: m,
		limiter: newLimiter(&opts),
		client: &http.Client{
			Timeout:       opts.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func newProvider(o *Options) provider {
	switch o.Provider {
	case Fastly:
		return newFastly(o)
	case Cloudflare:
		return newCloudflare(o)
	}
	return newVarnish(o)
}

// Tag returns the tag of the answers about a link.
func Tag(key string) string { return "link-" + key }

// DomainTag returns the tag of all answers of a domain.
func DomainTag(id string) string { return "domain-" + id }

// Invalidate implements store.Invalidator. Purges beyond the provider's limit of requests fail at
// once. Links of canaries are acknowledged without a purge, because they are edited all
// the time and have no visitors. Errors wrap store.ErrUnavailable and contain no secrets.
func (p *Purger) Invalidate(ctx context.Context, edits []store.Edit) []error {
	errs := make([]error, len(edits))
	var tags []string
	indexes := map[string][]int{} // of the edits with a tag
	for i := range edits {
		if edits[i].Link.IsCanary() {
			continue
		}
		tag := Tag(edits[i].Link.Code)
		if id := edits[i].Domain; id != "" {
			tag = DomainTag(id)
		}
		if indexes[tag] == nil {
			tags = append(tags, tag)
		}
		indexes[tag] = append(indexes[tag], i)
	}
	for some := range slices.Chunk(tags, p.maxTags) {
		err := p.purge(ctx, some)
		for _, tag := range some {
			for _, i := range indexes[tag] {
				errs[i] = err
			}
		}
	}
	return errs
}

// purge purges tags with one request to each server.
func (p *Purger) purge(ctx context.Context, tags []string) error {
	requests, err := p.provider.requests(ctx, tags)
	if err != nil {
		return p.failed(err)
	}
	if time.Now().UnixNano() < p.paused.Load() || !p.limiter.allow() {
		p.metrics.limited.Inc()
		return fmt.Errorf("%w: %s: the limit of requests is reached", store.ErrUnavailable, p.name)
	}
	if err := p.sendAll(requests); err != nil {
		return p.failed(err)
	}
	p.metrics.ok.Inc()
	p.metrics.tags.Add(float64(len(tags)))
	return nil
}

func (p *Purger) failed(err error) error {
	p.metrics.failed.Inc()
	return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, p.name, err)
}

// sendAll sends all requests at the same time, so that an unreachable server does not
// delay the others.
func (p *Purger) sendAll(requests []*http.Request) error {
	errs := make([]error, len(requests))
	var sending sync.WaitGroup
	for i, r := range requests {
		sending.Go(func() { errs[i] = p.send(r) })
	}
	sending.Wait()
	return errors.Join(errs...)
}

// send sends one request. Its errors contain only the host and the status.
func (p *Purger) send(r *http.Request) error {
	began := time.Now()
	answer, err := p.client.Do(r)
	p.metrics.took.Observe(time.Since(began).Seconds())
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL
		}
		return fmt.Errorf("purge at %s: %w", r.URL.Host, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("purge at %s: %w", r.URL.Host, err)
	}
	if answer.StatusCode == http.StatusTooManyRequests {
		p.pause(answer.Header.Get("Retry-After"))
	}
	if err := p.provider.refusal(answer.StatusCode, body); err != nil {
		return fmt.Errorf("purge at %s: %w", r.URL.Host, err)
	}
	return nil
}

// pause sends no requests for as long as the provider asks (RFC 9110, section 10.2.3):
// at least 1 s, at most longestPause. Without a valid Retry-After it is 10 s.
func (p *Purger) pause(after string) {
	wait := 10 * time.Second
	if seconds, err := strconv.Atoi(strings.TrimSpace(after)); err == nil && seconds > 0 {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		wait = time.Until(at)
	}
	p.paused.Store(time.Now().Add(min(max(wait, time.Second), longestPause)).UnixNano())
}

// statusRefusal returns an error for a status outside 2xx.
func statusRefusal(status int) error {
	if status/100 == 2 {
		return nil
	}
	return fmt.Errorf("answered %d %s", status, http.StatusText(status))
}
