// Package client calls the API of a Terse server: it creates, reads and lists
// links, and takes them out and puts them in whole.
//
// It repeats what is safe to repeat while the server is away or says that there
// were too many requests, so that a call fails for good or not at all. It reads no
// environment and prints nothing.
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

// Options say which server to call, and how.
type Options struct {
	Server  string // Required: scheme and host, such as https://sho.rt.
	Key     string // the API key; empty for an anonymous client
	Version string // of the program, for User-Agent; may be empty

	// HTTP sends the requests. It must follow no redirects. Default: one that does
	// not, for as many requests at a time as there are.
	HTTP *http.Client

	// Timeout bounds one request. Default 30 s.
	Timeout time.Duration

	// Patience is how long a call goes on while the server is away. Waits that the
	// server asks for by a 429 do not count. Default 2 min; negative: not at all.
	Patience time.Duration
}

// maxAnswerLen is the longest answer that is read, in bytes: a page of 1000 links
// of the longest kind.
const maxAnswerLen = 64 << 20

// Client calls one server. Safe for concurrent use.
type Client struct {
	opts   Options
	server *url.URL
}

// New returns a Client, or everything that is wrong with opts.
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

// Close closes connections that are not in use.
func (c *Client) Close() { c.opts.HTTP.CloseIdleConnections() }

// request is one call.
type request struct {
	method, path string
	query        url.Values
	key          string // Idempotency-Key; empty for none
	body         any    // sent as JSON; nil for none
	repeatable   bool   // to send it twice does no more than once
}

// call sends r until there is an answer that decides, and reads it into out. A
// *Problem is what the server refused.
func (c *Client) call(ctx context.Context, r request, out any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
	}
	target := c.server.JoinPath(r.path)
	target.RawQuery = r.query.Encode()
	b := backoff{patience: c.opts.Patience}
	for {
		answer, err := c.send(ctx, r, target.String(), body)
		if err == nil {
			if err = json.Unmarshal(answer, out); err != nil {
				return fmt.Errorf("%s %s: the answer cannot be read: %w", r.method, r.path, err)
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
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// send sends one request and returns the body of a good answer.
func (c *Client) send(ctx context.Context, r request, target string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", strings.TrimSuffix("terse/"+c.opts.Version, "/"))
	request.Header.Set("Accept", "application/json")
	if c.opts.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.opts.Key)
	}
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		request.Header.Set("Idempotency-Key", r.key)
	}
	response, err := c.opts.HTTP.Do(request)
	if err != nil {
		return nil, &awayError{err}
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerLen+1))
	switch {
	case err != nil:
		return nil, &awayError{err}
	case len(answer) > maxAnswerLen:
		return nil, errors.New("the answer is too long")
	case response.StatusCode < 200 || response.StatusCode > 299:
		return nil, readProblem(response, answer)
	}
	return answer, nil
}

// awayError says that there was no answer.
type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }

// The shortest and longest waits of a backoff.
const (
	minWait = 100 * time.Millisecond
	maxWait = 10 * time.Second
)

// backoff decides when a request is sent again.
type backoff struct {
	patience time.Duration
	failures int
	waited   time.Duration
}

// next returns how long to wait after err, or that it is final.
func (b *backoff) next(err error, repeatable bool) (wait time.Duration, again bool) {
	var away *awayError
	problem, answered := errors.AsType[*Problem](err)
	switch {
	case answered && problem.Status == http.StatusTooManyRequests: // and nothing was done
		return max(problem.RetryAfter, minWait) + jitter(minWait), true
	case !repeatable:
		return 0, false
	case answered && problem.Status != http.StatusServiceUnavailable && problem.Status != http.StatusBadGateway &&
		problem.Status != http.StatusGatewayTimeout:
		return 0, false
	case !answered && !errors.As(err, &away):
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

// jitter returns a part of d, so that many clients do not come back at once.
func jitter(d time.Duration) time.Duration {
	return rand.N(d + 1) //nolint:gosec // it keeps no secret
}

// sleep waits, or returns the error of ctx when that ends first.
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

// retryAfter reads the header in seconds; 0 when there is none.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
