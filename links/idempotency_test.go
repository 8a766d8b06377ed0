package links_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/terse/terse/links"
)

// batchOf creates links to different targets under the key of a batch.
func (b *bench) batchOf(who *links.Caller, key string, n int) []links.Result {
	b.t.Helper()
	drafts := make([]links.Draft, n)
	for i := range drafts {
		target := fmt.Sprintf("https://example.com/%q/%d", key, i)
		drafts[i] = links.Draft{URL: target, Request: []byte(target)}
	}
	results, err := b.Create(b.t.Context(), who, links.Batch{Key: key, Drafts: drafts})
	must(b.t, err)
	return results
}

// TestKeysDoNotMeet creates links and batches with similar keys, by callers with and without an
// API key. Every request must create new links.
func TestKeysDoNotMeet(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *links.Options) { o.AnonymousCreate = true })
	seen := map[string]string{}
	check := func(name string, r links.Result) {
		t.Helper()
		if before, taken := seen[r.Link.Code]; r.Err != nil || taken {
			t.Errorf("%s = link %q, %v, want a new link, not that of %s", name, r.Link.Code, r.Err, before)
		}
		seen[r.Link.Code] = name
	}
	for _, who := range []*links.Caller{owner, other, {Client: "192.0.2.1"}, {Client: "1"}} {
		for key, n := range map[string]int{"k": 12, "k1": 2} {
			for i, r := range b.batchOf(who, key, n) {
				check(fmt.Sprintf("item %d of batch %q of %q", i, key, who.Owner()+who.Client), r)
			}
		}
		for _, key := range []string{"k", "k0", "k\x00", "k\x000", "k\x001", "k\x00\x001", "k\x000\x001", "k\x00192.0.2.1", "k\x000\x00192.0.2.1", "\x00", "\x00\x00", "k1\x00", "k1\x001"} {
			check(fmt.Sprintf("key %q of %q", key, who.Owner()+who.Client), b.one(who, links.Draft{URL: "https://example.com/own", Key: key, Request: []byte(key)}))
		}
	}
}

// TestOwnKeyHasNoPosition checks that the own key of a draft means the same link at every
// position, and that another request with the key is refused.
func TestOwnKeyHasNoPosition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	draft := func(request string) links.Draft {
		return links.Draft{URL: "https://example.com/own", Key: "mine", Request: []byte(request)}
	}
	first := b.created(owner, draft("a"))
	results, err := b.Create(t.Context(), owner, links.Batch{Key: "batch", Drafts: []links.Draft{
		{URL: "https://example.com/"}, draft("a"), draft("b"),
	}})
	must(t, err)
	if got := results[1]; got.Err != nil || got.Link.Code != first.Code {
		t.Errorf("the same draft in a batch = %+v, want the link %s", got, first.Code)
	}
	if got := results[2].Err; !errors.Is(got, links.ErrOtherRequest) {
		t.Errorf("another request with the key = %v, want %v", got, links.ErrOtherRequest)
	}
}
