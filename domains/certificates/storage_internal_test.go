package certificates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

func newTestStorage(t *testing.T) (*storage, *sqlite.Store) {
	t.Helper()
	under := sqlitetest.Open(t)
	sealing, err := newSealer([]byte("the key of the codes"))
	if err != nil {
		t.Fatal(err)
	}
	s := newStorage(under, sealing, time.Now)
	t.Cleanup(s.close)
	return s, under
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSealedFilesCannotBeExchanged(t *testing.T) {
	t.Parallel()
	one, err := newSealer([]byte("one"))
	must(t, err)
	other, err := newSealer([]byte("other"))
	must(t, err)
	sealed := one.seal("a.key", []byte("secret"))
	if plain, err := one.open("a.key", sealed); err != nil || string(plain) != "secret" {
		t.Errorf("open() = %q, %v, want the text", plain, err)
	}
	if bytes.Equal(sealed, one.seal("a.key", []byte("secret"))) {
		t.Error("two files with the same text are equal, want another nonce")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := one.open("a.key", changed); !errors.Is(err, errSealed) {
			t.Errorf("open() with byte %d changed = %v, want %v", i, err, errSealed)
		}
	}
	for _, err := range []error{
		second(one.open("b.key", sealed)), second(other.open("a.key", sealed)), second(one.open("a.key", nil)), second(one.open("a.key", sealed[:5])),
	} {
		if !errors.Is(err, errSealed) {
			t.Errorf("open() = %v, want %v", err, errSealed)
		}
	}
}

func second(_ []byte, err error) error { return err }

func TestStorageIsAFileSystem(t *testing.T) {
	t.Parallel()
	s, _ := newTestStorage(t)
	ctx := t.Context()
	for _, key := range []string{"a/b/c.crt", "a/b/d/e.key", "a/bb", "f"} {
		must(t, s.Store(ctx, key, []byte(key)))
	}
	for _, tt := range []struct {
		path      string
		recursive bool
		want      []string
	}{
		{"a", false, []string{"a/b", "a/bb"}},
		{"a/b", true, []string{"a/b/c.crt", "a/b/d/e.key"}},
		{"a/b", false, []string{"a/b/c.crt", "a/b/d"}},
		{"", false, []string{"a", "f"}},
	} {
		if got, err := s.List(ctx, tt.path, tt.recursive); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("List(%q, %v) = %q, %v, want %q", tt.path, tt.recursive, got, err, tt.want)
		}
	}
	if info, err := s.Stat(ctx, "a/b"); err != nil || info.IsTerminal {
		t.Errorf("Stat() of a folder = %+v, %v, want a folder", info, err)
	}
	must(t, s.Delete(ctx, "a/b"))
	must(t, s.Delete(ctx, "unknown"))
	for key, want := range map[string]bool{"a/b": false, "a/b/c.crt": false, "a/bb": true, "a": true} {
		if got := s.Exists(ctx, key); got != want {
			t.Errorf("Exists(%q) = %v, want %v", key, got, want)
		}
	}
	if _, err := s.Load(ctx, "a/b/c.crt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load() of a deleted file = %v, want %v", err, fs.ErrNotExist)
	}
}

// TestWriteAfterAnotherClock writes on a node with a clock that is a day behind.
func TestWriteAfterAnotherClock(t *testing.T) {
	t.Parallel()
	s, _ := newTestStorage(t)
	must(t, s.Store(t.Context(), "a", []byte("first")))
	s.now = func() time.Time { return time.Now().Add(-24 * time.Hour) }
	must(t, s.Store(t.Context(), "a", []byte("second")))
	if got, err := s.Load(t.Context(), "a"); string(got) != "second" || err != nil {
		t.Errorf("Load() = %q, %v, want the later write", got, err)
	}
}

// TestLostLock has a node that lost its lock: it writes nothing of that host.
func TestLostLock(t *testing.T) {
	t.Parallel()
	s, under := newTestStorage(t)
	ctx, name := t.Context(), "issue_cert_a.example"
	must(t, s.Lock(ctx, name))
	waiting, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := s.Lock(waiting, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock() of a held lock = %v, want %v", err, context.DeadlineExceeded)
	}
	key := "certificates/ca/a.example/a.example.crt"
	must(t, s.Store(ctx, key, []byte("mine")))
	s.mu.Lock()
	s.leases[name].until = time.Now() // as after a pause of the process
	s.mu.Unlock()
	if err := s.Store(ctx, key, []byte("late")); !errors.Is(err, errLockLost) {
		t.Errorf("Store() after the end of the lock = %v, want %v", err, errLockLost)
	}
	if err := s.Delete(ctx, key); !errors.Is(err, errLockLost) {
		t.Errorf("Delete() after the end of the lock = %v, want %v", err, errLockLost)
	}
	must(t, s.Store(ctx, "certificates/ca/b.example/b.example.crt", []byte("other host")))
	must(t, s.Unlock(ctx, name))
	if held, err := under.LockCertificate(ctx, name, "other", time.Hour); !held || err != nil {
		t.Errorf("LockCertificate() after Unlock = %v, %v, want true", held, err)
	}
}

// gate is a store that answers with files once it is open. Safe for concurrent use.
type gate struct {
	store.Certificates
	files map[string]store.CertificateFile
	open  chan struct{}

	mu                  sync.Mutex
	reads, running, top int
}

// CertificateFile implements store.Certificates.
func (g *gate) CertificateFile(ctx context.Context, key string) (store.CertificateFile, error) {
	g.count(1)
	defer g.count(-1)
	select {
	case <-g.open:
	case <-ctx.Done():
		return store.CertificateFile{}, ctx.Err()
	}
	if f, ok := g.files[key]; ok {
		return f, nil
	}
	return store.CertificateFile{}, store.ErrNotFound
}

func (g *gate) count(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running += n
	g.reads, g.top = g.reads+max(n, 0), max(g.top, g.running)
}

// TestChallengesOfStrangers asks for the challenges of ten hosts a hundred times at once.
func TestChallengesOfStrangers(t *testing.T) {
	t.Parallel()
	sealing, err := newSealer([]byte("the key of the codes"))
	must(t, err)
	key := func(i int) string { return fmt.Sprintf("acme/ca/challenge_tokens/%d.example.json", i%10) }
	files := map[string]store.CertificateFile{}
	for i := range 5 {
		files[key(i)] = store.CertificateFile{Key: key(i), Value: sealing.seal(key(i), []byte(key(i)))}
	}
	synctest.Test(t, func(t *testing.T) {
		g := &gate{files: files, open: make(chan struct{})}
		s := newStorage(g, sealing, time.Now)
		ctx, leave := context.WithCancel(t.Context())
		go func() { _, _ = s.Load(ctx, key(0)) }()
		synctest.Wait()
		leave() // others still get the answer
		var asking sync.WaitGroup
		for i := range 100 {
			asking.Go(func() {
				got, err := s.Load(t.Context(), key(i))
				if known := i%10 < 5; known && string(got) != key(i) || !known && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Load(%s) = %q, %v, want the challenge: %v", key(i), got, err, known)
				}
			})
		}
		synctest.Wait()
		close(g.open)
		asking.Wait()
		if g.reads != 10 || g.top != maxChallenges {
			t.Errorf("%d reads, %d at once, want 10, %d at once", g.reads, g.top, maxChallenges)
		}
		g.open = make(chan struct{})
		if _, err := s.Load(t.Context(), key(0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Load() from a store that hangs = %v, want %v", err, context.DeadlineExceeded)
		}
	})
}

// everyHost allows all hosts.
type everyHost struct{}

// Allowed implements Hosts.
func (everyHost) Allowed(string) bool { return true }

// TestManyHosts manages hosts over a store that does not answer yet.
func TestManyHosts(t *testing.T) {
	t.Parallel()
	g := &gate{open: make(chan struct{})}
	m, err := New(Options{Store: g, Secret: []byte("key"), Hosts: everyHost{}, DefaultHost: "base.example", Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	for i := range 10 * maxLoads {
		m.Manage(fmt.Sprintf("%d.example", i))
	}
	testenv.Await(t, "all hosts to be tried", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.trying) == 10*maxLoads
	})
	testenv.Await(t, "the first reads", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.running == maxLoads
	})
	if again := m.missing(); len(again) > 0 {
		t.Errorf("%d hosts would be tried twice at once, want none", len(again))
	}
	must(t, m.Close(t.Context()))
	if g.top != maxLoads {
		t.Errorf("%d reads at once, want %d", g.top, maxLoads)
	}
	if len(m.trying) > 0 {
		t.Errorf("%d hosts are still tried after the end, want none", len(m.trying))
	}
}

// TestOrderBeginsWithItsPlace waits for a place longer than an order may take.
func TestOrderBeginsWithItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &Manager{opts: Options{Hosts: everyHost{}, DefaultHost: "a.example"}, ordering: make(chan struct{}, 1)}
		m.ordering <- struct{}{}
		time.AfterFunc(2*orderTimeout, func() { <-m.ordering })
		err := m.order(t.Context(), "a.example", func(ctx context.Context) error {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) != orderTimeout {
				t.Errorf("the order may take %v, want %v", time.Until(end), orderTimeout)
			}
			return ctx.Err()
		})
		must(t, err)
	})
}

// TestOrderWaitsForOtherNodes checks that the first order of a host waits until all nodes know the
// host, and that later ones do not.
func TestOrderWaitsForOtherNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := Options{Hosts: everyHost{}, DefaultHost: "base.example", Settle: 5 * time.Second, Now: time.Now}
		m := &Manager{opts: opts, ordering: make(chan struct{}, 1), managed: map[string]time.Time{}, wake: make(chan struct{}, 1)}
		for _, tt := range []struct {
			host string
			wait time.Duration
		}{{"base.example", 0}, {"a.example", 5 * time.Second}, {"a.example", 0}, {"b.example", 5 * time.Second}} {
			began := time.Now()
			must(t, m.order(t.Context(), tt.host, func(context.Context) error { return nil }))
			if took := time.Since(began); took != tt.wait {
				t.Errorf("order for %s began after %v, want %v", tt.host, took, tt.wait)
			}
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if err := m.order(ended, "c.example", func(context.Context) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("order after the end = %v, want %v", err, context.Canceled)
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{1: 2 * time.Minute, 2: 4 * time.Minute, 4: 16 * time.Minute, 30: 6 * time.Hour, 1000: 6 * time.Hour} {
		if got := orderBackoff.after(n); got != want {
			t.Errorf("wait after %d failures = %v, want %v", n, got, want)
		}
	}
}
