//go:build unix

package main

import (
	"testing"
	"time"
)

func TestRatioOf(t *testing.T) {
	t.Parallel()
	got := ratioOf([]float64{10, 30, 9}, []float64{10, 10, 10})
	want := spread{ratio: 1, lowest: 0.9, highest: 3, rounds: 3}
	if got != want {
		t.Errorf("ratioOf() = %+v, want %+v", got, want)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := quantile(hundred, q); got != want {
			t.Errorf("quantile(1 to 100, %v) = %d, want %d", q, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		names string
		want  int
	}{
		{"l1", 1},
		{"create,l1", 2},
		{"l1,domains,tls,redis,bytes,cold,zipf,large,create,clicks,stats", len(parts())},
		{"", 0},
		{"l1,l1", 0},
		{"l2", 0},
	} {
		got, err := choose(tt.names)
		if (err == nil) != (tt.want > 0) || (err == nil && len(got) != tt.want) {
			t.Errorf("choose(%q) = %d parts, %v, want %d", tt.names, len(got), err, tt.want)
		}
	}
}
