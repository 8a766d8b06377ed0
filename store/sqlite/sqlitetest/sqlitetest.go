// Package sqlitetest opens embedded databases for tests.
package sqlitetest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/terse/terse/store/sqlite"
)

// Open opens a new, empty database that ends with the test. Its folder is temporary, unless change
// sets one. Failure is fatal.
func Open(tb testing.TB, change ...func(*sqlite.Options)) *sqlite.Store {
	tb.Helper()
	opts := sqlite.Options{Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&opts)
	}
	if opts.Dir == "" {
		opts.Dir = tb.TempDir()
	}
	if err := fill(opts.Dir); err != nil {
		tb.Fatalf("copy an empty database: %v", err)
	}
	s, err := sqlite.Open(context.WithoutCancel(tb.Context()), opts)
	if err != nil {
		tb.Fatalf("Open() = %v, want nil", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close() = %v, want nil", err)
		}
	})
	return s
}

// fill copies the files of an empty database to a folder. To migrate a new one takes much longer.
func fill(dir string) error {
	files, err := empty()
	for name, content := range files {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
	}
	return err
}

// empty returns the files of a database that was just created, by name.
var empty = sync.OnceValues(func() (files map[string][]byte, err error) {
	dir, err := os.MkdirTemp("", "terse-empty-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	files = make(map[string][]byte, len(entries))
	for _, entry := range entries {
		if err == nil {
			files[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())) //nolint:gosec // in the temporary folder
		}
	}
	return files, err
})
