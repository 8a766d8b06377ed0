package links_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// TestMayCount checks that each link has its own answer, in order.
func TestMayCount(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	counter := keyed("key_owner", store.ScopeStatsRead)
	mine := b.created(owner, links.Draft{URL: "https://example.com/"}).Code
	gone := b.created(owner, links.Draft{URL: "https://example.com/"}).Code
	must(t, b.Delete(t.Context(), owner, gone, nil))
	theirs := b.created(other, links.Draft{URL: "https://example.com/"}).Code
	keys := []string{theirs, mine, "unknown", "", "a/b", gone, mine}
	got, err := b.MayCount(t.Context(), counter, keys)
	must(t, err)
	want := []error{store.ErrNotFound, nil, store.ErrNotFound, store.ErrNotFound, store.ErrNotFound, store.ErrGone, nil}
	if !slices.EqualFunc(got, want, errors.Is) {
		t.Errorf("MayCount(%q) = %v, want %v", keys, got, want)
	}
}

// TestStored checks which days belong to a set of links.
func TestStored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	counter := keyed("key_stats", store.ScopeStatsRead)
	for name, c := range map[string]struct {
		who   *links.Caller
		set   links.ClickSet
		kind  store.ClickKind
		key   string
		field string // of the error
	}{
		"own links":               {who: counter, kind: store.ClickOwner, key: "key_stats"},
		"own links by name":       {who: counter, set: links.ClickSet{Owner: new("key_stats")}, kind: store.ClickOwner, key: "key_stats"},
		"a tag":                   {who: counter, set: links.ClickSet{Tag: "a/b"}, kind: store.ClickTag, key: "key_stats/a/b"},
		"the default domain":      {who: counter, set: links.ClickSet{Domain: "go.terse.example"}, kind: store.ClickDomain, key: "key_stats/"},
		"a domain of nobody":      {who: counter, set: links.ClickSet{Domain: "unknown.example"}, field: "domain"},
		"tag and domain":          {who: counter, set: links.ClickSet{Domain: "go.terse.example", Tag: "a"}, field: "tag"},
		"all by an admin":         {who: admin, set: links.ClickSet{Owner: new(links.AllOwners)}, kind: store.ClickAll},
		"admin's own":             {who: admin, kind: store.ClickOwner, key: "key_admin"},
		"another owner":           {who: admin, set: links.ClickSet{Owner: new("key_other"), Tag: "a"}, kind: store.ClickTag, key: "key_other/a"},
		"links without an owner":  {who: admin, set: links.ClickSet{Owner: new("")}, kind: store.ClickOwner},
		"a tag of all owners":     {who: admin, set: links.ClickSet{Owner: new(links.AllOwners), Tag: "a"}, field: "tag"},
		"a domain for all owners": {who: admin, set: links.ClickSet{Owner: new(links.AllOwners), Domain: "go.terse.example"}, field: "domain"},
	} {
		kind, key, err := b.Stored(c.who, c.set)
		wrong, _ := errors.AsType[*store.FieldError](err)
		switch {
		case c.field != "" && (wrong == nil || wrong.Field != c.field):
			t.Errorf("%s: Stored = %v, want an error for %s", name, err, c.field)
		case c.field == "" && (err != nil || kind != c.kind || key != c.key):
			t.Errorf("%s: Stored = %v, %q, %v, want %v, %q", name, kind, key, err, c.kind, c.key)
		}
	}
	for _, named := range []string{links.AllOwners, "key_other", ""} {
		_, _, err := b.Stored(counter, links.ClickSet{Owner: &named})
		if _, ok := errors.AsType[*links.ScopeError](err); !ok {
			t.Errorf("Stored for the owner %q = %v, want a ScopeError", named, err)
		}
	}
}
