// Package ratelimit says who is asking, and how often they may: limits and their
// notation, limiters in the memory of one process and in a Redis that several
// share, and the client's address behind trusted proxies.
//
// It does not know HTTP answers: status codes and headers belong to its callers.
package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limit allows Count permits in any Window on average, and Count of them at
// once. The zero Limit is off: it allows everything.
type Limit struct {
	Count  int           // 1 to MaxCount
	Window time.Duration // whole seconds, 1 s to MaxWindow
}

// Bounds of a Limit. They keep the time in which one permit grows back well
// above a clock's resolution.
const (
	MaxCount  = 1_000_000
	MaxWindow = 365 * 24 * time.Hour
)

// off is the notation of the zero Limit.
const off = "off"

// ParseLimit reads COUNT/WINDOW, such as "60/1m", or "off". The window is
// written as for time.ParseDuration.
func ParseLimit(s string) (Limit, error) {
	if s == off {
		return Limit{}, nil
	}
	count, window, ok := strings.Cut(s, "/")
	if !ok {
		return Limit{}, fmt.Errorf("limit %q: must be COUNT/WINDOW, such as 60/1m, or %s", s, off)
	}
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || n == 0 {
		return Limit{}, fmt.Errorf("limit %q: count must be a number from 1 to %d", s, MaxCount)
	}
	d, err := time.ParseDuration(window)
	if err != nil {
		return Limit{}, fmt.Errorf("limit %q: window must be a duration such as 20s, 1m or 1h", s)
	}
	l := Limit{Count: int(n), Window: d}
	if err := l.validate(); err != nil {
		return Limit{}, fmt.Errorf("limit %q: %w", s, err)
	}
	return l, nil
}

func (l Limit) validate() error {
	switch {
	case l.Off():
		return nil
	case l.Count < 1 || l.Count > MaxCount:
		return fmt.Errorf("count must be from 1 to %d", MaxCount)
	case l.Window < time.Second || l.Window > MaxWindow:
		return fmt.Errorf("window must be from 1s to %s", formatWindow(MaxWindow))
	case l.Window%time.Second != 0:
		return errors.New("window must be whole seconds")
	}
	return nil
}

// Off reports whether the limit allows everything.
func (l Limit) Off() bool { return l == Limit{} }

// Times returns the limit of n times as many permits, at most MaxCount.
func (l Limit) Times(n int) Limit {
	return Limit{Count: min(l.Count*n, MaxCount), Window: l.Window}
}

// String returns l as ParseLimit reads it.
func (l Limit) String() string {
	if l.Off() {
		return off
	}
	return strconv.Itoa(l.Count) + "/" + formatWindow(l.Window)
}

// formatWindow returns d without the units that are zero: 1m, not 1m0s.
func formatWindow(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Result is what came of a request for permits. Its durations are rounded up to
// whole seconds, the unit of Retry-After (RFC 9110 section 10.2.3): whoever waits
// that long and is alone with the key finds what was announced.
type Result struct {
	Allowed    int           // permits that were taken: as many as there were, at most those asked for
	Remaining  int           // permits that are left
	RetryAfter time.Duration // until the next permit, when fewer were allowed than asked for or a look found none; else 0
	ResetAfter time.Duration // until all permits are back
}

func roundUp(d time.Duration) time.Duration {
	if rest := d % time.Second; rest > 0 {
		d += time.Second - rest
	}
	return d
}
