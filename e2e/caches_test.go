//go:build unix

package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store/outbox"
)

// TestNodesReadNothingOlderThanTheyHeard checks that a node never answers with the older
// target of a replica after it received the announcement of an edit. The replica is paused
// before the edits, and then Redis is emptied and the primary killed. The other node knows
// the edits from their announcements only.
func TestNodesReadNothingOlderThanTheyHeard(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	const links = 20
	f, a, shared := newCached(t, 1, nil)
	editor, other, replica := f.nodes[0], f.nodes[1], f.shards[0].Replicas()[0]
	codes := make([]string, links) // the other node has none of them in memory
	for i := range codes {
		if codes[i] = a.create(editor, "", a.authorization()...); codes[i] == "" {
			t.Fatal("a link cannot be created")
		}
	}
	edited, untouched, probe := codes[2:], codes[0], codes[1]
	visit := func(code string) answer {
		got, err := a.send(http.MethodGet, other.url+"/"+code, nil)
		must(t, err)
		return got
	}
	edit := func(code string) (target string) {
		target = newTarget()
		got, err := a.send(http.MethodPatch, editor.url+"/api/v1/links/"+code, map[string]string{"url": target}, a.authorization()...)
		if err != nil || got.status != http.StatusOK {
			t.Fatalf("edit = %+v, %v, want 200", got, err)
		}
		return target
	}
	must(t, f.shards[0].WaitReplicas(t.Context()))
	must(t, replica.PauseReplay(t.Context()))
	visit(probe)
	for _, code := range edited {
		edit(code)
	}
	last := edit(probe) // announced after the others
	testenv.Await(t, "the other node to receive the announcements", func() bool { return visit(probe).location == last })

	must(t, connect(t, shared).FlushAll(t.Context()).Err())
	must(t, f.shards[0].Primary().Kill())
	testenv.Await(t, "a redirect from the replica", func() bool { return visit(untouched).status == http.StatusFound })
	for _, code := range edited {
		if got := visit(code); got.status != http.StatusServiceUnavailable {
			t.Errorf("visit of an edited link = %d to %q, want 503: only the primary has its target", got.status, got.location)
		}
	}
}

// TestEditsArePurgedAtOnce checks that an edit wakes the worker that purges the CDN. Without
// that, two purges are at least one interval of the outbox apart.
func TestEditsArePurgedAtOnce(t *testing.T) {
	t.Parallel()
	const soonest = outbox.DefaultEvery * 4 / 5 // shortest interval of the outbox
	cdn, e := newPurges(t), &edge{t: t, client: client(t)}
	e.node = start(t, "TERSE_CDN=varnish", "TERSE_VARNISH_SECRET="+purgeSecret, "TERSE_VARNISH_URLS="+cdn.url)
	e.useKey()
	purged := func(alias string) (at time.Time) {
		testenv.Await(t, "a purge", func() bool {
			at = cdn.first("link-" + alias)
			return !at.IsZero()
		})
		return at
	}
	edit := func(i int) (alias string) {
		alias = fmt.Sprintf("edited-%d", i)
		e.create(alias, "https://example.com/first", "")
		e.call(http.MethodPatch, "/api/v1/links/"+alias, `{"url":"https://example.com/second"}`, http.StatusOK)
		return alias
	}
	i := 0
	testenv.Await(t, "two purges to follow each other closely", func() bool {
		i += 2
		first := purged(edit(i))
		return purged(edit(i+1)).Sub(first) < soonest/2
	})
}
