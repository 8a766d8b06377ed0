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

// FillHandshakes takes all places of TLS handshakes until release is called.
func (s *Server) FillHandshakes() (release func()) {
	for range cap(s.handshakes.places) {
		s.handshakes.places <- struct{}{}
	}
	return func() {
		for range cap(s.handshakes.places) {
			<-s.handshakes.places
		}
	}
}

// WaitingHandshakes returns how many TLS handshakes wait for a place.
func (s *Server) WaitingHandshakes() int64 { return s.handshakes.waiting.Load() }

// FillQueue fills the queue of TLS handshakes until empty is called.
func (s *Server) FillQueue() (empty func()) {
	s.handshakes.waiting.Add(waitingHandshakes)
	return func() { s.handshakes.waiting.Add(-waitingHandshakes) }
}
