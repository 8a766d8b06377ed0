package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

func wantText(t *testing.T, op string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s = %v, want %q", op, err, want)
	}
}

// patient is a timeout that calls do not reach on a busy machine.
const patient = 2 * time.Minute

// eventually calls fn until it returns nil.
func eventually(t *testing.T, what string, fn func() error) {
	t.Helper()
	for deadline := time.Now().Add(patient); ; time.Sleep(5 * time.Millisecond) {
		err := fn()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v after 30 s", what, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// resolves checks that Resolve returns the link.
func resolves(t *testing.T, s *postgres.Store, want store.Link) {
	t.Helper()
	got, err := s.Resolve(t.Context(), want.Code)
	if err != nil || got.URL != want.URL {
		t.Errorf("Resolve(%q) = %q, %v, want %q", want.Code, got.URL, err, want.URL)
	}
}

// usable waits until the status of a server is usable, or not usable.
func usable(t *testing.T, s *postgres.Store, server string, want bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s usable = %v", server, want), func() error {
		if got := s.Usable(server); got != want {
			return fmt.Errorf("usable = %v", got)
		}
		return nil
	})
}

// TestPrimaryKilled kills the primary and promotes its replica. Links must stay readable,
// no link may be lost, and writes must succeed again by themselves.
func TestPrimaryKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	s := newShardTest(t, c)
	known := s.create("known")
	usable(t, s.Store, "replica-1", true)
	must(t, c.WaitReplicas(t.Context()))
	must(t, c.Primary().Kill())
	for range 100 {
		resolves(t, s.Store, known)
	}
	if _, err := s.Create(t.Context(), link("meanwhile")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Create() without a primary = %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := s.Resolve(t.Context(), "unknown"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Resolve() of an unknown link without a primary = %v, want %v", err, store.ErrUnavailable)
	}
	must(t, c.Replicas()[0].Promote(t.Context()))
	promoted := time.Now()
	eventually(t, "create", func() error {
		_, err := s.Create(t.Context(), link("after"))
		return err
	})
	t.Logf("writes succeeded again %v after the promotion", time.Since(promoted).Round(time.Millisecond))
	resolves(t, s.Store, known)
	resolves(t, s.Store, link("after"))
}

// TestOpenedWithoutPrimary opens a shard while its primary is dead. The buckets and links
// must be read from the replica.
func TestOpenedWithoutPrimary(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	known, err := c.open(t, database, 0).Create(t.Context(), link("known"))
	must(t, err)
	must(t, c.WaitReplicas(t.Context()))
	must(t, c.Primary().Kill())
	s := c.open(t, database, 0)
	owned, version, err := s.Buckets(t.Context())
	if err != nil || len(owned) != store.Buckets || version == 0 {
		t.Fatalf("Buckets() = %d of version %d, %v, want all", len(owned), version, err)
	}
	answers := func() error {
		got, err := s.Resolve(t.Context(), known.Code)
		if err == nil && got.URL != known.URL {
			t.Errorf("Resolve() = %q, want %q", got.URL, known.URL)
		}
		return err
	}
	eventually(t, "the replica answers", answers)
	if _, err := s.Create(t.Context(), link("new")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Create() without a primary = %v, want %v", err, store.ErrUnavailable)
	}
	must(t, c.Replicas()[0].Promote(t.Context()))
	eventually(t, "create", func() error {
		_, err := s.Create(t.Context(), link("new"))
		return err
	})
}

// TestReadOnlyPrimary makes the primary read-only and then writable again.
func TestReadOnlyPrimary(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	s := newShardTest(t, c)
	known := s.create("known")
	must(t, c.Primary().SetReadOnly(t.Context(), true))
	eventually(t, "read-only", func() error {
		_, err := s.Create(t.Context(), link("meanwhile"))
		if !errors.Is(err, store.ErrUnavailable) {
			return fmt.Errorf("Create() = %w, want %w", err, store.ErrUnavailable)
		}
		return nil
	})
	for range 50 {
		resolves(t, s.Store, known)
	}
	if _, err := s.Resolve(t.Context(), "unknown"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Resolve() of an unknown link = %v, want %v", err, store.ErrNotFound)
	}
	must(t, c.Primary().SetReadOnly(t.Context(), false))
	eventually(t, "create", func() error {
		_, err := s.Create(t.Context(), link("after"))
		return err
	})
	resolves(t, s.Store, known)
}

// TestReplicasKilled kills all replicas. The primary must answer without an error.
func TestReplicasKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	s := newShardTest(t, c)
	known := s.create("known")
	usable(t, s.Store, "replica-1", true)
	usable(t, s.Store, "replica-2", true)
	for _, replica := range c.Replicas() {
		must(t, replica.Kill())
	}
	for range 200 {
		resolves(t, s.Store, known)
	}
	usable(t, s.Store, "replica-1", false)
	must(t, c.Replicas()[0].Start(t.Context()))
	usable(t, s.Store, "replica-1", true)
}

// TestFrozenReplica freezes a replica. Reads must come from the primary, and soon without
// waiting for the replica.
func TestFrozenReplica(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	s := newShardTest(t, c)
	known := s.create("known")
	usable(t, s.Store, "replica-1", true)
	must(t, c.Replicas()[0].Freeze())
	for range 20 {
		resolves(t, s.Store, known)
	}
	usable(t, s.Store, "replica-1", false)
	must(t, c.Replicas()[0].Thaw())
	usable(t, s.Store, "replica-1", true)
}

// TestReplayPaused pauses the replay of one of two replicas while links are created and
// edited. A new link must always be found, and an edit must never be undone.
func TestReplayPaused(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, 2)
	s := newShardTest(t, c)
	usable(t, s.Store, "replica-1", true)
	usable(t, s.Store, "replica-2", true)
	must(t, c.Replicas()[0].PauseReplay(t.Context()))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				l, err := s.Create(t.Context(), link(fmt.Sprintf("w%d-%d", w, i)))
				if err != nil {
					t.Errorf("Create() = %v, want nil", err)
					return
				}
				resolves(t, s.Store, l)
				for edit := range 3 {
					l.URL = fmt.Sprintf("https://example.com/%d", edit)
					if l, err = s.Update(t.Context(), l); err != nil {
						t.Errorf("Update() = %v, want nil", err)
						return
					}
					resolves(t, s.Store, l)
				}
			}
		})
	}
	wg.Wait()
	usable(t, s.Store, "replica-1", false)
	usable(t, s.Store, "replica-2", true)
	must(t, c.Replicas()[0].ResumeReplay(t.Context()))
	usable(t, s.Store, "replica-1", true)
}

// TestEditElsewhere pauses the only replica of two processes while one of them edits a
// link. The other process must read the replica's version until Edited is called, and the
// edit after that.
func TestEditElsewhere(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	replica := c.Replicas()[0]
	one := c.open(t, database, 0)
	other := openStore(t, postgres.Options{
		Primary: c.DSN(database), Replicas: []string{replica.DSN(database)}, MaxLag: time.Hour, // so that the replica stays in use
	})
	edited, err := one.Create(t.Context(), link("edited"))
	must(t, err)
	deleted, err := one.Create(t.Context(), link("deleted"))
	must(t, err)
	must(t, c.WaitReplicas(t.Context()))
	usable(t, other, "replica-1", true)
	must(t, replica.PauseReplay(t.Context()))
	old := edited
	edited.URL = "https://example.org/"
	edited, err = one.Update(t.Context(), edited)
	must(t, err)
	tombstone, err := one.Delete(t.Context(), deleted.Code, deleted.Version, deleted.CreatedAt)
	must(t, err)
	resolves(t, other, old) // from the replica, because Edited was not called
	resolves(t, other, deleted)
	other.Edited(edited.Code, edited.Version)
	other.Edited(tombstone.Code, tombstone.Version)
	for range 20 {
		resolves(t, other, edited)
		if got, err := other.Resolve(t.Context(), deleted.Code); err != nil || got.DeletedAt.IsZero() {
			t.Errorf("Resolve() of a link deleted by another process = %+v, %v, want the tombstone", got, err)
		}
	}
	must(t, replica.ResumeReplay(t.Context()))
	must(t, c.WaitReplicas(t.Context()))
	resolves(t, other, edited)
}

// TestPausedReplicaWithoutPrimary leaves only a lagging replica. It must answer only for
// links that this process has not edited since.
func TestPausedReplicaWithoutPrimary(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, 1)
	s := newShardTest(t, c)
	old, edited := s.create("old"), s.create("edited")
	must(t, c.WaitReplicas(t.Context()))
	usable(t, s.Store, "replica-1", true)
	must(t, c.Replicas()[0].PauseReplay(t.Context()))
	edited.URL = "https://example.org/"
	edited, err := s.Update(t.Context(), edited)
	must(t, err)
	usable(t, s.Store, "replica-1", false) // the replica lags more than MaxLag
	must(t, c.Primary().Kill())
	for range 20 {
		resolves(t, s.Store, old)
		if got, err := s.Resolve(t.Context(), edited.Code); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Resolve() of an edit that the replica lacks = %q, %v, want %v", got.URL, err, store.ErrUnavailable)
		}
	}
	must(t, c.Replicas()[0].ResumeReplay(t.Context()))
	eventually(t, "resolve", func() error {
		got, err := s.Resolve(t.Context(), edited.Code)
		if err == nil && got.URL != edited.URL {
			t.Errorf("Resolve() = %q, want %q", got.URL, edited.URL)
		}
		return err
	})
}

// TestPromotedReplica promotes a replica that is not in the primary's URL. The replica
// must answer reads and accept no writes, and the old primary must be rejected when it
// returns.
func TestPromotedReplica(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	database := c.database(t)
	heir := c.Replicas()[0]
	s := openStore(t, postgres.Options{
		Primary: c.Primary().DSN(database), Replicas: []string{heir.DSN(database)},
		ReadTimeout: patient, CallTimeout: patient,
	})
	known, err := s.Create(t.Context(), link("known"))
	must(t, err)
	must(t, c.WaitReplicas(t.Context()))
	usable(t, s, "replica-1", true)
	must(t, c.Primary().Kill())
	must(t, heir.Promote(t.Context()))
	for range 200 {
		resolves(t, s, known)
	}
	usable(t, s, "replica-1", false)
	for range 200 {
		resolves(t, s, known)
	}
	if _, err := s.Resolve(t.Context(), "unknown"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Resolve() of an unknown link = %v, want %v", err, store.ErrUnavailable)
	}
	must(t, c.Primary().Start(t.Context()))
	eventually(t, "the old primary is rejected", func() error {
		if got := fmt.Sprint(s.Status(t.Context()).Servers[0].Err); !strings.Contains(got, "it was replaced") {
			return errors.New("Err of the primary = " + got)
		}
		return nil
	})
	if _, err := s.Create(t.Context(), link("after")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Create() with the old primary back = %v, want %v", err, store.ErrUnavailable)
	}
	resolves(t, s, known)
}

// TestPgBouncer uses a pooler in transaction mode.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	database := c.database(t)
	bouncer := testenv.NewPgBouncer(t, c.Primary())
	s := openStore(t, postgres.Options{Primary: bouncer.DSN(database) + "&default_query_exec_mode=cache_describe"})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 25 {
				l, err := s.Create(t.Context(), link(fmt.Sprintf("w%d-%d", w, i)))
				if err != nil {
					t.Errorf("Create() = %v, want nil", err)
					return
				}
				l.URL = "https://example.org/"
				if l, err = s.Update(t.Context(), l); err != nil {
					t.Errorf("Update() = %v, want nil", err)
				}
				resolves(t, s, l)
			}
		})
	}
	wg.Wait()
	page, err := s.List(t.Context(), store.Query{Owner: "key_1", Limit: 1000})
	if err != nil || len(page.Links) != 200 {
		t.Errorf("List() = %d links, %v, want 200", len(page.Links), err)
	}
}
