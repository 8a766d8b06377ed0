package api

import (
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// now returns the database's time, or the time of this node while that is unknown.
func (a *API) now() time.Time {
	now, _ := a.opts.Clock.LinkTime()
	return micros(now)
}

// micros returns t in UTC, truncated to microseconds as stores keep it.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// state returns the current state of a link, and the time that it used. It returns
// links.ErrTimeUnknown if the state depends on the database's time and that is unknown.
func (a *API) state(l *store.Link) (store.State, time.Time, error) {
	if l.StartsAt.IsZero() && l.ExpiresAt.IsZero() {
		now := micros(a.opts.Clock.Now())
		return l.State(now), now, nil
	}
	now, known := a.opts.Clock.LinkTime()
	now = micros(now)
	state := l.State(now)
	if !known && state != store.Deleted && state != store.Disabled {
		return state, now, links.ErrTimeUnknown
	}
	return state, now, nil
}

// usable reports whether a key is neither revoked nor expired. It returns links.ErrTimeUnknown if
// that depends on the database's time and that is unknown.
func (a *API) usable(k *store.Key) (bool, error) {
	now, known := a.opts.Clock.LinkTime()
	if !known && k.RevokedAt.IsZero() && !k.ExpiresAt.IsZero() {
		return false, links.ErrTimeUnknown
	}
	return k.Usable(now), nil
}
