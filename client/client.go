// Package client calls the API of a Terse server: links, their statistics and domains. It
// exports and imports complete links for administrators.
//
// A call retries when the server is unreachable, temporarily unavailable, or reports
// too many requests, if a retry is safe. The package reads no environment variables
// and prints nothing.
package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Options configures a Client.
type Options struct {
	Server  string // scheme and host, such as https://sho.rt. Required
	Key     string // API key; empty for an anonymous client
	Version string // version of the calling program, for User-Agent; may be empty

	// HTTP sends the requests. It must not follow redirects. Default: a client without
	// redirects that keeps up to 64 idle connections.
	HTTP *http.Client

	// Timeout is the limit of one request, without retries. Default 30 s.
	Timeout time.Duration

	// Patience is the longest total time that one call waits between retries while the
	// server is unreachable or unavailable. Waits after a 429 do not count. Default
	// 2 min; a negative value means no retries.
	Patience time.Duration

	// Waiting is called when a call waits: before each retry with the error of the last
	// attempt, and with a nil error when a response takes longer than slowAnswer. It may be
	// called from several goroutines. Default: nothing is called.
	Waiting func(err error)
}

// slowAnswer is how long a response takes before Options.Waiting is called.
const slowAnswer = 1500 * time.Millisecond

// maxAnswerLen is the longest accepted response body in bytes. It has room for 1000
// links of the greatest length.
const maxAnswerLen = 64 << 20

// Client calls one server. Safe for concurrent use.
type Client struct {
	opts   Options
	server *url.URL
	onHost string // a host of the domain of links; empty: the default domain
}

// New returns a Client, or an error that joins every problem of opts.
func New(opts Options) (*Client, error) {
	server, err := url.Parse(strings.TrimRight(opts.Server, "/"))
	var errs []error
	if err != nil || (server.Scheme != "http" && server.Scheme != "https") || server.Host == "" || server.User != nil ||
		server.RawQuery != "" || server.Fragment != "" {
		errs = append(errs, fmt.Errorf("option Server: %q must look like https://sho.rt", opts.Server))
	}
	if strings.ContainsFunc(opts.Key, func(c rune) bool { return c <= ' ' || c > '~' }) {
		errs = append(errs, errors.New("option Key: must be visible ASCII without spaces"))
	}
	if opts.Timeout < 0 {
		errs = append(errs, errors.New("option Timeout: must not be negative"))
	}
	opts.Timeout = cmp.Or(opts.Timeout, 30*time.Second)
	opts.Patience = cmp.Or(opts.Patience, 2*time.Minute)
	if opts.HTTP == nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 64
		opts.HTTP = &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Client{opts: opts, server: server}, errors.Join(errs...)
}

// Server returns Options.Server.
func (c *Client) Server() string { return c.opts.Server }

// Close closes idle connections.
func (c *Client) Close() { c.opts.HTTP.CloseIdleConnections() }

// request is one API call.
type request struct {
	method, path string
	query        url.Values
	domain       string // a host of the domain of the link; empty: the default domain
	key          string // Idempotency-Key; empty for no header
	body         any    // sent as JSON; nil for no body
	accept       string // media type of the response; empty for JSON
	version      int64  // sent as If-Match; 0 for no header
	repeatable   bool   // a retry is safe
}

// call sends r, with retries, and decodes the response into out: a *[]byte gets the bytes, nil
// drops them, and any other value is decoded from JSON. When the server rejects the call, the
// error wraps a *Problem.
func (c *Client) call(ctx context.Context, r request, out any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
	}
	target := c.server.JoinPath(r.path)
	if r.domain != "" {
		if r.query == nil {
			r.query = url.Values{}
		}
		r.query.Set("domain", r.domain)
	}
	target.RawQuery = r.query.Encode()
	b := backoff{patience: c.opts.Patience}
	for {
		answer, err := c.send(ctx, r, target.String(), body)
		if err == nil {
			if err = decode(answer, out); err != nil {
				return fmt.Errorf("%s %s: the response is not valid JSON: %w", r.method, r.path, err)
			}
			return nil
		}
		wait, again := b.next(err, r.repeatable)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !again {
			return fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		c.waiting(err)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// decode stores a response in out. It leaves out as it is if there is no answer (204).
func decode(answer []byte, out any) error {
	if answer == nil {
		return nil
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = answer
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (c *Client) waiting(err error) {
	if c.opts.Waiting != nil {
		c.opts.Waiting(err)
	}
}

// watch calls Options.Waiting if the answer takes long. The returned function ends that, and waits
// for a call that has begun.
func (c *Client) watch() (end func()) {
	called := make(chan struct{})
	slow := time.AfterFunc(slowAnswer, func() {
		defer close(called)
		c.waiting(nil)
	})
	return func() {
		if !slow.Stop() {
			<-called
		}
	}
}

// send sends one request and returns the body of a 2xx response.
func (c *Client) send(ctx context.Context, r request, target string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", strings.TrimSuffix("terse/"+c.opts.Version, "/"))
	request.Header.Set("Accept", cmp.Or(r.accept, "application/json"))
	if c.opts.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.opts.Key)
	}
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		request.Header.Set("Idempotency-Key", r.key)
	}
	if r.version != 0 {
		request.Header.Set("If-Match", strconv.Quote(strconv.FormatInt(r.version, 10)))
	}
	defer c.watch()()
	response, err := c.opts.HTTP.Do(request)
	if err != nil {
		return nil, &unreachableError{err}
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerLen+1))
	switch {
	case err != nil:
		return nil, &unreachableError{err}
	case len(answer) > maxAnswerLen:
		return nil, errors.New("the response is too long")
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, readProblem(response, answer)
	case response.StatusCode == http.StatusNoContent:
		return nil, nil
	}
	return answer, nil
}

// unreachableError is the error of a request without a complete response.
type unreachableError struct{ error }

func (e *unreachableError) Unwrap() error { return e.error }

// Shortest and longest wait of a backoff, before jitter.
const (
	minWait = 100 * time.Millisecond
	maxWait = 10 * time.Second
)

// backoff decides whether and when a request is retried.
type backoff struct {
	patience time.Duration
	failures int
	waited   time.Duration
}

// next returns how long to wait before a retry. again is false when err is final.
func (b *backoff) next(err error, repeatable bool) (wait time.Duration, again bool) {
	var unreachable *unreachableError
	problem, answered := errors.AsType[*Problem](err)
	switch {
	case answered && problem.Status == http.StatusTooManyRequests: // the server did nothing, so a retry is safe
		return max(problem.RetryAfter, minWait) + jitter(minWait), true
	case !repeatable:
		return 0, false
	case answered && problem.Status != http.StatusServiceUnavailable && problem.Status != http.StatusBadGateway &&
		problem.Status != http.StatusGatewayTimeout:
		return 0, false
	case !answered && !errors.As(err, &unreachable):
		return 0, false
	}
	wait = min(minWait<<min(b.failures, 10), maxWait)
	wait = wait/2 + jitter(wait/2)
	if answered {
		wait = max(wait, problem.RetryAfter)
	}
	b.failures++
	b.waited += wait
	return wait, b.waited <= b.patience
}

// jitter returns a random duration up to d, so that many clients do not retry at once.
func jitter(d time.Duration) time.Duration {
	return rand.N(d + 1) //nolint:gosec // not a secret
}

// sleep waits for d. It returns the error of ctx when ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter reads the Retry-After header in seconds. It returns 0 for a missing or
// invalid header.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
