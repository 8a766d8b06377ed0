package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// RunArchive tests all promises of store.Archive. open returns an empty archive
// and the store with the same links. It closes both with tb.Cleanup.
func RunArchive(t *testing.T, open func(tb testing.TB) (store.Store, store.Archive)) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) {
		links, archive := open(t)
		runArchive(t, archiveSuite{suite{Store: links, maker: m}, archive})
	})
}

func runArchive(t *testing.T, s archiveSuite) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(t *testing.T, s archiveSuite)
	}{
		{"keeps every field", importKeepsAll},
		{"link without clicks has no clicks", importWithoutClicks},
		{"imported links are links", importedIsALink},
		{"taken code is refused and unharmed", importTaken},
		{"one of many wins a code", importRace},
		{"exports every link once", exportsAll},
		{"tombstones stay tombstones", tombstonesTravel},
		{"continues after a code that was deleted", exportsBehindGone},
		{"ended context does nothing", endedArchive},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, s)
		})
	}
}

// archiveSuite is the archive under test.
type archiveSuite struct {
	suite
	archive store.Archive
}

// archived returns full as an import stores it.
func (m maker) archived() store.Link {
	l := m.full()
	l.DeletedAt, l.RequestID = time.Time{}, ""
	return l
}

func (s archiveSuite) take(t *testing.T, l store.Link) store.Link {
	t.Helper()
	got, err := s.archive.Import(t.Context(), l)
	if err != nil {
		t.Fatalf("Import(%q) = %v, want nil", l.Code, err)
	}
	return got
}

// exported reads all pages and returns the links of one owner. The pages also
// contain the links of other subtests.
func (s archiveSuite) exported(t *testing.T, owner string, limit int) []store.Link {
	t.Helper()
	var all []store.Link
	after := ""
	for range 1000 {
		page, err := s.archive.Export(t.Context(), after, limit)
		if err != nil || len(page) > limit {
			t.Fatalf("Export(%q, %d) = %d links, %v", after, limit, len(page), err)
		}
		all = append(all, of(owner, page)...)
		if len(page) < limit {
			return all
		}
		after = page[limit-1].Code
	}
	t.Fatal("Export never ends")
	return nil
}

// of returns the links of one owner.
func of(owner string, links []store.Link) (own []store.Link) {
	for _, l := range links {
		if l.Owner == owner {
			own = append(own, l)
		}
	}
	return own
}

func importKeepsAll(t *testing.T, s archiveSuite) {
	given := s.full()
	given.DeletedAt = time.Time{}
	given.Tags = []string{"alpha", `b,"e\ta`, "日本"}
	want := given
	want.RequestID = ""
	got, err := s.archive.Import(t.Context(), given)
	wantLink(t, "Import", got, err, want)
	s.wantStored(t, want)
	if all := s.exported(t, want.Owner, 10); !reflect.DeepEqual(all, []store.Link{want}) {
		t.Errorf("Export() = %+v, want %+v", all, want)
	}
}

func importWithoutClicks(t *testing.T, s archiveSuite) {
	l := s.newLink()
	l.Version = 1
	wantLink(t, "Import", s.take(t, l), nil, l)
	s.wantStored(t, l)
}

// importedIsALink checks that Consume, Update and List treat an imported link like
// any other.
func importedIsALink(t *testing.T, s archiveSuite) {
	l := s.archived()
	l.DisabledAt, l.DisabledReason, l.StartsAt, l.ExpiresAt = time.Time{}, "", time.Time{}, time.Time{}
	l.MaxClicks, l.UsedClicks = 10, 9
	s.take(t, l)
	used, err := s.Consume(t.Context(), l.Code, after(50))
	if err != nil || used.UsedClicks != 10 {
		t.Errorf("Consume() = %+v, %v, want 10 uses", used, err)
	}
	_, err = s.Consume(t.Context(), l.Code, after(51))
	wantError(t, "Consume() of a used up link", err, store.ErrNotLive)
	l.Title = "edited"
	if edited := s.update(t, l); edited.Version != l.Version+1 || edited.Clicks != l.Clicks {
		t.Errorf("Update() = %+v, want version %d and %d clicks", edited, l.Version+1, l.Clicks)
	}
	s.wantList(t, store.Query{Owner: l.Owner, Tag: "alpha"}, l.Code)
	s.wantList(t, store.Query{Owner: l.Owner, Target: l.URL}, l.Code)
}

func importTaken(t *testing.T, s archiveSuite) {
	want := s.create(t, s.newLink())
	l := s.archived()
	l.Code = want.Code
	_, err := s.archive.Import(t.Context(), l)
	wantError(t, "Import() of a taken code", err, store.ErrExists)
	s.wantStored(t, want)
	gone := s.remove(t, want.Code)
	_, err = s.archive.Import(t.Context(), l)
	wantError(t, "Import() of a tombstone's code", err, store.ErrExists)
	s.wantStored(t, gone)
}

func importRace(t *testing.T, s archiveSuite) {
	l := s.archived()
	errs := race(16, func(i int) error {
		mine := l
		mine.Title = fmt.Sprint(i)
		_, err := s.archive.Import(t.Context(), mine)
		return err
	})
	winner := wantOneWinner(t, "Import()", errs, store.ErrExists)
	l.Title = fmt.Sprint(winner)
	s.wantStored(t, l)
}

func exportsAll(t *testing.T, s archiveSuite) {
	owner := newOwner()
	want := map[string]store.Link{}
	for i := range 57 {
		l := s.archived()
		l.Owner, l.Clicks = owner, int64(i)
		if i == 0 {
			l.LastClickAt = time.Time{}
		}
		want[l.Code] = s.take(t, l)
	}
	for _, limit := range []int{3, 7, store.MaxPageLen} {
		got := map[string]store.Link{}
		all := s.exported(t, owner, limit)
		for _, l := range all {
			got[l.Code] = l
		}
		if len(all) != len(want) || !reflect.DeepEqual(got, want) {
			t.Errorf("Export() by %d = %d links, %d distinct, want %d complete links", limit, len(all), len(got), len(want))
		}
	}
	for _, limit := range []int{-1, 0} {
		if page, err := s.archive.Export(t.Context(), "", limit); err != nil || len(page) != 1 {
			t.Errorf("Export(limit %d) = %d links, %v, want 1", limit, len(page), err)
		}
	}
}

// tombstonesTravel checks that an export contains tombstones, and that an imported
// tombstone stays one. Fields that a tombstone does not have are dropped.
func tombstonesTravel(t *testing.T, s archiveSuite) {
	owner := newOwner()
	want := map[string]store.Link{}
	for i := range 20 {
		l := s.newLink()
		l.Owner = owner
		l = s.create(t, l)
		if i%2 == 0 {
			l = s.remove(t, l.Code)
		}
		want[l.Code] = l
	}
	given := s.full()
	given.Owner = owner
	buried := given.Remains()
	got, err := s.archive.Import(t.Context(), given)
	wantLink(t, "Import of a tombstone", got, err, buried)
	s.wantStored(t, buried)
	want[buried.Code] = buried
	exported := map[string]store.Link{}
	for _, l := range s.exported(t, owner, 3) {
		exported[l.Code] = l
	}
	if !reflect.DeepEqual(exported, want) {
		t.Errorf("Export() = %+v, want %+v", exported, want)
	}
	_, err = s.Create(t.Context(), store.Link{Code: buried.Code, URL: given.URL, Status: 302, CreatedAt: epoch, UpdatedAt: epoch})
	wantError(t, "Create() under an imported tombstone's code", err, store.ErrExists)
}

func exportsBehindGone(t *testing.T, s archiveSuite) {
	owner := newOwner()
	for range 10 {
		l := s.newLink()
		l.Owner = owner
		s.create(t, l)
	}
	all := codes(s.exported(t, owner, store.MaxPageLen))
	s.remove(t, all[4])
	page, err := s.archive.Export(t.Context(), all[4], store.MaxPageLen)
	if got := codes(of(owner, page)); err != nil || !slices.Equal(got, all[5:]) {
		t.Errorf("Export() after a deleted code = %q, %v, want %q", got, err, all[5:])
	}
}

func endedArchive(t *testing.T, s archiveSuite) {
	ctx := ended(t)
	l := s.archived()
	_, err := s.archive.Import(ctx, l)
	wantError(t, "Import()", err, context.Canceled)
	_, err = s.archive.Export(ctx, "", 1)
	wantError(t, "Export()", err, context.Canceled)
	_, err = s.Get(t.Context(), l.Code)
	wantError(t, "Get()", err, store.ErrNotFound)
}
