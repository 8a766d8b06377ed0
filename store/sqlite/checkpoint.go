package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// checkpointPages is the length of the write-ahead log in pages at which a checkpoint moves it
// into the database file: 4 MiB.
const checkpointPages = 1000

// A checkpointer moves the write-ahead log of a served database into the file. SQLite would
// do this by itself at any commit; then the mark in the file would have an unexpected id
// after a crash. Between two checkpoints a read transaction prevents checkpoints of other
// processes. Not safe for concurrent use.
type checkpointer struct {
	files  files
	writer *sql.DB
	reads  *sql.DB
	reader *sql.Tx // nil: none is open
	at     int     // length of the log in pages at which the next checkpoint begins
}

// newCheckpointer does the first checkpoint. The caller must have locked the folder, and must
// call close.
func newCheckpointer(ctx context.Context, f files, writer *sql.DB) (*checkpointer, error) {
	reads, err := openHandle(f.database, readOnly)
	if err != nil {
		return nil, err
	}
	c := &checkpointer{files: f, writer: writer, reads: reads}
	if err := c.run(ctx, 0); err != nil {
		return nil, errors.Join(err, c.close(ctx))
	}
	return c, nil
}

// afterCommit does a checkpoint when the log is long enough.
func (c *checkpointer) afterCommit(ctx context.Context) error {
	pages, _, err := walCheckpoint(ctx, c.writer, "NOOP")
	if err != nil || pages < c.at {
		return err
	}
	return c.run(ctx, pages)
}

// run does one checkpoint of a log with the given number of pages. When long queries or an error
// keep pages in the log, the next checkpoint is after checkpointPages more pages.
func (c *checkpointer) run(ctx context.Context, pages int) error {
	remaining, err := c.move(ctx)
	if err != nil {
		c.at = pages + checkpointPages
		return fmt.Errorf("checkpoint: %w", err)
	}
	c.at = remaining + checkpointPages
	return nil
}

// move does one checkpoint and returns the number of pages that remain in the log.
func (c *checkpointer) move(ctx context.Context) (pages int, err error) {
	if err := beginCheckpoint(ctx, c.files.database, c.writer); err != nil {
		return 0, err
	}
	c.endRead()
	if pages, _, err = walCheckpoint(ctx, c.writer, "PASSIVE"); err != nil {
		return 0, err
	}
	if err := c.beginRead(ctx); err != nil {
		return pages, err
	}
	return pages, endCheckpoint(ctx, c.writer, pages == 0)
}

// beginRead begins the read transaction. It must begin before endCheckpoint.
func (c *checkpointer) beginRead(ctx context.Context) error {
	reader, err := c.reads.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	if _, _, err := readMark(ctx, reader); err != nil {
		return errors.Join(err, reader.Rollback())
	}
	c.reader = reader
	return nil
}

// endRead ends the read transaction.
func (c *checkpointer) endRead() {
	if c.reader != nil {
		_ = c.reader.Rollback() // the connection is closed when this fails
		c.reader = nil
	}
}

// close ends the checkpoints and leaves the writer open.
func (c *checkpointer) close(ctx context.Context) error {
	c.endRead()
	_, err := moveLog(ctx, c.files.database, c.writer, "TRUNCATE")
	return errors.Join(err, c.reads.Close())
}

// moveLog moves the log into the file of a database without a server, and returns the number of
// pages that remain in the log. The mode TRUNCATE empties the log too. The caller must have
// locked the folder. Readers in other processes may prevent it.
func moveLog(ctx context.Context, file string, writer *sql.DB, mode string) (pages int, err error) {
	if err := beginCheckpoint(ctx, file, writer); err != nil {
		return 0, err
	}
	pages, _, err = walCheckpoint(ctx, writer, mode)
	return pages, err
}

// moveLog moves the log of a database that is not open. It does nothing when the log is empty.
func (f *files) moveLog(ctx context.Context) error {
	if !f.hasLog() {
		return nil
	}
	writer, err := openHandle(f.database, writing)
	if err != nil {
		return err
	}
	_, err = moveLog(ctx, f.database, writer, "TRUNCATE")
	return errors.Join(err, writer.Close())
}

// beginCheckpoint gives readers the id that the file has after the checkpoint. It does
// nothing in a database without the table of marks.
func beginCheckpoint(ctx context.Context, file string, writer *sql.DB) error {
	return changeMark(ctx, writer, func(m mark) mark {
		m.id = newMarkID()
		// The connection of changeMark prevents checkpoints of other processes.
		stored, err := markInFile(ctx, file)
		if err != nil {
			// After an interrupted checkpoint checkLog accepts such a file. The id is one of
			// the two that the mark has.
			stored.id = m.base
		}
		m.base, m.before = m.id, stored.id
		return m
	})
}

// endCheckpoint gives readers an id that the file does not have. After a complete checkpoint
// the file durably has the id of beginCheckpoint.
func endCheckpoint(ctx context.Context, writer *sql.DB, complete bool) error {
	return changeMark(ctx, writer, func(m mark) mark {
		m.id = newMarkID()
		if complete {
			m.before = m.base
		}
		return m
	})
}

// changeMark commits another mark. It does nothing in a database without the table of marks.
func changeMark(ctx context.Context, writer *sql.DB, change func(mark) mark) error {
	tx, err := writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // has no effect after a commit
	m, table, err := readMark(ctx, tx)
	if err != nil || !table {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE log_mark SET mark = ? WHERE id = 1`, change(m).encode()); err != nil {
		return err
	}
	return tx.Commit()
}

// walCheckpoint runs SQLite's checkpoint. pages is the number of pages in the log that are not
// in the file yet, and all is the number of all pages in the log. The mode NOOP only counts.
func walCheckpoint(ctx context.Context, db *sql.DB, mode string) (pages, all int, err error) {
	var busy, moved int
	err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &all, &moved)
	if err == nil && all < 0 && mode != "NOOP" { // another process does a checkpoint, so SQLite did none and counted nothing
		return walCheckpoint(ctx, db, "NOOP")
	}
	return all - moved, all, err
}
