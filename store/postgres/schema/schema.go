// Package schema brings the databases of a group of shards up and down, and
// deals the buckets and node ids out among them. Operators run it, and tests.
//
// It does not serve: nodes check by themselves that a shard is what they expect.
// It moves no bucket from one shard to another either.
package schema

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/migrations"
)

// Target is one shard of the group.
type Target struct {
	// Name of the shard. Required.
	Name string

	// DSN is the connection URL of the primary. It may name several hosts, of
	// which the one that takes writes is used. Locks are held by sessions, so it
	// must lead to Postgres itself and not to a pooler in transaction mode.
	// PgBouncer is refused, unless it was told to ignore lock_timeout. Required.
	DSN string
}

// Options say which shards there are.
type Options struct {
	// Targets are all shards of the group, in any order. Required.
	Targets []Target

	// Logger hears of each step that was taken. Required.
	Logger *slog.Logger

	// LockTimeout is how long a statement may wait for a lock that transactions
	// of others hold, and they in turn for the statement. Default 5 s.
	LockTimeout time.Duration
}

func (o *Options) validate() error {
	var errs []error
	if len(o.Targets) == 0 {
		errs = append(errs, errors.New("option Targets is required"))
	}
	names := map[string]bool{}
	for i, t := range o.Targets {
		switch {
		case t.Name == "":
			errs = append(errs, fmt.Errorf("target %d: its Name is required", i+1))
		case names[t.Name]:
			errs = append(errs, fmt.Errorf("target %d: there is another shard named %s", i+1, t.Name))
		}
		names[t.Name] = true
	}
	if o.Logger == nil {
		errs = append(errs, errors.New("option Logger is required"))
	}
	if o.LockTimeout < 0 {
		errs = append(errs, errors.New("option LockTimeout is negative"))
	}
	return errors.Join(errs...)
}

// Migrator moves the schema of a group of shards. Its methods are safe for
// concurrent use, also by several processes: those that change something take
// turns on the shards that they share. None of its errors tells a password.
type Migrator struct {
	logger      *slog.Logger
	lockTimeout time.Duration
	shards      []source // in the order of their names
	steps       fs.FS
	latest      int
}

// New returns a Migrator, which connects when it is used.
func New(opts Options) (*Migrator, error) { return newMigrator(opts, migrations.Postgres()) }

func newMigrator(opts Options, steps fs.FS) (*Migrator, error) {
	errs := []error{opts.validate()}
	m := &Migrator{
		logger:      opts.Logger,
		lockTimeout: cmp.Or(opts.LockTimeout, 5*time.Second),
		steps:       steps,
	}
	for _, t := range opts.Targets {
		s, err := newSource(t, m.lockTimeout)
		m.shards, errs = append(m.shards, s), append(errs, err)
	}
	slices.SortFunc(m.shards, func(a, b source) int { return strings.Compare(a.name, b.name) })
	m.latest = newest(steps)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return m, nil
}

// Latest returns the newest schema version that this binary knows.
func Latest() int { return newest(migrations.Postgres()) }

// newest returns the version to which steps lead.
func newest(steps fs.FS) int {
	ups, _ := fs.Glob(steps, "*.up.sql") // the pattern is well formed
	return len(ups)
}

// Up brings every shard to the latest version, and then deals buckets and node
// ids out to shards that have not been dealt any. It changes nothing when a
// shard cannot be reached, is dirty, or is not the one that its name says, or
// when the shards do not belong together; it reports all that at once.
//
// A step is one transaction. One that fails marks its shard dirty and ends the
// run; one that cannot have a lock in time, or whose context ends, leaves no
// trace. A run that ended midway is completed by the next one.
func (m *Migrator) Up(ctx context.Context) error {
	return m.run(ctx, m.shards, (*shard).clean, func(ctx context.Context, g group) error {
		if _, err := newPlan(g); err != nil {
			return err
		}
		for _, s := range g {
			if err := m.raise(ctx, s); err != nil {
				return s.wrap(err)
			}
		}
		if err := g.inspect(ctx); err != nil {
			return err
		}
		p, err := newPlan(g)
		if err != nil {
			return err
		}
		return p.deal(ctx)
	})
}

// Down takes the newest step back, with all that it kept, from every shard that
// has it. It makes the checks of Up first, except whether the shards belong
// together. It returns fs.ErrNotExist when there is no step to take back.
func (m *Migrator) Down(ctx context.Context) error {
	return m.run(ctx, m.shards, (*shard).clean, func(ctx context.Context, g group) error {
		newest := 0
		for _, s := range g {
			newest = max(newest, s.version)
		}
		switch {
		case newest == 0:
			return fmt.Errorf("schema: a step to take back: %w", fs.ErrNotExist)
		case newest > m.latest:
			return fmt.Errorf("schema: version %d is newer than this binary's %d: take it back with the binary that has it", newest, m.latest)
		}
		for _, s := range g {
			if s.version < newest {
				continue
			}
			if err := m.lower(ctx, s); err != nil {
				return s.wrap(err)
			}
		}
		return nil
	})
}

// run lets fn change shards, which it has locked and which pass the check.
func (m *Migrator) run(ctx context.Context, sources []source, check func(*shard) error, fn func(context.Context, group) error) error {
	g, err := connect(ctx, sources)
	defer g.close(ctx)
	if err := errors.Join(err, g.inspect(ctx), g.check(check)); err != nil {
		return err
	}
	if err := g.lock(ctx, m.logger); err != nil {
		return err
	}
	// Another run may have changed them before it gave the locks back.
	if err := errors.Join(g.inspect(ctx), g.check(check)); err != nil {
		return err
	}
	return fn(ctx, g)
}
