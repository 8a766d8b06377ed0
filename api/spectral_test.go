package api_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestSpectral checks that the linter Spectral finds nothing in the documents. Its rules are in
// testdata/spectral.yaml.
func TestSpectral(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	spectral := filepath.Join("..", "web", "testdata", "node_modules", ".bin", "spectral")
	if _, err := os.Stat(spectral); err != nil {
		t.Fatalf("Spectral is not installed: %v: run make test-tools", err)
	}
	s := newServer(t)
	dir := t.TempDir()
	args := []string{"lint", "--quiet", "--fail-severity=hint", "--ruleset", filepath.Join("testdata", "spectral.yaml")}
	for _, name := range []string{"openapi.json", "openapi-3.0.json"} {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, s.get("/api/"+name).body, 0o600))
		args = append(args, file)
	}
	if found, err := exec.CommandContext(t.Context(), spectral, args...).CombinedOutput(); err != nil {
		t.Errorf("spectral %v = %v:\n%s", args, err, found)
	}
}
