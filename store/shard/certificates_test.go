package shard_test

import (
	"errors"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// TestCertificatesWithDeadShards stores, reads and locks while shards fail one after another.
func TestCertificatesWithDeadShards(t *testing.T) {
	t.Parallel()
	g := loaded(t, 3)
	dead := errors.New("shard is down")
	at := time.Now().UTC().Truncate(time.Microsecond)
	put := func(value string) {
		t.Helper()
		at = at.Add(time.Second)
		f := store.CertificateFile{Key: "certificates/a", Value: []byte(value), ModifiedAt: at}
		if err := g.PutCertificateFile(t.Context(), f); err != nil {
			t.Fatalf("PutCertificateFile(%s) = %v, want nil", value, err)
		}
	}
	want := func(value string) {
		t.Helper()
		if f, err := g.CertificateFile(t.Context(), "certificates/a"); err != nil || string(f.Value) != value {
			t.Errorf("CertificateFile() = %q, %v, want %q", f.Value, err, value)
		}
		list, err := g.CertificateFiles(t.Context(), "certificates/", "", 10)
		if err != nil || len(list) != 1 || !list[0].ModifiedAt.Equal(at) {
			t.Errorf("CertificateFiles() = %+v, %v, want the file of %v", list, err, at)
		}
	}
	put("first")
	for i, m := range g.members {
		m.fail(dead)
		want([]string{"first", "second", "third"}[i])
		put([]string{"second", "third", "fourth"}[i])
		m.fail(nil)
		want([]string{"second", "third", "fourth"}[i]) // which also repairs the shard
		if f, err := m.CertificateFile(t.Context(), "certificates/a"); err != nil || !f.ModifiedAt.Equal(at) {
			t.Errorf("s%d has %+v, %v after a read, want the newest file", i+1, f, err)
		}
	}
	for _, m := range g.members {
		m.fail(dead)
	}
	_, err := g.CertificateFile(t.Context(), "certificates/a")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("CertificateFile() without shards = %v, want %v", err, store.ErrUnavailable)
	}
	if err := g.PutCertificateFile(t.Context(), store.CertificateFile{Key: "b", ModifiedAt: at}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("PutCertificateFile() without shards = %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := g.LockCertificate(t.Context(), "name", "a", time.Hour); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("LockCertificate() without shards = %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := g.RenewCertificateLock(t.Context(), "name", "a", time.Hour); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("RenewCertificateLock() without shards = %v, want %v", err, store.ErrUnavailable)
	}
}

// TestLocksWithDeadShards checks that a lock excludes others while any shard that has it
// answers, whichever shards failed when it was taken or renewed.
func TestLocksWithDeadShards(t *testing.T) {
	t.Parallel()
	dead := errors.New("shard is down")
	for down := range 3 {
		g := loaded(t, 3)
		taken := func(holder string, want bool) {
			t.Helper()
			if held, err := g.LockCertificate(t.Context(), "name", holder, time.Hour); held != want || err != nil {
				t.Errorf("LockCertificate() for %s while s%d is down = %v, %v, want %v", holder, down+1, held, err, want)
			}
		}
		g.members[down].fail(dead)
		taken("a", true)
		taken("b", false)
		g.members[down].fail(nil)
		taken("b", false)
		if held, err := g.RenewCertificateLock(t.Context(), "name", "a", time.Hour); !held || err != nil {
			t.Errorf("RenewCertificateLock() = %v, %v, want true", held, err)
		}
		for i, m := range g.members { // the shard that was down has the lock now
			if i != down {
				m.fail(dead)
			}
		}
		taken("b", false)
		for _, m := range g.members {
			m.fail(nil)
		}
		if err := g.UnlockCertificate(t.Context(), "name", "a"); err != nil {
			t.Errorf("UnlockCertificate() = %v, want nil", err)
		}
		taken("b", true)
		if held, err := g.RenewCertificateLock(t.Context(), "name", "a", time.Hour); held || err != nil {
			t.Errorf("RenewCertificateLock() after another holder took the lock = %v, %v, want false", held, err)
		}
	}
}
