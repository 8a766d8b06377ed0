//go:build unix

package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/terse/terse/internal/testenv"
)

// rotation is a Postgres and a Redis with passwords, and two nodes.
type rotation struct {
	t        *testing.T
	binary   string
	shard    *testenv.Postgres
	redis    *testenv.Redis
	settings map[string]string // read by nodes when they start
	nodes    []*testenv.Terse
}

// The old and the new passwords.
const (
	firstPassword  = "5f0d8a61c9e24b73"
	secondPassword = "b81e7d3f20a6c954"
)

func newRotation(t *testing.T) *rotation {
	t.Helper()
	r := &rotation{t: t, binary: testenv.BuildTerse(t), settings: map[string]string{
		"code_key": "aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA=", "limit_create_anonymous": "off", "limit_create_total": "off", "drain_delay": "0s",
	}}
	cluster := testenv.NewCluster(t, testenv.ClusterOptions{})
	r.shard = cluster.Primary()
	must(t, cluster.NewDatabase(t.Context(), "links"))
	hba := filepath.Join(r.shard.DataDir(), "pg_hba.conf")
	trusting, err := os.ReadFile(hba)
	must(t, err)
	must(t, os.WriteFile(hba, append([]byte("host all first,second all scram-sha-256\n"), trusting...), 0o600))
	r.sql("select pg_reload_conf()", "create role first login password '"+firstPassword+"'",
		"alter database links owner to first", "alter schema public owner to first")
	r.redis = testenv.NewRedis(t, testenv.RedisOptions{})
	r.acl(r.redisURL(""), "resetpass", ">"+firstPassword)

	r.use("first", firstPassword)
	r.run("migrate", "up")
	for range 2 {
		r.nodes = append(r.nodes, testenv.NewTerse(t, testenv.TerseOptions{Binary: r.binary, Settings: r.settings}))
	}
	return r
}

// sql runs statements as the superuser.
func (r *rotation) sql(statements ...string) {
	r.t.Helper()
	for _, s := range statements {
		must(r.t, r.shard.Exec(r.t.Context(), "links", s))
	}
}

func (r *rotation) dsn(role, password string) string {
	return strings.Replace(r.shard.DSN("links"), "postgres://terse@", "postgres://"+role+":"+password+"@", 1)
}

func (r *rotation) redisURL(password string) string {
	return strings.Replace(r.redis.URL(), "redis://", "redis://:"+password+"@", 1)
}

// acl changes Redis' default user.
func (r *rotation) acl(url string, rules ...any) {
	r.t.Helper()
	opts, err := redis.ParseURL(url)
	must(r.t, err)
	c := redis.NewClient(opts)
	defer func() { must(r.t, c.Close()) }()
	must(r.t, c.Do(r.t.Context(), append([]any{"acl", "setuser", "default"}, rules...)...).Err())
}

// use sets the passwords of nodes that start from now on.
func (r *rotation) use(role, password string) {
	r.settings["shards"], r.settings["redis_url"] = "s1 "+r.dsn(role, password), r.redisURL(password)
}

// run runs a terse command for the shard.
func (r *rotation) run(args ...string) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.binary, args...)
	cmd.Env = append(os.Environ(), "TERSE_SHARDS="+r.settings["shards"])
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("terse %v = %v: %s", args, err, out)
	}
}

// ask sends a request to a node.
func (r *rotation) ask(method, url, body string) (status int, location, text string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, url, strings.NewReader(body))
	must(r.t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	must(r.t, err)
	defer func() { _ = answer.Body.Close() }()
	read, err := io.ReadAll(answer.Body)
	must(r.t, err)
	return answer.StatusCode, answer.Header.Get("Location"), string(read)
}

var redisAnswers = regexp.MustCompile(`(?m)^terse_redis_requests_total\{[^}]*result="(hit|miss|ok)"[^}]*\} [1-9]`)

// wantService checks that both nodes create links, find all created links, and use Redis.
func (r *rotation) wantService(links *[]string, when string) {
	r.t.Helper()
	for _, n := range r.nodes {
		status, link, text := r.ask(http.MethodPost, n.URL()+"/api/v1/links", `{"url":"https://example.com/rotated"}`)
		if status != http.StatusCreated {
			r.t.Fatalf("%s: status of a create = %d: %s", when, status, text)
		}
		*links = append(*links, link)
		for _, link := range *links {
			if status, _, text := r.ask(http.MethodGet, n.URL()+link[strings.LastIndexByte(link, '/'):], ""); status != http.StatusFound {
				r.t.Errorf("%s: %s = %d, want 302: %s", when, link, status, text)
			}
		}
		testenv.Await(r.t, when+": an answer of Redis", func() bool {
			_, page := n.Admin().Ask(r.t.Context(), "/metrics")
			return redisAnswers.MatchString(page)
		})
	}
}

// restart restarts the nodes one by one, with the current passwords.
func (r *rotation) restart(links *[]string) {
	r.t.Helper()
	for _, n := range r.nodes {
		must(r.t, n.Stop())
		must(r.t, n.Start(r.t.Context()))
		r.wantService(links, "between restarts")
	}
}

// TestRotateSecrets changes the nodes' passwords of Postgres and Redis with the steps of
// the runbook, and then disables the old passwords.
func TestRotateSecrets(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	r := newRotation(t)
	var links []string
	r.wantService(&links, "before")

	r.sql("create role second login password '"+secondPassword+"' in role first", "alter role second set role = first")
	r.acl(r.redisURL(firstPassword), ">"+secondPassword)
	r.use("second", secondPassword)
	r.restart(&links)

	r.sql("alter role first nologin")
	r.acl(r.redisURL(secondPassword), "<"+firstPassword)
	r.restart(&links)
	r.run("migrate", "up")
	r.wantOver()
}

// wantOver checks that the old passwords are rejected, and that the first role owns the
// tables of the second role, so that the next rotation finds the same rights.
func (r *rotation) wantOver() {
	r.t.Helper()
	ctx := r.t.Context()
	if conn, err := pgx.Connect(ctx, r.dsn("first", firstPassword)); err == nil {
		_ = conn.Close(ctx)
		r.t.Error("Postgres accepts the old password")
	}
	opts, err := redis.ParseURL(r.redisURL(firstPassword))
	must(r.t, err)
	c := redis.NewClient(opts)
	defer func() { must(r.t, c.Close()) }()
	if err := c.Ping(ctx).Err(); err == nil {
		r.t.Error("Redis accepts the old password")
	}
	conn, err := pgx.Connect(ctx, r.dsn("second", secondPassword))
	must(r.t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_, err = conn.Exec(ctx, "create table made_by_second ()")
	must(r.t, err)
	var owner string
	must(r.t, conn.QueryRow(ctx, "select tableowner from pg_tables where tablename = 'made_by_second'").Scan(&owner))
	if owner != "first" {
		r.t.Errorf("owner of the second role's table = %s, want first", owner)
	}
}
