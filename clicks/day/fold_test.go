package day_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// table is stored rows and links.
type table struct {
	links map[string]store.ClickedLink
	rows  map[tableKey][]byte
	fail  error
}

type tableKey struct {
	kind store.ClickKind
	key  string
	day  int32
}

func (m *table) Links(_ context.Context, keys []string) (map[string]store.ClickedLink, error) {
	found := map[string]store.ClickedLink{}
	for i, k := range keys {
		if slices.Contains(keys[:i], k) {
			return nil, fmt.Errorf("key %q twice", k)
		}
		if l, ok := m.links[k]; ok {
			found[k] = l
		}
	}
	return found, m.fail
}

func (m *table) Days(_ context.Context, rows []store.ClickDay) ([]store.ClickDay, error) {
	var found []store.ClickDay
	for _, r := range rows {
		if data, ok := m.rows[tableKey{r.Kind, r.Key, r.Day}]; ok {
			r.Data = data
			found = append(found, r)
		}
	}
	return found, nil
}

// TestFold checks that the rows of links, owners, tags, domains and all links have the clicks of
// their links, however the clicks come in batches.
func TestFold(t *testing.T) {
	t.Parallel()
	links := map[string]store.ClickedLink{
		"a":           {Owner: "o1", Tags: []string{"red", "blue/green"}},
		"b":           {Owner: "o1", Tags: []string{"red"}},
		"domain001/a": {Owner: "o1"},
		"c":           {Owner: ""},
	}
	rapid.Check(t, func(t *rapid.T) {
		stored := &table{links: links, rows: map[tableKey][]byte{}}
		want := map[tableKey]*model{}
		count := func(k tableKey, c day.Click) {
			if want[k] == nil {
				want[k] = newModel()
			}
			want[k].add(c)
		}
		for range rapid.IntRange(1, 3).Draw(t, "folds") {
			var added []store.ClickDay
			for range rapid.IntRange(0, 5).Draw(t, "days") {
				key := rapid.SampledFrom([]string{"a", "b", "domain001/a", "c", "gone"}).Draw(t, "key")
				on := rapid.Int32Range(20_000, 20_001).Draw(t, "day")
				var d day.Day
				for _, c := range rapid.SliceOfN(someClick, 1, 3).Draw(t, "clicks") {
					d.Add(c)
					link, ok := links[key]
					if !ok {
						continue
					}
					count(tableKey{store.ClickLink, key, on}, c)
					count(tableKey{store.ClickOwner, link.Owner, on}, c)
					count(tableKey{store.ClickDomain, link.Owner + map[bool]string{true: "/domain001", false: "/"}[key == "domain001/a"], on}, c)
					count(tableKey{store.ClickAll, "", on}, c)
					for _, tag := range link.Tags {
						count(tableKey{store.ClickTag, link.Owner + "/" + tag, on}, c)
					}
				}
				added = append(added, store.ClickDay{Kind: store.ClickLink, Key: key, Day: on, Data: d.Append(nil)})
			}
			rows, err := day.Fold(t.Context(), added, stored)
			if err != nil {
				t.Fatalf("Fold = %v", err)
			}
			for _, r := range rows {
				stored.rows[tableKey{r.Kind, r.Key, r.Day}] = r.Data
			}
		}
		if len(stored.rows) != len(want) {
			t.Fatalf("%d rows, want %d", len(stored.rows), len(want))
		}
		for k, m := range want {
			m.check(t, parse(t, stored.rows[k]))
		}
	})
}

// TestFoldFails checks that a fold stores nothing if a row is malformed or the store fails.
func TestFoldFails(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	good := store.ClickDay{Key: "a", Day: 1, Data: new(day.Day).Append(nil)}
	bad := store.ClickDay{Key: "a", Day: 1, Data: []byte("bad")}
	links := map[string]store.ClickedLink{"a": {}}
	for name, c := range map[string]struct {
		added  []store.ClickDay
		stored *table
		want   error
	}{
		"malformed batch": {[]store.ClickDay{good, bad}, &table{links: links}, day.ErrFormat},
		"malformed row":   {[]store.ClickDay{good}, &table{links: links, rows: map[tableKey][]byte{{store.ClickAll, "", 1}: bad.Data}}, day.ErrFormat},
		"store is down":   {[]store.ClickDay{good}, &table{fail: down}, down},
	} {
		if rows, err := day.Fold(t.Context(), c.added, c.stored); !errors.Is(err, c.want) {
			t.Errorf("%s: Fold = %v, %v, want %v", name, rows, err, c.want)
		}
	}
}

// TestHours checks what retention makes of a row.
func TestHours(t *testing.T) {
	t.Parallel()
	var d day.Day
	d.Add(day.Click{Quarter: 7, N: 2})
	row := store.ClickDay{Key: "a", Day: 20_000, Data: d.Append(nil)}
	for range 2 {
		data, err := day.Hours(row)
		if err != nil {
			t.Fatalf("Hours = %v", err)
		}
		got := parse(t, data)
		if byTime, byValue := got.Resolution(); byTime != day.ByHour || byValue != day.ByHour || got.Series()[0].Quarter != 4 || got.Total().Robots != 2 {
			t.Errorf("Hours = %+v, want 2 robots in the second hour", got)
		}
		row.Data = data
	}
	row.Data = []byte("bad")
	if _, err := day.Hours(row); !errors.Is(err, day.ErrFormat) || !strings.Contains(err.Error(), `"a" on day 20000`) {
		t.Errorf("Hours of malformed clicks = %v, want ErrFormat with the row", err)
	}
}
