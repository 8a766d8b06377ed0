package schema

import "io/fs"

// NewWithSteps returns a Migrator with other steps than the embedded ones.
func NewWithSteps(opts Options, steps fs.FS) (*Migrator, error) { return newMigrator(opts, steps) }

// Latest returns the version to which the Migrator's steps lead.
func (m *Migrator) Latest() int { return m.latest }
