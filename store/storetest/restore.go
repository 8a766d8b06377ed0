package storetest

import (
	"testing"
	"time"

	"github.com/terse/terse/store"
)

var restorePromises = []promise{
	{"a tombstone becomes a link again", restoresTombstone},
	{"restored links are listed, edited and deleted as others", restoredIsALink},
	{"only a tombstone of the owner is restored", restoresOwn},
	{"other version is refused", restoreVersion},
	{"a repetition returns the restored link", restoresOnce},
	{"one restore at once wins", racesRestores},
}

// deleted creates l and deletes it.
func (s suite) deleted(t *testing.T, l store.Link) (tombstone store.Link) {
	t.Helper()
	return s.remove(t, s.create(t, l).Code)
}

// restored returns the link that a restore of the tombstone with the fields of given returns.
func restored(given, tombstone store.Link) store.Link {
	given.CreatedAt, given.DeletedAt, given.Version = tombstone.CreatedAt, time.Time{}, tombstone.Version+1
	given.UsedClicks, given.Clicks, given.Robots, given.LastClickAt = 0, 0, 0, time.Time{}
	return given
}

func restoresTombstone(t *testing.T, s suite) {
	before := s.newLink()
	before.Title, before.Tags, before.MaxClicks, before.RequestID = "Before", []string{"before"}, 7, "first"
	for _, given := range []store.Link{s.full(), s.newLink()} {
		before.Code, before.Owner = s.newCode(), newOwner()
		tombstone := s.deleted(t, before)
		s.wantStored(t, tombstone)
		given.Code, given.Owner, given.Version = tombstone.Code, tombstone.Owner, tombstone.Version
		given.CreatedAt, given.UpdatedAt = after(60), after(61)
		want := restored(given, tombstone)
		got, err := s.Restore(t.Context(), given)
		wantLink(t, "Restore", got, err, want)
		s.wantStored(t, want)
		got, err = s.Confirm(t.Context(), want.Code)
		wantLink(t, "Confirm", got, err, want)
	}
}

func restoredIsALink(t *testing.T, s suite) {
	l := s.newLink()
	tombstone := s.deleted(t, l)
	l.Tags, l.URL, l.MaxClicks, l.Version = []string{"tag"}, "https://example.org/again", 5, tombstone.Version
	l, err := s.Restore(t.Context(), l)
	if err != nil {
		t.Fatalf("Restore() = %v, want nil", err)
	}
	for _, q := range []store.Query{{Owner: l.Owner}, {Owner: l.Owner, Tag: "tag"}, {Owner: l.Owner, Target: l.URL}, {Owner: l.Owner, Search: l.BareCode()}} {
		s.wantList(t, q, l.Code)
	}
	used, err := s.Consume(t.Context(), l.Code, epoch)
	if err != nil || used.UsedClicks != 1 {
		t.Errorf("Consume() = %d, %v, want 1, nil", used.UsedClicks, err)
	}
	l = s.update(t, l)
	if l.Version != tombstone.Version+2 {
		t.Errorf("version = %d, want %d", l.Version, tombstone.Version+2)
	}
	s.wantStored(t, s.remove(t, l.Code))
}

func restoresOwn(t *testing.T, s suite) {
	live := s.create(t, s.newLink())
	_, err := s.Restore(t.Context(), live)
	wantError(t, "Restore() of a link", err, store.ErrExists)
	s.wantStored(t, live)
	tombstone := s.deleted(t, s.newLink())
	for _, owner := range []string{newOwner(), ""} {
		given := s.newLink()
		given.Code, given.Owner, given.Version = tombstone.Code, owner, tombstone.Version
		_, err = s.Restore(t.Context(), given)
		wantError(t, "Restore() by another owner", err, store.ErrExists)
	}
	s.wantStored(t, tombstone)
	unknown := s.newLink()
	unknown.Version = 1
	_, err = s.Restore(t.Context(), unknown)
	wantError(t, "Restore() of an unknown code", err, store.ErrNotFound)
}

func restoreVersion(t *testing.T, s suite) {
	l := s.newLink()
	tombstone := s.deleted(t, l)
	for _, version := range []int64{-1, 0, 1, 3} {
		l.Version = version
		_, err := s.Restore(t.Context(), l)
		wantError(t, "Restore() of another version", err, store.ErrVersion)
	}
	s.wantStored(t, tombstone)
}

func restoresOnce(t *testing.T, s suite) {
	l := s.newLink()
	tombstone := s.deleted(t, l)
	l.RequestID, l.Version = "request", tombstone.Version
	want := restored(l, tombstone)
	for range 2 {
		got, err := s.Restore(t.Context(), l)
		wantLink(t, "Restore", got, err, want)
	}
	got, err := s.Create(t.Context(), l)
	wantLink(t, "Create", got, err, want)
	s.wantStored(t, want)
	l.RequestID, l.Version = "other", want.Version
	_, err = s.Restore(t.Context(), l)
	wantError(t, "Restore() by another request", err, store.ErrExists)
}

func racesRestores(t *testing.T, s suite) {
	l := s.newLink()
	tombstone := s.deleted(t, l)
	l.Version = tombstone.Version
	errs := race(8, func(i int) error {
		mine := l
		mine.RequestID = s.newCode()
		_, err := s.Restore(t.Context(), mine)
		return err
	})
	wantOneWinner(t, "Restore()", errs, store.ErrExists)
}
