package server

// Idle returns how many connections wait for a request.
func (s *Server) Idle() int {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	idle := 0
	for open := range s.conns.open {
		if open.waiting.Load() > 0 {
			idle++
		}
	}
	return idle
}
