package schema

import (
	"context"
	"errors"
	"fmt"
)

// raise takes a shard to the latest version. A newer one is left alone, since
// servers of the version before work with it.
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
			m.logger.InfoContext(ctx, "took a step up", "shard", s.name, "version", version)
		}
		return nil
	})
}

// lower takes a shard one version back.
func (m *Migrator) lower(ctx context.Context, s *shard) error {
	return m.migrate(ctx, s, func(run *migration) error {
		if err := run.step(ctx, -1); err != nil {
			return fmt.Errorf("step %d down: %w", s.version, err)
		}
		m.logger.InfoContext(ctx, "took a step down", "shard", s.name, "version", s.version-1)
		return nil
	})
}

// migrate lets fn take steps on a shard.
func (m *Migrator) migrate(ctx context.Context, s *shard, fn func(*migration) error) error {
	run, err := newMigration(ctx, s.source, m.steps, m.lockTimeout)
	if err != nil {
		return err
	}
	return errors.Join(fn(run), run.close())
}
