package shard_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/terse/terse/store/shard"
)

// timed is a member with a clock of its own.
type timed struct {
	*member
	now   time.Time
	known bool
}

func (m timed) Time() (time.Time, bool) { return m.now, m.known }

// TestRouterTime checks by which clock links are judged when the clocks of shards and of
// the node differ.
func TestRouterTime(t *testing.T) {
	t.Parallel()
	node := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := func(ahead time.Duration) timed { return timed{now: node.Add(ahead), known: true} }
	for _, tt := range []struct {
		name   string
		shards []timed
		want   time.Duration // ahead of the node's clock
		known  bool
	}{
		{"one shard", []timed{at(-time.Hour)}, -time.Hour, true},
		{"two shards that agree", []timed{at(-time.Hour), at(-time.Hour + time.Second)}, -time.Hour + time.Second, true},
		{"two shards, one of which is wrong", []timed{at(time.Second), at(time.Hour)}, time.Second, true},
		{"three shards, one of which is wrong", []timed{at(time.Hour), at(-2 * time.Second), at(time.Second)}, time.Second, true},
		{"a shard whose clock is unknown", []timed{{}, at(time.Hour)}, time.Hour, true},
		{"no shard whose clock is known", []timed{{}, {}}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opts := shard.Options{Logger: slog.New(slog.DiscardHandler), RefreshEvery: time.Hour, Now: func() time.Time { return node }}
			for i, s := range tt.shards {
				s.member = newMember(t)
				opts.Shards = append(opts.Shards, shard.Named{Name: fmt.Sprint("s", i+1), Shard: s, Leaser: s.Leases()})
			}
			r, err := shard.New(opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(r.Close)
			now, known := r.Time()
			if got := now.Sub(node); got != tt.want || known != tt.known {
				t.Errorf("Time() = node's clock %+v, %v, want %+v, %v", got, known, tt.want, tt.known)
			}
		})
	}
}
