package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store"
)

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
		if d.Kind == store.ClickLost {
			add(store.ClickLost, "", d)
			continue
		}
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

// foldsLost adds lost clicks beside clicks, and without. Another subtest may do the same.
func foldsLost(t *testing.T, s clickDaySuite) {
	l, r, day := s.create(t, s.newLink()), newOwner(), testDay-8
	for i, days := range [][]store.ClickDay{
		{dayOf(l.Code, day, "x"), {Kind: store.ClickLost, Day: day, Data: []byte(r + "1")}},
		{{Kind: store.ClickLost, Day: day, Data: []byte(r + "2")}},
	} {
		if err := s.sink.AddClicks(t.Context(), store.ClickBatch{Recorder: r, Seq: int64(i + 1), Days: days}); err != nil {
			t.Errorf("AddClicks() = %v, want nil", err)
		}
		s.fold(t)
	}
	rows := strings.Join(s.list(t, store.ClickLost, day, day+1, ""), "")
	for _, want := range []string{r + "1", r + "2"} {
		if strings.Count(rows, want) != 1 {
			t.Errorf("lost clicks = %q, want %s once", rows, want)
		}
	}
	wrong := store.ClickDay{Kind: store.ClickLost, Key: l.Code, Day: day}
	if err := s.sink.AddClicks(t.Context(), store.ClickBatch{Recorder: r, Seq: 3, Days: []store.ClickDay{wrong}}); !errors.Is(err, store.ErrClickDay) {
		t.Errorf("AddClicks() of lost clicks with a key = %v, want %v", err, store.ErrClickDay)
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
