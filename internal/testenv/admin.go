//go:build unix

package testenv

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Admin is the admin listener of a node, as HOST:PORT.
type Admin string

// Ask returns the response to a GET of a path. The status is 0 without a response.
func (a Admin) Ask(ctx context.Context, path string) (status int, body string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(a)+path, http.NoBody)
	if err != nil {
		return 0, ""
	}
	request.Close = true
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

// Metric returns the sum of the series of a metric with all the labels. A label has the form
// name="value". It fails the test when there is no such series.
func (a Admin) Metric(tb testing.TB, name string, labels ...string) (sum float64) {
	tb.Helper()
	status, body := a.Ask(tb.Context(), "/metrics")
	found := false
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(\{.*\})? (\S+)$`).FindAllStringSubmatch(body, -1) {
		if slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(m[1], label) }) {
			continue
		}
		value, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			tb.Fatal(err)
		}
		sum += value
		found = true
	}
	if !found {
		tb.Fatalf("metrics (status %d) lack %s%v", status, name, labels)
	}
	return sum
}
