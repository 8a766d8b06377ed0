// Package sqlite is the embedded store: one SQLite file in a folder, no server.
// It keeps links, API keys, click totals, node id leases and the secrets that a
// single process makes for itself.
//
// It is not a cache and shares nothing over a network: one process serves a
// folder, and commands may work beside it.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gofrs/flock"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// Store keeps everything in one SQLite database. All writes that wait at the
// same moment are committed by one transaction and made durable by one fsync;
// a write is acknowledged after that. Reads never wait for writes. Safe for
// concurrent use.
type Store struct {
	opts    Options
	metrics *metrics
	lock    *flock.Flock // held while serving; else nil

	writer *sql.DB
	lists  *sql.DB // for reads of many rows, so that they never keep others waiting
	points *points
	edits  edits
	writes *batch.Group[write, any]
	outbox outbox
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Keys      = (*Store)(nil)
	_ store.ClickSink = (*Store)(nil)
	_ store.Outbox    = (*Store)(nil)
	_ store.History   = (*Store)(nil)
	_ store.Archive   = (*Store)(nil)

	_ store.BlocklistSource = (*Store)(nil)
	_ store.Reports         = (*Store)(nil)
	_ store.ReportCounter   = (*Store)(nil)
	_ store.Scanned         = (*Store)(nil)
)

// Open opens the database in opts.Dir. It makes a new one where there is none,
// and brings the schema of an older one up to date. What it cannot trust it
// refuses, and leaves as it is, with ErrLocked, ErrForeign, ErrNewer or
// ErrDamaged.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	f := newFiles(opts.Dir)
	lock, err := f.prepare(ctx, opts.Serve)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s := &Store{opts: opts, lock: lock, metrics: newMetrics()}
	if err := s.open(ctx, f); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), s.close(ctx))
	}
	return s, nil
}

// open makes the handles and statements of a database that is ready.
func (s *Store) open(ctx context.Context, f files) error {
	if err := f.check(ctx, s.opts); err != nil {
		return err
	}
	var err error
	if s.writer, err = openHandle(f.database, writing); err != nil {
		return err
	}
	if err := s.edits.prepare(ctx, s.writer); err != nil {
		return err
	}
	if s.lists, err = openHandle(f.database, reading); err != nil {
		return err
	}
	if s.points, err = openPoints(ctx, f.database); err != nil {
		return err
	}
	s.writes, err = batch.New(batch.Options[write, any]{
		Run:      s.commit,
		MaxBatch: s.opts.MaxBatch,
		MaxQueue: s.opts.MaxQueue,
		Timeout:  s.opts.WriteTimeout,
		Observe:  s.metrics.flight,
	})
	if err != nil {
		return err
	}
	return s.metrics.register(s.opts.Registerer, s.writes.Waiting)
}

// Close waits for the writes that were accepted, moves the write-ahead log into
// the database and gives the folder free. The Store is of no use afterwards.
func (s *Store) Close() error {
	if err := s.close(context.Background()); err != nil {
		return fmt.Errorf("sqlite: close: %w", err)
	}
	return nil
}

// close closes what is open, in reverse order.
func (s *Store) close(ctx context.Context) error {
	var errs []error
	if s.writes != nil {
		s.writes.Close()
	}
	if s.points != nil {
		errs = append(errs, s.points.db.Close())
	}
	if s.lists != nil {
		errs = append(errs, s.lists.Close())
	}
	if s.writer != nil {
		// Readers of another process may keep this from finishing: the next
		// start goes on from the log then.
		if _, err := s.writer.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			s.opts.Logger.WarnContext(ctx, "write-ahead log was not emptied", "err", err)
		}
		errs = append(errs, s.writer.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
