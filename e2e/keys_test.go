//go:build unix

package e2e_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/keyring"
)

// create creates an alias on a node with a token, and returns the status.
func (f *fleet) create(a *auditor, node *program, token, alias string) int {
	f.t.Helper()
	got, err := a.send(http.MethodPost, node.url+"/api/v1/links", map[string]string{"url": newTarget(), "alias": alias},
		"Authorization", "Bearer "+token)
	must(f.t, err)
	return got.status
}

// revoke revokes the key of a token with terse key revoke.
func (f *fleet) revoke(token string) {
	f.t.Helper()
	for line := range strings.Lines(f.run("key", "list")) {
		if strings.Contains(line, store.TokenPrefix(token)) {
			f.run("key", "revoke", strings.Fields(line)[0])
			return
		}
	}
	f.t.Fatalf("no key in the list begins with %s", store.TokenPrefix(token))
}

// TestDeadShardLocksNobodyOut kills the shard of some API keys. Keys of the other shard still
// work, and so do keys of the dead shard that the node has in memory. Other keys of the dead
// shard return 503, not 401.
func TestDeadShardLocksNobodyOut(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 2, testenv.ClusterOptions{})
	node, a := f.serve(), newAuditor(f, "")
	alive, known, unread := f.newKey(0), f.newKey(1), f.newKey(1)
	for _, token := range []string{alive, known} {
		if got := f.create(a, node, token, f.aliasOn(0, store.NewKeyID())); got != http.StatusCreated {
			t.Fatalf("create = %d, want 201", got)
		}
	}
	f.killShard(1)
	began := time.Now()
	testenv.Await(t, "a key to be used beyond its lifetime in memory", func() bool {
		for name, token := range map[string]string{"living": alive, "dead": known} {
			if got := f.create(a, node, token, f.aliasOn(0, store.NewKeyID())); got != http.StatusCreated {
				t.Fatalf("create with the key of the %s shard, %v after the kill = %d, want 201", name, time.Since(began), got)
			}
		}
		if got := f.create(a, node, unread, f.aliasOn(0, store.NewKeyID())); got != http.StatusServiceUnavailable {
			t.Fatalf("create with a key that the node cannot read = %d, want 503", got)
		}
		return node.metric("terse_key_lookups_total", `result="stale"`) >= 10
	})
}

// TestRevokedKeyIsRefusedEverywhere checks that announcements make all nodes reject a revoked
// key. Without Redis they reject it after keyring.MaxTTL.
func TestRevokedKeyIsRefusedEverywhere(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f, a, shared := newCached(t, 1, nil)
	first, second := f.newKey(0), f.newKey(0)
	for _, fault := range []struct {
		name, token string
		make        func() error
		within      time.Duration
	}{
		{"with Redis", first, func() error { return nil }, keyring.MaxTTL * 8 / 10}, // shorter than MaxTTL, which is how long a node without announcements accepts the key
		{"without Redis", second, shared.Kill, 10 * keyring.MaxTTL},
	} {
		must(t, fault.make())
		for _, node := range f.nodes {
			if got := f.create(a, node, fault.token, store.NewKeyID()); got != http.StatusCreated {
				t.Fatalf("create %s = %d, want 201", fault.name, got)
			}
		}
		f.revoke(fault.token)
		for i, node := range f.nodes {
			took := testenv.AwaitWithin(t, fault.within, "the node to reject a revoked key "+fault.name, func() bool {
				return f.create(a, node, fault.token, store.NewKeyID()) == http.StatusUnauthorized
			})
			t.Logf("%s, node %d rejected the key after %v", fault.name, i+1, took)
		}
	}
}

// TestInventedKeysDoNotReachShards checks that a flood of invented keys causes no more reads
// from the shards than the limit allows, and that a key in use still works.
func TestInventedKeysDoNotReachShards(t *testing.T) {
	t.Parallel()
	const limit, atOnce, each = 20, 16, 25
	f := newFleet(t, 1, testenv.ClusterOptions{})
	node, a := f.serve(fmt.Sprintf("TERSE_LIMIT_UNKNOWN=%d/1h", limit)), newAuditor(f, "")
	key := f.newKey(0)
	inUse := func() {
		t.Helper()
		if got := f.create(a, node, key, store.NewKeyID()); got != http.StatusCreated {
			t.Errorf("create with a key in use = %d, want 201", got)
		}
	}
	inUse()
	before := node.metric("terse_key_lookups_total", `result="miss"`)
	var refused atomic.Int64
	var flood errgroup.Group
	for range atOnce {
		flood.Go(func() error {
			for range each {
				token, _ := store.NewToken()
				got, err := a.send(http.MethodGet, node.url+"/api/v1/links", nil, "Authorization", "Bearer "+token)
				if err != nil {
					return err
				}
				if got.status == http.StatusTooManyRequests {
					refused.Add(1)
				}
			}
			return nil
		})
	}
	must(t, flood.Wait())
	inUse()
	asked := node.metric("terse_key_lookups_total", `result="miss"`) - before
	t.Logf("of %d invented keys %d were rejected, and %v were read from the shard", atOnce*each, refused.Load(), asked)
	if asked < limit || asked > limit+atOnce || refused.Load() < atOnce*each-limit-atOnce {
		t.Errorf("the shard was read for %v of %d invented keys, want %d to %d", asked, atOnce*each, limit, limit+atOnce)
	}
}

// TestKeysOwnLimitAndLastUse checks that a key with its own limit follows that limit, and
// that terse key list shows the last use.
func TestKeysOwnLimitAndLastUse(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 1, testenv.ClusterOptions{})
	node, a := f.serve("TERSE_LIMIT_CREATE_KEY=1/1h"), newAuditor(f, "")
	usual := f.newKey(0)
	own := strings.TrimSpace(f.run("key", "create", "--name", "own", "--limit", "3/1h"))
	for token, count := range map[string]int{usual: 1, own: 3} {
		for i := range count + 1 {
			want := http.StatusCreated
			if i == count {
				want = http.StatusTooManyRequests
			}
			if got := f.create(a, node, token, store.NewKeyID()); got != want {
				t.Errorf("create %d of %d = %d, want %d", i+1, count, got, want)
			}
		}
	}
	unused := f.newKey(0)
	must(t, node.Signal(syscall.SIGTERM))
	if err := node.Wait(); err != nil {
		t.Errorf("after SIGTERM terse ended with %v: %s", err, node.Log())
	}
	list := f.run("key", "list")
	for token, want := range map[string]string{
		usual:  `default +all +20\S+ +never +20\S+ +never`,
		own:    `3/1h +all +20\S+ +never +20\S+ +never`,
		unused: `default +all +20\S+ +never +never +never`,
	} {
		if !regexp.MustCompile(store.TokenPrefix(token) + `… .* ` + want).MatchString(list) {
			t.Errorf("key list lacks %q after %s: %s", want, store.TokenPrefix(token), list)
		}
	}
}
