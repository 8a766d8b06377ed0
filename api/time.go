package api

import (
	"fmt"
	"time"

	"github.com/terse/terse/store"
)

// errTimeUnknown is returned for what depends on the time while the database's is unknown.
var errTimeUnknown = fmt.Errorf("%w: the time of the database is unknown", store.ErrUnavailable)

// now returns the database's time, or this node's while that is unknown.
func (a *API) now() time.Time {
	now, _ := a.opts.LinkTime()
	return micros(now)
}

// micros returns a time in UTC and the microseconds that stores keep.
func micros(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// state returns the state of a link, and the moment at which it was judged. It returns
// errTimeUnknown when the state depends on a time that is unknown.
func (a *API) state(l *store.Link) (store.State, time.Time, error) {
	if l.StartsAt.IsZero() && l.ExpiresAt.IsZero() {
		now := micros(a.opts.Now())
		return l.State(now), now, nil
	}
	now, known := a.opts.LinkTime()
	now = micros(now)
	state := l.State(now)
	if !known && state != store.Deleted && state != store.Disabled {
		return state, now, errTimeUnknown
	}
	return state, now, nil
}

// usable reports whether a key may be used. It returns errTimeUnknown when that depends
// on a time that is unknown.
func (a *API) usable(k *store.Key) (bool, error) {
	now, known := a.opts.LinkTime()
	if !known && k.RevokedAt.IsZero() && !k.ExpiresAt.IsZero() {
		return false, errTimeUnknown
	}
	return k.Usable(now), nil
}
