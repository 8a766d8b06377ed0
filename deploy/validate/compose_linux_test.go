package validate_test

import (
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

const composedPassword = "made-up-here" // the same as in composed

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
	c := &composedPostgres{t: t, dir: dir, env: append(os.Environ(), "PATH="+found[len(found)-1]+":"+os.Getenv("PATH"), "PGPASSWORD="+composedPassword)}
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

// ask runs a query. It returns "" when the server does not answer.
func (c *composedPostgres) ask(port, sql string) string {
	out, err := c.command([]string{"PGCONNECT_TIMEOUT=2"}, "psql", "--host=127.0.0.1", "--port="+port, "--username=terse", "--dbname=terse", "--no-psqlrc", "-Atc", sql).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
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
	if p := *primary.Environment["POSTGRES_PASSWORD"]; p != composedPassword || *standby.Environment["PGPASSWORD"] != p {
		t.Fatal("the servers of a shard have different passwords")
	}
	a, b, portA, portB := filepath.Join(c.dir, "a"), filepath.Join(c.dir, "b"), freePort(t), freePort(t)
	here := func(port string) []string {
		return []string{"-c", "port=" + port, "-c", "unix_socket_directories=" + c.dir}
	}

	// The steps of the image's own script, with the service's script between them.
	c.run(nil, "sh", "-c", "echo "+composedPassword+" >password")
	c.run(nil, "initdb", "--pgdata="+a, "--username=terse", "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=password")
	socket := []string{"PGDATA=" + a, "PGHOST=" + c.dir, "PGPORT=" + portA, "POSTGRES_USER=terse"}
	c.run(socket, "pg_ctl", "start", "--wait", "--log=first.log", "--options=-c listen_addresses='' -c unix_socket_directories="+c.dir)
	c.run(socket, "createdb", "--username=terse", "terse")
	c.run(socket, "bash", "-c", project.Configs["primary"].Content)
	c.run(socket, "pg_ctl", "stop", "--wait", "--mode=fast")

	c.start([]string{"PGDATA=" + a}, primary.Command[0], append(primary.Command[1:], here(portA)...)...)
	c.await(portA, "show synchronous_standby_names", "ANY 1 (*)")

	script := filepath.Join(c.dir, "standby.sh")
	if err := os.WriteFile(script, []byte(project.Configs["standby"].Content), 0o644); err != nil {
		t.Fatal(err)
	}
	follow := func() (stop func()) {
		return c.start([]string{"PGDATA=" + b, "PRIMARY=127.0.0.1", "PGPORT=" + portA}, standby.Entrypoint[0],
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
}

// TestComposeRedis checks that Redis accepts its command line, requires the password and
// passes its health check.
func TestComposeRedis(t *testing.T) {
	t.Parallel()
	service, port := composed(t).Services["redis"], freePort(t)
	server := exec.CommandContext(t.Context(), service.Command[0], append(service.Command[1:], "--bind", "127.0.0.1", "--port", port)...)
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
