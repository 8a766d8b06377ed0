package idgen

import (
	"errors"
	"testing"
	"time"
)

// TestLimit holds the last line of defence, which no clock gets a Minter to:
// nothing is minted beyond what was recorded with the lease.
func TestLimit(t *testing.T) {
	t.Parallel()
	ids, err := newGenerator(1, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l := &lease{node: 1, ids: ids, since: time.Now(), limit: lastOf(time.Now().Add(-time.Second))}
	if id, err := l.next(time.Hour); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("next() = %d, %v, want %v", id, err, ErrLeaseLost)
	}
}
