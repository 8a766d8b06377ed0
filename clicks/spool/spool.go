// Package spool keeps batches of clicks in files while the database does not store them. The files
// contain sums of clicks, as the database does: no address and no User-Agent.
//
// A file is complete or does not exist: it is written under another name, made durable and renamed.
// It is removed once the database has all its batches. If a process ends before that, the next
// process with the same folder finds the file and sends its batches again, under the same Recorder
// and Seq, so that each batch counts once.
package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/terse/terse/store"
)

// DefaultMaxBytes is the default of Options.MaxBytes: 1 GiB.
const DefaultMaxBytes = 1 << 30

// ErrFull is returned by Write if the files would need more than MaxBytes.
var ErrFull = errors.New("the spool is full")

// ErrLocked is returned by Open if another process uses the folder.
var ErrLocked = errors.New("another process uses the folder")

const (
	dirMode  = 0o700
	fileMode = 0o600

	// blockSize is the least disk space of a file.
	blockSize = 4096

	// lockWait is how long Open waits for another process that is stopping.
	lockWait = time.Second
	lockPoll = 20 * time.Millisecond

	newSuffix     = ".new"     // of files that are not complete yet
	damagedSuffix = ".damaged" // of files that were set aside
	lockName      = "spool.lock"
)

// fileName matches the names of files: the recorder, the Seq of the first batch, and the suffix of
// an incomplete file.
var fileName = regexp.MustCompile(`^([A-Z2-7]{26})\.(\d{19})\.clicks(\.new)?$`)

// Options configure a Spool.
type Options struct {
	Dir        string                // required; the folder is created if it does not exist
	Registerer prometheus.Registerer // required
	Logger     *slog.Logger          // required

	MaxBytes int64 // most bytes that all files need on the disk; default DefaultMaxBytes
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("spool: Options."+problem))
		}
	}
	check(o.Dir != "", "Dir is required")
	check(o.Registerer != nil, "Registerer is required")
	check(o.Logger != nil, "Logger is required")
	check(o.MaxBytes > 0, "MaxBytes must be positive")
	return errors.Join(errs...)
}

// Spool is a folder with files of batches. One process at a time uses the folder. Safe for
// concurrent use.
type Spool struct {
	dir     string
	max     int64
	log     *slog.Logger
	lock    *flock.Flock
	damaged prometheus.Counter
	left    []*File

	mu   sync.Mutex
	used int64 // bytes on the disk
}

// Open opens the folder, and waits a second for another process that uses it. Its error wraps
// ErrLocked if that process continues to use it. Files of earlier processes that are not readable
// are set aside under another name, and logged. Files of other programs are ignored.
func Open(ctx context.Context, opts Options) (*Spool, error) {
	opts.MaxBytes = cmp.Or(opts.MaxBytes, DefaultMaxBytes)
	if err := opts.validate(); err != nil {
		return nil, err
	}
	s := &Spool{
		dir: opts.Dir, max: opts.MaxBytes, log: opts.Logger,
		lock: flock.New(filepath.Join(opts.Dir, lockName), flock.SetPermissions(fileMode)),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "terse_clicks_spool_damaged_files_total",
			Help: "Files of the spool that were set aside, because they were not readable.",
		}),
	}
	if err := os.MkdirAll(s.dir, dirMode); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	err := s.list(ctx)
	if err == nil {
		err = s.register(opts.Registerer)
	}
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// Close makes the folder free for another process. No method may be called after it.
func (s *Spool) Close() error { return s.lock.Close() }

// Left returns the files of earlier processes. Files of the same recorder are in the order of their
// batches.
func (s *Spool) Left() []*File { return slices.Clone(s.left) }

// take locks the folder.
func (s *Spool) take(ctx context.Context) error {
	deadline := time.Now().Add(lockWait)
	for {
		locked, err := s.lock.TryLock()
		switch {
		case err != nil:
			return fmt.Errorf("spool: folder %s must be writable: %w", s.dir, err)
		case locked:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("spool: %w: %s", ErrLocked, s.dir)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// list finds the files of earlier processes, and removes incomplete ones.
func (s *Spool) list(ctx context.Context) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	var foreign []string
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case name == lockName || strings.HasSuffix(name, damagedSuffix):
		case !entry.Type().IsRegular() || !fileName.MatchString(name):
			foreign = append(foreign, name)
		case strings.HasSuffix(name, newSuffix):
			if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
				return fmt.Errorf("spool: remove an incomplete file: %w", err)
			}
		default:
			if err := s.found(ctx, name); err != nil {
				return err
			}
		}
	}
	if len(foreign) > 0 {
		s.log.WarnContext(ctx, "files of other programs in the spool are ignored", "folder", s.dir, "files", len(foreign), "first", foreign[0])
	}
	return nil
}

// found adds a file of an earlier process. os.ReadDir has sorted the names, so files of the same
// recorder are in the right order.
func (s *Spool) found(ctx context.Context, name string) error {
	f := &File{spool: s, name: name}
	err := f.readHeader()
	switch {
	case errors.Is(err, ErrDamaged):
		f.SetAside(ctx, err)
		return nil
	case err != nil:
		return fmt.Errorf("spool: %w", err)
	}
	s.left = append(s.left, f)
	s.used += f.room
	return nil
}

func (s *Spool) register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{
		s.damaged,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "terse_clicks_spool_bytes",
			Help: "Disk space of the files with clicks that are not flushed yet.",
		}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(s.used)
		}),
	} {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("spool: register metrics: %w", err)
		}
	}
	return nil
}

// Write stores batches of one recorder in a new file, which survives a crash of the machine. Their
// Seq must grow, and the recorder must have a name by rand.Text. shard is the shard of their links,
// and cut is the time when they were made. Write returns an error that wraps ErrFull if there is no
// room. After an error there is no file.
func (s *Spool) Write(shard string, cut time.Time, batches []store.ClickBatch) (*File, error) {
	f := &File{
		spool: s, name: nameOf(batches[0]),
		Shard: shard, Cut: cut, Batches: len(batches), Clicks: clicksIn(batches),
	}
	content, err := f.encode(batches)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if err := s.reserve(f, len(content)); err != nil {
		return nil, err
	}
	if err := f.create(content); err != nil {
		s.release(f)
		return nil, fmt.Errorf("spool: %w", err)
	}
	return f, nil
}

// reserve takes room for a file, or returns ErrFull.
func (s *Spool) reserve(f *File, size int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := onDisk(int64(size))
	if s.used+room > s.max {
		return fmt.Errorf("%w: %d of %d bytes are used", ErrFull, s.used, s.max)
	}
	f.room = room
	s.used += room
	return nil
}

// release gives the room of a file back.
func (s *Spool) release(f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= f.room
	f.room = 0
}

// onDisk returns the disk space of a file with size bytes.
func onDisk(size int64) int64 { return (size + blockSize - 1) / blockSize * blockSize }
