package shard_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/shard"
)

// TestMoved sends one call of each kind to a shard that no longer owns the bucket. The call
// must reach the new owner.
func TestMoved(t *testing.T) {
	t.Parallel()
	_, hash := store.NewToken()
	l := newLink(2, 0)
	reservation := store.Reservation{Owner: "o", Key: "k", Code: l.Code, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	key := store.Key{ID: "key_1", Hash: hash, CreatedAt: l.CreatedAt}
	for _, tt := range []struct {
		name string
		key  string
		call func(ctx context.Context, r *shard.Router) error
		want error
	}{
		{"Create", l.Code, func(ctx context.Context, r *shard.Router) error { _, err := r.Create(ctx, l); return err }, nil},
		{"Resolve", l.Code, func(ctx context.Context, r *shard.Router) error { _, err := r.Resolve(ctx, l.Code); return err }, store.ErrNotFound},
		{"Get", l.Code, func(ctx context.Context, r *shard.Router) error { _, err := r.Get(ctx, l.Code); return err }, store.ErrNotFound},
		{"Update", l.Code, func(ctx context.Context, r *shard.Router) error { _, err := r.Update(ctx, l); return err }, store.ErrNotFound},
		{"Delete", l.Code, func(ctx context.Context, r *shard.Router) error {
			_, err := r.Delete(ctx, l.Code, 0, l.CreatedAt)
			return err
		}, store.ErrNotFound},
		{"Consume", l.Code, func(ctx context.Context, r *shard.Router) error {
			_, err := r.Consume(ctx, l.Code, l.CreatedAt)
			return err
		}, store.ErrNotFound},
		{"Reserve", "o\x00k", func(ctx context.Context, r *shard.Router) error { _, err := r.Reserve(ctx, reservation); return err }, nil},
		{"CreateOnce", l.Code, func(ctx context.Context, r *shard.Router) error {
			_, _, err := r.CreateOnce(ctx, l, reservation)
			return err
		}, nil},
		{"CreateOnce, moved key", "o\x00k", func(ctx context.Context, r *shard.Router) error {
			_, _, err := r.CreateOnce(ctx, l, reservation)
			return err
		}, nil},
		{"CreateKey", string(hash[:]), func(ctx context.Context, r *shard.Router) error { return r.CreateKey(ctx, key) }, nil},
		{"KeyByHash", string(hash[:]), func(ctx context.Context, r *shard.Router) error { _, err := r.KeyByHash(ctx, hash); return err }, store.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := prometheus.NewRegistry()
			g := loaded(t, 2, func(o *shard.Options) { o.Registerer = reg })
			bucket := store.BucketOf(tt.key)
			from, to := bucket%2, 1-bucket%2

			// Between lose and gain no shard owns the bucket, so the call is refused twice.
			epoch := g.members[from].lose(bucket)
			if err := tt.call(t.Context(), g.Router); !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrMoved) {
				t.Errorf("%s of a bucket that is being moved = %v, want only %v", tt.name, err, store.ErrUnavailable)
			}
			g.members[to].gain(bucket, epoch+1)
			if err := tt.call(t.Context(), g.Router); !errors.Is(err, tt.want) {
				t.Errorf("%s of a bucket that has moved = %v, want %v", tt.name, err, tt.want)
			}
			wantMetrics(t, reg, "terse_shard_moved_total", "counter", "terse_shard_moved_total 2")
			wantMetrics(t, reg, "terse_shard_moved_failures_total", "counter", "terse_shard_moved_failures_total 1")
		})
	}
}

// TestMovedIsReadOnce checks that many callers cause one read of the map after a move.
func TestMovedIsReadOnce(t *testing.T) {
	t.Parallel()
	g := loaded(t, 2)
	moved, before := newLink(2, 0), g.members[1].read()
	g.move(store.BucketOf(moved.Code), 0, 1)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := g.Get(t.Context(), moved.Code); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get() = %v, want %v", err, store.ErrNotFound)
			}
		})
	}
	wg.Wait()
	if got := g.members[1].read() - before; got < 1 || got > 2 {
		t.Errorf("the map was read %d times for 200 callers, want once, or twice because of late callers", got)
	}
}

// noter is a shard that records announced edits.
type noter struct {
	*member
	edits []string
}

func (n *noter) Edited(code string, version int64) {
	n.edits = append(n.edits, fmt.Sprintf("%s %d", code, version))
}

// TestEditedElsewhere announces edits by another process. The link's shard must be informed,
// or every shard while the owner is not known.
func TestEditedElsewhere(t *testing.T) {
	t.Parallel()
	noters := make([]*noter, 2)
	g := newGroup(t, len(noters), func(o *shard.Options) {
		for i := range o.Shards {
			noters[i] = &noter{member: o.Shards[i].Shard.(*member)}
			o.Shards[i].Shard = noters[i]
		}
	})
	first, second := newLink(2, 0).Code, newLink(2, 1).Code
	g.Edited(first, 2)
	if err := g.Load(t.Context()); err != nil {
		t.Fatalf("Load() = %v, want nil", err)
	}
	g.Edited(second, 3)
	for i, want := range [][]string{{first + " 2"}, {first + " 2", second + " 3"}} {
		if !slices.Equal(noters[i].edits, want) {
			t.Errorf("shard %d was informed of %q, want %q", i, noters[i].edits, want)
		}
	}
}

// TestMovedIsNotReadTooOften keeps requesting a link in a bucket without an owner.
func TestMovedIsNotReadTooOften(t *testing.T) {
	t.Parallel()
	g := loaded(t, 1)
	l := newLink(1, 0)
	g.members[0].lose(store.BucketOf(l.Code))
	before, began, calls := g.members[0].read(), time.Now(), 0
	for ; calls < 100 || time.Since(began) < 200*time.Millisecond; calls++ {
		if _, err := g.Get(t.Context(), l.Code); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Get() = %v, want %v", err, store.ErrUnavailable)
		}
	}
	took := time.Since(began)
	rounds := (g.members[0].read() - before) / 2 // a round reads a refused map twice
	if most := int(took/(50*time.Millisecond)) + 1; rounds > most {
		t.Errorf("%d rounds for %d calls in %v, want %d at most", rounds, calls, took, most)
	}
}

// TestMovedWithDeadShard checks that a moved bucket is found while another shard hangs.
func TestMovedWithDeadShard(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3, func(o *shard.Options) { o.RefreshTimeout = 100 * time.Millisecond })
	l := newLink(3, 0)
	g.move(store.BucketOf(l.Code), 0, 1)
	g.members[2].hang()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := g.Create(ctx, l); err != nil {
		t.Errorf("Create() = %v, want nil", err)
	}
	if got := g.ShardOf(codeIn(2)); got != 2 {
		t.Errorf("ShardOf() for the shard that hangs = %d, want 2 as before", got)
	}
}

// TestMovedCallerLeaves ends the caller's context while the map is being read.
func TestMovedCallerLeaves(t *testing.T) {
	t.Parallel()
	g := loaded(t, 2, func(o *shard.Options) { o.RefreshTimeout = time.Hour })
	l := newLink(2, 0)
	g.move(store.BucketOf(l.Code), 0, 1)
	before := g.members[1].read()
	release := g.members[1].hang()
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, err := g.Create(ctx, l)
		failed <- err
	}()
	testenv.Await(t, "a reading", func() bool { return g.members[1].read() > before })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("Create() = %v, want %v", err, context.Canceled)
	}
}

func TestErrorsNameTheShard(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	g.members[2].fail(store.ErrUnavailable)
	_, err := g.Get(t.Context(), newLink(3, 2).Code)
	wantErrorText(t, "Get()", err, "shard s3: ")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get() = %v, want %v", err, store.ErrUnavailable)
	}
}

// TestRoutingAllocatesNothing compares the Router with a direct call of the shard.
func TestRoutingAllocatesNothing(t *testing.T) {
	g := loaded(t, 3)
	l := mustCreate(t, g, newLink(3, 1))
	resolve := func(s store.Store) func() {
		return func() {
			if _, err := s.Resolve(t.Context(), l.Code); err != nil {
				t.Errorf("Resolve(%q) = %v, want nil", l.Code, err)
			}
		}
	}
	direct, routed := testing.AllocsPerRun(200, resolve(g.members[1])), testing.AllocsPerRun(200, resolve(g))
	if routed > direct {
		t.Errorf("Resolve() allocates %v times, want %v as the shard itself", routed, direct)
	}
}
