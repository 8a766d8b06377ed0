package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/terse/terse/store"
)

// TestCanaryCode checks that a node keeps its code, and that many nodes share few codes, none of
// which is an alias.
func TestCanaryCode(t *testing.T) {
	t.Parallel()
	codes := map[string]bool{}
	for i := range 10_000 {
		node := fmt.Sprintf("host-%d 1", i)
		code := store.CanaryCode(node)
		if code != store.CanaryCode(node) || !store.ValidCode(code) || !strings.HasPrefix(code, store.CanaryPrefix) {
			t.Fatalf("CanaryCode(%q) = %q, want the same valid code each time", node, code)
		}
		codes[code] = true
	}
	if n := len(codes); n < 400 || n > 512 {
		t.Errorf("10,000 nodes have %d codes, want about 512", n)
	}
	if got := store.CanaryCode("pod-1 7"); got != "__canary-63" {
		t.Errorf("CanaryCode = %q, want __canary-63 as in older versions", got)
	}
}
