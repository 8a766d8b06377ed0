package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"text/tabwriter"

	"github.com/terse/terse/store/postgres/schema"
	"github.com/terse/terse/store/sqlite"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Migrate the schema to the version of this binary. The embedded database migrates by itself at start; shards do not."`
	Down   migrateDown   `cmd:"" help:"Undo the last migration and delete the data that it added."`
	Status migrateStatus `cmd:"" help:"Show the schema version of the database and of this binary."`
	Force  migrateForce  `cmd:"" help:"Set the version of a shard after a failed migration."`
}

type migrateUp struct {
	dataFlags
	initFlag
}

// Run migrates up and shows the result.
func (c *migrateUp) Run(ctx context.Context, out output) error {
	if err := c.requireOrInit(ctx, &c.dataFlags); err != nil {
		return err
	}
	m, err := c.migrator(out)
	if err != nil {
		return err
	}
	if err := m.Up(ctx); err != nil {
		return err
	}
	return m.print(ctx, out)
}

type migrateDown struct {
	dataFlags
	Yes bool `required:"" help:"Confirm that data may be lost."`
}

// Run migrates one step down and shows the result.
func (c *migrateDown) Run(ctx context.Context, out output) error {
	m, err := c.migrator(out)
	if err != nil {
		return err
	}
	if err := m.Down(ctx); err != nil {
		return err
	}
	return m.print(ctx, out)
}

type migrateStatus struct{ dataFlags }

// Run shows the versions.
func (c *migrateStatus) Run(ctx context.Context, out output) error {
	m, err := c.migrator(out)
	if err != nil {
		return err
	}
	return m.print(ctx, out)
}

type migrateForce struct {
	dataFlags
	Shard   string `arg:"" help:"Name of the dirty shard."`
	Version int    `arg:"" help:"Version of the last migration that succeeded. A failed migration changes nothing."`
}

// Run records the version and shows the result.
func (c *migrateForce) Run(ctx context.Context, out output) error {
	shards, err := c.readShards()
	switch {
	case err != nil:
		return err
	case len(shards) == 0:
		return settingsError{fmt.Errorf("%sSHARDS: is required: this command works on shards only", envPrefix)}
	}
	m, err := newShardMigrator(shards, out)
	if err != nil {
		return err
	}
	if err := m.Force(ctx, c.Shard, c.Version); err != nil {
		return err
	}
	return m.print(ctx, out)
}

// migrator changes the schema of the database.
type migrator interface {
	Up(ctx context.Context) error
	Down(ctx context.Context) error

	// print shows the versions.
	print(ctx context.Context, out output) error
}

// migrator returns the migrator of the shards, or of the embedded database without shards.
func (f *dataFlags) migrator(out output) (migrator, error) {
	shards, err := f.readShards()
	switch {
	case err != nil:
		return nil, err
	case len(shards) > 0:
		return newShardMigrator(shards, out)
	}
	return embeddedMigrator{sqlite.NewMigrator(f.DataDir)}, nil
}

type embeddedMigrator struct{ *sqlite.Migrator }

func (m embeddedMigrator) print(ctx context.Context, out output) error {
	version, err := m.Version(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(out.stdout, "schema: none yet, latest is %d\n", m.Latest())
		return err
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "schema: version %d, latest is %d\n", version, m.Latest())
	return err
}

type shardMigrator struct{ *schema.Migrator }

func newShardMigrator(shards []shardSettings, out output) (shardMigrator, error) {
	opts := schema.Options{Logger: slog.New(slog.NewTextHandler(out.stderr, nil))}
	for _, s := range shards {
		opts.Targets = append(opts.Targets, schema.Target{Name: s.name, DSN: s.primary})
	}
	m, err := schema.New(opts)
	return shardMigrator{m}, err
}

// print shows the version of every shard. A shard that cannot be read has a row too, and
// its error is returned.
func (m shardMigrator) print(ctx context.Context, out output) error {
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tVERSION\tLATEST\tSTATE")
	var problems []error
	for _, s := range m.Status(ctx) {
		state := "ready"
		switch {
		case s.Dirty:
			state = "dirty"
		case s.Err != nil:
			state = "unusable or unreachable"
		case s.Version < s.Latest:
			state = "behind: run terse migrate up"
		case s.Version > s.Latest:
			state = "newer than this binary"
		}
		problems = append(problems, s.Err)
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", s.Name, s.Version, s.Latest, state)
	}
	return errors.Join(append(problems, w.Flush())...)
}
