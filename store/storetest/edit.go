package storetest

import (
	"testing"
	"time"

	"github.com/terse/terse/store"
)

var resolvePromises = []promise{
	{"unknown code is not found", unknownCode},
	{"links that are not live are returned", resolvesNotLive},
}

var confirmPromises = []promise{
	{"returns what Get returns", confirmsStored},
}

var updatePromises = []promise{
	{"replaces the editable fields and nothing else", replacesEditable},
	{"clears fields that are empty in the update", clearsFields},
	{"other version is refused", otherVersion},
	{"tombstone is gone", updateTombstone},
	{"counts are kept", updateKeepsCounts},
	{"used clicks only grow", updateRaisesUsedClicks},
}

var deletePromises = []promise{
	{"leaves a tombstone", leavesTombstone},
	{"other version is refused", deleteVersion},
	{"tombstone is gone", deleteTwice},
	{"code is never free again", neverFree},
	{"tombstone is not listed", tombstoneNotListed},
}

func unknownCode(t *testing.T, s suite) {
	l := s.newLink()
	_, err := s.Get(t.Context(), l.Code)
	wantError(t, "Get() of an unknown code", err, store.ErrNotFound)
	_, err = s.Resolve(t.Context(), l.Code)
	wantError(t, "Resolve() of an unknown code", err, store.ErrNotFound)
	_, err = s.Confirm(t.Context(), l.Code)
	wantError(t, "Confirm() of an unknown code", err, store.ErrNotFound)
	l.Version = 1
	_, err = s.Update(t.Context(), l)
	wantError(t, "Update() of an unknown code", err, store.ErrNotFound)
	_, err = s.Delete(t.Context(), l.Code, 1, epoch)
	wantError(t, "Delete() of an unknown code", err, store.ErrNotFound)
	_, err = s.Consume(t.Context(), l.Code, epoch)
	wantError(t, "Consume() of an unknown code", err, store.ErrNotFound)
}

func resolvesNotLive(t *testing.T, s suite) {
	for _, change := range []func(*store.Link){
		func(l *store.Link) { l.ExpiresAt = epoch },
		func(l *store.Link) { l.StartsAt = epoch.AddDate(100, 0, 0) },
		func(l *store.Link) { l.DisabledAt, l.DisabledReason = epoch, "malware" },
	} {
		l := s.newLink()
		change(&l)
		s.wantStored(t, s.create(t, l))
	}
}

func confirmsStored(t *testing.T, s suite) {
	l := s.fresh()
	l.DisabledAt, l.StartsAt, l.ExpiresAt = time.Time{}, time.Time{}, time.Time{}
	created := s.create(t, l)
	used, err := s.Consume(t.Context(), created.Code, epoch)
	if err != nil {
		t.Fatalf("Consume() = %v, want nil", err)
	}
	got, err := s.Confirm(t.Context(), created.Code)
	wantLink(t, "Confirm", got, err, used)
	tombstone := s.remove(t, created.Code)
	got, err = s.Confirm(t.Context(), created.Code)
	wantLink(t, "Confirm", got, err, tombstone)
}

func replacesEditable(t *testing.T, s suite) {
	created := s.create(t, s.fresh())
	given := store.Link{
		Code: created.Code, URL: "http://example.org/", Title: "Another", Tags: []string{"alpha", "gamma"},
		Owner: newOwner(), Status: 308, ForwardQuery: store.ForwardAppend,
		StartsAt: after(21), ExpiresAt: after(22), MaxClicks: 23, PasswordHash: "$2a$10$other", Confirm: false, Rules: `[{"to":"https://example.com/other"}]`,
		DisabledAt: after(24), DisabledReason: "spam", DeletedAt: after(25),
		CreatedAt: after(26), UpdatedAt: after(27), Version: 1, RequestID: "other",
		UsedClicks: 0, Clicks: 29, LastClickAt: after(30),
	}
	want := given
	want.Owner, want.CreatedAt, want.RequestID = created.Owner, created.CreatedAt, created.RequestID
	want.DeletedAt, want.Version = time.Time{}, 2
	want.UsedClicks, want.Clicks, want.Robots, want.LastClickAt = 0, 0, 0, time.Time{}
	got, err := s.Update(t.Context(), given)
	wantLink(t, "Update", got, err, want)
	s.wantStored(t, want)
}

func clearsFields(t *testing.T, s suite) {
	created := s.create(t, s.fresh())
	given := store.Link{Code: created.Code, URL: created.URL, Status: 302, UpdatedAt: after(1), Version: 1}
	want := given
	want.Owner, want.CreatedAt, want.RequestID, want.Version = created.Owner, created.CreatedAt, created.RequestID, 2
	got, err := s.Update(t.Context(), given)
	wantLink(t, "Update", got, err, want)
	s.wantStored(t, want)
}

func otherVersion(t *testing.T, s suite) {
	created := s.create(t, s.newLink())
	want := s.update(t, created)
	for _, version := range []int64{-1, 0, 1, 3} {
		given := want
		given.URL, given.Version = "https://example.org/", version
		_, err := s.Update(t.Context(), given)
		wantError(t, "Update() of another version", err, store.ErrVersion)
	}
	s.wantStored(t, want)
}

func updateTombstone(t *testing.T, s suite) {
	created := s.create(t, s.newLink())
	tombstone := s.remove(t, created.Code)
	for _, version := range []int64{1, 2} {
		given := created
		given.Version = version
		_, err := s.Update(t.Context(), given)
		wantError(t, "Update() of a tombstone", err, store.ErrGone)
	}
	s.wantStored(t, tombstone)
}

func updateKeepsCounts(t *testing.T, s suite) {
	l := s.newLink()
	l.MaxClicks = 5
	l = s.create(t, l)
	for range 2 {
		if _, err := s.Consume(t.Context(), l.Code, epoch); err != nil {
			t.Fatalf("Consume() = %v, want nil", err)
		}
	}
	want := l
	want.Version, want.UsedClicks = 2, 2
	got, err := s.Update(t.Context(), l)
	wantLink(t, "Update", got, err, want)
	s.wantStored(t, want)
}

func updateRaisesUsedClicks(t *testing.T, s suite) {
	l := s.newLink()
	l.MaxClicks = 5
	want := s.create(t, l)
	for _, used := range []int64{3, 1, 4, 0} {
		given := want
		given.UsedClicks = used
		want.Version, want.UsedClicks = want.Version+1, max(want.UsedClicks, used)
		got, err := s.Update(t.Context(), given)
		wantLink(t, "Update", got, err, want)
		s.wantStored(t, want)
	}
	want.UsedClicks = 5
	got, err := s.Consume(t.Context(), want.Code, epoch)
	wantLink(t, "Consume", got, err, want)
	_, err = s.Consume(t.Context(), want.Code, epoch)
	wantError(t, "Consume() of a link that is used up", err, store.ErrNotLive)
}

func leavesTombstone(t *testing.T, s suite) {
	l := s.fresh()
	l.DisabledAt, l.StartsAt, l.ExpiresAt = time.Time{}, time.Time{}, time.Time{}
	l = s.create(t, l)
	if _, err := s.Consume(t.Context(), l.Code, epoch); err != nil {
		t.Fatalf("Consume() = %v, want nil", err)
	}
	want := l.Tombstone(after(40))
	got, err := s.Delete(t.Context(), l.Code, 1, after(40))
	wantLink(t, "Delete", got, err, want)
	s.wantStored(t, want)
}

func deleteVersion(t *testing.T, s suite) {
	want := s.update(t, s.create(t, s.newLink()))
	for _, version := range []int64{1, 3} {
		_, err := s.Delete(t.Context(), want.Code, version, after(1))
		wantError(t, "Delete() of another version", err, store.ErrVersion)
	}
	s.wantStored(t, want)
	if _, err := s.Delete(t.Context(), want.Code, 2, after(1)); err != nil {
		t.Errorf("Delete() of the stored version = %v, want nil", err)
	}
}

func deleteTwice(t *testing.T, s suite) {
	want := s.remove(t, s.create(t, s.newLink()).Code)
	for _, version := range []int64{0, 1, 2} {
		_, err := s.Delete(t.Context(), want.Code, version, after(50))
		wantError(t, "Delete() of a tombstone", err, store.ErrGone)
	}
	s.wantStored(t, want)
}

func neverFree(t *testing.T, s suite) {
	l := s.newLink()
	l.RequestID = "request"
	s.create(t, l)
	want := s.remove(t, l.Code)
	_, err := s.Create(t.Context(), l)
	wantError(t, "Create() of a deleted code by the same request", err, store.ErrExists)
	l.RequestID = ""
	_, err = s.Create(t.Context(), l)
	wantError(t, "Create() of a deleted code", err, store.ErrExists)
	s.wantStored(t, want)
}

func tombstoneNotListed(t *testing.T, s suite) {
	l := s.newLink()
	l.Tags = []string{"tag"}
	l = s.create(t, l)
	s.remove(t, l.Code)
	for _, q := range []store.Query{
		{Owner: l.Owner},
		{Owner: l.Owner, Tag: "tag"},
		{Owner: l.Owner, Target: l.URL},
		{Owner: l.Owner, Search: l.BareCode()},
		{Owner: l.Owner, Target: ""},
	} {
		s.wantList(t, q)
	}
}
