//go:build unix

package schema_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/store/postgres/schema"
)

var refusalTests = map[string]func(*testing.T, *cluster){
	"WrongName":        wrongName,
	"LostShard":        lostShard,
	"MissingShard":     missingShard,
	"MoreWhileDealing": moreWhileDealing,
	"OneDatabaseTwice": oneDatabaseTwice,
	"AllProblems":      allProblems,
	"OtherGroup":       otherGroup,
}

func wrongName(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2")
	up(t, targets...)
	targets[0].DSN, targets[1].DSN = targets[1].DSN, targets[0].DSN
	m := migrator(t, targets...)
	words := []string{"shard s1: this database is shard s2, not s1", "shard s2: this database is shard s1, not s2"}
	refused(t, "Up()", m.Up(t.Context()), words...)
	refused(t, "Down()", m.Down(t.Context()), words...)
	refused(t, "Force(s1)", m.Force(t.Context(), "s1", 1), words[0])
}

func lostShard(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3")
	up(t, targets...)
	targets[1] = c.target(t, "s2")
	m := migrator(t, targets...)
	refused(t, "Up()", m.Up(t.Context()), "shard s2: ", "is empty", "restore it")
	if got := m.Status(t.Context())[1].Version; got != 0 {
		t.Errorf("version of a rejected shard = %d, want 0", got)
	}
}

func missingShard(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3")
	up(t, targets...)
	refused(t, "Up()", migrator(t, targets[0], targets[2]).Up(t.Context()), "shard s2 is missing")
}

func moreWhileDealing(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3")
	up(t, targets[:2]...)
	for _, target := range targets[:2] {
		execute(t, target, "UPDATE shard SET dealt = false")
	}
	refused(t, "Up()", migrator(t, targets...).Up(t.Context()), "not finished assigning buckets to s1, s2", "s1, s2, s3")
	up(t, targets[:2]...)
	up(t, targets...)
	dealtOnce(t, targets...)
}

func oneDatabaseTwice(t *testing.T, c *cluster) {
	s1 := c.target(t, "s1")
	m := migrator(t, s1, schema.Target{Name: "s2", DSN: s1.DSN + "&application_name=x"})
	refused(t, "Up()", m.Up(t.Context()), "shard s2: its DSN leads to the database of another shard")
	atVersion(t, m, 0)
}

// allProblems checks that nothing is changed if a shard has a problem, and that all
// problems are reported.
func allProblems(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2", "s3")
	up(t, targets[1], targets[2])
	execute(t, targets[1], "UPDATE schema_migrations SET version = 3, dirty = true")
	execute(t, targets[2], "UPDATE shard SET name = 'other'")
	gone := schema.Target{Name: "s4", DSN: "postgres://terse:s3cr3t@127.0.0.1:1/links?sslmode=disable"}
	m := migrator(t, append(targets, gone)...)
	err := m.Up(t.Context())
	refused(t, "Up()", err,
		"shard s2: schema is dirty at version 3", "`terse migrate force s2 2`",
		"shard s3: this database is shard other", "shard s4: failed to connect")
	if strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("Up() = %v, which contains the password", err)
	}
	if got := m.Status(t.Context())[0].Version; got != 0 {
		t.Errorf("version of the shard without a problem = %d, want 0", got)
	}
}

func otherGroup(t *testing.T, c *cluster) {
	targets := c.targets(t, "s1", "s2")
	up(t, targets[0])
	up(t, targets[1])
	refused(t, "Up()", migrator(t, targets...).Up(t.Context()), "s1 and s2 do not belong together")
}
