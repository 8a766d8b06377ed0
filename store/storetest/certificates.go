package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// RunCertificates tests all promises of store.Certificates. open returns an empty store and
// closes it with tb.Cleanup.
func RunCertificates(t *testing.T, open func(tb testing.TB) store.Certificates) {
	t.Helper()
	certificates := open(t)
	for _, p := range []struct {
		name string
		test func(t *testing.T, c store.Certificates)
	}{
		{"keeps every byte", keepsFile},
		{"the newest file stays", newestFile},
		{"a deleted file stays deleted", deletesFile},
		{"lists are sorted and complete", listsFiles},
		{"a lock excludes others until it is released", excludes},
		{"one of many gets a lock", oneGetsLock},
		{"a lock of a dead holder ends", lockEnds},
		{"a renewed lock stays", renewsLock},
		{"strangers change no lock", strangersLock},
		{"ended context writes nothing", endedCertificates},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, certificates)
		})
	}
}

// newFile returns a file that no other subtest uses.
func newFile() store.CertificateFile {
	return store.CertificateFile{Key: "certificates/" + rand.Text() + "/a.example.crt", Value: []byte(rand.Text()), ModifiedAt: after(int(time.Minute / time.Microsecond))}
}

func putFile(t *testing.T, c store.Certificates, f store.CertificateFile) {
	t.Helper()
	if err := c.PutCertificateFile(t.Context(), f); err != nil {
		t.Fatalf("PutCertificateFile(%q) = %v, want nil", f.Key, err)
	}
}

func wantFile(t *testing.T, c store.Certificates, want store.CertificateFile) {
	t.Helper()
	got, err := c.CertificateFile(t.Context(), want.Key)
	if err != nil || got.Key != want.Key || !bytes.Equal(got.Value, want.Value) || (got.Value == nil) != (want.Value == nil) || got.ModifiedAt != want.ModifiedAt {
		t.Errorf("CertificateFile(%q) = %+v, %v, want %+v", want.Key, got, err, want)
	}
}

func keepsFile(t *testing.T, c store.Certificates) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, value := range [][]byte{{}, {0}, every, bytes.Repeat(every, 1<<10)} {
		f := newFile()
		f.Value = value
		putFile(t, c, f)
		wantFile(t, c, f)
	}
	_, err := c.CertificateFile(t.Context(), newFile().Key)
	wantError(t, "CertificateFile() of an unknown key", err, store.ErrNotFound)
}

func newestFile(t *testing.T, c store.Certificates) {
	first := newFile()
	putFile(t, c, first)
	older, same, newer := first, first, first
	older.Value, older.ModifiedAt = []byte("older"), first.ModifiedAt.Add(-time.Microsecond)
	same.Value = []byte("same time")
	newer.Value, newer.ModifiedAt = []byte("newer"), first.ModifiedAt.Add(time.Microsecond)
	putFile(t, c, older)
	putFile(t, c, same)
	wantFile(t, c, first)
	putFile(t, c, newer)
	wantFile(t, c, newer)
}

func deletesFile(t *testing.T, c store.Certificates) {
	f := newFile()
	f.ModifiedAt = time.Now().UTC().Truncate(time.Microsecond) // a file that was deleted long ago is forgotten
	putFile(t, c, f)
	deleted := store.CertificateFile{Key: f.Key, ModifiedAt: f.ModifiedAt.Add(time.Microsecond)}
	putFile(t, c, deleted)
	wantFile(t, c, deleted)
	putFile(t, c, f)
	wantFile(t, c, deleted)
	again := f
	again.ModifiedAt = deleted.ModifiedAt
	putFile(t, c, again)
	wantFile(t, c, again)
	putFile(t, c, deleted)
	wantFile(t, c, again)
}

func listsFiles(t *testing.T, c store.Certificates) {
	prefix := "users/" + rand.Text() + "%_/"
	var want []string
	for _, name := range []string{"a", "a/b", "a0", "B", "é", "z%", "deleted"} {
		f := newFile()
		f.Key, f.ModifiedAt = prefix+name, time.Now().UTC()
		if name == "deleted" {
			f.Value = nil
		}
		putFile(t, c, f)
		want = append(want, f.Key)
	}
	slices.Sort(want)
	other := newFile()
	other.Key = strings.TrimSuffix(prefix, "%_/") + "xx/a"
	putFile(t, c, other)
	var got []string
	for last := ""; ; {
		page, err := c.CertificateFiles(t.Context(), prefix, last, 3)
		if err != nil || len(page) > 3 {
			t.Fatalf("CertificateFiles() = %d files, %v, want 3 at most", len(page), err)
		}
		for _, f := range page {
			if (f.Value == nil) != (f.Key == prefix+"deleted") || len(f.Value) > 0 || f.ModifiedAt.IsZero() {
				t.Errorf("CertificateFiles() has %+v, want a time, and nil only as the value of a deleted file", f)
			}
			got = append(got, f.Key)
		}
		if len(page) < 3 {
			break
		}
		last = got[len(got)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("CertificateFiles() = %q, want %q", got, want)
	}
}

// lockTTL is longer than a test takes.
const lockTTL = time.Hour

// lock calls LockCertificate and checks what it returns.
func lock(t *testing.T, c store.Certificates, name, holder string, ttl time.Duration, want bool) {
	t.Helper()
	if held, err := c.LockCertificate(t.Context(), name, holder, ttl); held != want || err != nil {
		t.Errorf("LockCertificate() for %s = %v, %v, want %v", holder, held, err, want)
	}
}

func renew(t *testing.T, c store.Certificates, name, holder string, want bool) {
	t.Helper()
	if held, err := c.RenewCertificateLock(t.Context(), name, holder, lockTTL); held != want || err != nil {
		t.Errorf("RenewCertificateLock() for %s = %v, %v, want %v", holder, held, err, want)
	}
}

func unlock(t *testing.T, c store.Certificates, name, holder string) {
	t.Helper()
	if err := c.UnlockCertificate(t.Context(), name, holder); err != nil {
		t.Errorf("UnlockCertificate() for %s = %v, want nil", holder, err)
	}
}

func excludes(t *testing.T, c store.Certificates) {
	name := rand.Text()
	lock(t, c, name, "a", lockTTL, true)
	lock(t, c, name, "b", lockTTL, false)
	lock(t, c, name, "a", lockTTL, true)
	lock(t, c, name+" other", "b", lockTTL, true)
	unlock(t, c, name, "a")
	lock(t, c, name, "b", lockTTL, true)
	lock(t, c, name, "a", lockTTL, false)
}

func oneGetsLock(t *testing.T, c store.Certificates) {
	name := rand.Text()
	var got [8]bool
	for i, err := range race(len(got), func(i int) (err error) {
		got[i], err = c.LockCertificate(t.Context(), name, strconv.Itoa(i), lockTTL)
		return err
	}) {
		if err != nil {
			t.Errorf("LockCertificate() of holder %d = %v, want nil", i, err)
		}
	}
	if holders := slices.DeleteFunc(got[:], func(held bool) bool { return !held }); len(holders) > 1 {
		t.Errorf("%d holders have the lock, want one at most", len(holders))
	}
}

func lockEnds(t *testing.T, c store.Certificates) {
	name := rand.Text()
	lock(t, c, name, "dead", time.Millisecond, true)
	testenv.Await(t, "the lock of a dead holder to end", func() bool {
		held, err := c.LockCertificate(t.Context(), name, "b", lockTTL)
		return err == nil && held
	})
	renew(t, c, name, "dead", false)
	lock(t, c, name, "dead", lockTTL, false)
}

func renewsLock(t *testing.T, c store.Certificates) {
	name := rand.Text()
	lock(t, c, name, "a", lockTTL, true)
	renew(t, c, name, "a", true)
	lock(t, c, name, "b", lockTTL, false)
	unlock(t, c, name, "a")
	renew(t, c, name, "a", false)
}

func strangersLock(t *testing.T, c store.Certificates) {
	name := rand.Text()
	renew(t, c, name, "a", false)
	unlock(t, c, name, "a")
	lock(t, c, name, "a", lockTTL, true)
	renew(t, c, name, "b", false)
	unlock(t, c, name, "b")
	lock(t, c, name, "b", lockTTL, false)
}

func endedCertificates(t *testing.T, c store.Certificates) {
	f, ctx := newFile(), ended(t)
	wantError(t, "PutCertificateFile()", c.PutCertificateFile(ctx, f), context.Canceled)
	_, err := c.CertificateFile(t.Context(), f.Key)
	wantError(t, "CertificateFile() of a file that was not stored", err, store.ErrNotFound)
	_, err = c.LockCertificate(ctx, f.Key, "a", lockTTL)
	wantError(t, "LockCertificate()", err, context.Canceled)
	lock(t, c, f.Key, "b", lockTTL, true)
}
