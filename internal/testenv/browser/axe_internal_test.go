package browser

import (
	"strings"
	"testing"
)

// TestMissingAxe checks that the failure without axe-core names the command that installs it.
func TestMissingAxe(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	_, err := readAxe(root)
	if want := "npm ci --prefix " + root + "/web/testdata"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("readAxe = %v, want an error with %q", err, want)
	}
}
