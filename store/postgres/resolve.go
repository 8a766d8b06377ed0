package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/terse/terse/store"
)

// mostNear is how many replicas are asked for one link before the primary is:
// what remains of a caller's time must do for that one.
const mostNear = 2

// Resolve implements store.Store. It asks a replica that is near enough to the
// primary and shows what this process wrote, another one when that fails, and then
// the primary, which alone knows that there is no such link. While the primary is
// unreachable, a replica of any age up to MaxAge may answer, but never with an older
// version than this process wrote, and never that there is no such link.
func (s *Store) Resolve(ctx context.Context, code string) (store.Link, error) {
	l, err := s.resolve(ctx, code)
	return l, wrap(err, "resolve", code)
}

func (s *Store) resolve(ctx context.Context, code string) (store.Link, error) {
	m := s.written.get(code)
	for _, replica := range s.near(m) {
		l, err := s.readOne(ctx, replica, code)
		if err == nil || ctx.Err() != nil {
			return l, err
		}
		if !errors.Is(err, store.ErrUnavailable) {
			break // it has no such link: another will not either
		}
	}
	away := s.primaryAway()
	if away {
		if l, ok := s.readAnyAge(ctx, code, m); ok {
			return l, nil
		}
	}
	l, err := s.readOne(ctx, s.primary, code)
	if errors.Is(err, store.ErrUnavailable) && !away {
		if l, ok := s.readAnyAge(ctx, code, m); ok {
			return l, nil
		}
	}
	return l, err
}

// readOne reads code from one server within ReadTimeout. It returns ctx's error
// when that ended first. With errPromoted comes the link that the server has.
func (s *Store) readOne(ctx context.Context, server *server, code string) (store.Link, error) {
	l, err := server.cold.Do(ctx, code)
	if err != nil && ctx.Err() != nil {
		return store.Link{}, ctx.Err()
	}
	return l, err
}

// readAnyAge reads code from whichever replica has it, one that was promoted
// included, and reports whether one does and shows what this process wrote.
func (s *Store) readAnyAge(ctx context.Context, code string, m *mark) (store.Link, bool) {
	for _, replica := range s.byAge() {
		l, err := s.readOne(ctx, replica, code)
		if (err == nil || errors.Is(err, errPromoted)) && m.shows(&l) {
			s.metrics.lastResort.Inc()
			return l, true
		}
		if ctx.Err() != nil {
			break
		}
	}
	return store.Link{}, false
}

// near returns replicas that may be read, each in its turn the first.
func (s *Store) near(m *mark) []*server {
	n := len(s.replicas)
	if n == 0 {
		return nil
	}
	turn := int(s.turn.Add(1) % uint64(n)) //nolint:gosec // below n
	var near []*server
	for i := range n {
		replica := s.replicas[(turn+i)%n]
		l := replica.view.get()
		left := replica.lines[redirects].breaker.RemainingDelay() > 0
		if s.fresh(&l) && !left && m.coveredBy(l.covers) {
			near = append(near, replica)
		}
		if len(near) == mostNear {
			break
		}
	}
	return near
}

// fresh reports whether a replica answers and is at most MaxLag behind the primary.
func (s *Store) fresh(l *look) bool {
	return l.err == nil && l.covers.After(s.opts.Now().Add(-s.opts.MaxLag))
}

// byAge returns the replicas whose data is no older than MaxAge: first a promoted one,
// which is most likely the new primary, then those that answer, then the others. Of
// equals the freshest comes first.
func (s *Store) byAge() []*server {
	type aged struct {
		*server
		look
	}
	now := s.opts.Now()
	var seen []aged
	for _, replica := range s.replicas {
		if l := replica.view.get(); l.position > 0 && !l.unfit && now.Sub(l.upTo()) <= s.opts.MaxAge {
			seen = append(seen, aged{replica, l})
		}
	}
	slices.SortFunc(seen, func(a, b aged) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(b.position, a.position))
	})
	servers := make([]*server, len(seen))
	for i := range seen {
		servers[i] = seen[i].server
	}
	return servers
}

// primaryAway reports whether the primary cannot be reached, and has not been for
// longer than a replica may be behind it.
func (s *Store) primaryAway() bool {
	if s.primary.view.get().err == nil {
		return false
	}
	last, ok := s.history.last()
	return !ok || s.opts.Now().Sub(last.asked) > s.opts.MaxLag
}

// rank orders replicas for when the primary is away, the best first.
func (l *look) rank() int {
	switch {
	case errors.Is(l.err, errPromoted):
		return 0
	case l.err == nil:
		return 1
	}
	return 2
}
