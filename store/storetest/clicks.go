package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

// RunClicks tests all promises of store.ClickSink. open returns an empty sink and
// the store with the links that it counts. It closes both with tb.Cleanup.
func RunClicks(t *testing.T, open func(tb testing.TB) (store.Store, store.ClickSink)) {
	t.Helper()
	onDomains(t, func(t *testing.T, m maker) {
		links, sink := open(t)
		runClicks(t, clickSuite{suite{Store: links, maker: m}, sink})
	})
}

func runClicks(t *testing.T, s clickSuite) {
	t.Helper()
	for _, p := range []struct {
		name string
		test func(t *testing.T, s clickSuite)
	}{
		{"adds to the totals", addsClicks},
		{"adds a batch once", addsOnce},
		{"recorders are independent", recordersApart},
		{"accepts clicks of deleted and unknown links", strayClicks},
		{"accepts an empty batch", emptyBatch},
		{"does not change links", clicksLeaveLinks},
		{"shows totals in lists", listsTotals},
		{"delete forgets totals", deleteForgetsTotals},
		{"ended context adds nothing", endedClicks},
		{"counts under concurrency", concurrentClicks},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, s)
		})
	}
}

// clickSuite is the sink under test.
type clickSuite struct {
	suite
	sink store.ClickSink
}

func (s clickSuite) add(t *testing.T, recorder string, seq int64, counts ...store.ClickCount) {
	t.Helper()
	b := store.ClickBatch{Recorder: recorder, Seq: seq, Counts: counts}
	if err := s.sink.AddClicks(t.Context(), b); err != nil {
		t.Errorf("AddClicks(%+v) = %v, want nil", b, err)
	}
}

// wantTotals checks the totals of a link.
func (s clickSuite) wantTotals(t *testing.T, code string, clicks int64, last time.Time) {
	t.Helper()
	l, err := s.Get(t.Context(), code)
	if err != nil || l.Clicks != clicks || !l.LastClickAt.Equal(last) {
		t.Errorf("Get(%q) = %d clicks, last %v, %v, want %d, %v", code, l.Clicks, l.LastClickAt, err, clicks, last)
	}
}

func addsClicks(t *testing.T, s clickSuite) {
	a, b, r := s.create(t, s.newLink()).Code, s.create(t, s.newLink()).Code, newOwner()
	s.add(t, r, 1, store.ClickCount{Code: a, N: 2, Last: after(5)}, store.ClickCount{Code: b, N: 1, Last: after(6)})
	s.add(t, r, 2, store.ClickCount{Code: a, N: 1 << 40, Last: after(4)})
	s.wantTotals(t, a, 2+1<<40, after(5))
	s.wantTotals(t, b, 1, after(6))
}

func addsOnce(t *testing.T, s clickSuite) {
	code, r := s.create(t, s.newLink()).Code, newOwner()
	first := store.ClickCount{Code: code, N: 1, Last: after(1)}
	second := store.ClickCount{Code: code, N: 10, Last: after(2)}
	s.add(t, r, 1, first)
	s.add(t, r, 1, first)
	s.add(t, r, 2, second)
	s.add(t, r, 2, second)
	s.add(t, r, 1, first)
	s.wantTotals(t, code, 11, after(2))
}

func recordersApart(t *testing.T, s clickSuite) {
	code := s.create(t, s.newLink()).Code
	for range 3 {
		s.add(t, newOwner(), 1, store.ClickCount{Code: code, N: 1, Last: after(1)})
	}
	s.wantTotals(t, code, 3, after(1))
}

func strayClicks(t *testing.T, s clickSuite) {
	unknown, live := s.newLink(), s.create(t, s.newLink())
	tombstone := s.remove(t, s.create(t, s.newLink()).Code)
	var counts []store.ClickCount
	for _, code := range []string{unknown.Code, tombstone.Code, live.Code} {
		counts = append(counts, store.ClickCount{Code: code, N: 1, Last: after(1)})
	}
	s.add(t, newOwner(), 1, counts...)
	s.wantTotals(t, live.Code, 1, after(1))
	s.wantTotals(t, tombstone.Code, 0, time.Time{})
	_, err := s.Get(t.Context(), unknown.Code)
	wantError(t, "Get()", err, store.ErrNotFound)
}

func emptyBatch(t *testing.T, s clickSuite) {
	code, r := s.create(t, s.newLink()).Code, newOwner()
	s.add(t, r, 1)
	s.add(t, r, 2, store.ClickCount{Code: code, N: 1, Last: after(1)})
	s.wantTotals(t, code, 1, after(1))
}

func clicksLeaveLinks(t *testing.T, s clickSuite) {
	want := s.create(t, s.fresh())
	s.add(t, newOwner(), 1, store.ClickCount{Code: want.Code, N: 1, Last: after(70)})
	want.Clicks, want.LastClickAt = 1, after(70)
	s.wantStored(t, want)
	want = s.update(t, want)
	if want.Clicks != 1 || !want.LastClickAt.Equal(after(70)) || want.Version != 2 {
		t.Errorf("Update() = %+v, want version 2 with 1 click", want)
	}
	s.wantStored(t, want)
}

func listsTotals(t *testing.T, s clickSuite) {
	l := s.newLink()
	l.Tags = []string{"tag"}
	s.create(t, l)
	s.add(t, newOwner(), 1, store.ClickCount{Code: l.Code, N: 4, Last: after(1)})
	for _, q := range []store.Query{{Owner: l.Owner, Limit: 1}, {Owner: l.Owner, Tag: "tag", Limit: 1}} {
		page, err := s.List(t.Context(), q)
		if err != nil || len(page.Links) != 1 || page.Links[0].Clicks != 4 {
			t.Errorf("List(%+v) = %+v, %v, want one link with 4 clicks", q, page.Links, err)
		}
	}
}

func deleteForgetsTotals(t *testing.T, s clickSuite) {
	l := s.create(t, s.newLink())
	s.add(t, newOwner(), 1, store.ClickCount{Code: l.Code, N: 4, Last: after(1)})
	want := l.Tombstone(after(9))
	wantLink(t, "Delete", s.remove(t, l.Code), nil, want)
	s.wantStored(t, want)
}

func endedClicks(t *testing.T, s clickSuite) {
	code, r := s.create(t, s.newLink()).Code, newOwner()
	count := store.ClickCount{Code: code, N: 1, Last: after(1)}
	err := s.sink.AddClicks(ended(t), store.ClickBatch{Recorder: r, Seq: 1, Counts: []store.ClickCount{count}})
	wantError(t, "AddClicks()", err, context.Canceled)
	s.wantTotals(t, code, 0, time.Time{})
	s.add(t, r, 1, count)
	s.wantTotals(t, code, 1, after(1))
}

func concurrentClicks(t *testing.T, s clickSuite) {
	code := s.create(t, s.newLink()).Code
	race(8, func(int) error {
		r := newOwner()
		for seq := range int64(10) {
			s.add(t, r, seq+1, store.ClickCount{Code: code, N: 3, Last: after(int(seq))})
		}
		return nil
	})
	s.wantTotals(t, code, 8*10*3, after(9))
}
