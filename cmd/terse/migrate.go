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
	Up     migrateUp     `cmd:"" help:"Bring the schema to the version of this binary. The embedded database does it by itself on start, shards never do."`
	Down   migrateDown   `cmd:"" help:"Take the last migration back, with all data that it added."`
	Status migrateStatus `cmd:"" help:"Show the version of the schema and that of this binary."`
	Force  migrateForce  `cmd:"" help:"Say which version a shard has whose migration failed midway."`
}

type migrateUp struct{ dataFlags }

// Run migrates up and shows the result.
func (c *migrateUp) Run(ctx context.Context, out output) error {
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
	Yes bool `required:"" help:"Say that data may be lost."`
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
	Shard   string `arg:"" help:"The shard that is dirty."`
	Version int    `arg:"" help:"The version that it has: a step that failed left nothing behind."`
}

// Run records the version and shows the result.
func (c *migrateForce) Run(ctx context.Context, out output) error {
	shards, err := c.readShards()
	switch {
	case err != nil:
		return err
	case len(shards) == 0:
		return settingsError{fmt.Errorf("%sSHARDS: is required: the embedded database mends itself", envPrefix)}
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

// migrator changes the schema of whatever keeps the links.
type migrator interface {
	Up(ctx context.Context) error
	Down(ctx context.Context) error

	// print shows the versions.
	print(ctx context.Context, out output) error
}

// migrator returns the one that the settings ask for.
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

// print shows the version of every shard. One that cannot be asked is shown as
// such, and is an error.
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
			state = "refused or unreachable"
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
