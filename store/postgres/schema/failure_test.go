//go:build unix

package schema_test

import (
	"fmt"
	"testing"

	"github.com/terse/terse/store/postgres/schema"
)

var failureTests = map[string]func(*testing.T, *cluster){
	"FailingStep":         failingStep,
	"FailingStepDown":     failingStepDown,
	"RecordedWithTheStep": recordedWithTheStep,
}

const broken = "CREATE TABLE next ();\nINSERT INTO click_flushes VALUES ('r', 1, now());\nSELECT 1/0 FROM click_flushes;\n"

func failingStep(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2")
	m, err := schema.NewWithSteps(options(t, targets...), steps(t, broken, "DROP TABLE next"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "Up()", m.Up(t.Context()), fmt.Sprintf("shard s1: step %d up: ", next), "division by zero", fmt.Sprintf("`terse migrate force s1 %d`", latest))
	for _, found := range []string{
		"SELECT to_regclass('next') IS NULL",
		"SELECT count(*) = 0 FROM click_flushes",
		fmt.Sprintf("SELECT version = %d AND dirty FROM schema_migrations", next),
	} {
		if !query[bool](t, targets[0], found) {
			t.Errorf("%s = false after a failed step", found)
		}
	}
	refused(t, "Up() again", m.Up(t.Context()), fmt.Sprintf("shard s1: schema is dirty at version %d", next), fmt.Sprintf("`terse migrate force s1 %d`", latest), "`terse migrate up`")
	refused(t, "Down()", m.Down(t.Context()), fmt.Sprintf("shard s1: schema is dirty at version %d", next))
	if s := m.Status(t.Context()); !s[0].Dirty || s[0].Version != next || s[0].Err == nil || s[1].Version != 0 {
		t.Errorf("Status() = %+v, want s1 dirty at %d and s2 at 0", s, next)
	}
	if err := m.Force(t.Context(), "s1", latest); err != nil {
		t.Fatalf("Force(s1, %d) = %v, want nil", latest, err)
	}
	up(t, targets...)
	dealtOnce(t, targets...)
}

func failingStepDown(t *testing.T, c *cluster) {
	target := c.target(t, "s1")
	m, err := schema.NewWithSteps(options(t, target), steps(t, "CREATE TABLE next ()", "DROP TABLE next; SELECT 1/0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Up(t.Context()); err != nil {
		t.Fatalf("Up() = %v, want nil", err)
	}
	refused(t, "Down()", m.Down(t.Context()), fmt.Sprintf("shard s1: step %d down: ", next), "division by zero")
	atVersion(t, m, next)
	if !query[bool](t, target, "SELECT to_regclass('next') IS NOT NULL") {
		t.Error("a failed step down dropped its table")
	}
}

// recordedWithTheStep checks that the version and the step are committed together, so
// that a run killed at any time commits both or neither.
func recordedWithTheStep(t *testing.T, c *cluster) {
	target := c.target(t, "s1")
	const seen = "CREATE TABLE seen AS SELECT version, dirty FROM schema_migrations -- before the step is recorded"
	m, err := schema.NewWithSteps(options(t, target), steps(t, seen, "DROP TABLE seen"))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Up(t.Context()); err != nil {
		t.Fatalf("Up() = %v, want nil", err)
	}
	if !query[bool](t, target, fmt.Sprintf("SELECT version = %d AND NOT dirty FROM seen", latest)) {
		t.Error("the version was recorded before the step, want in its transaction")
	}
	if !query[bool](t, target, `
		SELECT (SELECT xmin FROM schema_migrations)::text = (SELECT xmin FROM pg_class WHERE relname = 'seen')::text`) {
		t.Error("the version was recorded in another transaction than the step")
	}
}
