//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// tiers are the redirects that each tier answered, and each tier's part of all.
type tiers struct {
	counts           map[string]float64 // by tier/result
	l1, redis, store float64
}

// readTiers reads the counts from a node's metrics.
func readTiers(ctx context.Context, admin string) (tiers, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", http.NoBody)
	if err != nil {
		return tiers{}, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return tiers{}, fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		return tiers{}, fmt.Errorf("read metrics: %w", err)
	}
	t := tiers{counts: map[string]float64{}}
	for _, m := range families["terse_cache_requests_total"].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		t.counts[labels["tier"]+"/"+labels["result"]] = m.GetCounter().GetValue()
	}
	return t.withRatios(), nil
}

// since returns the difference to an earlier reading.
func (t tiers) since(before tiers) tiers {
	d := tiers{counts: map[string]float64{}}
	for name, n := range t.counts {
		d.counts[name] = n - before.counts[name]
	}
	return d.withRatios()
}

// withRatios sets the parts of the tiers.
func (t tiers) withRatios() tiers {
	l1, redis, store := t.counts["l1/hit"]+t.counts["l1/stale"], t.counts["redis/hit"], t.counts["store/hit"]
	all := max(1, l1+redis+store)
	t.l1, t.redis, t.store = l1/all, redis/all, store/all
	return t
}

func (t tiers) String() string {
	return fmt.Sprintf("L1 %.1f %%, Redis %.1f %%, Postgres %.1f %%", 100*t.l1, 100*t.redis, 100*t.store)
}
