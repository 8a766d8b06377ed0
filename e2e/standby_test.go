//go:build unix

package e2e_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
)

// agreeWithin is far longer than the minute for which nodes may show writes that a failover
// discarded.
const agreeWithin = 5 * time.Minute

// TestStandbyCutOff cuts the connection to the only standby of a shard, sends and repeats
// writes, and promotes the standby. No write is acknowledged, because the standby has none of
// them. After the failover all nodes and a new node agree with the database.
func TestStandbyCutOff(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	f := newFleet(t, 1, testenv.ClusterOptions{Replicas: 1, Sync: true})
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	f.environ = append(f.environ, "TERSE_REDIS_URL="+redis.URL())
	node := f.serve()
	other := f.serve()
	f.awaitChannels()
	token := strings.TrimSpace(f.run("key", "create", "--name", "admin", "--scope", "links:read,links:write,admin"))
	revoked := strings.TrimSpace(f.run("key", "create", "--name", "revoked", "--scope", "links:read"))
	id := query(f, 0, pgx.RowTo[string], "SELECT id FROM api_keys WHERE name = 'revoked'")[0]
	a := newAuditor(f, token)
	links := node.url + "/api/v1/links"
	admin := a.authorization()
	disabled, edited, deleted := a.create(node, "", admin...), a.create(node, "", admin...), a.create(node, "", admin...)
	codes := []string{disabled, edited, deleted}
	for _, p := range f.nodes {
		wantStatus(a, p, codes, http.StatusFound)
	}
	fresh, once := map[string]any{"url": newTarget(), "reuse": true}, map[string]string{"url": newTarget()}
	target := newTarget()
	writes := map[string]struct {
		method, url string
		body        any
		header      []string
	}{
		"disable":      {http.MethodPost, links + "/" + disabled + "/disable", map[string]string{"reason": "phishing"}, nil},
		"edit":         {http.MethodPatch, links + "/" + edited, map[string]string{"url": target}, nil},
		"delete":       {http.MethodDelete, links + "/" + deleted, nil, nil},
		"create":       {http.MethodPost, links, once, []string{"Idempotency-Key", "once"}},
		"reuse":        {http.MethodPost, links, fresh, nil},
		"reuse by key": {http.MethodPost, links, fresh, []string{"Idempotency-Key", "reuse"}},
		"block":        {http.MethodPost, node.url + "/api/v1/blocklist", map[string]string{"host": "evil.example"}, nil},
	}

	must(t, f.shards[0].Replicas()[0].CutOff(t.Context()))
	var sent sync.WaitGroup
	for name, w := range writes {
		sent.Go(func() {
			for range 3 {
				got, err := a.send(w.method, w.url, w.body, append(w.header, admin...)...)
				if err != nil || got.status != http.StatusServiceUnavailable {
					t.Errorf("%s without a standby = %d, %v, want 503", name, got.status, err)
				}
				testenv.Await(t, "a read after a write without a standby", func() bool {
					got, err := a.send(http.MethodGet, links+"/"+edited, nil, admin...)
					return err == nil && got.status == http.StatusOK
				})
			}
		})
	}
	sent.Go(func() {
		for range 3 {
			if out, err := command(t, f.environ, "key", "revoke", id).CombinedOutput(); err == nil {
				t.Errorf("key revoke without a standby = nil, want a failure: %s", out)
			}
		}
	})
	sent.Wait()
	for _, p := range f.nodes { // the primary has committed the writes and announced them
		testenv.Await(t, "the node to show the takedown and the edit", func() bool {
			got, err := a.send(http.MethodGet, p.url+"/"+edited, nil)
			return err == nil && got.location == target && a.visit("lost", p, disabled) == http.StatusUnavailableForLegalReasons
		})
	}

	must(t, f.shards[0].Primary().Kill())
	must(t, f.shards[0].Replicas()[0].Promote(t.Context()))
	promoted := time.Now()
	late := f.serve()
	rows := query(f, 0, pgx.RowTo[string], "SELECT target FROM links WHERE code = $1 AND version = 1", edited)
	if len(rows) != 1 {
		t.Fatalf("the standby has the edit, want it lost in the failover")
	}
	var agreeing sync.WaitGroup
	for name, p := range map[string]*program{"the node that edited": node, "the other node": other, "a new node": late} {
		agreeing.Go(func() {
			for time.Since(promoted) < agreeWithin {
				agree := true
				for _, code := range codes { // visits every link: a node compares a link only when it serves it
					got, err := a.send(http.MethodGet, p.url+"/"+code, nil)
					agree = agree && err == nil && got.status == http.StatusFound && (code != edited || got.location == rows[0])
				}
				if agree {
					t.Logf("%s agrees with the database %v after the failover", name, time.Since(promoted).Round(time.Second))
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Errorf("%s does not agree with the database %v after the failover", name, agreeWithin)
		})
	}
	agreeing.Wait()
	for name, w := range writes { // the same writes succeed now
		testenv.Await(t, name+" after the failover", func() bool {
			got, err := a.send(w.method, w.url, w.body, append(w.header, admin...)...)
			return err == nil && got.status >= 200 && got.status < 300
		})
	}
	if got, err := a.send(http.MethodGet, links, nil, "Authorization", "Bearer "+revoked); err != nil || got.status != http.StatusOK {
		t.Errorf("a key whose revocation failed = %d, %v, want 200", got.status, err)
	}
	f.run("key", "revoke", id)
}
