package links

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
)

// TestGuessesDelayNoOtherPasswords checks that passwords of other links wait for at most one of
// the guesses of a link that many clients attack.
func TestGuessesDelayNoOtherPasswords(t *testing.T) {
	t.Parallel()
	for places, most := range map[int]int{1: 1, 2: 0, 4: 0} {
		t.Run(fmt.Sprint(places, " places"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &Service{hashing: hashing{places: make(chan struct{}, places), slow: make(chan struct{}, 1)}}
				const guesses, others = 20, 3
				hashed := make(chan struct{})
				var all sync.WaitGroup
				for range guesses {
					all.Go(func() {
						leave, err := s.EnterHashingSlowly(t.Context())
						if err != nil {
							t.Errorf("a guess = %v, want a place", err)
							return
						}
						<-hashed
						leave()
					})
				}
				synctest.Wait() // one guess has a place, the others wait
				done := make(chan struct{}, others)
				for range others {
					all.Go(func() {
						leave, err := s.EnterHashing(t.Context())
						if err != nil {
							t.Errorf("the password of another link = %v, want a place", err)
							return
						}
						leave()
						done <- struct{}{}
					})
				}
				synctest.Wait()
				for range most {
					hashed <- struct{}{}
					synctest.Wait()
				}
				if len(done) != others {
					t.Errorf("%d of %d passwords of other links were hashed after %d guesses, want all", len(done), others, most)
				}
				for range guesses - most {
					hashed <- struct{}{}
				}
				all.Wait()
			})
		})
	}
}
