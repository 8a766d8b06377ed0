// Package cdn tells a CDN which answers it must no longer give: those about links
// that were edited, which it knows by the tag link-CODE.
//
// It does not repeat what has failed, and keeps no queue: the outbox does.
package cdn

import (
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

// DefaultTimeout is that of Options.
const DefaultTimeout = 3 * time.Second

// longestPause bounds what a provider may ask for with Retry-After.
const longestPause = 5 * time.Minute

// Options configure a Purger. Of the settings of providers, those of Provider are
// required.
type Options struct {
	Provider   string                // required: Varnish, Fastly or Cloudflare
	Registerer prometheus.Registerer // required

	VarnishURLs   []string // every Varnish that keeps answers, such as http://10.0.0.7:80
	VarnishSecret string   // what its VCL wants in X-Purge-Secret; empty: nothing

	FastlyService, FastlyToken      string
	CloudflareZone, CloudflareToken string

	Rate    float64       // requests a second to the provider; default that of its smallest plan, see limits
	Burst   int           // requests at once; default the same
	Nodes   func() int    // how many processes share Rate and Burst, each taking its part; default this one alone
	Timeout time.Duration // of one request; default DefaultTimeout
	API     string        // where the provider's API is; default its public one
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("cdn: "+problem))
		}
	}
	check(o.Registerer != nil, "Registerer is required")
	check(o.Rate > 0, "Rate must be positive")
	check(o.Burst > 0, "Burst must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	switch o.Provider {
	case Varnish:
		check(len(o.VarnishURLs) > 0, "VarnishURLs are required")
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

// limits are what a provider takes, by its documentation.
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
		// One request a second is a guess that no plan should mind.
		return limits{tags: 256, rate: 1, burst: 30}
	case Cloudflare:
		// 100 tags a request; 5 requests a minute from a bucket of 25 on the free plan:
		// https://developers.cloudflare.com/cache/how-to/purge-cache/
		return limits{tags: 100, rate: 5.0 / 60, burst: 25}
	}
	return limits{tags: 100, rate: 1000, burst: 1000}
}

// CheckURL returns what is wrong with the URL of a Varnish.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return errors.New("must be URLs such as http://10.0.0.7:80, with nothing behind the port")
	}
	return nil
}

// provider knows how to purge tags, no more than its limit, with one request to
// each place.
type provider interface {
	requests(ctx context.Context, tags []string) ([]*http.Request, error)
	// refusal returns why an answer is no acknowledgement, or nil.
	refusal(status int, body []byte) error
}

// Purger purges. It implements store.Teller. Safe for concurrent use.
type Purger struct {
	name     string
	provider provider
	most     int // tags in one request
	limiter  *limiter
	client   *http.Client
	paused   atomic.Int64 // until when the provider wants no requests, in Unix nanoseconds
	metrics  *metrics
}

var _ store.Teller = (*Purger)(nil)

// New returns a Purger, or every problem of opts.
func New(opts Options) (*Purger, error) {
	l := limitsOf(opts.Provider)
	if opts.Rate == 0 {
		opts.Rate = l.rate
	}
	if opts.Burst == 0 {
		opts.Burst = l.burst
	}
	if opts.Timeout == 0 {
		opts.Timeout = DefaultTimeout
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("cdn: register metrics: %w", err)
	}
	return &Purger{
		name: opts.Provider, provider: newProvider(&opts), most: l.tags, metrics: m,
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
func Tag(code string) string { return "link-" + code }

// Tell implements store.Teller. What the provider's limit does not allow at the
// moment fails at once. Links of canaries, which are edited all the time and are visited
// by nobody, are acknowledged unsent. Errors wrap store.ErrUnavailable and hold no secrets.
func (p *Purger) Tell(ctx context.Context, edits []store.Edit) []error {
	errs := make([]error, len(edits))
	var tags []string
	places := map[string][]int{} // of the edits of a tag
	for i := range edits {
		if edits[i].Link.IsCanary() {
			continue
		}
		tag := Tag(edits[i].Link.Code)
		if places[tag] == nil {
			tags = append(tags, tag)
		}
		places[tag] = append(places[tag], i)
	}
	for some := range slices.Chunk(tags, p.most) {
		err := p.purge(ctx, some)
		for _, tag := range some {
			for _, i := range places[tag] {
				errs[i] = err
			}
		}
	}
	return errs
}

// purge purges tags that fit into one request.
func (p *Purger) purge(ctx context.Context, tags []string) error {
	requests, err := p.provider.requests(ctx, tags)
	if err != nil {
		return p.failed(err)
	}
	if time.Now().UnixNano() < p.paused.Load() || !p.limiter.allow() {
		p.metrics.limited.Inc()
		return fmt.Errorf("%w: %s: its limit of requests is reached", store.ErrUnavailable, p.name)
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

// sendAll makes all requests at the same time, so that a place which cannot be
// reached keeps no other waiting.
func (p *Purger) sendAll(requests []*http.Request) error {
	errs := make([]error, len(requests))
	var sending sync.WaitGroup
	for i, r := range requests {
		sending.Go(func() { errs[i] = p.send(r) })
	}
	sending.Wait()
	return errors.Join(errs...)
}

// send makes one request. An error names the host and the status alone.
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

// pause keeps requests back for as long as the provider asks (RFC 9110, section
// 10.2.3), or a moment.
func (p *Purger) pause(after string) {
	wait := 10 * time.Second
	if seconds, err := strconv.Atoi(strings.TrimSpace(after)); err == nil && seconds > 0 {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		wait = time.Until(at)
	}
	p.paused.Store(time.Now().Add(min(max(wait, time.Second), longestPause)).UnixNano())
}

// statusRefusal returns why a status outside 2xx is no acknowledgement.
func statusRefusal(status int) error {
	if status/100 == 2 {
		return nil
	}
	return fmt.Errorf("answered %d %s", status, http.StatusText(status))
}
