package validate_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// composedPostgres runs the Postgres servers of a shard with the commands and scripts of
// the services s1-a and s1-b. It uses the programs of this machine, not of the image.
type composedPostgres struct {
	t          *testing.T
	dir        string
	env        []string
	credential *syscall.Credential // account that runs Postgres; nil for the test's own account
}

func newComposedPostgres(t *testing.T) *composedPostgres {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatalf("Postgres is not installed (%v): run .ci/install postgres", err)
	}
	dir, err := os.MkdirTemp("", "compose-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &composedPostgres{t: t, dir: dir, env: append(os.Environ(), "PATH="+found[len(found)-1]+":"+os.Getenv("PATH"))}
	if os.Geteuid() != 0 {
		return c
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	c.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return c
}

// command returns a command that runs as the Postgres account and ends with the test.
func (c *composedPostgres) command(env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), "env", append([]string{name}, args...)...) // env looks up name in the PATH of cmd.Env
	cmd.Dir, cmd.Env = c.dir, slices.Concat(c.env, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (c *composedPostgres) run(env []string, name string, args ...string) {
	c.t.Helper()
	if out, err := c.command(env, name, args...).CombinedOutput(); err != nil {
		c.t.Fatalf("%s %v = %v: %s", name, args, err, out)
	}
}

// start starts a server. stop stops it; the end of the test does so too.
func (c *composedPostgres) start(env []string, name string, args ...string) (stop func()) {
	c.t.Helper()
	cmd := c.command(env, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	log, err := os.Create(filepath.Join(c.t.TempDir(), "log"))
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Wait()
		if said, err := os.ReadFile(log.Name()); c.t.Failed() && err == nil {
			c.t.Logf("%s: %s", name, said)
		}
	}
	c.t.Cleanup(stop)
	return stop
}

// ask runs a query as the superuser, on the server's own socket. It returns "" when the
// server does not answer.
func (c *composedPostgres) ask(port, sql string) string {
	out, _ := c.askAs("postgres", "", c.dir, port, sql)
	return out
}

// askAs runs a query as a role.
func (c *composedPostgres) askAs(role, password, host, port, sql string) (string, error) {
	out, err := c.command([]string{"PGCONNECT_TIMEOUT=2", "PGPASSWORD=" + password}, "psql", "--host="+host, "--port="+port,
		"--username="+role, "--dbname=terse", "--no-psqlrc", "--no-password", "-Atc", sql).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

func (c *composedPostgres) await(port, sql, want string) {
	c.t.Helper()
	got := ""
	for end := time.Now().Add(2 * time.Minute); got != want; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%s = %q, want %q", sql, got, want)
		}
		got = c.ask(port, sql)
	}
}

// TestComposePostgres checks that a new standby copies the primary and follows it, that
// commits wait for the standby, and that a restarted standby follows again.
func TestComposePostgres(t *testing.T) {
	t.Parallel()
	c, project := newComposedPostgres(t), composed(t)
	primary, standby := project.Services["s1-a"], project.Services["s1-b"]
	a, b, portA, portB := filepath.Join(c.dir, "a"), filepath.Join(c.dir, "b"), freePort(t), freePort(t)
	here := func(port string) []string {
		return []string{"-c", "port=" + port, "-c", "unix_socket_directories=" + c.dir}
	}

	// The steps of the image's own script, with the service's script between them.
	c.run(nil, "sh", "-c", "echo "+madeUp("POSTGRES_PASSWORD")+" >password")
	c.run(nil, "initdb", "--pgdata="+a, "--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=password")
	socket := []string{"PGDATA=" + a, "PGHOST=" + c.dir, "PGPORT=" + portA}
	for _, name := range []string{"SCHEMA_PASSWORD", "DATA_PASSWORD", "REPLICATION_PASSWORD"} {
		socket = append(socket, name+"="+*primary.Environment[name])
	}
	c.run(socket, "pg_ctl", "start", "--wait", "--log=first.log", "--options=-c listen_addresses='' -c unix_socket_directories="+c.dir)
	c.run(socket, "bash", "-c", strings.ReplaceAll(project.Configs["primary"].Content, "/roles.sql", c.roles()))
	c.run(socket, "pg_ctl", "stop", "--wait", "--mode=fast")

	c.start([]string{"PGDATA=" + a}, primary.Command[0], append(primary.Command[1:], here(portA)...)...)
	c.await(portA, "show synchronous_standby_names", "ANY 1 (*)")

	script := filepath.Join(c.dir, "standby.sh")
	if err := os.WriteFile(script, []byte(project.Configs["standby"].Content), 0o644); err != nil {
		t.Fatal(err)
	}
	follow := func() (stop func()) {
		environ := []string{"PGDATA=" + b, "PRIMARY=127.0.0.1", "PGPORT=" + portA, "PGPASSWORD=" + *standby.Environment["PGPASSWORD"]}
		return c.start(environ, standby.Entrypoint[0],
			slices.Concat([]string{script}, standby.Command, here(portB))...)
	}
	stop := follow()
	c.await(portA, "select state, sync_state from pg_stat_replication", "streaming|quorum")
	c.await(portA, "create table acknowledged ()", "CREATE TABLE")
	c.await(portB, "select count(*) from pg_tables where tablename = 'acknowledged'", "1")
	stop()
	follow()
	c.await(portA, "select state, sync_state from pg_stat_replication", "streaming|quorum")
	c.await(portB, "select pg_is_in_recovery()", "t")
	c.wantRoles(portA)
}

// roles copies the SQL file of the roles to a place that the Postgres account can read.
func (c *composedPostgres) roles() (path string) {
	c.t.Helper()
	content, err := os.ReadFile("../postgres/roles.sql")
	if err != nil {
		c.t.Fatal(err)
	}
	path = filepath.Join(c.dir, "roles.sql")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// wantRoles checks that no role of the network is a superuser or has more rights than it
// needs, and that Terse works with these roles.
func (c *composedPostgres) wantRoles(port string) {
	c.t.Helper()
	if got := c.ask(port, "select string_agg(rolname, ',' order by rolname) from pg_roles where rolcanlogin and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls)"); got != "postgres" {
		c.t.Errorf("roles with special rights = %s, want postgres alone", got)
	}
	const host = "127.0.0.1"
	for _, role := range []string{"postgres", "replicator"} {
		if out, err := c.askAs(role, madeUp(map[string]string{"postgres": "POSTGRES_PASSWORD", "replicator": "REPLICATION_PASSWORD"}[role]), host, port, "select 1"); err == nil {
			c.t.Errorf("%s can query through the network: %s", role, out)
		}
	}
	if out, err := c.askAs("terse_data", "wrong", host, port, "select 1"); err == nil {
		c.t.Errorf("a wrong password is accepted: %s", out)
	}
	url := func(role, password string) string {
		return "TERSE_SHARDS=s1 postgres://" + role + ":" + madeUp(password) + "@127.0.0.1:" + port + "/terse?sslmode=disable"
	}
	wantWorkingNode(c.t, url("terse_schema", "SCHEMA_PASSWORD"), url("terse_data", "DATA_PASSWORD"))
	data := func(sql string) (string, error) {
		return c.askAs("terse_data", madeUp("DATA_PASSWORD"), host, port, sql)
	}
	if got, err := data("select count(*) from links where deleted_at is null"); err != nil || got != "1" {
		c.t.Errorf("links = %s, %v, want 1", got, err)
	}
	for _, sql := range []string{
		"create table mine ()", "create schema mine", "create temporary table mine ()", "drop table links", "alter table links add column x text", "truncate links",
		"create function mine() returns int language sql as 'select 1'", "create role mine", "set role terse_schema", "copy links to program 'true'",
	} {
		if out, err := data(sql); err == nil {
			c.t.Errorf("the nodes' role may %s: %s", sql, out)
		}
	}
}

// TestComposeRedis checks that Redis accepts its command line, requires the password and
// passes its health check.
func TestComposeRedis(t *testing.T) {
	t.Parallel()
	service, port := composed(t).Services["redis"], freePort(t)
	script := strings.NewReplacer("$$", "$", "/tmp", t.TempDir()).Replace(service.Command[len(service.Command)-1])
	server := exec.CommandContext(t.Context(), "sh", "-euc", strings.TrimSpace(script)+" --bind 127.0.0.1 --port "+port)
	server.Env = append(os.Environ(), "REDISCLI_AUTH="+*service.Environment["REDISCLI_AUTH"])
	server.Dir, server.SysProcAttr = t.TempDir(), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatalf("%v: run .ci/install redis", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	ask := func(password string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), "redis-cli", append([]string{"-h", "127.0.0.1", "-p", port}, args...)...)
		cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+password)
		out, _ := cmd.CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	password := *service.Environment["REDISCLI_AUTH"]
	check := service.HealthCheck.Test
	for end := time.Now().Add(2 * time.Minute); ask(password, check[2:]...) != "PONG"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v = %q, want PONG", check, ask(password, check[2:]...))
		}
	}
	if got := ask("", "get", "x"); !strings.Contains(got, "NOAUTH") {
		t.Errorf("answer without a password = %q, want NOAUTH", got)
	}
	if got := ask(password, "config", "get", "maxmemory-policy"); !strings.HasSuffix(got, "allkeys-lru") {
		t.Errorf("maxmemory-policy = %q, want allkeys-lru", got)
	}
}
