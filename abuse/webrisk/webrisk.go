// Package webrisk asks Google Web Risk about targets, one at a time. It uses the
// method uris.search of the Lookup API:
// https://cloud.google.com/web-risk/docs/reference/rest/v1/uris/search.
//
// It does not retry and does not cache answers.
package webrisk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Defaults of Options.
const (
	DefaultAPI     = "https://webrisk.googleapis.com"
	DefaultRate    = 50
	DefaultTimeout = 5 * time.Second
)

// After breakAfter failures in a row no request is sent for breakDelay. Then one probe
// decides whether requests continue.
const (
	breakAfter = 5
	breakDelay = 30 * time.Second
)

// maxAnswerLen limits how much of an answer is read, in bytes. Answers are much
// shorter.
const maxAnswerLen = 64 << 10

// lists returns the threat lists to search.
func lists() []string { return []string{"MALWARE", "SOCIAL_ENGINEERING", "UNWANTED_SOFTWARE"} }

// Options configure a Client.
type Options struct {
	Key        string                // required: API key of a project with Web Risk enabled
	Registerer prometheus.Registerer // required

	API     string        // base URL of the service; default DefaultAPI
	Rate    float64       // requests a second at most; default DefaultRate, half of the quota of a new project
	Timeout time.Duration // of one request; default DefaultTimeout
}

func (o Options) withDefaults() Options {
	o.API = cmp.Or(o.API, DefaultAPI)
	o.Rate = cmp.Or(o.Rate, DefaultRate)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("webrisk: Options."+problem))
		}
	}
	check(o.Key != "", "Key is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Rate > 0, "Rate must be positive")
	check(o.Timeout > 0, "Timeout must be positive")
	return errors.Join(errs...)
}

// Client is a scan.Checker. Safe for concurrent use.
type Client struct {
	opts    Options
	http    *http.Client
	limiter *rate.Limiter
	breaker circuitbreaker.CircuitBreaker[any]
	metrics *metrics
}

// New returns a Client, or an error with every invalid option.
func New(opts Options) (*Client, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	return &Client{
		opts: opts,
		http: &http.Client{
			Timeout:   opts.Timeout,
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute},
			// Following a redirect could send the key to another server.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		limiter: rate.NewLimiter(rate.Limit(opts.Rate), max(1, int(opts.Rate))),
		breaker: circuitbreaker.NewBuilder[any]().
			WithFailureThreshold(breakAfter).WithSuccessThreshold(1).
			WithDelay(breakDelay).WithJitterFactor(0.3).
			OnOpen(func(circuitbreaker.StateChangedEvent) { m.open.Set(1) }).
			OnClose(func(circuitbreaker.StateChangedEvent) { m.open.Set(0) }).
			Build(),
		metrics: m,
	}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Check returns a sentence for the owner that names the threat lists with the target,
// or "" when no list has it. A target that the service rejects as invalid is on no
// list. Check waits while Rate is exceeded.
func (c *Client) Check(ctx context.Context, target string) (string, error) {
	if err := c.limiter.Wait(ctx); err != nil {
		return "", fmt.Errorf("webrisk: %w", err)
	}
	if !c.breaker.TryAcquirePermit() {
		return "", fmt.Errorf("webrisk: %w", circuitbreaker.ErrOpen)
	}
	threats, err := c.ask(ctx, target)
	switch {
	case errors.Is(err, errUnjudged):
		c.metrics.unjudged.Inc()
		return "", nil
	case err != nil:
		c.metrics.failed.Inc()
		return "", fmt.Errorf("webrisk: %w", err)
	}
	if len(threats) == 0 {
		c.metrics.clean.Inc()
		return "", nil
	}
	c.metrics.bad.Inc()
	return reason(threats), nil
}

// ask is search with a permit of the breaker. A panic counts as a failure, or a half-open
// breaker would wait for its result forever.
func (c *Client) ask(ctx context.Context, target string) (threats []string, err error) {
	failed, began := true, time.Now()
	defer func() {
		c.metrics.duration.Observe(time.Since(began).Seconds())
		if failed {
			c.breaker.RecordFailure()
		} else {
			c.breaker.RecordSuccess()
		}
	}()
	threats, err = c.search(ctx, target)
	failed = err != nil && !errors.Is(err, errUnjudged)
	return threats, err
}

// errUnjudged means that the service rejected the target as invalid.
var errUnjudged = errors.New("the service rejected the target as invalid")

// unjudged are the status codes that concern the target and not the service. A retry
// would get the same answer.
var unjudged = []int{
	http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge,
}

// maxAskedLen is the longest target in bytes that is sent whole. Percent-encoding in
// the request makes it three times as long at most.
const maxAskedLen = 2000

// shorten removes the query and the fragment of a long target, then the end of its
// path. The service also judges a target by its host and by prefixes of its path.
func shorten(target string) string {
	if len(target) <= maxAskedLen {
		return target
	}
	target, _, _ = strings.Cut(target, "?")
	target, _, _ = strings.Cut(target, "#")
	if len(target) <= maxAskedLen {
		return target
	}
	return target[:strings.LastIndexByte(target[:maxAskedLen], '/')+1]
}

// search returns the lists that a target is on.
func (c *Client) search(ctx context.Context, target string) ([]string, error) {
	query := url.Values{"uri": {shorten(target)}, "threatTypes": lists(), "key": {c.opts.Key}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.opts.API+"/v1/uris:search?"+query.Encode(), nil)
	if err != nil {
		return nil, errors.New("cannot build the request") // the original error contains the key
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer func() { _ = response.Body.Close() }() // an error after reading does not matter
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerLen))
	switch {
	case err != nil:
		return nil, err
	case slices.Contains(unjudged, response.StatusCode) && !strings.Contains(string(body), "API_KEY_INVALID"):
		return nil, errUnjudged
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the service answered %d", response.StatusCode)
	}
	var answer struct {
		Threat struct {
			ThreatTypes []string `json:"threatTypes"`
		} `json:"threat"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("answer of the service: %w", err)
	}
	return answer.Threat.ThreatTypes, nil
}

// withoutURL removes the URL from an error, because the URL contains the key.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// reason names the threats in words.
func reason(threats []string) string {
	words := map[string]string{
		"MALWARE": "malware", "SOCIAL_ENGINEERING": "phishing", "UNWANTED_SOFTWARE": "unwanted software",
	}
	var named []string
	for _, t := range threats {
		named = append(named, cmp.Or(words[t], "another threat"))
	}
	slices.Sort(named)
	return "Google Web Risk warns of it: " + strings.Join(slices.Compact(named), ", ")
}
