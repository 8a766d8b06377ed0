//go:build unix

// Package k6 tests the load scenarios in this folder, which k6 runs.
package k6

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/terse/terse/internal/testenv"
)

// findK6 returns the k6 that make builds.
func findK6(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("../../bin/k6-v*")
	if err != nil || len(found) != 1 {
		t.Fatalf("bin/ has %v, %v, want one k6: run make test-tools", found, err)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// newTerse starts a server on an embedded database.
func newTerse(t *testing.T) *testenv.Terse {
	t.Helper()
	return testenv.NewTerse(t, testenv.TerseOptions{
		Binary: testenv.BuildTerse(t), Settings: map[string]string{"limit_create_anonymous": "off", "limit_create_total": "off", "limit_unknown": "off"},
	})
}

// runK6 runs a scenario and returns its exit status and output.
func runK6(t *testing.T, scenario string, environ ...string) (status int, printed string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "./run.sh", findK6(t), scenario)
	cmd.Env = append(os.Environ(), environ...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// summary is the summary that a run writes for programs.
type summary struct {
	Scenario string
	Metrics  map[string]struct{ Values map[string]float64 }
}

// TestScenarios runs a short form of each scenario. It checks the requests, the answers
// and the summary, but not the speed.
func TestScenarios(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	node := newTerse(t)
	for _, tt := range []struct {
		scenario string
		environ  []string
		want     []string // of the summary
		least    float64  // redirects
	}{
		{"smoke", []string{"ITERATIONS=20"}, []string{"creates ", "time of a redirect"}, 20},
		{"load", []string{"LINKS=2500", "RATE=50", "DURATION=3s"}, nil, 10},
		{"spike", []string{"LINKS=500", "MEAN=1", "PHASE=1s"}, nil, 10},
		{"soak", []string{"LINKS=500", "RATE=20", "SECONDS=6"}, []string{"memory at the end", "goroutines at the end"}, 10},
		{"stress", []string{"LINKS=500", "RATE=10", "STEPS=3", "SECONDS=1"}, []string{"10/s", "20/s", "the knee"}, 5},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "summary.json")
			environ := append([]string{
				"BASE_URL=" + node.URL(), "ADMIN_URLS=http://" + string(node.Admin()), "SUMMARY=" + file, "P99_MS=20000",
			}, tt.environ...)
			status, printed := runK6(t, tt.scenario, environ...)
			// A young process grows, so soak may miss this objective. It must be reported.
			if status != 0 && (tt.scenario != "soak" || !strings.Contains(printed, "_growth value<1.1")) {
				t.Errorf("status %d, want 0", status)
			}
			for _, want := range append(tt.want, tt.scenario+"\n", "redirects ") {
				if !strings.Contains(printed, want) {
					t.Errorf("the summary lacks %q", want)
				}
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v: %s", err, printed)
			}
			var got summary
			if err := json.Unmarshal(content, &got); err != nil {
				t.Fatal(err)
			}
			redirects := got.Metrics["redirect_ok"].Values
			if redirects["rate"] != 1 || redirects["passes"] < tt.least {
				t.Errorf("redirects %v, want at least %v, all good: %s", redirects, tt.least, printed)
			}
			if got.Metrics["create_ok"].Values["rate"] != 1 && tt.scenario == "smoke" {
				t.Errorf("creates %v: %s", got.Metrics["create_ok"].Values, printed)
			}
		})
	}
}

// TestGrowth checks that soak detects a leak, and ignores values that go up and down.
func TestGrowth(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), findK6(t), "run", "--quiet", "--no-color", "--address", "", "testdata/growth.js").CombinedOutput()
	if err != nil {
		t.Errorf("k6 run testdata/growth.js = %v: %s", err, out)
	}
}

// TestObjectivesMissed checks that a run fails when an objective is missed.
func TestObjectivesMissed(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	node := newTerse(t)
	status, printed := runK6(t, "smoke", "BASE_URL="+node.URL(), "P99_MS=0.001")
	said := strings.Join(strings.Fields(printed), " ")
	if status == 0 || !strings.Contains(said, "p(99)<0.001 MISSED") || !strings.Contains(said, "rate>=0.9999 met") {
		t.Errorf("with an objective of a microsecond: status %d, want not 0: %s", status, printed)
	}
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	if status, printed := runK6(t, "smoke", "BASE_URL="+node.URL()); status == 0 {
		t.Errorf("against a server that is down: status 0: %s", printed)
	}
}

// TestRefusals checks that no other machine is loaded by mistake.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://192.0.2.1", "https://terse.invalid", "http://127.0.0.1.nip.invalid", "http://localhost@192.0.2.1", "http://localhost:1@192.0.2.1", "nonsense"} {
		if status, printed := runK6(t, "smoke", "BASE_URL="+url); status == 0 || !strings.Contains(printed, "ALLOW_REMOTE") && !strings.Contains(printed, "is not an http") {
			t.Errorf("BASE_URL=%s: status %d, want a refusal: %s", url, status, printed)
		}
	}
	if status, printed := runK6(t, "nonsense"); status != 2 || !strings.Contains(printed, "SCENARIO must be") {
		t.Errorf("an unknown scenario: status %d, want 2: %s", status, printed)
	}
	if status, printed := runK6(t, "soak", "BASE_URL=http://127.0.0.1:1"); status == 0 || !strings.Contains(printed, "ADMIN_URLS") {
		t.Errorf("soak without admin listeners: status %d, want a refusal: %s", status, printed)
	}
}
