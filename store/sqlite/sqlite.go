// Package sqlite is the embedded store: one SQLite file in a folder, without a server. It
// stores links, API keys, clicks, node id leases, generated secrets and certificate
// files.
//
// It is not a cache, and not for a network file system: one process serves a folder, and
// commands on the same machine may use it at the same time.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gofrs/flock"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// Store stores everything in one SQLite database. Writes that wait at the same time share one
// transaction and one fsync. A write returns after that fsync. Reads never wait for writes.
// Safe for concurrent use.
type Store struct {
	opts    Options
	metrics *metrics
	files   files
	lock    *flock.Flock // lock of the folder; nil without Options.Serve

	writer *sql.DB
	lists  *sql.DB // for queries of many rows, so that they do not delay other queries
	points *points
	edits  edits

	checkpoints *checkpointer // nil without Options.Serve: a checkpoint needs the lock
	moveLogAt   int           // without Options.Serve: length of the log in pages at which a commit moves it

	writes *batch.Group[write, any]
	outbox outbox
	days   clickDays
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Keys      = (*Store)(nil)
	_ store.ClickSink = (*Store)(nil)
	_ store.Outbox    = (*Store)(nil)
	_ store.History   = (*Store)(nil)
	_ store.Tags      = (*Store)(nil)
	_ store.Archive   = (*Store)(nil)

	_ store.BlocklistSource = (*Store)(nil)
	_ store.DomainsSource   = (*Store)(nil)
	_ store.Reports         = (*Store)(nil)
	_ store.ReportCounter   = (*Store)(nil)
	_ store.Scanned         = (*Store)(nil)
	_ store.Certificates    = (*Store)(nil)
	_ store.ClickDays       = (*Store)(nil)
	_ store.ClickFolder     = (*Store)(nil)
)

// Open opens the database in opts.Dir. It creates a missing database, and migrates an older
// schema to the latest version. For a folder that it cannot use, it leaves the files as they
// are and returns ErrLocked, ErrForeign, ErrNewer, ErrDamaged or ErrOtherLog.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	f := newFiles(opts.Dir)
	lock, err := f.prepare(ctx, opts.Serve)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s := &Store{opts: opts, files: f, lock: lock, moveLogAt: checkpointPages}
	if err := s.open(ctx, f); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: %w", err), s.close(ctx))
	}
	return s, nil
}

// open opens the handles and prepares the statements.
func (s *Store) open(ctx context.Context, f files) error {
	if err := f.check(ctx, s.opts); err != nil {
		return err
	}
	var err error
	if s.writer, err = openHandle(f.database, writing); err != nil {
		return err
	}
	if s.opts.Serve {
		if s.checkpoints, err = newCheckpointer(ctx, f, s.writer); err != nil {
			return translate(err)
		}
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
		Observe:  func(writes int, took time.Duration) { s.metrics.observe(writes, took) },
	})
	if err != nil {
		return err
	}
	s.metrics, err = newMetrics(s.opts.Registerer, s.writes.Waiting)
	return err
}

// Close finishes the accepted writes, moves the write-ahead log into the database and unlocks
// the folder. Do not use the Store after Close.
func (s *Store) Close() error {
	if err := s.close(context.Background()); err != nil {
		return fmt.Errorf("sqlite: close: %w", err)
	}
	return nil
}

// close closes everything that is open, in reverse order.
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
		// Readers in another process may prevent this. Then the next start continues with
		// the log.
		if err := s.emptyLog(ctx); err != nil {
			s.opts.Logger.WarnContext(ctx, "write-ahead log could not be emptied", "err", err)
		}
		errs = append(errs, s.writer.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// emptyLog moves the write-ahead log into the database at the end.
func (s *Store) emptyLog(ctx context.Context) error {
	if s.checkpoints != nil {
		return s.checkpoints.close(ctx)
	}
	_, err := s.moveLogUnserved(ctx, "TRUNCATE")
	return err
}

// moveLogUnserved moves the log of a Store without Options.Serve. It does nothing when another
// process serves the folder, because that process does checkpoints.
func (s *Store) moveLogUnserved(ctx context.Context, mode string) (pages int, err error) {
	lock, err := s.files.tryLock()
	if errors.Is(err, ErrLocked) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	pages, err = moveLog(ctx, s.files.database, s.writer, mode)
	return pages, errors.Join(err, lock.Close())
}
