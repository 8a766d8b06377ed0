package storetest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// HistoryStore is a store that keeps the history of its links.
type HistoryStore interface {
	store.Store
	store.History
}

// historySuite is the store under test.
type historySuite struct {
	suite
	history store.History
}

// RunHistory tests all promises of store.History. open returns an empty store and
// closes it with tb.Cleanup.
func RunHistory(t *testing.T, open func(tb testing.TB) HistoryStore) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) {
		opened := open(t)
		runHistory(t, historySuite{suite{Store: opened, maker: m}, opened})
	})
}

func runHistory(t *testing.T, s historySuite) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(t *testing.T, s historySuite)
	}{
		{"unknown code has no history", noHistory},
		{"author of the create is the owner", createsHistory},
		{"every field of every version is kept", keepsVersions},
		{"author and note belong to one write", keepsAuthors},
		{"deleted link keeps its history", keepsHistoryOfTombstone},
		{"a restored link keeps its history", keepsHistoryOfRestored},
		{"refused write leaves no trace", refusedWrite},
		{"passwords are replaced by short marks", masksPasswords},
		{"pages reach the first version", pagesHistory},
		{"old versions except the first are forgotten", forgetsVersions},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, s)
		})
	}
}

// revisions returns the whole history of a link.
func (s historySuite) revisions(t *testing.T, code string) []store.Revision {
	t.Helper()
	all, err := s.history.Revisions(t.Context(), code, 0, 2*store.MaxRevisions)
	if err != nil {
		t.Fatalf("Revisions(%q) = %v, want nil", code, err)
	}
	return all
}

// wantRevisions checks the whole history of a link.
func (s historySuite) wantRevisions(t *testing.T, code string, want ...store.Revision) {
	t.Helper()
	if got := s.revisions(t, code); !reflect.DeepEqual(got, want) {
		t.Errorf("Revisions(%q) = %+v, want %+v", code, got, want)
	}
}

// by returns a context for writes with this author and note.
func by(t *testing.T, id, note string) context.Context {
	t.Helper()
	return store.WithAuthor(t.Context(), store.Author{ID: id, Note: note})
}

// asRevision returns the expected revision of a link without a password.
func asRevision(l store.Link, id, note string) store.Revision {
	l.RequestID, l.UsedClicks, l.Clicks, l.Robots, l.LastClickAt = "", 0, 0, 0, time.Time{}
	return store.Revision{Link: l, Author: store.Author{ID: id, Note: note}}
}

func noHistory(t *testing.T, s historySuite) {
	s.wantRevisions(t, s.newCode())
}

func createsHistory(t *testing.T, s historySuite) {
	l := s.newLink()
	created, err := s.Create(by(t, "another key", "ignored"), l)
	if err != nil {
		t.Fatalf("Create() = %v, want nil", err)
	}
	s.wantRevisions(t, l.Code, asRevision(created, l.Owner, ""))
	anonymous := s.newLink()
	anonymous.Owner = ""
	anonymous = s.create(t, anonymous)
	s.wantRevisions(t, anonymous.Code, asRevision(anonymous, "", ""))
}

func keepsVersions(t *testing.T, s historySuite) {
	whole := s.fresh()
	whole.PasswordHash = ""
	first := s.create(t, whole)
	plain := store.Link{Code: first.Code, URL: first.URL + "2", Status: 301, UpdatedAt: after(1), Version: 1}
	second, err := s.Update(by(t, "key_a", ""), plain)
	if err != nil {
		t.Fatalf("Update() = %v, want nil", err)
	}
	again := first
	again.Version, again.UpdatedAt = 2, after(2)
	third, err := s.Update(by(t, "key_b", "as before"), again)
	if err != nil {
		t.Fatalf("Update() = %v, want nil", err)
	}
	s.wantRevisions(t, first.Code,
		asRevision(third, "key_b", "as before"), asRevision(second, "key_a", ""), asRevision(first, first.Owner, ""))
}

func keepsAuthors(t *testing.T, s historySuite) {
	l := s.create(t, s.newLink())
	named, err := s.Update(by(t, "key_a", "why"), l)
	if err != nil {
		t.Fatalf("Update() = %v, want nil", err)
	}
	unnamed := s.update(t, named)
	s.wantRevisions(t, l.Code, asRevision(unnamed, "", ""), asRevision(named, "key_a", "why"), asRevision(l, l.Owner, ""))
}

func keepsHistoryOfTombstone(t *testing.T, s historySuite) {
	l := s.newLink()
	l.Title = "to be deleted"
	l = s.create(t, l)
	tombstone, err := s.Delete(by(t, "key_a", "gone"), l.Code, 0, after(5))
	if err != nil {
		t.Fatalf("Delete() = %v, want nil", err)
	}
	s.wantRevisions(t, l.Code, asRevision(tombstone, "key_a", "gone"), asRevision(l, l.Owner, ""))
}

func keepsHistoryOfRestored(t *testing.T, s historySuite) {
	l := s.create(t, s.newLink())
	tombstone, err := s.Delete(by(t, "key_a", "gone"), l.Code, 0, after(5))
	if err != nil {
		t.Fatalf("Delete() = %v, want nil", err)
	}
	again := l
	again.URL, again.UpdatedAt, again.Version = "https://example.org/", after(6), tombstone.Version
	again, err = s.Restore(by(t, l.Owner, ""), again)
	if err != nil {
		t.Fatalf("Restore() = %v, want nil", err)
	}
	s.wantRevisions(t, l.Code, asRevision(again, l.Owner, ""), asRevision(tombstone, "key_a", "gone"), asRevision(l, l.Owner, ""))
}

func refusedWrite(t *testing.T, s historySuite) {
	l := s.create(t, s.newLink())
	stale := l
	stale.Version = 7
	_, err := s.Update(by(t, "key_a", ""), stale)
	wantError(t, "Update() of another version", err, store.ErrVersion)
	_, err = s.Delete(by(t, "key_a", ""), l.Code, 7, epoch)
	wantError(t, "Delete() of another version", err, store.ErrVersion)
	s.wantRevisions(t, l.Code, asRevision(l, l.Owner, ""))
}

func masksPasswords(t *testing.T, s historySuite) {
	hashes := []string{
		"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"$2a$10$abcdefghijklmnopqrstuuIjZAgcfl7p92ldGxad68LJZdL17lhWy", "",
	}
	l := s.newLink()
	l.PasswordHash = hashes[0]
	l = s.create(t, l)
	for _, hash := range hashes[1:] {
		l.PasswordHash = hash
		l = s.update(t, l)
	}
	got := s.revisions(t, l.Code)
	if len(got) != 3 {
		t.Fatalf("Revisions() = %d, want 3", len(got))
	}
	none, second, first := got[0].Link.PasswordHash, got[1].Link.PasswordHash, got[2].Link.PasswordHash
	if none != "" || first == "" || second == "" || first == second || len(first) > 7 || len(second) > 7 {
		t.Errorf("marks of two passwords and of no password = %q, %q, %q, want two different short marks and an empty one", first, second, none)
	}
	standing := s.newLink()
	standing.PasswordHash = hashes[0]
	if got := s.revisions(t, s.create(t, standing).Code); got[0].Link.PasswordHash != first {
		t.Errorf("mark of the current version = %q, want %q", got[0].Link.PasswordHash, first)
	}
}

func pagesHistory(t *testing.T, s historySuite) {
	l := s.create(t, s.newLink())
	for range 6 {
		l = s.update(t, l)
	}
	var got []int64
	for before := int64(0); ; {
		page, err := s.history.Revisions(t.Context(), l.Code, before, 3)
		if err != nil || len(page) > 3 {
			t.Fatalf("Revisions(before %d) = %d revisions, %v, want 3 at most", before, len(page), err)
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			got = append(got, r.Link.Version)
		}
		before = got[len(got)-1]
	}
	if want := []int64{7, 6, 5, 4, 3, 2, 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("versions of all pages = %v, want %v", got, want)
	}
}

func forgetsVersions(t *testing.T, s historySuite) {
	l := s.create(t, s.newLink())
	for range store.MaxRevisions + 5 {
		l = s.update(t, l)
	}
	got := s.revisions(t, l.Code)
	if n := len(got); n != store.MaxRevisions+2 || got[n-1].Link.Version != 1 || got[n-2].Link.Version != 6 {
		t.Errorf("Revisions() after %d edits = %d down to %d and %d, want %d down to 6 and 1",
			l.Version-1, n, got[n-2].Link.Version, got[n-1].Link.Version, store.MaxRevisions+2)
	}
}
