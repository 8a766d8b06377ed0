package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/golang-migrate/migrate/v4/database"
)

// ShardStatus is how the schema of one shard stands.
type ShardStatus struct {
	Name    string
	Version int   // 0: none
	Dirty   bool  // a step up failed
	Latest  int   // what Up brings it to
	Err     error // why Up would refuse the shard; nil if it would not
}

// Status returns how each shard stands, in the order of their names. It changes
// nothing and does not wait for a run that is under way.
func (m *Migrator) Status(ctx context.Context) []ShardStatus {
	statuses := make([]ShardStatus, len(m.shards))
	var all sync.WaitGroup
	for i := range m.shards {
		all.Go(func() { statuses[i] = m.status(ctx, m.shards[i:i+1]) })
	}
	all.Wait()
	return statuses
}

// status returns how the one shard of sources stands.
func (m *Migrator) status(ctx context.Context, sources []source) ShardStatus {
	g, err := connect(ctx, sources)
	defer g.close(ctx)
	err = errors.Join(err, g.inspect(ctx), g.check((*shard).clean))
	s := g[0]
	return ShardStatus{Name: s.name, Version: s.version, Dirty: s.dirty, Latest: m.latest, Err: err}
}

// Force records that a shard has the schema of a version, 0 for none, and is not
// dirty, whatever it has. It takes turns with other runs.
func (m *Migrator) Force(ctx context.Context, name string, version int) error {
	i := slices.IndexFunc(m.shards, func(s source) bool { return s.name == name })
	if i < 0 {
		return fmt.Errorf("schema: there is no shard %s", name)
	}
	if version < 0 || version > m.latest {
		return fmt.Errorf("schema: version %d is not one of 0 to %d", version, m.latest)
	}
	return m.run(ctx, m.shards[i:i+1], (*shard).itself, func(ctx context.Context, g group) error {
		s := g[0]
		err := m.migrate(ctx, s, func(run *migration) error { return run.force(version) })
		if err == nil {
			m.logger.WarnContext(ctx, "forced the version of a schema", "shard", s.name, "from", s.version, "to", version)
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
