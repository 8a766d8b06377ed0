package cache_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache"
)

// getter is a memory that also answers Get.
type getter struct{ *memory }

func (g getter) Get(_ context.Context, code string) (store.Link, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l, ok := g.links[code]; ok {
		return l, nil
	}
	return store.Link{}, store.ErrNotFound
}

// TestCanary checks that the canary measures the TTL of L1 when edits are not announced.
func TestCanary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := getter{newMemory()}
		reg := prometheus.NewRegistry()
		c := newCache(t, cache.Options{Store: m, TTL: 4 * time.Second})
		canary := newCanary(t, cache.CanaryOptions{Store: m, Cache: c, Registerer: reg})
		ctx, stop := context.WithTimeout(t.Context(), 65*time.Second)
		defer stop()
		canary.Run(ctx)
		l, err := m.Get(ctx, "__canary-1")
		if err != nil || l.Owner != store.CanaryOwner || l.State(time.Now()) != store.Expired {
			t.Errorf("the canary's link = %+v, %v, want an expired link of CanaryOwner", l, err)
		}
		h := histogram(t, reg, "terse_cache_staleness_seconds")
		if n := h.GetSampleCount(); n < 4 || n > 6 {
			t.Errorf("measured %d times in 65 s, want about once in 10 s", n)
		}
		if mean := h.GetSampleSum() / float64(h.GetSampleCount()); mean < 3 || mean > 5 {
			t.Errorf("staleness = %v s, want the TTL of 4 s", mean)
		}
		endWorkers()
	})
}

func TestCanaryOfAnotherOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		taken := link("__canary-1", 1)
		m := getter{newMemory(taken)}
		reg := prometheus.NewRegistry()
		canary := newCanary(t, cache.CanaryOptions{Store: m, Cache: newCache(t, cache.Options{Store: m}), Registerer: reg})
		ctx, stop := context.WithTimeout(t.Context(), 15*time.Second)
		defer stop()
		canary.Run(ctx)
		if l, _ := m.Get(ctx, "__canary-1"); l.Version != 1 {
			t.Errorf("the canary has edited a user's link: %+v", l)
		}
		if got := gauge(t, reg, "terse_cache_staleness_unmeasured_total"); got != 1 {
			t.Errorf("unmeasured = %v, want 1", got)
		}
	})
}

func TestNewCanaryReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := cache.NewCanary(cache.CanaryOptions{Every: -1})
	for _, field := range []string{"Store", "Cache", "Code", "Target", "Registerer", "Logger", "Every"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("NewCanary = %v, want it to name %s", err, field)
		}
	}
}

func newCanary(t *testing.T, opts cache.CanaryOptions) *cache.Canary {
	t.Helper()
	opts.Code, opts.Target, opts.Logger = "__canary-1", "https://example.com/", slog.New(slog.DiscardHandler)
	c, err := cache.NewCanary(opts)
	if err != nil {
		t.Fatalf("NewCanary = %v, want nil", err)
	}
	return c
}

func histogram(t *testing.T, reg *prometheus.Registry, name string) *dto.Histogram {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetHistogram()
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}
