package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/golang-migrate/migrate/v4/database"
)

// ShardStatus is the state of one shard's schema.
type ShardStatus struct {
	Name    string
	Version int   // 0 means no schema
	Dirty   bool  // a step up failed
	Latest  int   // the version after Up
	Err     error // why Up would reject the shard; nil if it would accept it
}

// Status returns the state of each shard, sorted by name. It changes nothing and does not
// wait for a running migration.
func (m *Migrator) Status(ctx context.Context) []ShardStatus {
	statuses := make([]ShardStatus, len(m.shards))
	var all sync.WaitGroup
	for i := range m.shards {
		all.Go(func() { statuses[i] = m.status(ctx, m.shards[i:i+1]) })
	}
	all.Wait()
	return statuses
}

// status returns the state of the only shard of sources.
func (m *Migrator) status(ctx context.Context, sources []source) ShardStatus {
	g, err := connect(ctx, sources)
	defer g.close(ctx)
	err = errors.Join(err, g.inspect(ctx), g.check((*shard).clean))
	s := g[0]
	return ShardStatus{Name: s.name, Version: s.version, Dirty: s.dirty, Latest: m.latest, Err: err}
}

// Force records that a shard's schema has a version, 0 for no schema, and is not dirty.
// It does not check the schema. It waits for other runs.
func (m *Migrator) Force(ctx context.Context, name string, version int) error {
	i := slices.IndexFunc(m.shards, func(s source) bool { return s.name == name })
	if i < 0 {
		return fmt.Errorf("schema: there is no shard %s", name)
	}
	if version < 0 || version > m.latest {
		return fmt.Errorf("schema: version must be from 0 to %[2]d, not %[1]d", version, m.latest)
	}
	return m.run(ctx, m.shards[i:i+1], (*shard).itself, func(ctx context.Context, g group) error {
		s := g[0]
		err := m.migrate(ctx, s, func(run *migration) error { return run.force(version) })
		if err == nil {
			m.logger.WarnContext(ctx, "recorded a schema version by force", "shard", s.name, "from", s.version, "to", version)
		}
		return s.wrap(err)
	})
}

// force records a version.
func (m *migration) force(version int) error {
	if version == 0 {
		version = database.NilVersion
	}
	return stepError(m.recorder.Driver.SetVersion(version, false), m.lockTimeout)
}
