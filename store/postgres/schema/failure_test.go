//go:build unix

package schema_test

import (
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
	refused(t, "Up()", m.Up(t.Context()), "shard s1: step 8 up: ", "division by zero", "`terse migrate force s1 7`")
	for _, found := range []string{
		"SELECT to_regclass('next') IS NULL",
		"SELECT count(*) = 0 FROM click_flushes",
		"SELECT version = 8 AND dirty FROM schema_migrations",
	} {
		if !query[bool](t, targets[0], found) {
			t.Errorf("%s = false after a step that failed", found)
		}
	}
	refused(t, "Up() again", m.Up(t.Context()), "shard s1: schema is dirty at version 8", "`terse migrate force s1 7`", "`terse migrate up`")
	refused(t, "Down()", m.Down(t.Context()), "shard s1: schema is dirty at version 8")
	if s := m.Status(t.Context()); !s[0].Dirty || s[0].Version != 8 || s[0].Err == nil || s[1].Version != 0 {
		t.Errorf("Status() = %+v, want s1 dirty at 8 and s2 at 0", s)
	}
	if err := m.Force(t.Context(), "s1", 7); err != nil {
		t.Fatalf("Force(s1, 7) = %v, want nil", err)
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
	refused(t, "Down()", m.Down(t.Context()), "shard s1: step 8 down: ", "division by zero")
	atVersion(t, m, 8)
	if !query[bool](t, target, "SELECT to_regclass('next') IS NOT NULL") {
		t.Error("a step down that failed took its table away")
	}
}

// recordedWithTheStep holds that the version is committed together with the
// step: a run that is killed at any time leaves neither or both.
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
	if !query[bool](t, target, "SELECT version = 7 AND NOT dirty FROM seen") {
		t.Error("the version was recorded before the step, want in its transaction")
	}
	if !query[bool](t, target, `
		SELECT (SELECT xmin FROM schema_migrations)::text = (SELECT xmin FROM pg_class WHERE relname = 'seen')::text`) {
		t.Error("the version was recorded in another transaction than the step's")
	}
}
