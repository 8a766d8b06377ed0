//go:build unix

package e2e_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// patienceWithClicks is how long clicks may take to be in statistics.
const patienceWithClicks = 4 * time.Minute

// TestClicksOutliveDatabaseAndProcess stops the database while links are visited, kills the node, and
// starts both again. Every click counts once, in totals and breakdowns, and the files that kept them
// contain no address and no User-Agent.
func TestClicksOutliveDatabaseAndProcess(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	t.Run("shard", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t, 1, testenv.ClusterOptions{})
		node := f.serve("TERSE_CLICKS_SPOOL=spool", proxied) // in the folder of the node
		folder := filepath.Join(filepath.Dir(node.DataDir()), "spool")
		token := f.adminToken()
		a := newAuditor(f, token)
		var codes []string
		for range 3 {
			codes = append(codes, a.create(node, f.aliasOn(0, store.NewKeyID())))
		}
		outlive(t, node, token, folder, codes, func() { must(t, f.shards[0].Primary().Kill()) }, func() { must(t, f.shards[0].Primary().Start(t.Context())) })
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		node := start(t, proxied)
		token := adminToken(node)
		var codes []string
		for range 3 {
			code, err := shorten(client(t), node.url, "https://example.com/")
			must(t, err)
			codes = append(codes, code)
		}
		var lock func() // releases the lock
		outlive(t, node, token, filepath.Join(node.DataDir(), "spool"), codes, func() { lock = lockForWrites(t, filepath.Join(node.DataDir(), "terse.db")) }, func() { lock() })
	})
}

// lockForWrites makes all writes of an embedded database fail until release is called.
func lockForWrites(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	return func() {
		_, err := conn.ExecContext(t.Context(), "ROLLBACK")
		must(t, err)
		must(t, conn.Close())
	}
}

// outlive visits links before, during and after an outage of the database, and kills the node in the
// outage.
func outlive(t *testing.T, node *program, token, folder string, codes []string, stopDatabase, startDatabase func()) {
	t.Helper()
	o := newClickOracle(t, codes)
	o.visit(t, node, 300)
	testenv.Await(t, "clicks in the database", func() bool { return node.metric("terse_clicks_flushed_total") == 300 })
	stopDatabase()
	o.visit(t, node, 500)
	testenv.Await(t, "clicks in files", func() bool { return node.metric("terse_clicks_spooled") > 0 })
	o.visit(t, node, 700)
	testenv.Await(t, "all clicks in files", func() bool { return node.metric("terse_clicks_spooled") == 1200 })
	if got := node.metric("terse_clicks_pending"); got != 1200 {
		t.Errorf("%v clicks are pending, want 1200", got)
	}
	node.kill()
	wantNoClients(t, folder)
	startDatabase()
	node.again()
	o.visit(t, node, 200)
	o.want(t, node, token)
	if got := node.metric("terse_clicks_restored_total"); got != 1200 {
		t.Errorf("%v clicks were restored, want 1200", got)
	}
	if names := spoolFiles(t, folder); len(names) > 0 {
		t.Errorf("the spool has %v, want nothing", names)
	}
}

func spoolFiles(t *testing.T, folder string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.clicks*"))
	must(t, err)
	return names
}

// wantNoClients checks that the files of a folder contain no address and no User-Agent.
func wantNoClients(t *testing.T, folder string) {
	t.Helper()
	names := spoolFiles(t, folder)
	if len(names) == 0 {
		t.Fatalf("%s is empty, want files of clicks", folder)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		must(t, err)
		for _, secret := range []string{"Mozilla", "81.2.69.160", "185.60.216.35", "127.0.0.1"} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s contains %q", name, secret)
			}
		}
	}
}

// TestFullSpool fills the spool and then the memory of a node whose database stores nothing. Clicks that
// were not counted are in the metric. Then the node starts with a damaged and a foreign file.
func TestFullSpool(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	node := start(t, "TERSE_CLICKS_SPOOL_SIZE=1")
	codes := createMany(t, node, 1000)
	database := filepath.Join(node.DataDir(), "terse.db")
	release := lockForWrites(t, database)
	conn, err := net.Dial("tcp", node.Addr())
	must(t, err)
	defer func() { _ = conn.Close() }()
	from := bufio.NewReader(conn)
	sent := 0
	known, unused := codes[:200], codes[200:]
	visit := func(codes ...string) {
		requests := make([][]byte, len(codes))
		for i, code := range codes {
			value := func() string { return rand.Text() + rand.Text() }
			requests[i] = fmt.Appendf(nil, "GET /%s?utm_source=%s&utm_medium=%s&utm_campaign=%s&utm_term=%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\n\r\n",
				code, value(), value(), value(), value(), browser)
		}
		must(t, visitAtOnce(conn, from, requests))
		sent += len(codes)
	}
	for len(unused) > 0 && node.metric("terse_clicks_dropped_total", `reason="full"`) == 0 {
		for range 20 {
			at := sent % 4 * 50
			visit(known[at : at+50]...)
		}
		visit(unused[0]) // clicks of links that are in memory already are never dropped
		unused = unused[1:]
	}
	failures, size := node.metric("terse_clicks_spool_failures_total"), node.metric("terse_clicks_spool_bytes")
	if failures == 0 || size > 1<<20 { // on a busy machine even the first batch is too large
		t.Errorf("%v failed writes and %v bytes in the spool, want failures and at most 1 MiB", failures, size)
	}
	release()
	testenv.Await(t, "no pending clicks", func() bool { return node.metric("terse_clicks_pending") == 0 })
	dropped := int(node.metric("terse_clicks_dropped_total"))
	must(t, node.Stop())
	db, err := sql.Open("sqlite", database)
	must(t, err)
	defer func() { _ = db.Close() }()
	var counted int
	must(t, db.QueryRowContext(t.Context(), "SELECT sum(total + robots) FROM click_totals").Scan(&counted))
	if dropped == 0 || counted != sent-dropped {
		t.Errorf("%d of %d clicks were counted, and %d were dropped", counted, sent, dropped)
	}

	folder := filepath.Join(node.DataDir(), "spool")
	for name, content := range map[string]string{rand.Text() + ".0000000000000000001.clicks": "torn", "README": "foreign"} {
		path := filepath.Join(folder, name)
		writeFile(t, path, content)
		must(t, os.Chmod(path, 0o644)) // the node may run as another user
	}
	node.again()
	node.logged(`(files of other programs in the spool are ignored)`)
	node.logged(`(clicks of a file cannot be counted, it is set aside)`)
	if names := spoolFiles(t, folder); len(names) != 1 || !strings.HasSuffix(names[0], ".damaged") {
		t.Errorf("the spool has %v, want the damaged file", names)
	}
}

// createMany creates n links, at most 1000.
func createMany(t *testing.T, node *program, n int) (codes []string) {
	t.Helper()
	api, err := terseclient.New(terseclient.Options{Server: node.url, Key: adminToken(node)})
	must(t, err)
	drafts := make([]terseclient.KeyedLink, n)
	for i := range drafts {
		drafts[i].URL = newTarget()
	}
	results, err := api.CreateBatch(t.Context(), drafts)
	must(t, err)
	for _, r := range results {
		codes = append(codes, r.Link.Code)
	}
	return codes
}
