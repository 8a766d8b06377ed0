//go:build unix

package main

import (
	"bytes"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
)

// within is the time limit of a scenario, for a machine that is busy with other tests.
const within = "10m"

// wantKept checks that a report has a kept promise with each of these names.
func wantKept(t *testing.T, table string, names ...string) {
	t.Helper()
	for _, name := range names {
		if !regexp.MustCompile(`(?m)^  ` + name + ` .* kept$`).MatchString(table) {
			t.Errorf("%s: the report does not have a kept promise", name)
		}
	}
}

// wantRows checks that a report has each of these texts.
func wantRows(t *testing.T, table string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(table, text) {
			t.Errorf("the report lacks %q", text)
		}
	}
}

// TestScenarios runs two scenarios briefly. It checks only promises that do not depend on
// the load of the machine.
func TestScenarios(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	var stdout, stderr bytes.Buffer
	run(t.Context(), []string{
		"-terse", testenv.BuildTerse(t), "-within", within, "-only", "rolling,kills", "-requests", "5000", "-rounds", "1", "-links", "200", "-visitors", "2", "-settle", "500ms",
		"-set", "drain_delay=500ms",
	}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	rolling, kills, found := strings.Cut(stdout.String(), "\nkills")
	if !found {
		t.Fatal("the output lacks the report of kills")
	}
	wantKept(t, rolling, "failed requests", "clicks lost", "clicks counted twice", "acknowledged creates and edits lost", "wrong answers")
	wantKept(t, kills, "failed redirects", "clicks lost", "clicks counted twice", "acknowledged creates and edits lost", "wrong answers")
	wantRows(t, kills, "a primary killed: creates", "a primary killed: time until creates on every shard")
}

// TestSplitBrain runs the scenario briefly. It must keep every promise.
func TestSplitBrain(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"-terse", testenv.BuildTerse(t), "-within", within, "-only", "splitbrain", "-links", "100", "-visitors", "2", "-settle", "1s"}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	if status != 0 || !strings.Contains(stdout.String(), "links created on the replaced primary") {
		t.Errorf("run = %d, want 0 and a report of the links on the replaced primary", status)
	}
}

// TestSlowShard runs the scenario briefly. It checks only promises that do not depend on
// the load of the machine.
func TestSlowShard(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	var stdout, stderr bytes.Buffer
	run(t.Context(), []string{"-terse", testenv.BuildTerse(t), "-within", within, "-only", "slowshard", "-links", "100", "-settle", "1s"}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	table := stdout.String()
	wantKept(t, table, "acknowledged creates and edits lost", "wrong answers")
	wantRows(t, table, "creates on s2 that failed from then on", "edits on s2 that failed from then on",
		"lists that failed while commits hung", "while commits of s1 hung: creates on s1")
}

// TestOverload runs the scenario briefly. It checks only promises that do not depend on
// the load of the machine.
func TestOverload(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	var stdout, stderr bytes.Buffer
	run(t.Context(), []string{"-terse", testenv.BuildTerse(t), "-within", within, "-only", "overload", "-links", "200", "-settle", "1s"}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	table := stdout.String()
	wantKept(t, table, "wrong answers", "order of rejections", "Retry-After")
	wantRows(t, table, "redirects in time at four times the load", "time to reject lists and creates", "recovery after the overload")
}

// TestStrangers runs the scenario briefly. It must keep every promise, and none is about time.
func TestStrangers(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"-terse", testenv.BuildTerse(t), "-within", within, "-only", "strangers", "-settle", "500ms"}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	if status != 0 {
		t.Errorf("run = %d, want 0", status)
	}
	wantKept(t, stdout.String(), "failed redirects")
	wantRows(t, stdout.String(), "beside strangers against alone")
}

// TestOtherRedirectsAreNotCached checks that a crowd visits each of the cold links once
// before it visits one of them again.
func TestOtherRedirectsAreNotCached(t *testing.T) {
	t.Parallel()
	o := options{links: 4}
	ask := mix(&o, "node", "key")[cold].ask
	asked := map[string]int{}
	for range 2 * o.coldLinks() {
		asked[string(ask().request)]++
	}
	for request, n := range asked {
		if n != 2 {
			t.Errorf("%d requests of %q, want 2", n, request)
		}
	}
	if len(asked) != o.coldLinks() {
		t.Errorf("%d links visited, want %d", len(asked), o.coldLinks())
	}
}

// TestCrowd checks that a crowd keeps its rate when the server never answers: visitors
// leave, and so do visitors without a connection.
func TestCrowd(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	c := newCrowd(silent.Addr().String(), 10, []kind{{"visits", 1, func() question { return question{[]byte("GET / HTTP/1.1\r\n\r\n"), "302", ""} }}})
	defer c.close()
	v := c.run(t.Context(), 1000, time.Second)
	if n := len(v.sent); v.visitors != 1000 || n < 10 || n > 500 || v.part(everyKind, late) != 1 {
		t.Errorf("%d visitors in a second, %d with one of 10 connections, and %v of these left after %v, want 1000, 10 to 500, all",
			v.visitors, n, v.part(everyKind, late), patience)
	}
}

// TestBrokenPromise checks that a broken promise is reported, and that the exit code is 1.
func TestBrokenPromise(t *testing.T) {
	t.Parallel()
	r := &report{name: "test"}
	r.add("requests", "%d", 7)
	r.check(true, "clicks lost", "0", "0")
	if !r.passed() {
		t.Error("a report without a broken promise fails")
	}
	r.check(false, "failed requests", "0", "%d", 3)
	var out bytes.Buffer
	r.print(&out)
	if r.passed() || strings.Count(out.String(), "BROKEN") != 1 || strings.Count(out.String(), "kept") != 1 {
		t.Errorf("report with one broken promise of two: passed %t, text %s", r.passed(), &out)
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-terse", "/nonexistent/terse", "-only", "rolling"}, &stdout, &stderr); status != 1 {
		t.Errorf("run without a binary = %d, want 1: %s", status, &stderr)
	}
	for _, args := range [][]string{{"-only", "none"}, {"-requests", "0"}, {"-settle", "0s"}, {"-set", "x"}, {"-nonsense"}} {
		if status := run(t.Context(), args, &stdout, &stderr); status != 2 {
			t.Errorf("faults %v = %d, want 2", args, status)
		}
	}
}
