//go:build unix

package schema_test

import (
	"errors"
	"io/fs"
	"sync"
	"testing"

	"github.com/terse/terse/store/postgres/schema"
)

var schemaTests = map[string]func(*testing.T, *cluster){
	"UpDownToNothingAndUp":    upDownToNothingAndUp,
	"DownCompletesADown":      downCompletesADown,
	"DownAndUpKeepNodeIDs":    downAndUpKeepNodeIDs,
	"NewerSchemaIsLeft":       newerSchemaIsLeft,
	"ManyUpsAtOnce":           manyUpsAtOnce,
	"OlderVersionStaysUsable": olderVersionStaysUsable,
	"StepsLockOneTable":       stepsLockOneTable,
}

func upDownToNothingAndUp(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3")
	m := migrator(t, targets...)
	for range 2 {
		for range 2 { // the second run changes nothing
			if err := m.Up(t.Context()); err != nil {
				t.Fatalf("Up() = %v, want nil", err)
			}
			atVersion(t, m, m.Latest())
			dealtOnce(t, targets...)
		}
		for version := m.Latest() - 1; version >= 0; version-- {
			if err := m.Down(t.Context()); err != nil {
				t.Fatalf("Down() to %d = %v, want nil", version, err)
			}
			atVersion(t, m, version)
		}
		if err := m.Down(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Down() of nothing = %v, want %v", err, fs.ErrNotExist)
		}
		for _, target := range targets {
			left := query[int](t, target, `
				SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ '^schema_migrations')
				     + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)`)
			if left != 0 {
				t.Errorf("%s has %d tables and functions left, want none", target.Name, left)
			}
		}
	}
}

func downCompletesADown(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3")
	up(t, targets...)
	if err := migrator(t, targets[0]).Down(t.Context()); err != nil {
		t.Fatalf("Down() of s1 = %v, want nil", err)
	}
	m := migrator(t, targets...)
	if err := m.Down(t.Context()); err != nil {
		t.Fatalf("Down() = %v, want nil", err)
	}
	atVersion(t, m, m.Latest()-1)
}

func downAndUpKeepNodeIDs(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3")
	up(t, targets...)
	m := migrator(t, targets...)
	if err := m.Down(t.Context()); err != nil {
		t.Fatalf("Down() = %v, want nil", err)
	}
	up(t, targets...)
	dealtOnce(t, targets...)
}

func newerSchemaIsLeft(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2")
	newer, err := schema.NewWithSteps(options(t, targets...), steps(t, "CREATE TABLE later ()", "DROP TABLE later"))
	if err != nil {
		t.Fatal(err)
	}
	if err := newer.Up(t.Context()); err != nil {
		t.Fatalf("Up() of the newer binary = %v, want nil", err)
	}
	m := migrator(t, targets...)
	if err := m.Up(t.Context()); err != nil {
		t.Errorf("Up() of the older binary = %v, want nil", err)
	}
	atVersion(t, m, newer.Latest())
	refused(t, "Down() of the older binary", m.Down(t.Context()), "newer than this binary")
	atVersion(t, m, newer.Latest())
}

func manyUpsAtOnce(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3")
	var all sync.WaitGroup
	for range 4 {
		m := migrator(t, targets...)
		all.Go(func() {
			if err := m.Up(t.Context()); err != nil {
				t.Errorf("Up() = %v, want nil", err)
			}
		})
	}
	all.Wait()
	dealtOnce(t, targets...)
}

// atVersion fails the test unless all shards are clean and have the version.
func atVersion(t *testing.T, m *schema.Migrator, want int) {
	t.Helper()
	for _, s := range m.Status(t.Context()) {
		if s.Version != want || s.Dirty || s.Err != nil {
			t.Errorf("Status() of %s = %+v, want version %d", s.Name, s, want)
		}
	}
}

// dealtOnce fails the test unless exactly one shard has each bucket and each node id.
func dealtOnce(t *testing.T, targets ...schema.Target) {
	t.Helper()
	once(t, "buckets", numbers(t, "SELECT bucket FROM buckets WHERE state = 'owned' AND epoch = 1", targets...), 4096)
	once(t, "node ids", numbers(t, "SELECT node FROM node_leases", targets...), 512)
	for _, target := range targets {
		if !query[bool](t, target, "SELECT dealt FROM shard") {
			t.Errorf("%s has not recorded the end of the deal", target.Name)
		}
	}
}

// once fails the test unless got is 0 to n-1.
func once(t *testing.T, what string, got []int, n int) {
	t.Helper()
	if len(got) != n {
		t.Errorf("shards have %d %s, want %d", len(got), what, n)
		return
	}
	for i := range got {
		if got[i] != i {
			t.Errorf("%s: number %d is %d, want each number once", what, i, got[i])
			return
		}
	}
}
