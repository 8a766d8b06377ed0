package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
)

// transactions returns the number of write transactions so far.
func transactions(t *testing.T, reg *prometheus.Registry) uint64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "terse_sqlite_batch_writes" {
			return family.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	t.Fatal("terse_sqlite_batch_writes is not registered")
	return 0
}

// hold takes the connection for writes.
func hold(t *testing.T, s *sqlite.Store) *sql.Conn {
	t.Helper()
	conn, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// together creates the links in one transaction, after another transaction, and returns the
// errors. It calls before when all creates wait.
func together(t *testing.T, s *sqlite.Store, links []store.Link, before func(conn *sql.Conn)) []error {
	t.Helper()
	conn := hold(t, s)
	earlier, _ := s.Waiting()
	errs := make([]error, len(links))
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Consume(t.Context(), "missing", time.Time{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Consume() = %v, want %v", err, store.ErrNotFound)
		}
	})
	testenv.Await(t, "the first transaction to wait", func() bool { transactions, _ := s.Waiting(); return transactions > earlier })
	for i, l := range links {
		wg.Go(func() { _, errs[i] = s.Create(t.Context(), l) })
	}
	testenv.Await(t, "all creates to wait", func() bool { _, writes := s.Waiting(); return writes == len(links) })
	before(conn)
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	return errs
}

// someLinks returns n links.
func someLinks(n int) (links []store.Link) {
	for i := range n {
		links = append(links, childLink(fmt.Sprintf("some-%d", i)))
	}
	return links
}

func TestWritesThatWaitShareOneTransaction(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	s := sqlitetest.Open(t, func(o *sqlite.Options) { o.Registerer = reg })
	for _, err := range together(t, s, someLinks(40), func(*sql.Conn) {}) {
		if err != nil {
			t.Errorf("Create() = %v, want nil", err)
		}
	}
	if got := transactions(t, reg); got != 2 {
		t.Errorf("41 writes took %d transactions, want 2", got)
	}
}

// TestFailedTransactionFailsAllOfIt creates several links in one transaction, one of them too
// large for the disk.
func TestFailedTransactionFailsAllOfIt(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	links := someLinks(9)
	links[4].Title = strings.Repeat("large ", 10_000)
	errs := together(t, s, links, func(conn *sql.Conn) {
		if err := sqlite.LimitPages(t.Context(), conn, 0); err != nil {
			t.Error(err)
		}
	})
	for i, err := range errs {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Create() in a failed transaction = %v, want %v", err, store.ErrUnavailable)
		}
		if _, err := s.Get(t.Context(), links[i].Code); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get() of a rejected link = %v, want %v", err, store.ErrNotFound)
		}
	}
}

func TestRefusedWriteLeavesItsNeighboursAlone(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	key := store.Key{ID: "taken", CreatedAt: childLink("").CreatedAt}
	if err := s.CreateKey(t.Context(), key); err != nil {
		t.Fatalf("CreateKey() = %v, want nil", err)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if err := s.CreateKey(t.Context(), key); !errors.Is(err, store.ErrExists) {
				t.Errorf("CreateKey() of a taken id = %v, want %v", err, store.ErrExists)
			}
		})
		wg.Go(func() {
			code := fmt.Sprintf("neighbour-%d", i)
			if _, err := s.Create(t.Context(), childLink(code)); err != nil {
				t.Errorf("Create(%q) = %v, want nil", code, err)
			}
		})
	}
	wg.Wait()
	for i := range 100 {
		if _, err := s.Get(t.Context(), fmt.Sprintf("neighbour-%d", i)); err != nil {
			t.Errorf("Get() of a neighbour = %v, want nil", err)
		}
	}
}

func TestFullDiskRefusesWritesUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	kept := childLink("kept")
	if _, err := s.Create(t.Context(), kept); err != nil {
		t.Fatalf("Create() = %v, want nil", err)
	}
	limitPages(t, s, 0)
	refused := fillUp(t, s)
	if _, err := s.Resolve(t.Context(), kept.Code); err != nil {
		t.Errorf("Resolve() on a full disk = %v, want nil", err)
	}
	if _, err := s.Get(t.Context(), refused.Code); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get() of a rejected link = %v, want %v", err, store.ErrNotFound)
	}
	for _, code := range listAll(t, s) {
		if code == refused.Code {
			t.Errorf("List() returned %q, want no rejected link", code)
		}
	}
	limitPages(t, s, 1<<20)
	if _, err := s.Create(t.Context(), refused); err != nil {
		t.Errorf("Create() when there is space again = %v, want nil", err)
	}
}

func limitPages(t *testing.T, s *sqlite.Store, n int64) {
	t.Helper()
	conn := hold(t, s)
	if err := errors.Join(sqlite.LimitPages(t.Context(), conn, n), conn.Close()); err != nil {
		t.Fatal(err)
	}
}

// fillUp creates links until one is rejected, and returns that link.
func fillUp(t *testing.T, s *sqlite.Store) store.Link {
	t.Helper()
	for i := range 1000 {
		l := childLink(fmt.Sprintf("full-%d", i))
		l.Title = strings.Repeat("title ", 1000)
		_, err := s.Create(t.Context(), l)
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), l.URL) {
			t.Errorf("Create() on a full disk = %v, want %v without the target", err, store.ErrUnavailable)
		}
		return l
	}
	t.Fatal("1000 creates succeeded on a full disk")
	return store.Link{}
}

// TestBlockedWriteGivesUp writes while another connection has an open transaction.
func TestBlockedWriteGivesUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, func(o *sqlite.Options) { o.WriteTimeout = 20 * time.Millisecond })
	blocker := hold(t, open(t, dir))
	if _, err := blocker.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	l := childLink("blocked")
	for range 3 {
		_, err := s.Create(t.Context(), l)
		if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Create() during another transaction = %v, want %v", err, store.ErrUnavailable)
		}
	}
	if _, err := s.Get(t.Context(), l.Code); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get() during another transaction = %v, want %v", err, store.ErrNotFound)
	}
	if _, err := blocker.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := blocker.Close(); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, "a create to succeed", func() bool {
		_, err := s.Create(t.Context(), l)
		return err == nil || errors.Is(err, store.ErrExists)
	})
}

func TestCancelledReadsLeaveConnectionsWhole(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	for i := range 300 {
		if _, err := s.Create(t.Context(), childLink(fmt.Sprintf("link-%d", i))); err != nil {
			t.Fatalf("Create() = %v, want nil", err)
		}
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 15 {
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				_, err := s.List(ctx, store.Query{Search: "nowhere", Limit: 1})
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("List() = %v, want nil or %v", err, context.Canceled)
				}
				code := fmt.Sprintf("link-%d", g*15+i)
				if l, err := s.Resolve(t.Context(), code); err != nil || l.Code != code {
					t.Errorf("Resolve(%q) after a cancelled read = %q, %v, want nil", code, l.Code, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestCancelledWritesLeaveNeighboursAlone cancels callers during a transaction that they
// share with other callers.
func TestCancelledWritesLeaveNeighboursAlone(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	var wg sync.WaitGroup
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(cancel)
		wg.Go(func() {
			_, err := s.Create(ctx, childLink(fmt.Sprintf("gone-%d", i)))
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Create() of a cancelled caller = %v, want nil or %v", err, context.Canceled)
			}
		})
		wg.Go(func() {
			if _, err := s.Create(t.Context(), childLink(fmt.Sprintf("stays-%d", i))); err != nil {
				t.Errorf("Create() in a transaction with a cancelled caller = %v, want nil", err)
			}
		})
	}
	wg.Wait()
}
