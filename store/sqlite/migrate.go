package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4"
	migratedb "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/terse/terse/migrations"
)

// Migrator migrates the schema of a database folder, for operators. Up and Down lock the
// folder like Options.Serve, so they return ErrLocked while it is served. Safe for
// concurrent use.
type Migrator struct{ files files }

// NewMigrator returns a Migrator for the database in dir.
func NewMigrator(dir string) *Migrator { return &Migrator{files: newFiles(dir)} }

// Latest returns the newest schema version that this program supports.
func (*Migrator) Latest() int { return latest() }

// Version returns the schema version of the database; 0 means no tables. It changes nothing.
// It returns fs.ErrNotExist when there is no database, and the errors of Open for a database
// that cannot be used.
func (m *Migrator) Version(ctx context.Context) (int, error) {
	version, err := m.files.version(ctx)
	if err == nil && version == absent {
		err = fmt.Errorf("%s: %w", m.files.database, fs.ErrNotExist)
	}
	if err != nil {
		return 0, fmt.Errorf("sqlite: %w", err)
	}
	return version, nil
}

// Up migrates the database to the latest version. It creates a missing database.
func (m *Migrator) Up(ctx context.Context) error {
	lock, err := m.files.prepare(ctx, true)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return lock.Close()
}

// Down reverts the last migration and deletes its data. It returns fs.ErrNotExist when there
// is no migration to revert.
func (m *Migrator) Down(ctx context.Context) error {
	if _, err := m.Version(ctx); err != nil {
		return err
	}
	lock, err := m.files.tryLock()
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := errors.Join(m.files.revert(ctx), lock.Close()); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}

// revert reverts the last migration. The caller must have locked the folder.
func (f *files) revert(ctx context.Context) error {
	version, err := f.recoverFiles(ctx)
	if err != nil {
		return err
	}
	if version <= 0 {
		return fmt.Errorf("no migration to revert: %w", fs.ErrNotExist)
	}
	return f.migrate(ctx, (*migration).down)
}

// migrate runs step on the database. The caller must have locked the folder.
func (f *files) migrate(ctx context.Context, step func(*migration) error) error {
	if err := f.moveLog(ctx); err != nil {
		return translate(err)
	}
	m, err := newMigration(ctx, f.database)
	if err != nil {
		return err
	}
	return errors.Join(step(m), m.close())
}

// migration is an open database with its migrations.
type migration struct{ run *migrate.Migrate }

// newMigration opens the database file, which may be empty.
func newMigration(ctx context.Context, file string) (*migration, error) {
	db, err := openHandle(file, migrating)
	if err != nil {
		return nil, err
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(translate(err), db.Close())
	}
	target, err := migratedb.WithInstance(db, &migratedb.Config{})
	if err != nil {
		return nil, errors.Join(translate(err), db.Close())
	}
	steps, err := iofs.New(migrations.SQLite(), ".")
	if err != nil {
		return nil, errors.Join(err, target.Close())
	}
	run, err := migrate.NewWithInstance("iofs", steps, "sqlite", target)
	if err != nil {
		return nil, errors.Join(err, steps.Close(), target.Close())
	}
	m := &migration{run: run}
	if err := m.repair(ctx, db); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// repair corrects the recorded version after a migration failed or was killed. The record
// shows only that the migration began; user_version shows whether it was committed.
func (m *migration) repair(ctx context.Context, db *sql.DB) error {
	_, dirty, err := m.run.Version()
	if errors.Is(err, migrate.ErrNilVersion) || (err == nil && !dirty) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	version, err := userVersion(ctx, db)
	if err != nil {
		return translate(err)
	}
	if version == 0 {
		version = -1 // golang-migrate's value for no version
	}
	return m.run.Force(version)
}

// up runs all missing migrations.
func (m *migration) up() error {
	if err := m.run.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// down reverts the last migration.
func (m *migration) down() error {
	if err := m.run.Steps(-1); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// close closes the database.
func (m *migration) close() error { return errors.Join(m.run.Close()) }

// latest returns the number of the last embedded migration.
func latest() int {
	ups, err := fs.Glob(migrations.SQLite(), "*.up.sql")
	if err != nil {
		panic("sqlite: " + err.Error()) // the pattern is constant
	}
	return len(ups)
}
