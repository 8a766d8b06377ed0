//go:build unix

package schema_test

import (
	"io/fs"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/migrations"
	"github.com/terse/terse/store/postgres/schema"
)

// beforeDomains is the schema of the version that had no domains. Nodes of a version run beside nodes
// of the next one during an upgrade, on the newer schema.
const beforeDomains = 15

// relaxed are columns that may become NULL by a step. The version before reads them by outer joins, so
// its statements expect NULL.
var relaxed = map[string]bool{"click_totals.last_click_at": true}

// column is a column of a table, and whether an INSERT that does not name it fails.
type column struct{ Table, Name, Type, Default string }

// shape is what the statements of a version rely on.
type shape struct {
	columns map[string]column
	tables  map[string]bool
	rules   map[string]string // tables of constraints and unique indexes
}

func shapeOf(t *testing.T, target schema.Target) shape {
	t.Helper()
	s := shape{map[string]column{}, map[string]bool{}, map[string]string{}}
	conn := connect(t, target)
	rows, err := conn.Query(t.Context(), `SELECT table_name, column_name, udt_name,
		CASE WHEN is_nullable = 'YES' OR column_default IS NOT NULL OR is_identity = 'YES' THEN 'optional' ELSE 'required' END
		FROM information_schema.columns WHERE table_schema = 'public'`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range columns {
		s.columns[c.Table+"."+c.Name], s.tables[c.Table] = c, true
	}
	rows, err = conn.Query(t.Context(), `SELECT conrelid::regclass::text, conrelid::regclass::text || ': ' || pg_get_constraintdef(oid)
			FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
		UNION SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE 'CREATE UNIQUE%'`)
	if err != nil {
		t.Fatal(err)
	}
	var table, rule string
	if _, err := pgx.ForEachRow(rows, []any{&table, &rule}, func() error {
		s.rules[rule] = table
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// olderVersionStaysUsable checks that each step keeps what the statements of the version before use: no
// table and no column is missing or has another type, no new column is required, and no rule is
// new in an old table.
func olderVersionStaysUsable(t *testing.T, c *cluster) {
	target := c.target(t, "s1")
	up(t, target)
	m := migrator(t, target)
	after := shapeOf(t, target)
	for version := m.Latest(); version > beforeDomains; version-- {
		if err := m.Down(t.Context()); err != nil {
			t.Fatalf("Down() = %v, want nil", err)
		}
		before := shapeOf(t, target)
		for name, was := range before.columns {
			is, kept := after.columns[name]
			if relaxed[name] {
				was.Default = is.Default
			}
			if !kept || is != was {
				t.Errorf("step %d changes column %s from %+v to %+v", version, name, was, is)
			}
		}
		for name, is := range after.columns {
			if _, old := before.columns[name]; !old && before.tables[is.Table] && is.Default == "required" {
				t.Errorf("step %d adds column %s without a default: INSERT statements of the version before fail", version, name)
			}
		}
		for rule, table := range after.rules {
			if _, old := before.rules[rule]; !old && before.tables[table] {
				t.Errorf("step %d adds a rule to an old table: %s", version, rule)
			}
		}
		after = before
	}
}

// severalLocks are steps that lock several old tables. They are older than the rule of
// stepsLockOneTable.
var severalLocks = map[string]bool{"0014_confirm.up.sql": true, "0019_domain_purges.up.sql": true}

// stepsLockOneTable checks that no step locks two tables against the writes of running nodes. A step that
// waits for its second table would deadlock with a statement that uses both.
func stepsLockOneTable(t *testing.T, c *cluster) {
	conn := connect(t, c.target(t, "s1"))
	files, err := fs.Glob(migrations.Postgres(), "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		step, err := fs.ReadFile(migrations.Postgres(), file)
		if err != nil {
			t.Fatal(err)
		}
		var locked []string
		if err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "CREATE TEMPORARY TABLE old ON COMMIT DROP AS SELECT oid FROM pg_class"); err != nil {
				return err
			}
			if _, err := tx.Exec(t.Context(), string(step)); err != nil {
				return err
			}
			rows, err := tx.Query(t.Context(), `SELECT DISTINCT c.relname::text FROM pg_locks l
				JOIN pg_class c ON c.oid = l.relation JOIN old USING (oid)
				WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
					AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`)
			if err != nil {
				return err
			}
			locked, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		}); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if several := len(locked) > 1; several != severalLocks[file] {
			t.Errorf("%s locks the tables %q, want at most one", file, locked)
		}
	}
}
