package api_test

import (
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// TestFailuresAreCountedFromZero checks that the series of failures exist for every route
// before the first failure. Prometheus can then see the increase.
func TestFailuresAreCountedFromZero(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	families, err := s.registry.Gather()
	must(t, err)
	type series struct{ route, method string }
	labels := func(m *dto.Metric) (of series, status string) {
		for _, l := range m.GetLabel() {
			switch l.GetName() {
			case "route":
				of.route = l.GetValue()
			case "method":
				of.method = l.GetValue()
			case "status":
				status = l.GetValue()
			}
		}
		return of, status
	}
	routes, failures := map[series]bool{}, map[series]map[string]bool{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			of, status := labels(m)
			switch family.GetName() {
			case "terse_http_request_duration_seconds":
				routes[of] = true
			case "terse_http_requests_total":
				if failures[of] == nil {
					failures[of] = map[string]bool{}
				}
				failures[of][status] = m.GetCounter().GetValue() == 0
			}
		}
	}
	if len(routes) < 20 {
		t.Fatalf("the metrics have %d routes, want all", len(routes))
	}
	for of := range routes {
		if !failures[of]["500"] || !failures[of]["503"] {
			t.Errorf("%s %s begins with the series %v, want 500 and 503 at 0", of.method, of.route, failures[of])
		}
	}
}
