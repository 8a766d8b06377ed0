package sqlite_test

import (
	sqldriver "database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	driver "modernc.org/sqlite"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
	"github.com/terse/terse/store/sqlite/sqlitetest"
	"github.com/terse/terse/store/storetest"
)

// plan returns SQLite's query plan, one step a line.
func plan(t *testing.T, s *sqlite.Store, query string, args []any) string {
	t.Helper()
	rows, err := s.Lists().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("EXPLAIN QUERY PLAN %s = %v", query, err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}

func TestListsWalkIndexes(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	for _, tt := range []struct {
		name  string
		query store.Query
		index string
	}{
		{"plain", store.Query{}, "links_by_owner"},
		{"next page", store.Query{After: store.Cursor{CreatedAt: childLink("a").CreatedAt, Code: "a"}}, "links_by_owner"},
		{"search", store.Query{Search: "text"}, "links_by_owner"},
		{"domain", store.Query{Domain: new("jT0xYqRm4")}, "links_by_owner"},
		{"default domain", store.Query{Domain: new("")}, "links_by_owner"},
		{"state", store.Query{State: new(store.Expired), Now: childLink("a").CreatedAt}, "links_by_owner"},
		{"creation", store.Query{CreatedFrom: childLink("a").CreatedAt, CreatedTo: childLink("a").CreatedAt}, "links_by_owner"},
		{"target", store.Query{Target: "https://example.com/"}, "links_by_target"},
		{"target on a domain", store.Query{Domain: new("jT0xYqRm4"), Target: "https://example.com/"}, "links_by_target"},
		{"tag", store.Query{Tag: "tag"}, "t USING PRIMARY KEY (owner=? AND tag=? AND (created_at,code)<(?,?))"},
		{"tag and target", store.Query{Tag: "tag", Target: "https://example.com/"}, "t USING PRIMARY KEY (owner=? AND tag=?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.query.Owner = "owner"
			query, args := sqlite.ListQuery(tt.query)
			got := plan(t, s, query, args)
			if !strings.Contains(got, tt.index) || strings.Contains(got, "SCAN") || strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("plan of %s =\n%s\nwant a search by %s without a scan or a sort", query, got, tt.index)
			}
		})
	}
}

// TestListsOfAllOwnersWalkIndexes checks that a list of all owners sorts only the newest links
// of each.
func TestListsOfAllOwnersWalkIndexes(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	for name, tt := range map[string]struct {
		query store.Query
		index string
	}{
		"plain": {store.Query{}, "SEARCH l USING COVERING INDEX links_by_owner (owner=? AND (created_at,code)<(?,?))"},
		"tag":   {store.Query{Tag: "tag"}, "SEARCH t USING PRIMARY KEY (owner=? AND tag=? AND (created_at,code)<(?,?))"},
	} {
		tt.query.AllOwners = true
		query, args := sqlite.ListQuery(tt.query)
		got := plan(t, s, query, args)
		if !strings.Contains(got, tt.index) || strings.Contains(got, "SCAN l\n") || strings.Contains(got, "SCAN t\n") {
			t.Errorf("%s: plan of %s =\n%s\nwant a search by %s", name, query, got, tt.index)
		}
	}
}

// TestStatementsScanNoTable checks the query plan of every statement in the package.
func TestStatementsScanNoTable(t *testing.T) {
	t.Parallel()
	s := sqlitetest.Open(t)
	for _, query := range storetest.Statements(t, ".") {
		if strings.HasSuffix(query, " ") || !strings.Contains(query, "FROM") && strings.HasPrefix(query, "SELECT") {
			continue // only a part of a statement
		}
		steps := plan(t, s, query, make([]any, strings.Count(query, "?")))
		for line := range strings.Lines(steps) {
			if table, found := strings.CutPrefix(strings.TrimSpace(line), "SCAN "); found && !mayScan(query, steps, table) {
				t.Errorf("the plan contains %q, want no scan:\n%s\n%s", line, query, steps)
			}
		}
	}
}

// mayScan reports whether a statement may read all rows of table. table is a name in
// SQLite's plan.
func mayScan(query, steps, table string) bool {
	query = strings.TrimSpace(query)
	name, _, _ := strings.Cut(strings.TrimSpace(table), " ")
	switch {
	case strings.Contains(table, "VIRTUAL TABLE"), strings.Contains(table, "CONSTANT ROW"):
		return true // an argument with a list
	case strings.HasPrefix(name, "("), strings.Contains(steps, "CO-ROUTINE "+name):
		return true // the result of another step
	case name == "api_keys" && strings.HasSuffix(query, "ORDER BY created_at, id"):
		return true // ListKeys returns all keys
	case strings.Contains(query, "WITH RECURSIVE names"):
		return name == "names" || name == "n" // the tags that the statement has found
	case name == "blocklist_version", name == "domains_version", name == "node_leases", name == "click_sweep":
		return true // the table has few rows
	case strings.HasPrefix(query, "SELECT count(*) FROM reports"):
		return true // at most store.MaxOpenReports
	case name == "click_batches" && strings.Contains(query, "ORDER BY id LIMIT"):
		return true // reads the oldest rows until the page is full
	case strings.Contains(query, "LIMIT") && strings.Contains(table, " INDEX "):
		return true // reads an index in order until the page is full
	}
	return false
}

// TestBacklogIsReadByPages checks that a page of changes reads about as many rows as it has,
// however many creates and edits come later. It is not parallel, because the SQL function that it
// registers is for all connections of the process.
func TestBacklogIsReadByPages(t *testing.T) {
	var rowsRead atomic.Int64
	driver.MustRegisterScalarFunction("count_row", 1, func(*driver.FunctionContext, []sqldriver.Value) (sqldriver.Value, error) {
		rowsRead.Add(1)
		return int64(1), nil
	})
	counting := strings.NewReplacer(
		"l.code) > (?1, ?2)", "l.code) > (?1, ?2) AND count_row(l.code)",
		"h.code) > (?1, ?2)", "h.code) > (?1, ?2) AND count_row(h.code)",
	).Replace(sqlite.SelectChanges)
	s := sqlitetest.Open(t)
	const links, page = 10_000, 20
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	edited := created.Add(time.Hour)
	for _, fill := range []string{
		`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
		INSERT INTO links (code, target, title, tags, owner, status, forward_query, starts_at, expires_at, max_clicks,
			password_hash, disabled_at, disabled_reason, deleted_at, created_at, updated_at, version, request_id, used_clicks, target_hash)
		SELECT 'c' || i, 'https://example.com/', '', '[]', CASE i % 2 WHEN 0 THEN '' ELSE 'owner' END, 302, 0, 0, 0, 0,
			'', 0, '', 0, ?2 + i, ?2 + i, 1, '', 0, 0 FROM n`,
		`INSERT INTO link_history (code, version, replaced_at, target, title, tags, status, forward_query, starts_at, expires_at,
			max_clicks, password_mark, disabled_at, disabled_reason, updated_at, edited_by, edit_note)
		SELECT code, 1, ?3 + created_at - ?2, target, '', '[]', 302, 0, 0, 0, 0, '', 0, '', 0, '', '' FROM links WHERE ?1 > 0`,
	} {
		if _, err := s.Writer().ExecContext(t.Context(), fill, links, created.UnixMicro(), edited.UnixMicro()); err != nil {
			t.Fatal(err)
		}
	}
	for what, begin := range map[string]time.Time{"creates": created, "edits": edited} {
		for _, behind := range []int{0, links / 2, links - page} {
			after := store.Cursor{CreatedAt: begin.Add(time.Duration(behind) * time.Microsecond), Code: fmt.Sprint("c", behind)}
			got, err := s.Changes(t.Context(), after, page)
			if err != nil || len(got) != page || got[0].Link.Code != fmt.Sprint("c", behind+1) {
				t.Fatalf("Changes after %d of the %s = %d changes, %v, want %d", behind, what, len(got), err, page)
			}
			rowsRead.Store(0)
			if _, err := s.Lists().ExecContext(t.Context(), counting, after.CreatedAt.UnixMicro(), after.Code, page); err != nil {
				t.Fatal(err)
			}
			if n := rowsRead.Load(); n < page || n > 10*page {
				t.Errorf("a page of %d changes after %d of the %s reads %d rows, want %d at most", page, behind, what, n, 10*page)
			}
		}
	}
}
