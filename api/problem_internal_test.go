package api

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedProblems checks that docs/api.md and the OpenAPI document list all problem types.
func TestDocumentedProblems(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `urn:terse:problem:([a-z-]+)` \\| (\\d+) \\|").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]+" "+m[2]] = true
	}
	for status := 400; status < 600; status++ {
		name := kindOf(status).name
		if name == "other" || status == statusClientLeft { // a client that disconnected reads no answer
			continue
		}
		row := fmt.Sprint(name, " ", status)
		if !documented[row] {
			t.Errorf("docs/api.md lacks the problem %s", row)
		}
		if line := fmt.Sprintf("| `urn:terse:problem:%s` | %d | ", name, status); !strings.Contains(infoText(), line) {
			t.Errorf("the OpenAPI document lacks the problem %s", row)
		}
		delete(documented, row)
	}
	for row := range documented {
		t.Errorf("docs/api.md has the problem %s, which the API never returns", row)
	}
}
