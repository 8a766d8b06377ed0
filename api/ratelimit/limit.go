// Package ratelimit identifies clients and limits how often they may call: the notation
// of limits, a limiter in the memory of one process, a limiter in a Redis that several
// processes share, and the client's address behind trusted proxies.
//
// It does not write HTTP answers: status codes and headers belong to its callers.
package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limit allows Count permits in any Window on average, and Count permits at once. The
// zero Limit is off: it allows everything.
type Limit struct {
	Count  int           // 1 to MaxCount
	Window time.Duration // whole seconds, 1 s to MaxWindow
}

// Maximums of a Limit. With them the time for one permit to grow back is well above the
// resolution of a clock.
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

// Times returns a limit with n times the permits, at most MaxCount.
func (l Limit) Times(n int) Limit {
	return Limit{Count: min(l.Count*n, MaxCount), Window: l.Window}
}

// String returns l in the notation of ParseLimit.
func (l Limit) String() string {
	if l.Off() {
		return off
	}
	return strconv.Itoa(l.Count) + "/" + formatWindow(l.Window)
}

// formatWindow formats d without units that are zero: 1m, not 1m0s.
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

// Result is the result of Take. Its durations are rounded up to whole seconds, the unit
// of Retry-After (RFC 9110, section 10.2.3). A caller that waits this long finds the
// announced permits, unless others with the same key take them.
type Result struct {
	Allowed    int           // permits taken: all that were available, at most n
	Remaining  int           // permits left
	RetryAfter time.Duration // until the next permit, if Allowed < n, or if n = 0 and none is left; else 0
	ResetAfter time.Duration // until all permits have grown back
}

func roundUp(d time.Duration) time.Duration {
	if rest := d % time.Second; rest > 0 {
		d += time.Second - rest
	}
	return d
}
