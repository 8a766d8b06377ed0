package postgres

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/internal/testenv"
)

// TestHistoryCovers compares a history with the log itself. covers must never be later
// than the log shows, and must be exact at the next sample.
func TestHistoryCovers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var h history
		var samples []sample
		now, end := time.Unix(1_800_000_000, 0), position(1)
		type write struct {
			acknowledged time.Time
			ends         position
		}
		var writes []write
		for range rapid.IntRange(1, 2*keepSamples).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "ms")) * time.Millisecond)
			if rapid.Bool().Draw(t, "write") {
				end += position(rapid.IntRange(1, 100).Draw(t, "bytes"))
				writes = append(writes, write{now, end})
				continue
			}
			samples = append(samples, sample{now, end})
			h.add(sample{now, end})
		}
		ends := []position{0, end}
		for _, w := range writes {
			ends = append(ends, w.ends)
		}
		replayed := rapid.SampledFrom(ends).Draw(t, "replayed") + position(rapid.IntRange(-1, 1).Draw(t, "off"))
		covers := h.covers(replayed)
		for _, w := range writes {
			if w.acknowledged.Before(covers) && w.ends > replayed {
				t.Fatalf("covers(%d) = %v, but a write acknowledged at %v ends at %d", replayed, covers, w.acknowledged, w.ends)
			}
		}
		for _, s := range samples[max(0, len(samples)-keepSamples):] {
			if s.at <= replayed && s.asked.After(covers) {
				t.Fatalf("covers(%d) = %v, want %v or later", replayed, covers, s.asked)
			}
		}
	})
}

// TestHistoryOfAnotherPrimary checks that samples of an earlier primary are not used.
func TestHistoryOfAnotherPrimary(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_800_000_000, 0)
	var h history
	if _, ok := h.last(); ok {
		t.Error("last() of nothing = _, true, want false")
	}
	h.add(sample{start.Add(-time.Second), 50})
	h.add(sample{start, 100})
	h.add(sample{start.Add(time.Second), 90})
	if got := h.covers(89); !got.IsZero() {
		t.Errorf("covers(89) = %v, want the zero time", got)
	}
	if got, want := h.covers(100), start.Add(time.Second); !got.Equal(want) {
		t.Errorf("covers(100) = %v, want %v", got, want)
	}
	if got, ok := h.last(); !ok || got.at != 90 {
		t.Errorf("last() = %v, %v, want the sample at 90", got, ok)
	}
}

// TestStrayedReplica checks the results of a replica's probes after a failover to a
// server that the replica did not follow.
func TestStrayedReplica(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	start := time.Unix(1_800_000_000, 0)
	after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	s := &Store{}
	s.history.add(sample{after(0), 100})
	was := look{answered: after(10), position: 100}
	for _, step := range []struct {
		name     string
		primary  position // 0: no sample
		replica  position
		strayed  bool
		covering int // the time that it covers; -1: no such time
	}{
		{"before the failover", 0, 100, false, 0},
		{"the new primary has less", 95, 100, true, -1},
		{"it replays the log it had received", 0, 110, true, -1},
		{"it is found ahead again", 100, 110, true, -1},
		{"the new primary has as much", 110, 110, true, -1},
		{"the new primary has more", 120, 110, true, -1},
		{"it follows the new primary", 0, 120, false, 600},
		{"it falls behind", 150, 140, false, 600},
	} {
		at := was.answered.Add(90 * time.Millisecond)
		if step.primary > 0 {
			s.history.add(sample{at, step.primary})
		}
		is := look{answered: at.Add(10 * time.Millisecond), position: step.replica}
		s.age(&was, &is)
		var want time.Time
		if step.covering >= 0 {
			want = after(step.covering)
		}
		strayed := !is.strayed.IsZero()
		if strayed != step.strayed || is.unfit != step.strayed || (is.err != nil) != step.strayed || !is.covers.Equal(want) {
			t.Errorf("%s: age() = strayed %v, covers %v, want %v, %v", step.name, strayed, is.covers, step.strayed, want)
		}
		was = is
	}
}
