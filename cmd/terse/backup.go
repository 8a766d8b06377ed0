package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/terse/terse/internal/outfile"
	"github.com/terse/terse/store/sqlite"
)

type backupCommand struct {
	dataFlags
	Force bool   `help:"Replace an existing file."`
	File  string `arg:"" help:"File to write, or - for stdout."`
}

// Help is shown below the command's purpose.
func (*backupCommand) Help() string {
	return `The server may keep running. The copy is a consistent snapshot. The file appears when it is complete:

    terse backup /backup/terse-$(date +%F).db

It contains the code key and password hashes: keep it private. Only its owner can read it.`
}

// Run copies the embedded database.
func (c *backupCommand) Run(ctx context.Context, out output) error {
	if err := c.embeddedOnly("backup"); err != nil {
		return err
	}
	if outfile.IsStdout(c.File) {
		_, err := c.stream(ctx, out.stdout)
		return err
	}
	to, err := outfile.Find(c.File)
	if err != nil {
		return err
	}
	if sqlite.IsOwnFile(c.DataDir, to.Path) {
		return fmt.Errorf("%s is a file of the database itself. Name another file", c.File)
	}
	size, err := c.write(ctx, to)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists. Name another file, or replace it with --force", c.File)
	}
	if err == nil {
		fmt.Fprintf(out.stderr, "Copied %s to %s (%d bytes).\n", c.database(), c.File, size)
	}
	return err
}

// write copies the database to a target and returns the size of the copy.
func (c *backupCommand) write(ctx context.Context, to outfile.Target) (size int64, err error) {
	switch {
	case to.Direct:
		f, err := outfile.OpenDirect(to.Path)
		if err != nil {
			return 0, err
		}
		size, err = c.stream(ctx, f)
		return size, errors.Join(err, f.Close())
	case to.Exists && !c.Force:
		return 0, fs.ErrExist
	}
	if err := c.requireDatabase(ctx); err != nil {
		return 0, err
	}
	f, err := outfile.Temp(to.Path)
	if err != nil {
		return 0, err
	}
	if size, err = c.copyTo(ctx, f); err == nil {
		if c.Force {
			err = outfile.Replace(f, to.Path)
		} else {
			err = outfile.Add(f, to.Path)
		}
	}
	if err != nil {
		_ = f.Close() // f may be closed already
		return 0, errors.Join(err, os.Remove(f.Name()))
	}
	return size, nil
}

// stream writes a copy to w. SQLite can write only to a file, so the copy is in the data
// folder until it is complete.
func (c *backupCommand) stream(ctx context.Context, w io.Writer) (size int64, err error) {
	if err := c.requireDatabase(ctx); err != nil {
		return 0, err
	}
	f, err := outfile.Temp(c.database())
	if err != nil {
		return 0, err
	}
	defer func() {
		removed := os.Remove(f.Name())
		if errors.Is(removed, fs.ErrNotExist) {
			removed = nil
		}
		err = errors.Join(err, f.Close(), removed)
	}()
	if _, err := c.copyTo(ctx, f); err != nil {
		return 0, err
	}
	_ = os.Remove(f.Name()) // before the output, because SIGPIPE ends the process; on Windows it fails while f is open
	return io.Copy(w, f)
}

// copyTo copies the database to an empty file and returns the size.
func (c *backupCommand) copyTo(ctx context.Context, f *os.File) (size int64, err error) {
	if err := sqlite.Backup(ctx, c.DataDir, f.Name()); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

type restoreCommand struct {
	dataFlags
	File string `arg:"" help:"Copy of a database, made by terse backup."`
}

// Help is shown below the command's purpose.
func (*restoreCommand) Help() string {
	return `Stop the server first, and its systemd socket too. The replaced database moves to a folder in the data folder:

    terse restore /backup/terse-2026-11-29.db

A damaged copy is refused, and then nothing is changed.`
}

// Run restores the embedded database.
func (c *restoreCommand) Run(ctx context.Context, out output) error {
	if err := c.embeddedOnly("restore"); err != nil {
		return err
	}
	aside, err := sqlite.Restore(ctx, c.DataDir, c.File)
	switch {
	case errors.Is(err, sqlite.ErrLocked):
		return fmt.Errorf("%w. Stop the server before you restore its database", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, sqlite.ErrForeign), errors.Is(err, sqlite.ErrDamaged), errors.Is(err, sqlite.ErrNewer):
		return fmt.Errorf("%w. Nothing was changed", err)
	case err != nil:
		return err
	}
	fmt.Fprintf(out.stderr, "Restored %s from %s.\n", c.database(), c.File)
	if aside != "" {
		fmt.Fprintf(out.stderr, "The replaced database is in %s. Delete it when you do not need it.\n", absolute(aside))
	}
	return nil
}

// embeddedOnly returns an error when the settings name shards.
func (f *dataFlags) embeddedOnly(command string) error {
	shards, err := f.readShards()
	if err == nil && len(shards) > 0 {
		err = settingsError{fmt.Errorf("%sSHARDS: terse %s is for the embedded database only. Use the tools of Postgres for each shard, see deploy/RUNBOOK.md", envPrefix, command)}
	}
	return err
}

// database returns the path of the embedded database.
func (f *dataFlags) database() string { return absolute(filepath.Join(f.DataDir, "terse.db")) }

// absolute returns the absolute path, or path itself when the current folder is unknown.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
