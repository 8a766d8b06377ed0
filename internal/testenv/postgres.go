//go:build unix

package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Postgres is one Postgres server, a primary or a replica. Safe for concurrent
// use.
type Postgres struct {
	Server
	install  installation
	settings map[string]string
	primary  *Postgres // the server that a replica follows; nil for a primary
}

func newPostgres(f *folder, install installation, name string, settings map[string]string, primary *Postgres) *Postgres {
	p := &Postgres{install: install, settings: settings, primary: primary}
	p.Server = Server{
		folder: f, name: name, stop: syscall.SIGINT,
		launch: p.launch, ready: p.ready,
	}
	return p
}

// DSN returns the URL of a database of this server, without a password.
func (p *Postgres) DSN(database string) string { return dsn(p.Addr(), database) }

func dsn(addr, database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", superuser, addr, database)
}

// DataDir returns the path of its data folder, which exists once it was started.
func (p *Postgres) DataDir() string { return p.folder.join(p.name) }

// Run runs a program as the server's account. The error includes the program's
// output.
func (p *Postgres) Run(ctx context.Context, program string, args ...string) error {
	return p.folder.run(ctx, program, args...)
}

// Exec runs SQL in a session of its own: one statement, or several separated by
// semicolons.
func (p *Postgres) Exec(ctx context.Context, database, sql string) error {
	err := p.session(ctx, database, func(conn *pgx.Conn) error {
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %s: %w", p.name, sql, err)
	}
	return nil
}

// isTrue reports whether a boolean SQL expression is true.
func (p *Postgres) isTrue(ctx context.Context, expression string, args ...any) (yes bool, err error) {
	err = p.session(ctx, "postgres", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select "+expression, args...).Scan(&yes)
	})
	if err != nil {
		return false, fmt.Errorf("%s: %s: %w", p.name, expression, err)
	}
	return yes, nil
}

// await returns once a boolean SQL expression is true.
func (p *Postgres) await(ctx context.Context, expression string, args ...any) error {
	err := p.session(ctx, "postgres", func(conn *pgx.Conn) error {
		return poll(ctx, func() (yes bool, err error) {
			err = conn.QueryRow(ctx, "select "+expression, args...).Scan(&yes)
			return yes, err
		})
	})
	if err != nil {
		return fmt.Errorf("%s: wait for %s: %w", p.name, expression, err)
	}
	return nil
}

func (p *Postgres) session(ctx context.Context, database string, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, p.DSN(database))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	return use(conn)
}

// launch writes the complete configuration, because a copied data folder contains the
// configuration of another server.
func (p *Postgres) launch(port int) ([]string, error) {
	var conf strings.Builder
	line := func(key, value string) {
		fmt.Fprintf(&conf, "%s = '%s'\n", key, strings.ReplaceAll(value, "'", "''"))
	}
	line("port", strconv.Itoa(port))
	if p.primary != nil {
		upstream, upstreamPort, err := net.SplitHostPort(p.primary.Addr())
		if err != nil {
			return nil, err
		}
		line("primary_conninfo", fmt.Sprintf("host=%s port=%s user=%s application_name=%s",
			upstream, upstreamPort, superuser, p.applicationName()))
		if err := p.folder.write(p.name+"/standby.signal", ""); err != nil {
			return nil, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.settings)) {
		line(key, p.settings[key])
	}
	if err := p.folder.write(p.name+"/postgresql.conf", conf.String()); err != nil {
		return nil, err
	}
	return []string{p.install.program("postgres"), "-D", p.folder.join(p.name)}, nil
}

// applicationName is the name of the replica in pg_stat_replication.
func (p *Postgres) applicationName() string { return strings.ReplaceAll(p.name, "-", "_") }

// ready reads postmaster.pid, which the postmaster writes for pg_ctl: line 1 is its
// process id and line 8 its state. A connection is no proof, because another server
// could have taken the port.
func (p *Postgres) ready(_ context.Context, _ string, pid int) (bool, error) {
	content, err := os.ReadFile(p.folder.join(p.name + "/postmaster.pid"))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	lines := strings.Split(string(content), "\n")
	return len(lines) >= 8 && lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[7]) == "ready", nil
}
