package schema

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"time"

	"github.com/golang-migrate/migrate/v4"
	migratedb "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// migration changes the schema of one shard over its own connection.
type migration struct {
	run         *migrate.Migrate
	recorder    *recorder
	lockTimeout time.Duration
	release     func() bool
}

// newMigration connects to a shard. The end of ctx interrupts a running statement, which
// golang-migrate does not support.
func newMigration(ctx context.Context, s source, steps fs.FS, lockTimeout time.Duration) (*migration, error) {
	var conn *pgx.Conn
	db := stdlib.OpenDB(*s.config, stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error {
		conn = c
		return nil
	}))
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	m := &migration{lockTimeout: lockTimeout}
	m.release = context.AfterFunc(ctx, func() { interrupt(ctx, conn) })
	if err := m.open(db, steps); err != nil {
		m.release()
		// golang-migrate does not close its connection after this error, and db does not
		// either.
		return nil, errors.Join(stepError(err, lockTimeout), conn.PgConn().Conn().Close(), db.Close())
	}
	return m, nil
}

// open prepares steps through db. close closes db.
func (m *migration) open(db *sql.DB, steps fs.FS) error {
	from, err := iofs.New(steps, ".")
	if err != nil {
		return err
	}
	to, err := migratedb.WithInstance(db, &migratedb.Config{MigrationsTable: versionTable})
	if err != nil {
		return errors.Join(err, from.Close())
	}
	m.recorder = &recorder{Driver: to}
	m.run, err = migrate.NewWithInstance("iofs", from, "pgx5", m.recorder)
	if err != nil {
		return errors.Join(err, from.Close(), to.Close())
	}
	m.run.LockTimeout = 2 * m.lockTimeout // longer than the session's lock_timeout, which must end first
	return nil
}

// interrupt cancels the statement on conn. If the server does not answer, it closes the
// connection.
func interrupt(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := conn.PgConn().CancelRequest(ctx); err != nil {
		_ = conn.PgConn().Conn().Close() // the statement then fails
	}
}

// step takes n steps up, or -n steps down. After the end of ctx its error is the error of ctx.
func (m *migration) step(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := m.run.Steps(n)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), stepError(err, m.lockTimeout))
	}
	return stepError(err, m.lockTimeout)
}

// close closes the connection.
func (m *migration) close() error {
	m.release()
	return errors.Join(m.run.Close())
}
