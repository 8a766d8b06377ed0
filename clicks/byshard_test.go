package clicks_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/clicks"
	"github.com/terse/terse/store"
)

// sinkByShard gives the clicks of codes that begin with "down" to one sink and all other clicks
// to another.
type sinkByShard struct{ up, down sink }

func (s *sinkByShard) AddClicks(ctx context.Context, b store.ClickBatch) error {
	if strings.HasPrefix(b.Counts[0].Code, "down") {
		return s.down.AddClicks(ctx, b)
	}
	return s.up.AddClicks(ctx, b)
}

// TestByShard checks that each shard has its own Recorder and metrics, and that a shard without
// an answer does not delay the others when ByShard closes.
func TestByShard(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var s sinkByShard
	s.down.onAdd = func(ctx context.Context) { <-ctx.Done() }
	s.down.answer = func(int) (bool, error) { return false, errDown }
	s.up.onAdd = func(context.Context) { cancel() }
	reg := prometheus.NewRegistry()
	names := []string{"down", "s2"}
	b, err := clicks.NewByShard(clicks.Options{Sink: &s, Visits: visits(), Registerer: reg, Logger: slog.New(slog.DiscardHandler), FlushEvery: time.Hour}, names, func(code string) int {
		switch code {
		case "down1":
			return 0
		case "up":
			return 1
		}
		return -1
	})
	if err != nil {
		t.Fatalf("NewByShard = %v", err)
	}
	for _, code := range []string{"down1", "up", "up", "down-unknown"} {
		b.Record(click(code, time.Now()))
	}
	if err := b.Close(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, errDown) {
		t.Errorf("Close = %v, want the error of the shard that is down", err)
	}
	if got := s.up.sum(); got != 2 {
		t.Errorf("%d clicks of the other shard were flushed, want 2", got)
	}
	want := `
# HELP terse_clicks_recorded_total Clicks that were recorded. Together with the restored clicks, they are the sum of flushed, dropped, excluded and pending clicks.
# TYPE terse_clicks_recorded_total counter
terse_clicks_recorded_total{shard="down"} 2
terse_clicks_recorded_total{shard="s2"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "terse_clicks_recorded_total"); err != nil {
		t.Error(err)
	}
}

// TestNewByShardReportsProblems checks that a failed NewByShard leaves no Recorder running.
func TestNewByShardReportsProblems(t *testing.T) {
	t.Parallel()
	opts := clicks.Options{Sink: &sink{}, Visits: visits(), Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)}
	shardOf := func(string) int { return 0 }
	if _, err := clicks.NewByShard(opts, nil, shardOf); err == nil {
		t.Error("NewByShard without names = nil, want an error")
	}
	if _, err := clicks.NewByShard(opts, []string{"s1", "s1"}, shardOf); err == nil {
		t.Error("NewByShard with a name twice = nil, want an error")
	}
}
