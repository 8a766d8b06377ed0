package storetest

import (
	"maps"
	"testing"

	"github.com/terse/terse/store"
)

// RunClickLedger tests all promises of store.ClickLedger that store.ClickSink does not make. open
// returns a ledger, and closes it with tb.Cleanup.
func RunClickLedger(t *testing.T, open func(tb testing.TB) store.ClickLedger) {
	t.Helper()
	l := open(t)
	for _, p := range []struct {
		name string
		test func(t *testing.T, l store.ClickLedger)
	}{
		{"knows no recorder without a batch", unknownRecorders},
		{"returns the latest batch", latestBatches},
		{"knows recorders with any name", strangeRecorders},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.test(t, l)
		})
	}
}

func wantSequences(t *testing.T, l store.ClickLedger, want map[string]int64, recorders ...string) {
	t.Helper()
	got, err := l.ClickSequences(t.Context(), recorders)
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("ClickSequences(%q) = %v, %v, want %v", recorders, got, err, want)
	}
}

func addEmpty(t *testing.T, l store.ClickLedger, b store.ClickBatch) {
	t.Helper()
	if err := l.AddClicks(t.Context(), b); err != nil {
		t.Errorf("AddClicks(%+v) = %v, want nil", b, err)
	}
}

func unknownRecorders(t *testing.T, l store.ClickLedger) {
	wantSequences(t, l, nil)
	wantSequences(t, l, nil, newOwner(), newOwner())
}

func latestBatches(t *testing.T, l store.ClickLedger) {
	log, node, other := "log:"+newOwner(), newOwner(), newOwner()
	addEmpty(t, l, store.ClickBatch{Recorder: other, Seq: 1})
	addEmpty(t, l, store.ClickBatch{Recorder: node, Seq: 1})
	for _, seq := range []int64{4_194_377, 1 << 40, 4_194_377} {
		addEmpty(t, l, store.ClickBatch{Recorder: log, Seq: seq, Keep: true})
	}
	addEmpty(t, l, store.ClickBatch{Recorder: node, Seq: 2})
	wantSequences(t, l, map[string]int64{log: 1 << 40, node: 2}, log, newOwner(), node, log)
}

func strangeRecorders(t *testing.T, l store.ClickLedger) {
	name := newOwner() + ` "',]) from s2 é`
	addEmpty(t, l, store.ClickBatch{Recorder: name, Seq: 3})
	wantSequences(t, l, map[string]int64{name: 3}, name)
}
