package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/terse/terse/store/sqlite"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Bring the schema to the version of this binary. The embedded database does it by itself on start."`
	Down   migrateDown   `cmd:"" help:"Take the last migration back, with all data that it added."`
	Status migrateStatus `cmd:"" help:"Show the version of the schema and that of this binary."`
}

type migrateUp struct{ dataFlags }

// Run migrates up and shows the result.
func (c *migrateUp) Run(ctx context.Context, out output) error {
	migrator := sqlite.NewMigrator(c.DataDir)
	if err := migrator.Up(ctx); err != nil {
		return err
	}
	return printSchema(ctx, migrator, out)
}

type migrateDown struct {
	dataFlags
	Yes bool `required:"" help:"Say that data may be lost."`
}

// Run migrates one step down and shows the result.
func (c *migrateDown) Run(ctx context.Context, out output) error {
	migrator := sqlite.NewMigrator(c.DataDir)
	if err := migrator.Down(ctx); err != nil {
		return err
	}
	return printSchema(ctx, migrator, out)
}

type migrateStatus struct{ dataFlags }

// Run shows the versions.
func (c *migrateStatus) Run(ctx context.Context, out output) error {
	return printSchema(ctx, sqlite.NewMigrator(c.DataDir), out)
}

func printSchema(ctx context.Context, migrator *sqlite.Migrator, out output) error {
	version, err := migrator.Version(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(out.stdout, "schema: none yet, latest is %d\n", migrator.Latest())
		return err
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out.stdout, "schema: version %d, latest is %d\n", version, migrator.Latest())
	return err
}
