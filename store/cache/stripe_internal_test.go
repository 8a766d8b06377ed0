package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// TestShedMissesLeaveNothingBehind checks that many rejected misses leave no keys in memory.
func TestShedMissesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	c, err := New(Options{
		Store: struct{ store.Store }{}, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Admit: func(context.Context) (func(), error) { return nil, store.ErrShed },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if _, err := c.Resolve(t.Context(), fmt.Sprint("code", i)); !errors.Is(err, store.ErrShed) {
			t.Fatalf("Resolve = %v, want ErrShed", err)
		}
	}
	left := c.l1.EstimatedSize()
	for i := range c.stripes {
		left += len(c.stripes[i].keys)
	}
	if left != 0 {
		t.Errorf("%d keys are left, want 0", left)
	}
}
