package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store/postgres/schema"
)

// TestCommandsOverShards runs the operator's commands over two shards. At the end one shard
// is killed.
func TestCommandsOverShards(t *testing.T) {
	t.Parallel()
	shards, setting := testenv.NewShards(t, 2, testenv.ClusterOptions{Replicas: 1})
	environ := []string{"TERSE_SHARDS=" + setting}
	terse(t, environ, "migrate", "up")
	want := func(got result, status int, texts ...string) {
		t.Helper()
		if got.status != status {
			t.Errorf("status = %d, want %d: %s%s", got.status, status, got.stdout, got.stderr)
		}
		for _, text := range texts {
			if !strings.Contains(got.stdout+got.stderr, text) {
				t.Errorf("the output is %q, want %q in it", got.stdout+got.stderr, text)
			}
		}
	}
	terse := func(args ...string) result { return terse(t, environ, args...) }
	latest := schema.Latest()
	ready := func(shard string) string { return fmt.Sprintf("%s     %-8d %-8[2]dready", shard, latest) }

	want(terse("migrate", "status"), 0, ready("s1"), ready("s2"))
	want(terse("migrate", "down", "--yes"), 0, fmt.Sprintf("s1     %-8d %-8dbehind: run terse migrate up", latest-1, latest))
	want(terse("shard", "status"), 1, "the schema is not ready")
	want(terse("key", "create", "--name", "too early"), 1, "run terse migrate up")
	want(terse("migrate", "up"), 0, ready("s2"))
	want(terse("migrate", "force", "s3", "5"), 1, "there is no shard s3")
	want(terse("migrate", "force", "s1", "5"), 0, "s1     5 ")
	want(terse("migrate", "force", "s1", strconv.Itoa(latest)), 0, fmt.Sprintf("s1     %d ", latest))

	var ids []string
	for range 4 { // on both shards, most likely
		created := terse("key", "create", "--name", "laptop")
		want(created, 0, "tk_")
		ids = append(ids, strings.Fields(created.stderr)[1])
	}
	listed := terse("key", "list")
	want(listed, 0, ids...)
	for _, id := range ids {
		want(terse("key", "revoke", id), 0, "Revoked "+id)
	}
	want(terse("key", "revoke", "key_nothing"), 1, "there is no key")

	want(terse("shard", "status"), 0, "s1     primary", "s2     replica-1", "2048", fmt.Sprintf("%d of %[1]d", latest), "0 B, 0.0 s")
	made := []int64{3, 0}
	conn, err := pgx.Connect(t.Context(), shards[0].DSN(testenv.ShardDatabase))
	must(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), `INSERT INTO links (created_at, version, bucket, code, target, owner)
			SELECT now(), 1, n, 'link-' || n, 'https://example.com/', '' FROM generate_series(1, $1) AS n`, made[0])
	must(t, err)
	var status struct {
		Shards []shardJSON `json:"shards"`
	}
	if err := json.Unmarshal([]byte(terse("shard", "status", "--json").stdout), &status); err != nil || len(status.Shards) != 2 {
		t.Fatalf("status = %+v, %v, want two shards", status, err)
	}
	for i, s := range status.Shards {
		if s.Links != made[i] {
			t.Errorf("status of %s = %d links, want %d", s.Name, s.Links, made[i])
		}
		if s.Buckets != 2048 || s.SchemaVersion != latest || len(s.Servers) != 2 || s.Servers[1].State != "replica" || s.Servers[1].LagBytes == nil {
			t.Errorf("status of %s = %+v, want 2048 buckets, version %d, and a replica with its lag", s.Name, s, latest)
		}
	}

	for _, p := range shards[1].Replicas() {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	want(terse("shard", "status"), 1, "s1     primary", "unusable", "shard s2: replica-1: ")
	if err := shards[1].Primary().Kill(); err != nil {
		t.Fatal(err)
	}
	want(terse("migrate", "status"), 1, ready("s1"), "unreachable")
	want(terse("migrate", "up"), 1, "s2")
	want(terse("key", "list"), 1, "s2")
}

// TestShardCommandsNeedShards checks that commands for shards report a missing or wrong
// TERSE_SHARDS.
func TestShardCommandsNeedShards(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"shard", "status"}, {"migrate", "force", "s1", "1"}} {
		if got := terse(t, nil, args...); got.status != 2 || !strings.Contains(got.stderr, "TERSE_SHARDS: is required") {
			t.Errorf("terse %v = %+v, want 2 and the setting", args, got)
		}
	}
	wrong := []string{"TERSE_SHARDS=s1;s1 postgres://a/b"}
	for _, args := range [][]string{{"shard", "status"}, {"migrate", "up"}, {"key", "list"}} {
		got := terse(t, wrong, args...)
		if got.status != 2 || strings.Count(got.stderr, "TERSE_SHARDS: shard ") != 2 {
			t.Errorf("terse %v = %+v, want 2 and both problems", args, got)
		}
	}
}
