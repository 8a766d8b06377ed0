package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

const (
	// canaryEvery is how often a canary edits its link.
	canaryEvery = 10 * time.Second

	// canaryTimeout limits the wait for an edit to show. It is longer than any TTL of L1.
	canaryTimeout = 15 * time.Second

	// canaryPoll is the interval between two looks, and so the precision of a measurement.
	canaryPoll = 5 * time.Millisecond
)

// CanaryOptions configure a Canary.
type CanaryOptions struct {
	Store      store.Store           // required: edits the link without informing Cache
	Cache      *Cache                // required: the cache under measurement
	Code       string                // required: code of the link, used only by this node
	Target     string                // required: target of the link; no visitor is sent there
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	Every time.Duration // how often the link is edited; default 10 s
}

func (o CanaryOptions) withDefaults() CanaryOptions {
	o.Every = cmp.Or(o.Every, canaryEvery)
	return o
}

func (o *CanaryOptions) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("cache: CanaryOptions."+problem))
		}
	}
	check(o.Store != nil, "Store is required")
	check(o.Cache != nil, "Cache is required")
	check(store.ValidCode(o.Code) && strings.HasPrefix(o.Code, store.CanaryPrefix), "Code must be a valid code that begins with "+store.CanaryPrefix)
	check(o.Target != "", "Target is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.Every > 0, "Every must be positive")
	return errors.Join(errs...)
}

// Canary measures staleness: it edits a link as another process would, and measures how long
// the cache of this process shows the state before the edit. The link is expired, so that
// visitors are not redirected.
type Canary struct {
	opts    CanaryOptions
	metrics *canaryMetrics
}

// NewCanary returns a canary that starts with Run, or an error that lists every problem of
// opts.
func NewCanary(opts CanaryOptions) (*Canary, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newCanaryMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	return &Canary{opts: opts, metrics: m}, nil
}

// Run measures until ctx ends.
func (c *Canary) Run(ctx context.Context) {
	tick := time.NewTicker(c.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		took, err := c.measure(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrVersion): // another canary with the same link was faster
		case err != nil:
			c.metrics.lost.Inc()
			c.opts.Logger.DebugContext(ctx, "cache staleness was not measured", "err", err)
		default:
			c.metrics.staleness.Observe(took.Seconds())
		}
	}
}

// measure edits the link and returns how long the cache did not show the edit.
func (c *Canary) measure(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	l, err := c.link(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := c.opts.Cache.Resolve(ctx, l.Code); err != nil { // puts the old state in L1
		return 0, fmt.Errorf("resolve %q: %w", l.Code, err)
	}
	l.UpdatedAt = time.Now().UTC().Truncate(time.Microsecond)
	edited, err := c.opts.Store.Update(ctx, l)
	if err != nil {
		return 0, fmt.Errorf("update %q: %w", l.Code, err)
	}
	acknowledged := time.Now()
	look := time.NewTicker(canaryPoll)
	defer look.Stop()
	for {
		shown, err := c.opts.Cache.Resolve(ctx, l.Code)
		if err == nil && shown.Version >= edited.Version {
			return time.Since(acknowledged), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("version %d of %q is not shown: %w", edited.Version, l.Code, ctx.Err())
		case <-look.C:
		}
	}
}

// link returns the canary's link, and creates it if it does not exist.
func (c *Canary) link(ctx context.Context) (store.Link, error) {
	l, err := c.opts.Store.Get(ctx, c.opts.Code)
	if errors.Is(err, store.ErrNotFound) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		l, err = c.opts.Store.Create(ctx, store.Link{
			Code: c.opts.Code, URL: c.opts.Target, Owner: store.CanaryOwner, Title: "measures how stale caches are",
			Status: 302, CreatedAt: now, UpdatedAt: now, ExpiresAt: now,
		})
	}
	switch {
	case err != nil:
		return l, fmt.Errorf("canary %q: %w", c.opts.Code, err)
	case !l.IsCanary():
		return l, fmt.Errorf("canary %q: %w by another owner", c.opts.Code, store.ErrExists)
	}
	return l, nil
}
