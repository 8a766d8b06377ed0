package browser

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Violation is a rule of accessibility that a page breaks.
type Violation struct {
	ID     string   `json:"id"`     // of axe-core's rule
	Impact string   `json:"impact"` // minor, moderate, serious or critical
	Help   string   `json:"help"`
	Nodes  []string `json:"nodes"` // the elements, as HTML
}

// Grave reports whether the violation prevents people from using the page.
func (v Violation) Grave() bool { return v.Impact == "serious" || v.Impact == "critical" }

// runAxe runs axe-core and returns its violations as JSON.
const runAxe = `axe.run(document, {resultTypes: ["violations"]}).then((found) => JSON.stringify(found.violations.map(
	({id, impact, help, nodes}) => ({id, impact, help, nodes: nodes.map((n) => n.html)}))))`

// Axe returns the accessibility violations that axe-core finds on the page now.
func Axe(t *Tab) []Violation {
	t.tb.Helper()
	Eval[any](t, axeSource(t.tb)+"\n;null")
	var found []Violation
	if err := json.Unmarshal([]byte(Eval[string](t, runAxe)), &found); err != nil {
		t.tb.Fatalf("read what axe found: %v", err)
	}
	return found
}

// axeSource reads the axe-core script that npm installed.
func axeSource(tb testing.TB) string {
	tb.Helper()
	source, err := readAxe(moduleRoot(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return source
}

// readAxe returns the axe-core script. Its error names the install command, which
// works in any folder.
func readAxe(root string) (string, error) {
	packages := filepath.Join(root, "web", "testdata")
	source, err := os.ReadFile(filepath.Join(packages, "node_modules", "axe-core", "axe.min.js")) //nolint:gosec // below our own folder
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("axe-core is not installed: run npm ci --prefix %s (npm: apt-get install npm, or brew install node)", packages)
	}
	return string(source), err
}

func moduleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			tb.Fatalf("no go.mod above the test: %v", err)
		}
		dir = filepath.Dir(dir)
	}
}
