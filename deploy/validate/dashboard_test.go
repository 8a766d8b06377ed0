package validate_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// checkDashboard checks a dashboard against Grafana's own schemas, including the schemas
// of panels and Prometheus queries. Unknown fields are errors.
func checkDashboard(content []byte) error {
	plugins.RegisterDefaultPlugins()
	var d dashboard.Dashboard //nolint:staticcheck // version 1 of the schema; older Grafanas read it too
	err := d.UnmarshalJSONStrict(content)
	var found cog.BuildErrors // an empty list is still a non-nil error
	if errors.As(err, &found) && len(found) == 0 || err == nil {
		return d.Validate()
	}
	return err
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../grafana/terse.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := checkDashboard(content); err != nil {
		t.Error(err)
	}
	for name, change := range map[string][2]string{
		"a field that panels do not have":   {`"gridPos"`, `"gridPosition"`},
		"an option that graphs do not have": {`"tooltip"`, `"toolTip"`},
		"a field that queries do not have":  {`"legendFormat"`, `"legend"`},
		"a style that graphs do not have":   {`"thresholdsStyle"`, `"thresholdStyle"`},
		"a number in place of a text":       {`"title": "Terse"`, `"title": 7`},
	} {
		broken := strings.ReplaceAll(string(content), change[0], change[1])
		if !json.Valid([]byte(broken)) || broken == string(content) {
			t.Fatalf("the dashboard lacks %s", change[0])
		}
		if err := checkDashboard([]byte(broken)); err == nil {
			t.Errorf("the schemas accept %s, want an error", name)
		}
	}
}
