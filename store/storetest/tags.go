package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// TagStore is a store that knows the tags of its links.
type TagStore interface {
	store.Store
	store.Tags
}

// tagSuite is the store under test.
type tagSuite struct {
	suite
	tags store.Tags
}

// RunTags tests all promises of store.Tags. open returns an empty store and closes it with
// tb.Cleanup.
func RunTags(t *testing.T, open func(tb testing.TB) TagStore) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) {
		opened := open(t)
		s := tagSuite{suite{Store: opened, maker: m}, opened}
		for name, test := range map[string]func(t *testing.T, s tagSuite){
			"counts the links of each tag":   countsTags,
			"follows edits and deletes":      followsTags,
			"pages are sorted and complete":  pagesTags,
			"counts up to the limit":         boundsTags,
			"an owner without tags has none": noTags,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
}

// tagged creates a link with tags.
func (s tagSuite) tagged(t *testing.T, owner string, tags ...string) store.Link {
	t.Helper()
	l := s.newLink()
	l.Owner, l.Tags = owner, store.NormalizeTags(tags)
	created, err := s.Create(t.Context(), l)
	if err != nil {
		t.Errorf("Create(%+v) = %v, want nil", l, err)
	}
	return created
}

// wantTags checks the tags of an owner, which fit on one page.
func (s tagSuite) wantTags(t *testing.T, owner string, want ...store.Tag) {
	t.Helper()
	page, err := s.tags.ListTags(t.Context(), store.TagQuery{Owner: owner, Limit: 100})
	if err != nil || !slices.Equal(page.Tags, want) || page.Next != "" || len(page.Unavailable) > 0 {
		t.Errorf("ListTags(%q) = %+v, %v, want %v", owner, page, err, want)
	}
}

func countsTags(t *testing.T, s tagSuite) {
	owner := newOwner()
	for range 3 {
		s.tagged(t, owner, "b", "ä")
	}
	s.tagged(t, owner, "B", "b", "c d")
	s.tagged(t, newOwner(), "other")
	s.wantTags(t, owner, store.Tag{Name: "B", Links: 1}, store.Tag{Name: "b", Links: 4}, store.Tag{Name: "c d", Links: 1}, store.Tag{Name: "ä", Links: 3})
}

func followsTags(t *testing.T, s tagSuite) {
	owner := newOwner()
	first, second := s.tagged(t, owner, "a", "b"), s.tagged(t, owner, "a")
	first.Tags = []string{"b", "c"}
	if _, err := s.Update(t.Context(), first); err != nil {
		t.Fatalf("Update(%+v) = %v, want nil", first, err)
	}
	s.wantTags(t, owner, store.Tag{Name: "a", Links: 1}, store.Tag{Name: "b", Links: 1}, store.Tag{Name: "c", Links: 1})
	if _, err := s.Delete(t.Context(), second.Code, 0, time.Now()); err != nil {
		t.Fatalf("Delete(%q) = %v, want nil", second.Code, err)
	}
	s.wantTags(t, owner, store.Tag{Name: "b", Links: 1}, store.Tag{Name: "c", Links: 1})
}

func pagesTags(t *testing.T, s tagSuite) {
	owner := newOwner()
	var want []store.Tag
	for i := range 25 {
		name := fmt.Sprintf("tag %02d", i)
		for range 1 + i%3 {
			s.tagged(t, owner, name)
		}
		want = append(want, store.Tag{Name: name, Links: 1 + i%3})
	}
	for _, limit := range []int{1, 7, 25, 26} {
		var got []store.Tag
		q := store.TagQuery{Owner: owner, Limit: limit}
		for {
			page, err := s.tags.ListTags(t.Context(), q)
			if err != nil || len(page.Tags) > limit {
				t.Fatalf("ListTags(%+v) = %+v, %v, want %d at most", q, page, err, limit)
			}
			got = append(got, page.Tags...)
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d have %v, want %v", limit, got, want)
		}
	}
}

func boundsTags(t *testing.T, s tagSuite) {
	owner := newOwner()
	var creating sync.WaitGroup
	for range 21 {
		creating.Go(func() {
			for range store.MaxTagLinks/21 + 1 {
				s.tagged(t, owner, "many")
			}
		})
	}
	creating.Wait()
	s.tagged(t, owner, "one")
	s.wantTags(t, owner, store.Tag{Name: "many", Links: store.MaxTagLinks}, store.Tag{Name: "one", Links: 1})
}

func noTags(t *testing.T, s tagSuite) {
	owner := newOwner()
	s.tagged(t, owner)
	s.wantTags(t, owner)
	page, err := s.tags.ListTags(t.Context(), store.TagQuery{Owner: owner, After: "\x00"})
	if err != nil || len(page.Tags) > 0 {
		t.Errorf("ListTags after a text that no tag has = %+v, %v, want none", page, err)
	}
}
