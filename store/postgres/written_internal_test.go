package postgres

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/terse/terse/store"
)

// TestWritten runs writes and reads in random order against a replica that shows
// everything up to some time. An allowed read must not be older than a write that was
// acknowledged before it.
func TestWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		maxLag := 800 * time.Millisecond
		w := newWritten(func() time.Time { return now })
		type write struct {
			version int64
			done    func(*store.Link, error)
			at      time.Time // time of the acknowledgement
		}
		underWay, acknowledged := map[string][]write{}, map[string][]write{}
		next := map[string]int64{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "ms")) * time.Millisecond)
			code := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "code")
			switch rapid.SampledFrom([]string{"begin", "done", "forget", "read"}).Draw(t, "step") {
			case "begin":
				next[code]++
				underWay[code] = append(underWay[code], write{version: next[code], done: w.begin(code)})
			case "done":
				if len(underWay[code]) == 0 {
					continue
				}
				one := underWay[code][0]
				underWay[code] = underWay[code][1:]
				if rapid.Bool().Draw(t, "fails") {
					one.done(nil, store.ErrUnavailable)
					continue
				}
				one.done(&store.Link{Version: one.version}, nil)
				one.at = now
				acknowledged[code] = append(acknowledged[code], one)
			case "forget":
				w.forget(now.Add(-maxLag))
			case "read":
				covers := now.Add(-time.Duration(rapid.IntRange(0, 799).Draw(t, "lag")) * time.Millisecond)
				m := w.get(code)
				for _, one := range acknowledged[code] {
					if m.coveredBy(covers) && !one.at.Before(covers) {
						t.Fatalf("a replica that covers %v may be read for %q, version %d of which was acknowledged at %v",
							covers, code, one.version, one.at)
					}
				}
			}
		}
	})
}

// TestWrittenAnyAge checks which versions of a written link are accepted from a replica
// of any age.
func TestWrittenAnyAge(t *testing.T) {
	t.Parallel()
	w := newWritten(time.Now)
	if m := w.get("abc"); !m.shows(&store.Link{Version: 1}) {
		t.Error("shows() of a link that was not written = false, want true")
	}
	w.begin("abc")(&store.Link{Version: 3}, nil)
	w.begin("abc")(nil, store.ErrUnavailable)
	pending := w.begin("abc")
	for version, want := range map[int64]bool{2: false, 3: true, 4: true} {
		if got := w.get("abc").shows(&store.Link{Version: version}); got != want {
			t.Errorf("shows(version %d) = %v, want %v", version, got, want)
		}
	}
	pending(nil, store.ErrUnavailable)
}

// TestWrittenStaysSmall checks that failed writes are forgotten, and also writes that all
// replicas show.
func TestWrittenStaysSmall(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	w := newWritten(func() time.Time { return now })
	for i := range 1000 {
		w.begin(fmt.Sprint("failed", i))(nil, store.ErrUnavailable)
		w.begin(fmt.Sprint("done", i))(&store.Link{Version: 2}, nil)
	}
	pending := w.begin("pending")
	now = now.Add(time.Second)
	w.forget(now)
	if len(w.codes) != 1 || w.get("pending") == nil {
		t.Errorf("%d codes are remembered, want only the running write", len(w.codes))
	}
	pending(nil, store.ErrUnavailable)
	if len(w.codes) != 0 {
		t.Errorf("%d codes are remembered, want 0", len(w.codes))
	}
}
