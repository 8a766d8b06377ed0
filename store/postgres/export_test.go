package postgres

import "slices"

// CreatesWaiting returns how many creates wait for a batch.
func (s *Store) CreatesWaiting() int { return s.creates.group.Waiting() }

// Usable reports whether a server may be read.
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

// Unfit reports whether a replica must not be read at any age.
func (s *Store) Unfit(name string) bool {
	for _, server := range s.replicas {
		if server.name == name {
			return server.view.get().unfit
		}
	}
	return false
}
