package validate_test

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "generate the rules of the Prometheus operator from the rules of Prometheus")

const (
	rulesOfPrometheus = "../prometheus/rules.yml"
	rulesOfOperator   = "../k8s/components/monitoring/rules.yaml"
)

const rulesHead = `# Made from deploy/prometheus/rules.yml by ` + "`make manifests`" + `: edit that.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: terse
  labels:
    app.kubernetes.io/name: terse
spec:
`

// TestRules checks that the Prometheus operator has the same rules as Prometheus.
func TestRules(t *testing.T) {
	t.Parallel()
	shipped, err := os.ReadFile(rulesOfPrometheus)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		var made strings.Builder
		made.WriteString(rulesHead)
		for line := range strings.Lines(string(shipped)) {
			if strings.TrimSpace(line) != "" {
				made.WriteString("  ")
			}
			made.WriteString(line)
		}
		if err := os.WriteFile(rulesOfOperator, []byte(made.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var want map[string]any
	if err := yaml.UnmarshalStrict(shipped, &want); err != nil {
		t.Fatal(err)
	}
	got := find(t, render(t, "overlays/production"), "PrometheusRule", "terse").Object["spec"]
	var given map[string]any // read like want, so that numbers have the same type
	text, err := yaml.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &given); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(given, want) {
		t.Errorf("%s differs from %s: run make manifests", rulesOfOperator, rulesOfPrometheus)
	}
}
