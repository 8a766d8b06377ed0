package storetest

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

var listPromises = []promise{
	{"newest first, all fields", listsNewestFirst},
	{"pages stay stable while links are added", stablePages},
	{"links of the same microsecond", pagesWithTies},
	{"full last page has no next page", fullLastPage},
	{"largest page", largestPage},
	{"limits outside the range", clampsLimit},
	{"by tag", listsByTag},
	{"by search", listsBySearch},
	{"by target", listsByTarget},
	{"by creation", listsByCreation},
	{"by state", listsByState},
	{"all conditions together", listsByAll},
	{"owners see only their own links", ownersApart},
	{"anonymous links", listsAnonymous},
	{"links of all owners", listsAllOwners},
}

// wantList checks that q lists the codes in this order on one page.
func (s suite) wantList(t *testing.T, q store.Query, want ...string) {
	t.Helper()
	q.Limit = 100
	page, err := s.List(t.Context(), q)
	if got := codes(page.Links); err != nil || !slices.Equal(got, want) || !page.Next.IsZero() {
		t.Errorf("List(%+v) = %q, next %v, %v, want %q", q, got, page.Next, err, want)
	}
}

// walk follows q from page to page and returns all codes. It calls between after
// each page except the last.
func (s suite) walk(t *testing.T, q store.Query, between func()) []string {
	t.Helper()
	var all []string
	for range 100 {
		page, err := s.List(t.Context(), q)
		if err != nil || len(page.Links) > q.Limit {
			t.Fatalf("List(%+v) = %d links, %v, want %d at most", q, len(page.Links), err, q.Limit)
		}
		all = append(all, codes(page.Links)...)
		if page.Next.IsZero() {
			return all
		}
		if len(page.Links) != q.Limit {
			t.Errorf("List(%+v) = %d links and a next page, want %d", q, len(page.Links), q.Limit)
		}
		q.After = page.Next
		between()
	}
	t.Fatalf("List(%+v) never ends", q)
	return nil
}

func codes(links []store.Link) []string {
	var codes []string
	for _, l := range links {
		codes = append(codes, l.Code)
	}
	return codes
}

// fill creates n links of one owner, each micros microseconds after the one before.
// It returns the owner and the codes, newest first.
func (s suite) fill(t *testing.T, n, micros int) (owner string, newest []string) {
	t.Helper()
	owner = newOwner()
	for i := range n {
		l := s.newLink()
		l.Owner, l.CreatedAt = owner, after(i*micros)
		newest = append(newest, s.create(t, l).Code)
	}
	slices.Reverse(newest)
	return owner, newest
}

func listsNewestFirst(t *testing.T, s suite) {
	older := s.fresh()
	newer := s.fresh()
	newer.Owner, newer.CreatedAt = older.Owner, after(1)
	newer, older = s.create(t, newer), s.create(t, older)
	page, err := s.List(t.Context(), store.Query{Owner: older.Owner, Limit: 10})
	if want := []store.Link{newer, older}; err != nil || !reflect.DeepEqual(page.Links, want) {
		t.Errorf("List() = %+v, %v, want %+v", page.Links, err, want)
	}
	s.wantList(t, store.Query{Owner: newOwner()})
}

func stablePages(t *testing.T, s suite) {
	owner, want := s.fill(t, 8, 1)
	added := 0
	got := s.walk(t, store.Query{Owner: owner, Limit: 3}, func() {
		added++
		l := s.newLink()
		l.Owner, l.CreatedAt = owner, after(1000+added)
		s.create(t, l)
	})
	if !slices.Equal(got, want) || added != 2 {
		t.Errorf("List() page by page = %q, want %q", got, want)
	}
}

func pagesWithTies(t *testing.T, s suite) {
	owner, want := s.fill(t, 7, 0)
	for limit := 1; limit <= 8; limit++ {
		got := s.walk(t, store.Query{Owner: owner, Limit: limit}, func() {})
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("List() in pages of %d = %q, want %q", limit, got, want)
		}
	}
}

func fullLastPage(t *testing.T, s suite) {
	owner, want := s.fill(t, 4, 1)
	pages := 1
	got := s.walk(t, store.Query{Owner: owner, Limit: 2}, func() { pages++ })
	if !slices.Equal(got, want) || pages != 2 {
		t.Errorf("List() = %q on %d pages, want %q on 2", got, pages, want)
	}
}

func largestPage(t *testing.T, s suite) {
	owner, want := s.fill(t, 3, 1)
	page, err := s.List(t.Context(), store.Query{Owner: owner, Limit: store.MaxPageLen})
	if got := codes(page.Links); err != nil || !slices.Equal(got, want) || !page.Next.IsZero() {
		t.Errorf("List() = %q, %v, %v, want %q", got, page.Next, err, want)
	}
}

// clampsLimit lists one link more than the largest page has.
func clampsLimit(t *testing.T, s suite) {
	owner := newOwner()
	var creating sync.WaitGroup
	for part := range 21 {
		creating.Go(func() {
			for i := part; i <= store.MaxPageLen; i += 21 {
				l := s.newLink()
				l.Owner, l.CreatedAt = owner, after(i)
				if _, err := s.Create(t.Context(), l); err != nil {
					t.Errorf("Create() = %v, want nil", err)
				}
			}
		})
	}
	creating.Wait()
	for limit, want := range map[int]int{-1: 1, 0: 1, store.MaxPageLen + 1: store.MaxPageLen, math.MaxInt: store.MaxPageLen} {
		page, err := s.List(t.Context(), store.Query{Owner: owner, Limit: limit})
		if err != nil || len(page.Links) != want || page.Next.IsZero() {
			t.Errorf("List() with limit %d = %d links, next %v, %v, want %d and a next page", limit, len(page.Links), page.Next, err, want)
		}
	}
}

func listsByTag(t *testing.T, s suite) {
	owner := newOwner()
	byTag := make(map[string]store.Link)
	for i, tags := range [][]string{{"a", "b"}, {"ab"}, {"A"}, {"b"}, {"it's 100%"}, nil} {
		l := s.newLink()
		l.Owner, l.CreatedAt, l.Tags = owner, after(i), tags
		byTag[strings.Join(tags, "+")] = s.create(t, l)
	}
	both, b := byTag["a+b"], byTag["b"]
	s.wantList(t, store.Query{Owner: owner, Tag: "a"}, both.Code)
	s.wantList(t, store.Query{Owner: owner, Tag: "A"}, byTag["A"].Code)
	s.wantList(t, store.Query{Owner: owner, Tag: "b"}, b.Code, both.Code)
	s.wantList(t, store.Query{Owner: owner, Tag: "it's 100%"}, byTag["it's 100%"].Code)
	s.wantList(t, store.Query{Owner: owner, Tag: "%"})
	if got := s.walk(t, store.Query{Owner: owner, Tag: "b", Limit: 1}, func() {}); len(got) != 2 {
		t.Errorf("List() by tag page by page = %q, want 2 links", got)
	}
	both.Tags = []string{"b", "c"}
	s.update(t, both)
	s.wantList(t, store.Query{Owner: owner, Tag: "a"})
	s.wantList(t, store.Query{Owner: owner, Tag: "b"}, b.Code, both.Code)
	s.wantList(t, store.Query{Owner: owner, Tag: "c"}, both.Code)
}

func listsBySearch(t *testing.T, s suite) {
	owner := newOwner()
	links := make([]store.Link, 6)
	for i := range links {
		links[i] = s.newLink()
		links[i].Owner, links[i].CreatedAt = owner, after(i)
		links[i].URL = fmt.Sprintf("https://example.com/%d", i)
	}
	links[0].Title = `100% of_it's \ "all"`
	links[1].Title = "100 or of it or its"
	links[2].URL = "https://EXAMPLE.com/Path?q=%41_b"
	links[3].Code = s.key("Zz-_" + links[3].BareCode())
	links[4].Title = "Straße ÄÖÜ"
	for i := range links {
		links[i] = s.create(t, links[i])
	}
	for _, tt := range []struct {
		search string
		want   []int // oldest first
	}{
		{"100", []int{0, 1}},
		{"100%", []int{0}},
		{"of_it", []int{0}},
		{"it's", []int{0}},
		{`\`, []int{0}},
		{`"all"`, []int{0}},
		{"OF IT", []int{1}},
		{"path?q", []int{2}},
		{"%41_B", []int{2}},
		{"zZ-_", []int{3}},
		{"Straße", []int{4}},
		{"STRAßE ÄÖÜ", []int{4}},
		{"example.com/5", []int{5}},
		{"nowhere", nil},
		{"%", []int{0, 2}},
		{"EXAMPLE.COM", []int{0, 1, 2, 3, 4, 5}},
		{links[5].BareCode()[2:], []int{5}},
	} {
		var want []string
		for _, i := range slices.Backward(tt.want) {
			want = append(want, links[i].Code)
		}
		s.wantList(t, store.Query{Owner: owner, Search: tt.search}, want...)
	}
	if s.domainID != "" {
		s.wantList(t, store.Query{Owner: owner, Search: s.domainID})
	}
}

func listsByTarget(t *testing.T, s suite) {
	owner := newOwner()
	var made []string
	for i, target := range []string{"https://example.com/a", "https://example.com/A", "https://example.com/a", "https://example.com/a/"} {
		l := s.newLink()
		l.Owner, l.CreatedAt, l.URL = owner, after(i), target
		made = append(made, s.create(t, l).Code)
	}
	s.wantList(t, store.Query{Owner: owner, Target: "https://example.com/a"}, made[2], made[0])
	s.wantList(t, store.Query{Owner: owner, Target: "https://example.com/A"}, made[1])
	s.wantList(t, store.Query{Owner: owner, Target: "https://example.com/"})
	if got := s.walk(t, store.Query{Owner: owner, Target: "https://example.com/a", Limit: 1}, func() {}); len(got) != 2 {
		t.Errorf("List() by target page by page = %q, want 2 links", got)
	}
	moved, err := s.Get(t.Context(), made[0])
	if err != nil {
		t.Fatalf("Get() = %v, want nil", err)
	}
	moved.URL = "https://example.com/moved"
	s.update(t, moved)
	s.wantList(t, store.Query{Owner: owner, Target: "https://example.com/a"}, made[2])
	s.wantList(t, store.Query{Owner: owner, Target: "https://example.com/moved"}, made[0])
}

func listsByCreation(t *testing.T, s suite) {
	owner, newest := s.fill(t, 6, 1)
	for _, tt := range []struct {
		from, to int // microseconds after the first link; -1: none
		want     []string
	}{
		{2, -1, newest[:4]}, {-1, 2, newest[4:]}, {1, 4, newest[2:5]}, {3, 3, nil}, {4, 2, nil}, {-1, 100, newest}, {100, -1, nil},
	} {
		q := store.Query{Owner: owner}
		if tt.from >= 0 {
			q.CreatedFrom = after(tt.from)
		}
		if tt.to >= 0 {
			q.CreatedTo = after(tt.to)
		}
		s.wantList(t, q, tt.want...)
		q.Limit = 1
		if got := s.walk(t, q, func() {}); !slices.Equal(got, tt.want) {
			t.Errorf("List(%+v) page by page = %q, want %q", q, got, tt.want)
		}
	}
	late := store.Query{Owner: owner, CreatedTo: after(2), After: store.Cursor{CreatedAt: after(5), Code: newest[0]}}
	s.wantList(t, late, newest[4:]...)
}

// listsByState compares lists by state with store.Link.State.
func listsByState(t *testing.T, s suite) {
	owner, now := newOwner(), after(1_000_000)
	var made []store.Link
	for i, change := range []func(*store.Link){
		func(*store.Link) {},
		func(l *store.Link) { l.StartsAt, l.ExpiresAt = now, now.Add(time.Microsecond) },
		func(l *store.Link) { l.StartsAt = now.Add(time.Microsecond) },
		func(l *store.Link) { l.ExpiresAt = now },
		func(l *store.Link) { l.MaxClicks = 1 },
		func(l *store.Link) { l.MaxClicks, l.UsedClicks = 1, 1 },
		func(l *store.Link) { l.MaxClicks, l.UsedClicks, l.StartsAt = 1, 1, now.Add(time.Hour) },
		func(l *store.Link) { l.MaxClicks, l.UsedClicks, l.ExpiresAt = 1, 1, now },
		func(l *store.Link) { l.DisabledAt, l.DisabledReason, l.ExpiresAt = now, "spam", now },
	} {
		l := s.newLink()
		l.Owner, l.CreatedAt, l.Tags = owner, after(i), []string{"tag"}
		l = s.create(t, l)
		change(&l)
		if i > 0 {
			l = s.update(t, l)
		}
		made = append(made, l)
	}
	gone := s.newLink()
	gone.Owner = owner
	gone = s.create(t, gone)
	if _, err := s.Delete(t.Context(), gone.Code, gone.Version, now); err != nil {
		t.Fatalf("Delete() = %v, want nil", err)
	}
	for state := store.Live; state <= store.NotStarted; state++ {
		var want []string
		for _, l := range slices.Backward(made) {
			if l.State(now) == state {
				want = append(want, l.Code)
			}
		}
		if len(want) == 0 && state != store.Deleted {
			t.Errorf("the test has no link with the state %d", state)
		}
		s.wantList(t, store.Query{Owner: owner, State: &state, Now: now}, want...)
		s.wantList(t, store.Query{Owner: owner, State: &state, Now: now, Tag: "tag"}, want...)
		q := store.Query{Owner: owner, State: &state, Now: now, Limit: 1}
		if got := s.walk(t, q, func() {}); !slices.Equal(got, want) {
			t.Errorf("List(%+v) page by page = %q, want %q", q, got, want)
		}
	}
}

func listsByAll(t *testing.T, s suite) {
	owner := newOwner()
	match := store.Query{Owner: owner, Tag: "tag", Search: "title", Target: "https://example.com/t"}
	var want []string
	for i, change := range []func(*store.Link){
		func(*store.Link) {},
		func(l *store.Link) { l.Tags = []string{"other"} },
		func(l *store.Link) { l.Title = "other" },
		func(l *store.Link) { l.URL = "https://example.com/other" },
		func(l *store.Link) { l.Owner = newOwner() },
		func(*store.Link) {},
	} {
		l := s.newLink()
		l.Owner, l.CreatedAt, l.Tags, l.Title, l.URL = owner, after(i), []string{"tag"}, "The Title", match.Target
		change(&l)
		want = append(want, s.create(t, l).Code)
	}
	s.wantList(t, match, want[5], want[0])
	match.Limit = 1
	if got := s.walk(t, match, func() {}); !slices.Equal(got, []string{want[5], want[0]}) {
		t.Errorf("List(%+v) page by page = %q, want %q", match, got, []string{want[5], want[0]})
	}
}

func ownersApart(t *testing.T, s suite) {
	mine, theirs := s.newLink(), s.newLink()
	theirs.Owner = strings.ToLower(mine.Owner)
	mine.Tags, theirs.Tags = []string{"tag"}, []string{"tag"}
	s.create(t, mine)
	s.create(t, theirs)
	for _, q := range []store.Query{
		{}, {Tag: "tag"}, {Search: "example"}, {Target: mine.URL},
	} {
		q.Owner = mine.Owner
		s.wantList(t, q, mine.Code)
	}
}

func listsAnonymous(t *testing.T, s suite) {
	l := s.newLink()
	l.Owner, l.Tags = "", []string{newOwner()}
	s.create(t, l)
	s.wantList(t, store.Query{Tag: l.Tags[0]}, l.Code)
	s.wantList(t, store.Query{Tag: l.Tags[0], Owner: newOwner()})
}

// listsAllOwners creates the links of one moment in the future, so that they are the newest of
// a store that other tests share.
func listsAllOwners(t *testing.T, s suite) {
	tag := newOwner()
	var want []string
	at := time.Now().UTC().Add(24 * time.Hour).Truncate(time.Second)
	for i := range 7 {
		l := s.newLink()
		l.Owner, l.Tags, l.CreatedAt = []string{"", newOwner(), "b" + newOwner()}[i%3], []string{tag}, at.Add(time.Duration(i)*time.Microsecond)
		l.Title = "find " + tag
		want = append(want, s.create(t, l).Code)
	}
	canary := s.newLink()
	canary.Owner, canary.Tags, canary.Title, canary.CreatedAt = store.CanaryOwner, []string{tag}, "find "+tag, at
	s.create(t, canary)
	slices.Reverse(want)
	for _, q := range []store.Query{{Tag: tag}, {Search: "FIND " + tag}, {Tag: tag, Search: tag}} {
		q.AllOwners = true
		s.wantList(t, q, want...)
		q.Limit = 2
		if got := s.walk(t, q, func() {}); !slices.Equal(got, want) {
			t.Errorf("List(%+v) page by page = %q, want %q", q, got, want)
		}
	}
	page, err := s.List(t.Context(), store.Query{AllOwners: true, Limit: 7})
	if got := codes(page.Links); err != nil || !slices.Equal(got, want) {
		t.Errorf("List of all owners = %q, %v, want %q first", got, err, want)
	}
}
