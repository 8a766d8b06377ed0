//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// PgBouncer is a connection pooler in transaction mode: the state of a session, such
// as SET and advisory locks, ends with the transaction. Safe for concurrent use.
type PgBouncer struct {
	Server
	program  string
	upstream *Postgres
}

// StartPgBouncer starts a pooler for all databases of a server, with at most 5
// connections to each. The caller ends it with Close. It also ends with the calling
// process.
func StartPgBouncer(ctx context.Context, upstream *Postgres) (*PgBouncer, error) {
	program, err := findPgBouncer()
	if err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	f, err := newFolder(Location{})
	if err != nil {
		return nil, fmt.Errorf("start PgBouncer: %w", err)
	}
	b := &PgBouncer{program: program, upstream: upstream}
	b.Server = Server{
		folder: f, name: "pgbouncer", stop: syscall.SIGINT,
		launch: b.launch, ready: b.ready,
	}
	if err := b.Start(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// DSN returns the URL of a database through the pooler, without a password.
func (b *PgBouncer) DSN(database string) string { return dsn(b.Addr(), database) }

// Close kills the pooler and removes its files.
func (b *PgBouncer) Close() error { return b.folder.close() }

func (b *PgBouncer) launch(port int) ([]string, error) {
	upstream, upstreamPort, err := net.SplitHostPort(b.upstream.Addr())
	if err != nil {
		return nil, err
	}
	err = b.folder.write("pgbouncer.ini", fmt.Sprintf(`[databases]
* = host=%s port=%s user=%s

[pgbouncer]
listen_addr = %s
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 200
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
`, upstream, upstreamPort, superuser, host, port))
	if err != nil {
		return nil, err
	}
	return []string{b.program, b.folder.join("pgbouncer.ini")}, nil
}

// ready sends a query that the pooler answers without Postgres.
func (b *PgBouncer) ready(ctx context.Context, addr string, _ int) (bool, error) {
	conn, err := pgx.Connect(ctx, dsn(addr, "pgbouncer"))
	if err != nil {
		return false, ctx.Err() // refused until it listens
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.PgConn().Exec(ctx, "show version").ReadAll()
	return err == nil, err
}
