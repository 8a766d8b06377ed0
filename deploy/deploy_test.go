package deploy_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/deploy"
)

// TestFastlyVaries checks that Fastly sets the headers for rules as Varnish does, whose headers are tested.
func TestFastlyVaries(t *testing.T) {
	t.Parallel()
	fastly, err := deploy.Edited("fastly/rules.vcl", nil)
	if err != nil {
		t.Fatal(err)
	}
	varnish, err := deploy.Edited("varnish/terse.vcl", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"set_device", "set_language"} {
		_, body, _ := strings.Cut(varnish, "\nsub "+name+" {\n")
		body, _, found := strings.Cut(body, "\n}\n")
		if !found || !strings.Contains(fastly, "\nsub "+name+" {\n"+body+"\n}\n") {
			t.Errorf("fastly/rules.vcl lacks %s of varnish/terse.vcl", name)
		}
		if strings.Contains(body, "%") {
			t.Errorf("%s has a percent sign, which begins an escape in Fastly", name)
		}
	}
}

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
