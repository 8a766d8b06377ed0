package schema

import "io/fs"

// NewWithSteps returns a Migrator with steps other than the embedded ones.
func NewWithSteps(opts Options, steps fs.FS) (*Migrator, error) { return newMigrator(opts, steps) }

// Latest returns the version after all steps of the Migrator.
func (m *Migrator) Latest() int { return m.latest }
