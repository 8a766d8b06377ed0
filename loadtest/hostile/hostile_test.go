//go:build unix

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// TestStorm runs a short storm of tens of thousands of requests.
func TestStorm(t *testing.T) {
	testenv.Long(t)
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-terse", testenv.BuildTerse(t), "-n", "28800"}, &stdout, &stderr); status != 0 {
		t.Errorf("run() = %d: %s%s", status, &stdout, &stderr)
	}
	for _, want := range []string{"28800 requests", "200: ", "201: ", "302: ", "400: ", "404: ", "405: ", "422: "} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the storm lacks a kind of answer: %q lacks %q", stdout.String(), want)
		}
	}
	t.Log(stdout.String())
}

func TestReportFails(t *testing.T) {
	t.Parallel()
	good := report{statuses: map[int]int64{200: 1, 404: 2}, before: size{goroutines: 10, series: 5}, after: size{goroutines: 12, series: 5}}
	if err := good.err(); err != nil {
		t.Errorf("err() of a good report = %v", err)
	}
	for _, bad := range []report{
		{failed: []string{"500 to x"}},
		{after: size{goroutines: 9}},
		{after: size{series: 1}},
	} {
		if bad.err() == nil {
			t.Errorf("err() of %+v = nil", bad)
		}
	}
}

// TestSameSeed checks that the same seed makes the same requests, so that a failed
// request can be repeated.
func TestSameSeed(t *testing.T) {
	t.Parallel()
	a, b := newMaker(1, 2, 3), newMaker(1, 2, 3)
	for i := range 1000 {
		x, _ := a.request()
		y, _ := b.request()
		if !slices.Equal(x, y) {
			t.Fatalf("request %d is %q and %q", i, x, y)
		}
	}
}
