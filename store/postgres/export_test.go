package postgres

import "slices"

// CreatesWaiting reports how many creates wait for a flight.
func (s *Store) CreatesWaiting() int { return s.creates.group.Waiting() }

// Usable reports whether a server is one that is read.
func (s *Store) Usable(name string) bool {
	l := s.primary.view.get()
	if name == primaryName {
		return l.err == nil && !l.at.IsZero()
	}
	return slices.ContainsFunc(s.replicas, func(replica *server) bool {
		l := replica.view.get()
		return replica.name == name && s.fresh(&l)
	})
}

// Unfit reports whether nothing is read from a replica, whatever its age.
func (s *Store) Unfit(name string) bool {
	for _, server := range s.replicas {
		if server.name == name {
			return server.view.get().unfit
		}
	}
	return false
}
