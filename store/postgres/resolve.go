package postgres

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/terse/terse/store"
)

// maxReplicas limits how many replicas are asked for one link before the primary: the
// rest of the caller's time must be enough for the primary.
const maxReplicas = 2

// Resolve implements store.Store. It asks a replica that is within MaxLag and shows all
// edits of the link that this process knows. If that fails it asks a second replica, and
// then the primary. Only the primary can answer that there is no such link. While the
// primary is unreachable, a replica of any age up to MaxAge may answer, but not with an
// older version than the known edits.
func (s *Store) Resolve(ctx context.Context, code string) (store.Link, error) {
	l, err := s.resolve(ctx, code)
	return l, wrap(err, "resolve", code)
}

func (s *Store) resolve(ctx context.Context, code string) (store.Link, error) {
	m := s.written.get(code)
	for _, replica := range s.readable(m) {
		l, err := s.readOne(ctx, replica, code)
		if err == nil || ctx.Err() != nil {
			return l, err
		}
		if !errors.Is(err, store.ErrUnavailable) {
			break // it has no such link: ask the primary
		}
	}
	unreachable := s.primaryUnreachable()
	if unreachable {
		if l, ok := s.readAnyAge(ctx, code, m); ok {
			return l, nil
		}
	}
	l, err := s.readOne(ctx, s.primary, code)
	if errors.Is(err, store.ErrUnavailable) && !unreachable {
		if l, ok := s.readAnyAge(ctx, code, m); ok {
			return l, nil
		}
	}
	return l, err
}

// readOne reads code from one server within ReadTimeout. If ctx ended first, it returns
// the error of ctx. With errPromoted it also returns the server's link.
func (s *Store) readOne(ctx context.Context, server *server, code string) (store.Link, error) {
	l, err := server.cold.Do(ctx, code)
	if err != nil && ctx.Err() != nil {
		return store.Link{}, ctx.Err()
	}
	return l, err
}

// readAnyAge reads code from any replica of byAge, and reports whether it found a link
// that shows the known edits.
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

// readable returns replicas that may be read. The replicas take turns as the first.
func (s *Store) readable(m *mark) []*server {
	n := len(s.replicas)
	if n == 0 {
		return nil
	}
	turn := int(s.turn.Add(1) % uint64(n)) //nolint:gosec // below n
	var readable []*server
	for i := range n {
		replica := s.replicas[(turn+i)%n]
		l := replica.view.get()
		left := replica.lines[redirects].breaker.RemainingDelay() > 0
		if s.fresh(&l) && !left && m.coveredBy(l.covers) {
			readable = append(readable, replica)
		}
		if len(readable) == maxReplicas {
			break
		}
	}
	return readable
}

// fresh reports whether a replica answers and is at most MaxLag behind the primary.
func (s *Store) fresh(l *look) bool {
	return l.err == nil && l.covers.After(s.opts.Now().Add(-s.opts.MaxLag))
}

// byAge returns the replicas with data up to MaxAge old. Promoted servers come first,
// because they are most likely the new primary, then replicas that answer, then the rest.
// Within each kind the freshest comes first.
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

// primaryUnreachable reports whether the primary was not reached by the last probe and
// for longer than MaxLag.
func (s *Store) primaryUnreachable() bool {
	if s.primary.view.get().err == nil {
		return false
	}
	last, ok := s.history.last()
	return !ok || s.opts.Now().Sub(last.asked) > s.opts.MaxLag
}

// rank orders replicas for reading while the primary is unreachable; 0 is best.
func (l *look) rank() int {
	switch {
	case errors.Is(l.err, errPromoted):
		return 0
	case l.err == nil:
		return 1
	}
	return 2
}
