//go:build unix

package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/internal/testenv/audit"
	"github.com/terse/terse/store"
)

const (
	// noticeFor is how long calls are sent to a slow shard before its breaker must be open.
	noticeFor = 3 * time.Second

	// slowFor is how long one shard is slow after that. It spans several rounds of its breaker.
	slowFor = 7 * time.Second

	// failsWithin is far above the promised 2 s for a call that fails because of a slow shard.
	// A call without that promise waits until the shard is healed, or until its client gives up
	// after 20 s.
	failsWithin = 15 * time.Second
)

// TestSlowShard makes one shard slow. Creates and edits on the other shard and lists still
// work. Calls that need the slow shard fail soon.
func TestSlowShard(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	for name, slow := range map[string]func(t *testing.T, p *testenv.Postgres) (heal func()){
		"commits hang": func(t *testing.T, p *testenv.Postgres) func() {
			must(t, p.HangCommits(t.Context(), true))
			return func() { must(t, p.HangCommits(t.Context(), false)) }
		},
		"server is frozen": func(t *testing.T, p *testenv.Postgres) func() {
			must(t, p.Freeze())
			return func() { must(t, p.Thaw()) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 2, testenv.ClusterOptions{})
			a := newAuditor(f, f.newKey(1))
			node := f.serve()
			links := a.seed(200, a.authorization()...)
			healed := slow(t, f.shards[0].Primary())
			began := time.Now()
			a.mixed(node, links, noticeFor)
			noticed := time.Now()
			lists := a.mixed(node, links, slowFor)
			took := slices.Concat(a.took(began, "create"), a.took(began, "edit"))
			slices.Sort(took)
			for shard := range f.shards {
				for _, op := range []string{"create", "edit"} {
					done, failed := a.since(began, op, shard)
					t.Logf("s%d: %d %ss done, %d failed", shard+1, done, op, len(failed))
					if shard == 1 && len(failed) > done/10 {
						t.Errorf("s2: %d of %d %ss failed, want next to none: %q", len(failed), done+len(failed), op, failed[:min(len(failed), 5)])
					}
				}
			}
			done, failed := a.since(noticed, "create", audit.AnyShard)
			t.Logf("%d creates without an alias done, %d failed", done, len(failed))
			if len(failed) > (done+len(failed))/4 {
				t.Errorf("%d of %d creates without an alias failed after the breaker had opened, want less than half of the slow shard's share", len(failed), done+len(failed))
			}
			t.Logf("the slowest create or edit took %v; lists: %d of %d failed, %d lacked a shard, the slowest took %v",
				took[len(took)-1], lists.failed, lists.asked, lists.lacking, lists.slowest)
			if most := took[len(took)-1]; most > failsWithin {
				t.Errorf("a create or edit took %v, want %v at most", most, failsWithin)
			}
			if lists.failed > lists.asked/10 {
				t.Errorf("%d of %d lists failed, want next to none", lists.failed, lists.asked)
			}
			if lists.slowest > failsWithin {
				t.Errorf("a list took %v, want %v at most", lists.slowest, failsWithin)
			}
			healed()
			for shard := range f.shards {
				testenv.Await(t, fmt.Sprintf("creates on s%d", shard+1), func() bool {
					return a.create(node, f.aliasOn(shard, store.NewKeyID()), a.authorization()...) != ""
				})
			}
			testenv.Await(t, "lists of both shards", func() bool {
				got, err := a.send(http.MethodGet, node.url+"/api/v1/links?limit=5", nil, a.authorization()...)
				return err == nil && got.status == http.StatusOK && len(got.UnavailableShards) == 0
			})
			a.audit()
		})
	}
}

// listed is the result of several lists.
type listed struct {
	asked, failed, lacking int // lacking: without a shard
	slowest                time.Duration
}

// mixed sends 20 creates of an alias, 20 creates without one, 20 edits and 10 lists a second
// to a node, without waiting for responses. Half of the aliases and edits are for each shard.
// It returns after the last response.
func (a *auditor) mixed(node *program, links [][]string, span time.Duration) (lists listed) {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := range int(span / (50 * time.Millisecond)) {
		<-tick.C
		shard := n % 2
		wg.Go(func() { a.create(node, a.f.aliasOn(shard, store.NewKeyID()), a.authorization()...) })
		wg.Go(func() { a.create(node, "", a.authorization()...) })
		wg.Go(func() { a.edit(node, links[shard][n/2%len(links[shard])]) })
		if shard == 1 {
			continue
		}
		wg.Go(func() {
			began := time.Now()
			got, err := a.send(http.MethodGet, node.url+"/api/v1/links?limit=5", nil, a.authorization()...)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			lists.asked++
			lists.slowest = max(lists.slowest, took)
			if err != nil || got.status != http.StatusOK {
				lists.failed++
			} else if len(got.UnavailableShards) > 0 {
				lists.lacking++
			}
		})
	}
	wg.Wait()
	return lists
}
