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
	{"lost clicks", foldsLost},
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
