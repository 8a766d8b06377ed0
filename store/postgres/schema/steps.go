package schema

import (
	"context"
	"errors"
	"fmt"
)

// raise migrates a shard to the latest version. It accepts a newer version, because a
// schema must work with servers of the version before.
func (m *Migrator) raise(ctx context.Context, s *shard) error {
	if s.version > m.latest {
		m.logger.WarnContext(ctx, "schema is newer than this binary", "shard", s.name, "version", s.version, "latest", m.latest)
	}
	if s.version >= m.latest {
		return nil
	}
	return m.migrate(ctx, s, func(run *migration) error {
		for version := s.version + 1; version <= m.latest; version++ {
			if err := run.step(ctx, 1); err != nil {
				err = fmt.Errorf("step %d up: %w", version, err)
				if run.recorder.dirty {
					err = fmt.Errorf("%w; %w", err, dirtyError{s.name, version})
				}
				return err
			}
			m.logger.InfoContext(ctx, "migrated a schema one step up", "shard", s.name, "version", version)
		}
		return nil
	})
}

// lower migrates a shard one version down.
func (m *Migrator) lower(ctx context.Context, s *shard) error {
	return m.migrate(ctx, s, func(run *migration) error {
		if err := run.step(ctx, -1); err != nil {
			return fmt.Errorf("step %d down: %w", s.version, err)
		}
		m.logger.InfoContext(ctx, "migrated a schema one step down", "shard", s.name, "version", s.version-1)
		return nil
	})
}

// migrate connects to a shard and calls fn.
func (m *Migrator) migrate(ctx context.Context, s *shard, fn func(*migration) error) error {
	run, err := newMigration(ctx, s.source, m.steps, m.lockTimeout)
	if err != nil {
		return err
	}
	return errors.Join(fn(run), run.close())
}
