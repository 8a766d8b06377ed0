//go:build unix

package main

import (
	"bytes"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/store/storetest/servers"
)

// TestScenarios runs the scenarios in short. Every line of their tables is a promise.
func TestScenarios(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{
		"-terse", servers.BuildTerse(t), "-only", "rolling,kills", "-requests", "5000", "-rounds", "1", "-links", "200", "-visitors", "2", "-settle", "500ms",
		"-set", "drain_delay=500ms",
	}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	if status != 0 {
		t.Errorf("run = %d, want 0", status)
	}
	for _, want := range []string{"failed requests", "clicks lost", "acknowledged creates and edits lost", "a primary killed: creates", "wrong answers"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the tables lack %q", want)
		}
	}
}

// TestSlowShard runs that scenario in short, and holds it to what does not depend on what
// else the machine does.
func TestSlowShard(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	run(t.Context(), []string{"-terse", servers.BuildTerse(t), "-only", "slowshard", "-links", "100", "-settle", "1s"}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	table := stdout.String()
	for _, want := range []string{"creates on s2 that fail from then on", "edits on s2 that fail from then on", "lists that fail while commits hang", "acknowledged creates and edits lost", "wrong answers"} {
		if !regexp.MustCompile(`(?m)^  ` + want + ` .* kept$`).MatchString(table) {
			t.Errorf("%s: the table does not say that the promise was kept", want)
		}
	}
	if !strings.Contains(table, "while commits of s1 hang: creates on s1") {
		t.Error("the table does not compare the shards")
	}
}

// TestOverload runs that scenario in short, and holds the node to what does not depend on
// what else the machine does.
func TestOverload(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	run(t.Context(), []string{"-terse", servers.BuildTerse(t), "-only", "overload", "-links", "200", "-settle", "1s"}, &stdout, &stderr)
	t.Logf("%s%s", &stderr, &stdout)
	table := stdout.String()
	for _, want := range []string{"wrong answers", "refused in order", "Retry-After"} {
		if !regexp.MustCompile(`(?m)^  ` + want + ` .* kept$`).MatchString(table) {
			t.Errorf("%s: the table does not say that the promise was kept", want)
		}
	}
	for _, want := range []string{"redirects in time when four times as many come", "time of the node to refuse lists and creates", "the same after the overload"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q", want)
		}
	}
}

// TestOtherRedirectsAreNotCached holds that a crowd visits every link of those once before
// it visits one of them again.
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
			t.Errorf("%q is asked %d times, want 2", request, n)
		}
	}
	if len(asked) != o.coldLinks() {
		t.Errorf("%d links are visited, want %d", len(asked), o.coldLinks())
	}
}

// TestCrowd holds that a crowd comes at its own rate, whatever becomes of it: a server
// that answers nobody makes visitors leave, and those who find no connection.
func TestCrowd(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	c := newCrowd(silent.Addr().String(), 10, []kind{{"visits", 1, func() question { return question{[]byte("GET / HTTP/1.1\r\n\r\n"), "302", ""} }}})
	defer c.close()
	v := c.come(t.Context(), 1000, time.Second)
	if n := len(v.sent); v.came != 1000 || n < 10 || n > 60 || v.part(everyKind, late) != 1 {
		t.Errorf("of %d who came in a second %d found one of 10 connections and %v of them left after %v, want 1000, some 40, all",
			v.came, n, v.part(everyKind, late), patience)
	}
}

// TestBrokenPromise holds that a promise which was not kept is told, and ends with 1.
func TestBrokenPromise(t *testing.T) {
	t.Parallel()
	r := &report{name: "test"}
	r.tell("requests", "%d", 7)
	r.hold(true, "clicks lost", "none", "0")
	if !r.holds() {
		t.Error("a report without a broken promise does not hold")
	}
	r.hold(false, "failed requests", "0", "%d", 3)
	var out bytes.Buffer
	r.print(&out)
	if r.holds() || strings.Count(out.String(), "BROKEN") != 1 || strings.Count(out.String(), "kept") != 1 {
		t.Errorf("a report with one broken promise of two holds %v and says: %s", r.holds(), &out)
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
