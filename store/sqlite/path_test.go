package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFolderNames checks that the name of a folder may contain special characters.
func TestFolderNames(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"data", "./data2", "a/b", "with space", "q?mark#hash%41", "ünïcode", "..data"} {
		s, err := tryOpen(t, dir)
		if err != nil {
			t.Errorf("Open(%q) = %v, want nil", dir, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close() of %q = %v, want nil", dir, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "terse.db")); err != nil {
			t.Errorf("%q does not contain the database: %v", dir, err)
		}
	}
}
