package sqlite_test

import (
	"testing"

	"github.com/terse/terse/store/sqlite"
)

// TestKilledMigrationIsRepaired checks that a database opens after a process was killed
// during a migration, before or after the commit.
func TestKilledMigrationIsRepaired(t *testing.T) {
	t.Parallel()
	const begun = "UPDATE schema_migrations SET version = 5, dirty = true"
	for _, tt := range []struct {
		name string
		down bool // whether the migration was not committed
	}{
		{"before the commit", true},
		{"after the commit", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, file := made(t)
			migrator := sqlite.NewMigrator(dir)
			if tt.down {
				if err := migrator.Down(t.Context()); err != nil {
					t.Fatalf("Down() = %v", err)
				}
			}
			execute(t, file, begun)
			for range 2 {
				s, err := tryOpen(t, dir)
				if err != nil {
					t.Fatalf("Open() = %v, want nil", err)
				}
				if _, err := s.Get(t.Context(), "made-7"); err != nil {
					t.Errorf("Get(made-7) = %v, want the link", err)
				}
				if _, _, err := s.Leases().Acquire(t.Context(), 1e9); err != nil {
					t.Errorf("Acquire() = %v, want the table of the last migration", err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := migrator.Version(t.Context()); err != nil || got != migrator.Latest() {
				t.Errorf("Version() = %d, %v, want %d", got, err, migrator.Latest())
			}
		})
	}
}
