package sqlite_test

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/terse/terse/store/sqlite"
)

// wantVersion checks the result of Version.
func wantVersion(t *testing.T, m *sqlite.Migrator, want int) {
	t.Helper()
	if got, err := m.Version(t.Context()); err != nil || got != want {
		t.Errorf("Version() = %d, %v, want %d", got, err, want)
	}
}

func TestMigrator(t *testing.T) {
	t.Parallel()
	m := sqlite.NewMigrator(t.TempDir())
	if _, err := m.Version(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Version() without a database = %v, want %v", err, fs.ErrNotExist)
	}
	for range 2 {
		if err := m.Up(t.Context()); err != nil {
			t.Fatalf("Up() = %v, want nil", err)
		}
		wantVersion(t, m, m.Latest())
	}
	for version := m.Latest() - 1; version >= 0; version-- {
		if err := m.Down(t.Context()); err != nil {
			t.Fatalf("Down() to %d = %v, want nil", version, err)
		}
		wantVersion(t, m, version)
	}
	if err := m.Down(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Down() at version 0 = %v, want %v", err, fs.ErrNotExist)
	}
	if err := m.Up(t.Context()); err != nil {
		t.Errorf("Up() again = %v, want nil", err)
	}
	wantVersion(t, m, m.Latest())
}

func TestOlderSchemaIsMigratedOnOpen(t *testing.T) {
	t.Parallel()
	dir, _ := made(t)
	m := sqlite.NewMigrator(dir)
	if err := m.Down(t.Context()); err != nil {
		t.Fatalf("Down() = %v, want nil", err)
	}
	s := open(t, dir, serve)
	wantVersion(t, m, m.Latest())
	if _, err := s.Get(t.Context(), "made-1"); err != nil {
		t.Errorf("Get() = %v, want the existing link", err)
	}
}

func TestServedDatabaseIsNotMigrated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir, serve)
	m := sqlite.NewMigrator(dir)
	if err := m.Down(t.Context()); !errors.Is(err, sqlite.ErrLocked) {
		t.Errorf("Down() while served = %v, want %v", err, sqlite.ErrLocked)
	}
	wantVersion(t, m, m.Latest())
}
