package postgres

// CreatesWaiting reports how many creates wait for a flight.
func (s *Store) CreatesWaiting() int { return s.creates.group.Waiting() }

// Usable reports whether a server is one that is read.
func (s *Store) Usable(name string) bool {
	for _, server := range append([]*server{s.primary}, s.replicas...) {
		if server.name == name {
			l := server.view.get()
			return l.err == nil && !l.at.IsZero() && (server == s.primary || s.lagOf(l) <= s.opts.MaxLag)
		}
	}
	return false
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
