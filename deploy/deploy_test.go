package deploy_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/deploy"
)

func TestEdited(t *testing.T) {
	t.Parallel()
	got, err := deploy.Edited("nginx/terse.conf", map[string]string{"listen 80;": "listen 8443 ssl;"})
	if err != nil || strings.Contains(got, "listen 80;") || !strings.Contains(got, "listen 8443 ssl;") {
		t.Errorf("Edited() = %q, %v, want another port", got, err)
	}
	for name, changes := range map[string]map[string]string{
		"nginx/terse.conf": {"listen 81;": "listen 8443 ssl;"},
		"nginx/none.conf":  nil,
	} {
		if _, err := deploy.Edited(name, changes); err == nil {
			t.Errorf("Edited(%q, %v) = nil, want an error", name, changes)
		}
	}
}
