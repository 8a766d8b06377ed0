package storetest

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// ScannedStore is a store with the links of a scan.
type ScannedStore interface {
	store.Store
	store.Scanned
}

// scanSuite is the store under test.
type scanSuite struct {
	suite
	scanned store.Scanned
}

// RunScanned tests all promises of store.Scanned except Export, which RunArchive
// tests. open returns an empty store and closes it with tb.Cleanup.
func RunScanned(t *testing.T, open func(tb testing.TB) ScannedStore) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) {
		opened := open(t)
		runScanned(t, scanSuite{suite{Store: opened, maker: m}, opened})
	})
}

func runScanned(t *testing.T, s scanSuite) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(t *testing.T, s scanSuite)
	}{
		{"every create and edit is a change", listsChanges},
		{"pages of changes skip none and repeat none", pagesChanges},
		{"a scan has one holder", oneHolder},
		{"the next holder gets the saved state", keepsScan},
		{"another holder may claim the scan after ttl", losesScan},
	} {
		t.Run(p.name, func(t *testing.T) { p.test(t, s) })
	}
}

// changes returns all changes after a cursor, read in pages of n.
func (s scanSuite) changes(t *testing.T, since store.Cursor, n int) []store.Change {
	t.Helper()
	var all []store.Change
	for {
		page, err := s.scanned.Changes(t.Context(), since, n)
		if err != nil || len(page) > n {
			t.Fatalf("Changes(%+v, %d) = %d changes, %v, want %[2]d at most", since, n, len(page), err)
		}
		if all = append(all, page...); len(page) < n {
			return all
		}
		since = page[n-1].Place()
	}
}

func listsChanges(t *testing.T, s scanSuite) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	since := store.Cursor{CreatedAt: now.Add(-time.Minute)}
	link := func(owner string) store.Link {
		l := s.newLink()
		l.Owner, l.CreatedAt, l.UpdatedAt = owner, now, now
		return l
	}
	mine, anonymous, deleted := s.create(t, link(newOwner())), s.create(t, link("")), s.create(t, link(newOwner()))
	old := s.create(t, s.newLink()) // created long ago, edited now
	mine.URL, old.URL = "https://example.com/mine", "https://example.com/old"
	mine, old = s.update(t, mine), s.update(t, old)
	untouched := s.create(t, s.newLink())
	s.remove(t, deleted.Code)
	times := map[string]int{}
	for _, c := range s.changes(t, since, 100) {
		times[c.Link.Code]++
		for _, want := range []store.Link{mine, anonymous, old} {
			if c.Link.Code == want.Code && (c.Link.URL != want.URL || c.Link.Version != want.Version) {
				t.Errorf("change of %q has %q of version %d, want the current link: %+v", want.Code, c.Link.URL, c.Link.Version, want)
			}
		}
		if c.Link.Code == deleted.Code && c.Link.DeletedAt.IsZero() {
			t.Errorf("change of a tombstone = %+v, want the tombstone", c.Link)
		}
	}
	for code, want := range map[string]int{mine.Code: 2, anonymous.Code: 1, old.Code: 1, untouched.Code: 0} {
		if times[code] != want {
			t.Errorf("Changes() returned %d changes of %q, want %d", times[code], code, want)
		}
	}
}

func pagesChanges(t *testing.T, s scanSuite) {
	start := time.Now().UTC().Truncate(time.Microsecond).Add(time.Hour)
	var want []string
	for i := range 10 {
		l := s.newLink()
		if i%3 == 0 {
			l.Owner = ""
		}
		l.CreatedAt = start.Add(time.Duration(i/2) * time.Second) // some have the same time
		l.UpdatedAt = l.CreatedAt
		want = append(want, s.create(t, l).Code)
	}
	var got []string
	for _, c := range s.changes(t, store.Cursor{CreatedAt: start.Add(-time.Microsecond)}, 3) {
		got = append(got, c.Link.Code)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("codes of pages of 3 = %v, want %v", got, want)
	}
}

func oneHolder(t *testing.T, s scanSuite) {
	name := rand.Text()
	if _, err := s.scanned.ClaimScan(t.Context(), name, "a", time.Hour); err != nil {
		t.Fatalf("ClaimScan() = %v, want nil", err)
	}
	_, err := s.scanned.ClaimScan(t.Context(), name, "b", time.Hour)
	wantError(t, "ClaimScan() by another", err, store.ErrBusy)
	wantError(t, "SaveScan() by another", s.scanned.SaveScan(t.Context(), name, "b", "stolen", time.Hour), store.ErrBusy)
	if state, err := s.scanned.ClaimScan(t.Context(), name, "a", time.Hour); err != nil || state != "" {
		t.Errorf("ClaimScan() by the holder = %q, %v, want an empty state", state, err)
	}
	if _, err := s.scanned.ClaimScan(t.Context(), rand.Text(), "b", time.Hour); err != nil {
		t.Errorf("ClaimScan() of another scan = %v, want nil", err)
	}
}

func keepsScan(t *testing.T, s scanSuite) {
	name := rand.Text()
	if _, err := s.scanned.ClaimScan(t.Context(), name, "a", time.Hour); err != nil {
		t.Fatalf("ClaimScan() = %v, want nil", err)
	}
	if err := s.scanned.SaveScan(t.Context(), name, "a", "half way", 0); err != nil {
		t.Fatalf("SaveScan() = %v, want nil", err)
	}
	if state, err := s.scanned.ClaimScan(t.Context(), name, "b", time.Hour); err != nil || state != "half way" {
		t.Errorf("ClaimScan() by the next holder = %q, %v, want the saved state", state, err)
	}
}

func losesScan(t *testing.T, s scanSuite) {
	name := rand.Text()
	if _, err := s.scanned.ClaimScan(t.Context(), name, "a", 0); err != nil {
		t.Fatalf("ClaimScan() = %v, want nil", err)
	}
	if err := s.scanned.SaveScan(t.Context(), name, "a", "late", 0); err != nil {
		t.Errorf("SaveScan() after ttl, before another claim = %v, want nil", err)
	}
	if _, err := s.scanned.ClaimScan(t.Context(), name, "b", time.Hour); err != nil {
		t.Fatalf("ClaimScan() by another = %v, want nil", err)
	}
	wantError(t, "SaveScan() by the previous holder", s.scanned.SaveScan(t.Context(), name, "a", "too late", time.Hour), store.ErrBusy)
}
