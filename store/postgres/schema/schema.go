// Package schema migrates the databases of a group of shards up and down, and assigns
// buckets and node ids to them. Operators and tests use it.
//
// Servers do not use it: they check their shards by themselves. It does not move buckets
// between shards.
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
	Name string // required: of the shard

	// DSN is the connection URL of the primary. It may name several hosts; the host that
	// accepts writes is used. It must lead to Postgres itself and not to a pooler in
	// transaction mode, because sessions keep locks. PgBouncer rejects the connection,
	// unless it ignores lock_timeout. Required.
	DSN string
}

// Options configure a Migrator.
type Options struct {
	Targets []Target     // required: all shards of the group, in any order
	Logger  *slog.Logger // required: receives a message for each step

	// LockTimeout limits how long a statement waits for a lock, and so how long new
	// transactions of others wait behind it. Default 5 s.
	LockTimeout time.Duration
}

func (o Options) withDefaults() Options {
	o.LockTimeout = cmp.Or(o.LockTimeout, 5*time.Second)
	return o
}

func (o *Options) validate() error {
	var errs []error
	check := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New("schema: Options."+problem))
		}
	}
	check(len(o.Targets) > 0, "Targets is required")
	names := map[string]bool{}
	for i, t := range o.Targets {
		field := fmt.Sprintf("Targets[%d]", i)
		check(t.Name != "", field+".Name is required")
		check(t.Name == "" || !names[t.Name], field+".Name is the name of another shard: "+t.Name)
		names[t.Name] = true
	}
	check(o.Logger != nil, "Logger is required")
	check(o.LockTimeout > 0, "LockTimeout must be positive")
	return errors.Join(errs...)
}

// Migrator migrates a group of shards. Its methods are safe for concurrent use, also by
// several processes: methods that change shards wait for each other. Errors do not
// contain passwords.
type Migrator struct {
	logger      *slog.Logger
	lockTimeout time.Duration
	shards      []source // in the order of their names
	steps       fs.FS
	latest      int
}

// New returns a Migrator. Its methods open their own connections.
func New(opts Options) (*Migrator, error) { return newMigrator(opts, migrations.Postgres()) }

func newMigrator(opts Options, steps fs.FS) (*Migrator, error) {
	opts = opts.withDefaults()
	errs := []error{opts.validate()}
	m := &Migrator{
		logger:      opts.Logger,
		lockTimeout: opts.LockTimeout,
		steps:       steps,
	}
	for _, t := range opts.Targets {
		s, err := newSource(t, m.lockTimeout)
		if err != nil {
			errs = append(errs, fmt.Errorf("schema: %w", err))
		}
		m.shards = append(m.shards, s)
	}
	slices.SortFunc(m.shards, func(a, b source) int { return strings.Compare(a.name, b.name) })
	m.latest = newest(steps)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return m, nil
}

// Latest returns the newest schema version that this binary knows.
func Latest() int { return newest(migrations.Postgres()) }

// newest returns the version after all steps.
func newest(steps fs.FS) int {
	ups, _ := fs.Glob(steps, "*.up.sql") // the pattern is well formed
	return len(ups)
}

// Up migrates every shard to the latest version, and then assigns buckets and node ids to
// shards that have none. It changes nothing if a shard is unreachable or dirty, if a
// database belongs to another shard, or if the shards do not belong together. The error
// lists all such problems.
//
// Each step is one transaction. A step that fails marks its shard dirty and ends the run.
// A step changes nothing if it gets no lock in time or if ctx ends. The next run
// completes an interrupted run.
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

// Down reverts the newest step, and deletes its data, on every shard that has it. It
// makes the same checks as Up before, but does not check whether the shards belong
// together. It returns fs.ErrNotExist if there is no step to revert.
func (m *Migrator) Down(ctx context.Context) error {
	return m.run(ctx, m.shards, (*shard).clean, func(ctx context.Context, g group) error {
		newest := 0
		for _, s := range g {
			newest = max(newest, s.version)
		}
		switch {
		case newest == 0:
			return fmt.Errorf("schema: step to revert: %w", fs.ErrNotExist)
		case newest > m.latest:
			return fmt.Errorf("schema: version %d is newer than this binary, which has version %d: use the newer binary", newest, m.latest)
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

// run connects to shards, checks and locks them, and calls fn.
func (m *Migrator) run(ctx context.Context, sources []source, check func(*shard) error, fn func(context.Context, group) error) error {
	g, err := connect(ctx, sources)
	defer g.close(ctx)
	if err := errors.Join(err, g.inspect(ctx), g.check(check)); err != nil {
		return err
	}
	if err := g.lock(ctx, m.logger); err != nil {
		return err
	}
	// Another run may have changed the shards before it released the locks.
	if err := errors.Join(g.inspect(ctx), g.check(check)); err != nil {
		return err
	}
	return fn(ctx, g)
}
