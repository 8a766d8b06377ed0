package shard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/shard"
)

// errWrong is the error of a shard that is reachable but misconfigured.
var errWrong = errors.New("database of shard s9")

func TestMap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(g *group)
		want   []string // texts of the error; empty: no error
		is     error
		loaded bool
		owner  int // of bucket 7, if the map is loaded
	}{
		{"all buckets have owners", func(*group) {}, nil, nil, true, 1},
		{"owned twice", func(g *group) { g.members[2].gain(7, 1) }, []string{"bucket 7 ", "s2", "s3"}, nil, false, 0},
		{"owned twice since", func(g *group) { g.members[2].gain(7, 2) }, []string{"bucket 7 ", "s2", "s3"}, nil, false, 0},
		{"owned by no shard", func(g *group) { g.members[1].lose(7) }, []string{"bucket 7 "}, nil, false, 0},
		{"several by no shard", func(g *group) { g.members[1].lose(10); g.members[1].lose(7) }, []string{"bucket 7,", "2"}, nil, false, 0},
		{"no such bucket", func(g *group) { g.members[0].gain(store.Buckets, 1) }, []string{"s1", "4096"}, nil, false, 0},
		{"another shard is down", func(g *group) { g.members[0].fail(store.ErrUnavailable) }, nil, nil, true, 1},
		{"its shard is down", func(g *group) { g.members[1].fail(store.ErrUnavailable) }, nil, nil, true, -1},
		{"its shard does not answer in time", func(g *group) { g.members[1].hang() }, nil, nil, true, -1},
		{"all are down", func(g *group) {
			for _, m := range g.members {
				m.fail(context.DeadlineExceeded)
			}
		}, []string{"s1", "s2", "s3"}, store.ErrUnavailable, false, 0},
		{"a shard is wrong", func(g *group) { g.members[0].fail(errWrong) }, []string{"s1"}, errWrong, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGroup(t, 3, func(o *shard.Options) { o.RefreshTimeout = 50 * time.Millisecond })
			tt.change(g)
			err := g.Load(t.Context())
			wantErrorText(t, "Load()", err, tt.want...)
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Load() = %v, want %v", err, tt.is)
			}
			if got := isLoaded(g); got != tt.loaded {
				t.Fatalf("Loaded() = %v, want %v", got, tt.loaded)
			}
			if !tt.loaded {
				tt.owner = -1
			}
			if got := g.ShardOf(codeIn(7)); got != tt.owner {
				t.Errorf("ShardOf(a code of bucket 7) = %d, want %d", got, tt.owner)
			}
			if _, err := g.Get(t.Context(), codeIn(7)); tt.owner < 0 && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Get() in a bucket without a known owner = %v, want %v", err, store.ErrUnavailable)
			}
		})
	}
}

// TestMapOfDeadShard moves buckets while their old shard is dead. The old owner is remembered
// until another shard owns them at a later epoch.
func TestMapOfDeadShard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ bucket, from, to int }{{7, 1, 2}, {8, 2, 1}} {
		t.Run(fmt.Sprintf("bucket %d", tt.bucket), func(t *testing.T) {
			t.Parallel()
			g := loaded(t, 3)
			from, to := g.members[tt.from], g.members[tt.to]
			from.fail(store.ErrUnavailable)
			for _, step := range []struct {
				name   string
				change func()
				ok     bool
				owner  int
			}{
				{"remembered", func() {}, true, tt.from},
				{"claimed at its own epoch", func() { to.gain(tt.bucket, 1) }, false, tt.from},
				{"claimed since", func() { to.gain(tt.bucket, 2) }, true, tt.to},
				{"both dead", func() { to.fail(store.ErrUnavailable) }, true, tt.to},
				{"back as it was", func() { from.fail(nil) }, false, tt.to},
				{"back without it", func() { from.lose(tt.bucket) }, true, tt.to},
				{"lost by all that answer", func() { to.fail(nil); to.lose(tt.bucket) }, false, tt.to},
			} {
				step.change()
				if err := g.Load(t.Context()); (err == nil) != step.ok {
					t.Errorf("Load() when %s = %v, want success: %v", step.name, err, step.ok)
				}
				if got := g.ShardOf(codeIn(tt.bucket)); got != step.owner {
					t.Errorf("ShardOf() when %s = %d, want %d", step.name, got, step.owner)
				}
			}
		})
	}
}

// TestRefusedMap checks that the last good map stays in use, and that the reason is logged once
// and shown in metrics.
func TestRefusedMap(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	reg := prometheus.NewRegistry()
	g := loaded(t, 2, func(o *shard.Options) {
		o.Logger, o.Registerer = slog.New(slog.NewTextHandler(&text, nil)), reg
	})
	g.members[0].gain(7, 1)
	for range 3 {
		wantErrorText(t, "Load()", g.Load(t.Context()), "bucket 7 ", "s1", "s2")
	}
	wantMetrics(t, reg, "terse_shard_map_refused", `gauge`, `terse_shard_map_refused 1`)
	if got := g.ShardOf(codeIn(7)); got != 1 {
		t.Errorf("ShardOf() by the refused map = %d, want 1 as before", got)
	}
	g.members[0].lose(7)
	if err := g.Load(t.Context()); err != nil {
		t.Errorf("Load() = %v, want nil", err)
	}
	g.Close()
	wantMetrics(t, reg, "terse_shard_map_refused", `gauge`, `terse_shard_map_refused 0`)
	wantMetrics(t, reg, "terse_shard_refreshes_total", `counter`,
		`terse_shard_refreshes_total{result="failed"} 0`, `terse_shard_refreshes_total{result="partial"} 0`,
		`terse_shard_refreshes_total{result="refused"} 3`, `terse_shard_refreshes_total{result="whole"} 2`)
	wantMetrics(t, reg, "terse_shard_buckets", `gauge`,
		`terse_shard_buckets{shard="s1"} 2048`, `terse_shard_buckets{shard="s2"} 2048`)
	wantMetrics(t, reg, "terse_shard_map_version", `gauge`,
		`terse_shard_map_version{shard="s1"} 3`, `terse_shard_map_version{shard="s2"} 1`)
	for _, msg := range []string{"map of buckets is refused", "map of buckets is accepted again"} {
		if n := strings.Count(text.String(), msg); n != 1 {
			t.Errorf("log has %q %d times, want once:\n%s", msg, n, &text)
		}
	}
}

func TestMapIsReadAgainAndAgain(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 2, func(o *shard.Options) { o.RefreshEvery = time.Millisecond })
	g.members[0].fail(store.ErrUnavailable)
	testenv.Await(t, "a map without s1", func() bool { return isLoaded(g) })
	g.members[0].fail(nil)
	testenv.Await(t, "a map with s1", func() bool { return g.ShardOf(codeIn(8)) == 0 })
}

func TestCloseEndsLoad(t *testing.T) {
	t.Parallel()
	g := newGroup(t, 1, func(o *shard.Options) { o.RefreshTimeout = time.Hour })
	g.members[0].hang()
	failed := make(chan error)
	go func() { failed <- g.Load(t.Context()) }()
	testenv.Await(t, "a reading", func() bool { return g.members[0].read() > 0 })
	g.Close()
	for _, err := range []error{<-failed, g.Load(t.Context())} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Load() of a closed Router = %v, want %v", err, store.ErrUnavailable)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	good := shard.Named{Name: "s1", Shard: m, Leaser: m.Leases()}
	for _, opts := range []shard.Options{
		{Logger: slog.New(slog.DiscardHandler)},
		{Shards: []shard.Named{good}},
		{Shards: []shard.Named{good, good}, Logger: slog.New(slog.DiscardHandler)},
		{Shards: []shard.Named{{Name: "s1"}}, Logger: slog.New(slog.DiscardHandler)},
		{Shards: []shard.Named{good}, Logger: slog.New(slog.DiscardHandler), RefreshEvery: -1},
	} {
		if _, err := shard.New(opts); err == nil {
			t.Errorf("New(%+v) = nil, want an error", opts)
		}
	}
}

func isLoaded(g *group) bool {
	select {
	case <-g.Loaded():
		return true
	default:
		return false
	}
}

// codeIn returns a code in the bucket.
func codeIn(bucket int) string {
	for i := 0; ; i++ {
		if code := fmt.Sprint(i); store.BucketOf(code) == bucket {
			return code
		}
	}
}

// wantErrorText checks that an error contains all texts, or is nil if there are none.
func wantErrorText(t *testing.T, call string, err error, texts ...string) {
	t.Helper()
	if len(texts) == 0 && err != nil {
		t.Errorf("%s = %v, want nil", call, err)
	}
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s = %v, want an error with %q", call, err, text)
		}
	}
}

// wantMetrics checks all series of one name.
func wantMetrics(t *testing.T, reg prometheus.Gatherer, name, kind string, series ...string) {
	t.Helper()
	want := "# TYPE " + name + " " + kind + "\n" + strings.Join(series, "\n") + "\n"
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			want = "# HELP " + name + " " + family.GetHelp() + "\n" + want
		}
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
}
