//go:build unix

package e2e_test

import (
	"fmt"
	"testing"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// TestClicksAreRecordedByShard checks that a click goes to the recorder of its link's
// shard: an unreachable shard must not delay the clicks of the others.
func TestClicksAreRecordedByShard(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{})
	node, a := f.serve(), newAuditor(f, f.newKey(0))
	for shard := range f.shards {
		code := a.create(node, f.aliasOn(shard, store.NewKeyID()))
		for range shard + 1 {
			a.visit("visit", node, code)
		}
	}
	for shard := range f.shards {
		name := fmt.Sprintf("s%d", shard+1)
		if got := node.metric("terse_clicks_recorded_total", `shard="`+name+`"`); got != float64(shard+1) {
			t.Errorf("%v clicks were recorded for %s, want %d", got, name, shard+1)
		}
	}
}
