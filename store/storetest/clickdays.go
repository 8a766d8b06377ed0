package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// ClickDaysStore is the store that RunClickDays tests.
type ClickDaysStore interface {
	store.Store
	store.ClickSink
	store.ClickDays
}

// ClickDaysOpener opens an empty store and closes it with tb.Cleanup. It also returns a
// ClickFolder for each of its shards.
type ClickDaysOpener func(tb testing.TB) (ClickDaysStore, []store.ClickFolder)

// RunClickDays tests all promises of store.ClickDays and store.ClickFolder, and what
// store.ClickSink promises about days and robots. Its clicks are packed as texts, and a merge
// appends them.
func RunClickDays(t *testing.T, open ClickDaysOpener) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) {
		shared, folders := open(t)
		for _, p := range clickDayPromises {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.test(t, newClickDaySuite(shared, folders, m))
			})
		}
		for _, p := range lonelyClickDayPromises {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				own, folders := open(t)
				p.test(t, newClickDaySuite(own, folders, m))
			})
		}
	})
}

type clickDayPromise struct {
	name string
	test func(t *testing.T, s clickDaySuite)
}

// clickDayPromises share a store.
var clickDayPromises = []clickDayPromise{
	{"counts robots apart", robotsApart},
	{"restore and update keep robots", robotsStay},
	{"folds clicks into days of the link and its sets", foldsDays},
	{"links without owner and tags", foldsAnonymous},
	{"adds to stored days", addsToStoredDays},
	{"merges in the order of the batches", mergesInOrder},
	{"days are apart, and ranges are half open", daysApart},
	{"lists only what is asked for", listsAsked},
	{"a repeated batch has no days", repeatedDays},
	{"large days", largeDays},
	{"hostile tags", hostileTags},
	{"refuses invalid days", refusesDays},
	{"clicks of deleted and unknown links have no days", strayDays},
	{"delete deletes days", deleteDropsDays},
	{"restore begins with no days", restoreStartsWithoutDays},
	{"reset deletes totals and days", resetsClicks},
	{"reset of unknown links", resetsUnknown},
	{"ended context changes nothing", endedClickDays},
	{"salts", keepsSalts},
}

// lonelyClickDayPromises need a store of their own.
var lonelyClickDayPromises = []clickDayPromise{
	{"nothing to fold", foldsNothing},
	{"failed merge changes nothing", failedMerge},
	{"limit takes the oldest batches", foldsOldest},
	{"backlog", countsBatches},
	{"folds each click once under concurrency", foldsOnce},
	{"one fold at a time", foldsAlone},
	{"retention", sweepsDays},
	{"retention in steps", sweepsInSteps},
}

// clickDaySuite is the store under test.
type clickDaySuite struct {
	clickSuite
	days    store.ClickDays
	folders []store.ClickFolder
}

func newClickDaySuite(s ClickDaysStore, folders []store.ClickFolder, m maker) clickDaySuite {
	return clickDaySuite{clickSuite{suite{Store: s, maker: m}, s}, s, folders}
}

// testDay is the day of most clicks in the suite.
var testDay = store.DayOf(epoch)

// dayOf returns a day of clicks that are packed as text.
func dayOf(key string, day int32, text string) store.ClickDay {
	return store.ClickDay{Key: key, Day: day, Data: []byte(text)}
}

// addDays adds a batch with days, and one click of a person for each day.
func (s clickDaySuite) addDays(t *testing.T, recorder string, seq int64, days ...store.ClickDay) {
	t.Helper()
	b := store.ClickBatch{Recorder: recorder, Seq: seq, Days: days}
	for _, d := range days {
		b.Counts = append(b.Counts, store.ClickCount{Code: d.Key, N: 1, Last: after(1)})
	}
	if err := s.sink.AddClicks(t.Context(), b); err != nil {
		t.Errorf("AddClicks() = %v, want nil", err)
	}
}

// fold folds all batches that wait now.
func (s clickDaySuite) fold(t *testing.T) {
	t.Helper()
	for _, f := range s.folders {
		foldAll(t, f, appendMerge)
	}
}

// foldAll folds until no batch waits. Another subtest may fold at the same time.
func foldAll(t *testing.T, f store.ClickFolder, merge store.ClickMerge) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		n, err := f.FoldClicks(t.Context(), 3, merge)
		switch {
		case err == nil && n == 0:
			return
		case err == nil:
			continue
		case !errors.Is(err, store.ErrBusy):
			t.Fatalf("FoldClicks() = %v, want nil", err)
		case time.Now().After(deadline):
			t.Fatal("FoldClicks() = ErrBusy for a minute")
		}
		time.Sleep(time.Millisecond)
	}
}

// appendMerge is a store.ClickMerge that appends texts.
func appendMerge(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
	var keys []string
	for _, d := range added {
		keys = append(keys, d.Key)
	}
	links, err := stored.Links(ctx, keys)
	if err != nil {
		return nil, err
	}
	type place struct {
		kind store.ClickKind
		key  string
		day  int32
	}
	texts := map[place][]byte{}
	var rows []store.ClickDay
	add := func(kind store.ClickKind, key string, d *store.ClickDay) {
		at := place{kind, key, d.Day}
		if _, ok := texts[at]; !ok {
			rows = append(rows, store.ClickDay{Kind: kind, Key: key, Day: d.Day})
		}
		texts[at] = append(texts[at], d.Data...)
	}
	for i := range added {
		d := &added[i]
		l, ok := links[d.Key]
		if !ok {
			continue
		}
		domain, _ := store.SplitKey(d.Key)
		add(store.ClickLink, d.Key, d)
		add(store.ClickOwner, l.Owner, d)
		add(store.ClickDomain, store.ClickDomainKey(l.Owner, domain), d)
		add(store.ClickAll, "", d)
		for _, tag := range l.Tags {
			add(store.ClickTag, store.ClickTagKey(l.Owner, tag), d)
		}
	}
	before, err := stored.Days(ctx, rows)
	if err != nil {
		return nil, err
	}
	old := map[place][]byte{}
	for _, d := range before {
		old[place{d.Kind, d.Key, d.Day}] = d.Data
	}
	for i := range rows {
		at := place{rows[i].Kind, rows[i].Key, rows[i].Day}
		rows[i].Data = slices.Concat(old[at], texts[at])
	}
	return rows, nil
}

// list returns the rows of keys, joined by key and day over all shards, as key, day and text.
func (s clickDaySuite) list(t *testing.T, kind store.ClickKind, from, to int32, keys ...string) []string {
	t.Helper()
	rows, err := s.days.ListClickDays(t.Context(), kind, keys, from, to)
	if err != nil {
		t.Fatalf("ListClickDays(%d, %q) = %v, want nil", kind, keys, err)
	}
	slices.SortFunc(rows, func(a, b store.ClickDay) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(a.Day, b.Day), bytes.Compare(a.Data, b.Data))
	})
	var texts []string
	for i, r := range rows {
		if r.Kind != kind {
			t.Errorf("ListClickDays(%d) has a row of kind %d", kind, r.Kind)
		}
		if i > 0 && rows[i-1].Key == r.Key && rows[i-1].Day == r.Day {
			texts[len(texts)-1] += string(r.Data)
			continue
		}
		texts = append(texts, fmt.Sprintf("%s %d %s", r.Key, r.Day, r.Data))
	}
	return texts
}

// wantDay checks the text of a row on testDay. An empty text is no row.
func (s clickDaySuite) wantDay(t *testing.T, kind store.ClickKind, key, text string) {
	t.Helper()
	var want []string
	if text != "" {
		want = []string{fmt.Sprintf("%s %d %s", key, testDay, text)}
	}
	if got := s.list(t, kind, testDay, testDay+1, key); !slices.Equal(got, want) {
		t.Errorf("ListClickDays(%d, %q) = %q, want %q", kind, key, got, want)
	}
}

// wantLength checks the number of clicks in a row on testDay, in any order.
func (s clickDaySuite) wantLength(t *testing.T, kind store.ClickKind, key string, want int) {
	t.Helper()
	rows, err := s.days.ListClickDays(t.Context(), kind, []string{key}, testDay, testDay+1)
	got := 0
	for _, r := range rows {
		got += len(r.Data)
	}
	if err != nil || got != want {
		t.Errorf("ListClickDays(%d, %q) = %d clicks, %v, want %d", kind, key, got, err, want)
	}
}

func robotsApart(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	s.add(t, r, 1, store.ClickCount{Code: l.Code, Robots: 5, Last: after(9)})
	l.Robots = 5
	s.wantStored(t, l)
	s.add(t, r, 2, store.ClickCount{Code: l.Code, N: 2, Robots: 1 << 40, Last: after(2)})
	s.add(t, r, 3, store.ClickCount{Code: l.Code, Robots: 1})
	l.Robots, l.Clicks, l.LastClickAt = 6+1<<40, 2, after(2)
	s.wantStored(t, l)
	page, err := s.List(t.Context(), store.Query{Owner: l.Owner, Limit: 1})
	if err != nil || len(page.Links) != 1 || !reflect.DeepEqual(page.Links[0], l) {
		t.Errorf("List() = %+v, %v, want %+v", page.Links, err, l)
	}
}

func robotsStay(t *testing.T, s clickDaySuite) {
	l := s.create(t, s.newLink())
	s.add(t, newOwner(), 1, store.ClickCount{Code: l.Code, N: 1, Robots: 3, Last: after(2)})
	l.Title = "new"
	if got := s.update(t, l); got.Robots != 3 || got.Clicks != 1 {
		t.Errorf("Update() = %d and %d robots, want 1 and 3", got.Clicks, got.Robots)
	}
	s.remove(t, l.Code)
	l.Version = 3
	got, err := s.Restore(t.Context(), l)
	if err != nil || got.Robots != 0 || got.Clicks != 0 {
		t.Errorf("Restore() = %d and %d robots, %v, want none", got.Clicks, got.Robots, err)
	}
}

func foldsDays(t *testing.T, s clickDaySuite) {
	a, b, owner := s.newLink(), s.newLink(), newOwner()
	a.Owner, b.Owner = owner, owner
	a.Tags, b.Tags = []string{"one", "two"}, []string{"two"}
	s.create(t, a)
	s.create(t, b)
	r := newOwner()
	s.addDays(t, r, 1, dayOf(a.Code, testDay, "x"))
	s.fold(t)
	s.addDays(t, r, 2, dayOf(b.Code, testDay, "x"))
	s.fold(t)
	s.wantDay(t, store.ClickLink, a.Code, "x")
	s.wantDay(t, store.ClickLink, b.Code, "x")
	s.wantDay(t, store.ClickOwner, owner, "xx")
	s.wantDay(t, store.ClickTag, store.ClickTagKey(owner, "one"), "x")
	s.wantDay(t, store.ClickTag, store.ClickTagKey(owner, "two"), "xx")
	s.wantDay(t, store.ClickDomain, store.ClickDomainKey(owner, s.domainID), "xx")
	if all := s.list(t, store.ClickAll, testDay, testDay+1, ""); len(all) != 1 || strings.Count(all[0], "x") < 2 {
		t.Errorf("ListClickDays of all links = %q, want one day with two clicks", all)
	}
}

func foldsAnonymous(t *testing.T, s clickDaySuite) {
	l := s.newLink()
	l.Owner = ""
	s.create(t, l)
	day := testDay - 7
	s.addDays(t, newOwner(), 1, dayOf(l.Code, day, "x"))
	s.fold(t)
	for kind, key := range map[store.ClickKind]string{store.ClickOwner: "", store.ClickDomain: store.ClickDomainKey("", s.domainID)} {
		if got, want := s.list(t, kind, day, day+1, key), []string{fmt.Sprintf("%s %d x", key, day)}; !slices.Equal(got, want) {
			t.Errorf("ListClickDays(%d, %q) = %q, want %q", kind, key, got, want)
		}
	}
}

func addsToStoredDays(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	for i, text := range []string{"a", "b", "c"} {
		s.addDays(t, r, int64(i+1), dayOf(l.Code, testDay, text))
		s.fold(t)
	}
	s.wantDay(t, store.ClickLink, l.Code, "abc")
	s.wantTotals(t, l.Code, 3, after(1))
}

func mergesInOrder(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	for i, text := range []string{"a", "b", "c", "d", "e"} {
		s.addDays(t, r, int64(i+1), dayOf(l.Code, testDay, text), dayOf(l.Code, testDay, strings.ToUpper(text)))
	}
	s.fold(t)
	s.wantDay(t, store.ClickLink, l.Code, "aAbBcCdDeE")
}

func daysApart(t *testing.T, s clickDaySuite) {
	l := s.create(t, s.newLink())
	last := int32(store.MaxClickDay)
	days := []int32{0, 1, testDay - 1, testDay, testDay + 1, last}
	var batch []store.ClickDay
	var want []string
	for _, day := range days {
		batch = append(batch, dayOf(l.Code, day, "x"))
		want = append(want, fmt.Sprintf("%s %d x", l.Code, day))
	}
	s.addDays(t, newOwner(), 1, batch...)
	s.fold(t)
	for _, tt := range []struct {
		from, to int32
		want     []string
	}{
		{0, last + 1, want},
		{1, last, want[1:5]},
		{testDay, testDay + 1, want[3:4]},
		{testDay, testDay, nil},
		{testDay + 1, testDay, nil},
		{-1 << 31, 1<<31 - 1, want},
	} {
		if got := s.list(t, store.ClickLink, tt.from, tt.to, l.Code); !slices.Equal(got, tt.want) {
			t.Errorf("ListClickDays from %d to %d = %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
}

func listsAsked(t *testing.T, s clickDaySuite) {
	a, b, c := s.create(t, s.newLink()), s.create(t, s.newLink()), s.create(t, s.newLink())
	s.addDays(t, newOwner(), 1, dayOf(a.Code, testDay, "a"), dayOf(b.Code, testDay, "b"), dayOf(c.Code, testDay, "c"))
	s.fold(t)
	got := s.list(t, store.ClickLink, testDay, testDay+1, a.Code, s.newCode(), b.Code)
	want := []string{fmt.Sprintf("%s %d a", a.Code, testDay), fmt.Sprintf("%s %d b", b.Code, testDay)}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("ListClickDays() = %q, want %q", got, want)
	}
	if got := s.list(t, store.ClickLink, 0, store.MaxClickDay); got != nil {
		t.Errorf("ListClickDays() without keys = %q, want none", got)
	}
	for _, key := range []string{"", "\x00", "\xff", strings.Repeat("a", 10_000)} {
		if got := s.list(t, store.ClickOwner, testDay, testDay+1, key, a.Owner); len(got) < 1 {
			t.Errorf("ListClickDays(%.20q) = %q, want the row of the other owner", key, got)
		}
	}
}

func repeatedDays(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"))
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"))
	s.fold(t)
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"))
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "b"))
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"))
	s.fold(t)
	s.wantDay(t, store.ClickLink, l.Code, "ab")
	s.wantTotals(t, l.Code, 2, after(1))
}

func largeDays(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	text := strings.Repeat("0123456789abcdef", 1<<13)
	s.addDays(t, r, 1, dayOf(l.Code, testDay, text))
	s.addDays(t, r, 2, dayOf(l.Code, testDay, text))
	s.fold(t)
	s.wantLength(t, store.ClickLink, l.Code, 2*len(text))
}

func hostileTags(t *testing.T, s clickDaySuite) {
	l := s.newLink()
	l.Tags = []string{"", "'", "/", `"`, `\`, "{}", "NULL", "a/b", "ü", "日本", "💥"}
	slices.Sort(l.Tags)
	s.create(t, l)
	s.addDays(t, newOwner(), 1, dayOf(l.Code, testDay, "x"))
	s.fold(t)
	for _, tag := range l.Tags {
		s.wantDay(t, store.ClickTag, store.ClickTagKey(l.Owner, tag), "x")
	}
}

func refusesDays(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	for name, d := range map[string]store.ClickDay{
		"a day before 1970":       dayOf(l.Code, -1, "x"),
		"a day after 2099":        dayOf(l.Code, store.MaxClickDay+1, "x"),
		"an invalid key":          dayOf("a\x00", testDay, "x"),
		"a row that is no link's": {Kind: store.ClickAll, Day: testDay, Data: []byte("x")},
	} {
		err := s.sink.AddClicks(t.Context(), store.ClickBatch{
			Recorder: r, Seq: 1, Counts: []store.ClickCount{{Code: l.Code, N: 1, Last: after(1)}}, Days: []store.ClickDay{d},
		})
		wantError(t, "AddClicks() of "+name, err, store.ErrClickDay)
	}
	s.wantTotals(t, l.Code, 0, time.Time{})
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "x"))
	s.wantTotals(t, l.Code, 1, after(1))
}

func strayDays(t *testing.T, s clickDaySuite) {
	unknown, live := s.newLink(), s.create(t, s.newLink())
	tombstone := s.create(t, s.newLink())
	s.remove(t, tombstone.Code)
	s.addDays(t, newOwner(), 1, dayOf(unknown.Code, testDay, "x"), dayOf(tombstone.Code, testDay, "x"), dayOf(live.Code, testDay, "x"))
	s.fold(t)
	s.wantDay(t, store.ClickLink, live.Code, "x")
	for _, l := range []store.Link{unknown, tombstone} {
		s.wantDay(t, store.ClickLink, l.Code, "")
		s.wantDay(t, store.ClickOwner, l.Owner, "")
	}
}

func deleteDropsDays(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"), dayOf(l.Code, testDay-400, "b"))
	s.fold(t)
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "c"))
	s.remove(t, l.Code)
	s.addDays(t, r, 3, dayOf(l.Code, testDay, "d"))
	s.fold(t)
	if got := s.list(t, store.ClickLink, 0, store.MaxClickDay, l.Code); got != nil {
		t.Errorf("ListClickDays() of a deleted link = %q, want none", got)
	}
	// Another subtest may fold c before the delete.
	if got := s.list(t, store.ClickOwner, testDay, testDay+1, l.Owner); len(got) != 1 || !strings.Contains(got[0], " a") || strings.HasSuffix(got[0], "d") {
		t.Errorf("ListClickDays() of the owner = %q, want the clicks before the delete", got)
	}
}

func restoreStartsWithoutDays(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"))
	s.fold(t)
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "b"))
	tombstone := s.remove(t, l.Code)
	l.Version = tombstone.Version
	if _, err := s.Restore(t.Context(), l); err != nil {
		t.Fatalf("Restore() = %v, want nil", err)
	}
	s.addDays(t, r, 3, dayOf(l.Code, testDay, "c"))
	s.fold(t)
	s.wantDay(t, store.ClickLink, l.Code, "c")
	s.wantTotals(t, l.Code, 1, after(1))
}

func resetsClicks(t *testing.T, s clickDaySuite) {
	l, r := s.newLink(), newOwner()
	other := s.newLink()
	other.Owner = l.Owner
	s.create(t, l)
	s.create(t, other)
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"), dayOf(l.Code, testDay-400, "b"), dayOf(other.Code, testDay, "c"))
	s.fold(t)
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "d"), dayOf(other.Code, testDay, "e"))
	if err := s.days.ResetClicks(t.Context(), l.Code); err != nil {
		t.Fatalf("ResetClicks() = %v, want nil", err)
	}
	s.wantTotals(t, l.Code, 0, time.Time{})
	if got := s.list(t, store.ClickLink, 0, store.MaxClickDay, l.Code); got != nil {
		t.Errorf("ListClickDays() after a reset = %q, want none", got)
	}
	s.addDays(t, r, 3, dayOf(l.Code, testDay, "f"))
	s.fold(t)
	s.wantDay(t, store.ClickLink, l.Code, "f")
	s.wantDay(t, store.ClickLink, other.Code, "ce")
	s.wantTotals(t, l.Code, 1, after(1))
	if got := s.list(t, store.ClickOwner, testDay, testDay+1, l.Owner); len(got) != 1 || !strings.Contains(got[0], "a") {
		t.Errorf("ListClickDays() of the owner = %q, want a day that has the clicks before the reset", got)
	}
}

func resetsUnknown(t *testing.T, s clickDaySuite) {
	for _, code := range []string{s.newCode(), s.create(t, s.newLink()).Code} {
		if err := s.days.ResetClicks(t.Context(), code); err != nil {
			t.Errorf("ResetClicks(%q) = %v, want nil", code, err)
		}
	}
}

func endedClickDays(t *testing.T, s clickDaySuite) {
	l, ctx := s.create(t, s.newLink()), ended(t)
	s.addDays(t, newOwner(), 1, dayOf(l.Code, testDay, "a"))
	_, err := s.days.ListClickDays(ctx, store.ClickLink, []string{l.Code}, 0, 1)
	wantError(t, "ListClickDays()", err, context.Canceled)
	wantError(t, "ResetClicks()", s.days.ResetClicks(ctx, l.Code), context.Canceled)
	for _, f := range s.folders {
		if _, err := f.FoldClicks(ctx, 1, appendMerge); !errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrBusy) {
			t.Errorf("FoldClicks() = %v, want %v", err, context.Canceled)
		}
	}
	s.fold(t)
	s.wantDay(t, store.ClickLink, l.Code, "a")
}

func keepsSalts(t *testing.T, s clickDaySuite) {
	today := store.DayOf(time.Now())
	salts := make([][]byte, 8)
	race(len(salts), func(i int) (err error) {
		salts[i], err = s.days.ClickSalt(t.Context(), today)
		if err != nil {
			t.Errorf("ClickSalt() = %v, want nil", err)
		}
		return nil
	})
	for _, salt := range salts {
		if len(salt) != store.ClickSaltLen || !bytes.Equal(salt, salts[0]) || bytes.Equal(salt, make([]byte, len(salt))) {
			t.Errorf("ClickSalt() = %x, want the same %d random bytes in every call: %x", salt, store.ClickSaltLen, salts[0])
		}
	}
	for _, day := range []int32{0, today - 2, today + 2, store.MaxClickDay, -1} {
		if salt, err := s.days.ClickSalt(t.Context(), day); !errors.Is(err, store.ErrNotFound) || salt != nil {
			t.Errorf("ClickSalt(today%+d) = %x, %v, want %v", day-today, salt, err, store.ErrNotFound)
		}
	}
}

func foldsNothing(t *testing.T, s clickDaySuite) {
	s.add(t, newOwner(), 1, store.ClickCount{Code: s.create(t, s.newLink()).Code, N: 1, Last: after(1)})
	for _, f := range s.folders {
		n, err := f.FoldClicks(t.Context(), 10, func(context.Context, []store.ClickDay, store.ClickRows) ([]store.ClickDay, error) {
			return nil, errors.New("merged without days")
		})
		if n != 0 || err != nil {
			t.Errorf("FoldClicks() = %d, %v, want 0, nil", n, err)
		}
	}
}

func failedMerge(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"))
	s.fold(t)
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "b"))
	s.addDays(t, r, 3, dayOf(l.Code, testDay, "c"))
	broken := errors.New("broken")
	failed := 0
	for _, f := range s.folders {
		n, err := f.FoldClicks(t.Context(), 10, func(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
			if _, err := appendMerge(ctx, added, stored); err != nil {
				t.Errorf("merge = %v, want nil", err)
			}
			return nil, broken
		})
		if errors.Is(err, broken) && n == 0 {
			failed++
		} else if err != nil {
			t.Errorf("FoldClicks() = %v, want %v", err, broken)
		}
	}
	if failed != 1 {
		t.Errorf("%d shards have failed, want 1", failed)
	}
	s.wantDay(t, store.ClickLink, l.Code, "a")
	s.fold(t)
	s.wantDay(t, store.ClickLink, l.Code, "abc")
}

func foldsOldest(t *testing.T, s clickDaySuite) {
	l, r := s.create(t, s.newLink()), newOwner()
	for i, text := range []string{"a", "b", "c"} {
		s.addDays(t, r, int64(i+1), dayOf(l.Code, testDay, text))
	}
	for _, step := range []struct {
		limit, folded int
		text          string
	}{{2, 2, "ab"}, {-1, 1, "abc"}, {1, 0, "abc"}} {
		folded := 0
		for _, f := range s.folders {
			n, err := f.FoldClicks(t.Context(), step.limit, appendMerge)
			if err != nil {
				t.Fatalf("FoldClicks() = %v, want nil", err)
			}
			folded += n
		}
		if folded != step.folded {
			t.Errorf("FoldClicks(%d) = %d, want %d", step.limit, folded, step.folded)
		}
		s.wantDay(t, store.ClickLink, l.Code, step.text)
	}
}

func countsBatches(t *testing.T, s clickDaySuite) {
	backlog := func() (sum store.ClickBacklog) {
		t.Helper()
		for _, f := range s.folders {
			b, err := f.ClickBacklog(t.Context())
			if err != nil {
				t.Fatalf("ClickBacklog() = %v, want nil", err)
			}
			if sum.Batches += b.Batches; b.Batches > 0 != (b.Oldest > 0) {
				t.Errorf("ClickBacklog() = %+v, want an age with batches only", b)
			}
			sum.Oldest = max(sum.Oldest, b.Oldest)
		}
		return sum
	}
	if got := backlog(); got != (store.ClickBacklog{}) {
		t.Errorf("ClickBacklog() = %+v, want none", got)
	}
	l, r := s.create(t, s.newLink()), newOwner()
	s.addDays(t, r, 1, dayOf(l.Code, testDay, "a"))
	s.addDays(t, r, 2, dayOf(l.Code, testDay, "b"))
	first := backlog()
	if second := backlog(); first.Batches != 2 || second.Oldest < first.Oldest {
		t.Errorf("ClickBacklog() = %+v and then %+v, want 2 batches that become older", first, second)
	}
	s.fold(t)
	if got := backlog(); got != (store.ClickBacklog{}) {
		t.Errorf("ClickBacklog() after a fold = %+v, want none", got)
	}
}

func foldsOnce(t *testing.T, s clickDaySuite) {
	const recorders, batches, folders = 4, 12, 3
	a, b := s.newLink(), s.newLink()
	b.Owner, b.Tags = a.Owner, []string{"tag"}
	s.create(t, a)
	s.create(t, b)
	race(recorders+folders, func(i int) error {
		if i >= recorders {
			for range batches {
				s.fold(t)
			}
			return nil
		}
		r := newOwner()
		for seq := range int64(batches) {
			s.addDays(t, r, seq+1, dayOf(a.Code, testDay, "x"), dayOf(b.Code, testDay, "x"))
		}
		return nil
	})
	s.fold(t)
	const each = recorders * batches
	s.wantLength(t, store.ClickLink, a.Code, each)
	s.wantLength(t, store.ClickLink, b.Code, each)
	s.wantLength(t, store.ClickOwner, a.Owner, 2*each)
	s.wantLength(t, store.ClickTag, store.ClickTagKey(a.Owner, "tag"), each)
	s.wantLength(t, store.ClickAll, "", 2*each)
	s.wantTotals(t, a.Code, each, after(1))
}

func foldsAlone(t *testing.T, s clickDaySuite) {
	l := s.create(t, s.newLink())
	s.addDays(t, newOwner(), 1, dayOf(l.Code, testDay, "x"))
	merged := false
	for _, f := range s.folders {
		foldAll(t, f, func(ctx context.Context, added []store.ClickDay, stored store.ClickRows) ([]store.ClickDay, error) {
			merged = true
			_, err := f.FoldClicks(ctx, 10, appendMerge)
			wantError(t, "FoldClicks() during a fold", err, store.ErrBusy)
			_, err = f.SweepClicks(ctx, store.ClickRetention{DropBefore: store.MaxClickDay})
			wantError(t, "SweepClicks() during a fold", err, store.ErrBusy)
			return appendMerge(ctx, added, stored)
		})
	}
	if !merged {
		t.Error("no shard has merged the clicks")
	}
	s.wantDay(t, store.ClickLink, l.Code, "x")
}

// sweep sweeps until no step remains, and returns the number of steps.
func (s clickDaySuite) sweep(t *testing.T, r store.ClickRetention) (steps int) {
	t.Helper()
	for _, f := range s.folders {
		for more := true; more; steps++ {
			var err error
			if more, err = f.SweepClicks(t.Context(), r); err != nil {
				t.Fatalf("SweepClicks() = %v, want nil", err)
			}
			if steps > 1000 {
				t.Fatal("SweepClicks() never ends")
			}
		}
	}
	return steps
}

// day returns the ClickDay.Day of a date in 2026.
func day(month time.Month, of int) int32 {
	return store.DayOf(time.Date(2026, month, of, 0, 0, 0, 0, time.UTC))
}

// coarsen is a ClickRetention.Coarsen that shows that it ran, and how often.
func coarsen(d store.ClickDay) ([]byte, error) { return append(d.Data, '!'), nil }

func sweepsDays(t *testing.T, s clickDaySuite) {
	l := s.create(t, s.newLink())
	want := func(what string, texts ...string) {
		t.Helper()
		var got []string
		for _, row := range s.list(t, store.ClickLink, 0, store.MaxClickDay, l.Code) {
			got = append(got, strings.Fields(row)[2])
		}
		if !slices.Equal(got, texts) {
			t.Errorf("days %s = %q, want %q", what, got, texts)
		}
	}
	s.addDays(t, newOwner(), 1, dayOf(l.Code, day(1, 31), "jan"), dayOf(l.Code, day(2, 1), "feb"), dayOf(l.Code, day(2, 28), "feb"),
		dayOf(l.Code, day(3, 1), "mar"), dayOf(l.Code, day(4, 30), "apr"))
	s.fold(t)
	s.sweep(t, store.ClickRetention{})
	want("after a sweep without limits", "jan", "feb", "feb", "mar", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(2, 28), Coarsen: coarsen})
	want("before the end of February", "jan!", "feb", "feb", "mar", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(3, 1), Coarsen: coarsen})
	want("after the end of February", "jan!", "feb!", "feb!", "mar", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(3, 31), Coarsen: coarsen})
	want("after the same sweep", "jan!", "feb!", "feb!", "mar", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(4, 2), DropBefore: day(2, 20), Coarsen: coarsen})
	want("after January is dropped", "feb!", "feb!", "mar!", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(4, 2), DropBefore: day(4, 1), Coarsen: coarsen})
	want("after March is dropped", "apr")
	s.addDays(t, newOwner(), 1, dayOf(l.Code, day(3, 3), "late"))
	s.fold(t)
	want("after a late click", "late", "apr")
	s.sweep(t, store.ClickRetention{CoarseBefore: day(5, 1), DropBefore: day(5, 1), Coarsen: coarsen})
	want("after all is dropped")
	if got := s.list(t, store.ClickOwner, 0, store.MaxClickDay, l.Owner); got != nil {
		t.Errorf("days of the owner after all is dropped = %q, want none", got)
	}
}

func sweepsInSteps(t *testing.T, s clickDaySuite) {
	const links, days = 30, 40
	r := newOwner()
	owner := newOwner()
	for i := range links {
		l := s.newLink()
		l.Owner = owner
		s.create(t, l)
		var batch []store.ClickDay
		for n := range int32(days) {
			batch = append(batch, dayOf(l.Code, day(1, 1)+n, "x"))
		}
		s.addDays(t, r, int64(i+1), batch...)
	}
	s.fold(t)
	retention := store.ClickRetention{CoarseBefore: day(2, 1), Coarsen: coarsen}
	failing, broken := retention, errors.New("broken")
	failing.Coarsen = func(store.ClickDay) ([]byte, error) { return nil, broken }
	for _, f := range s.folders {
		if _, err := f.SweepClicks(t.Context(), failing); !errors.Is(err, broken) && len(s.folders) == 1 {
			t.Errorf("SweepClicks() = %v, want %v", err, broken)
		}
	}
	if steps := s.sweep(t, retention); steps < links*days/1000 {
		t.Errorf("%d steps for %d rows, want short steps", steps, links*days)
	}
	for n, row := range s.list(t, store.ClickOwner, 0, store.MaxClickDay, owner) {
		// Each shard has a part of the sum.
		if coarse, january := strings.Count(row, "!"), n < 31; january != (coarse >= 1 && coarse <= len(s.folders)) {
			t.Errorf("row %d of the owner = %q, want one ! of each shard in January, and none later", n, row)
		}
	}
	s.sweep(t, store.ClickRetention{DropBefore: day(2, 1)})
	if got := s.list(t, store.ClickOwner, 0, store.MaxClickDay, owner); len(got) != days-31 {
		t.Errorf("%d days after January is dropped, want %d", len(got), days-31)
	}
}
