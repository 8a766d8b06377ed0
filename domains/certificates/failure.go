package certificates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// failure is the latest failure to obtain a certificate of a host. All nodes share it.
type failure struct {
	Count int       `json:"count"` // failures since the last success
	Error string    `json:"error"`
	At    time.Time `json:"at"`
	Next  time.Time `json:"next"` // no node tries before this time
}

// backoff is the time between two attempts: it doubles from first up to most.
type backoff struct{ first, most time.Duration }

var (
	// Let's Encrypt allows 5 failed validations of a host in an hour. Attempts after 0, 2, 6,
	// 14 and 30 minutes stay within that.
	orderBackoff = backoff{2 * time.Minute, 6 * time.Hour}

	// A check of our own costs the authority nothing.
	reachBackoff = backoff{15 * time.Second, 10 * time.Minute}
)

func (b backoff) after(failures int) time.Duration {
	d := b.first
	for range failures - 1 {
		if d *= 2; d >= b.most {
			return b.most
		}
	}
	return d
}

// waiting is the error of an attempt that comes too early after a failure.
type waiting struct{ failure }

// Error implements error.
func (w waiting) Error() string {
	return fmt.Sprintf("%s; the next attempt is at %s", w.failure.Error, w.failure.Next.UTC().Format(time.RFC3339))
}

func failureKey(host string) string { return "failures/" + host }

// lastFailure returns the latest failure of host on any node since the last success, or the
// zero failure.
func (m *Manager) lastFailure(ctx context.Context, host string) (f failure, err error) {
	text, err := m.storage.Load(ctx, failureKey(host))
	if errors.Is(err, fs.ErrNotExist) {
		return failure{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	return f, err
}

// fail records a failure, unless this process ended the work itself.
func (m *Manager) fail(ctx context.Context, host string, cause error, b backoff) {
	if ctx.Err() != nil || cause == nil {
		return
	}
	last, err := m.lastFailure(ctx, host)
	if err != nil {
		m.mu.Lock()
		last = m.failed[host]
		m.mu.Unlock()
	}
	now := m.opts.Now().UTC()
	f := failure{Count: last.Count + 1, Error: cause.Error(), At: now}
	f.Next = now.Add(b.after(f.Count))
	m.mu.Lock()
	m.failed[host] = f
	m.mu.Unlock()
	if b == reachBackoff {
		m.metrics.unreachable.Inc()
	} else {
		m.metrics.failures.Inc()
	}
	m.opts.Logger.WarnContext(ctx, "certificate was not obtained", "host", host, "next", f.Next, "err", cause)
	text, err := json.Marshal(f)
	if err == nil {
		err = m.storage.Store(ctx, failureKey(host), text)
	}
	if err != nil {
		m.opts.Logger.WarnContext(ctx, "failure of a certificate could not be stored", "host", host, "err", err)
	}
}

// succeed forgets the failures of host.
func (m *Manager) succeed(ctx context.Context, host string) {
	m.metrics.obtained.Inc()
	m.opts.Logger.InfoContext(ctx, "certificate was obtained", "host", host)
	m.mu.Lock()
	delete(m.failed, host)
	m.mu.Unlock()
	if err := m.storage.Delete(ctx, failureKey(host)); err != nil {
		m.opts.Logger.WarnContext(ctx, "failure of a certificate could not be deleted", "host", host, "err", err)
	}
}
