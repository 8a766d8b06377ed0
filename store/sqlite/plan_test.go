package sqlite_test

import (
	"strings"
	"testing"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/sqlite"
)

// plan returns what SQLite says it would do, a line a step.
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
	s := open(t, t.TempDir())
	for _, tt := range []struct {
		name  string
		query store.Query
		index string
	}{
		{"plain", store.Query{}, "links_by_owner"},
		{"next page", store.Query{After: store.Cursor{CreatedAt: childLink("a").CreatedAt, Code: "a"}}, "links_by_owner"},
		{"search", store.Query{Search: "text"}, "links_by_owner"},
		{"target", store.Query{Target: "https://example.com/"}, "links_by_target"},
		{"tag", store.Query{Tag: "tag"}, "t USING PRIMARY KEY (owner=? AND tag=? AND (created_at,code)<(?,?))"},
		{"tag and target", store.Query{Tag: "tag", Target: "https://example.com/"}, "t USING PRIMARY KEY (owner=? AND tag=?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.query.Owner = "owner"
			query, args := sqlite.ListQuery(tt.query)
			got := plan(t, s, query, args)
			if !strings.Contains(got, tt.index) || strings.Contains(got, "SCAN") || strings.Contains(got, "TEMP B-TREE") {
				t.Errorf("plan of %s =\n%s\nwant a search by %s, and neither scan nor sort", query, got, tt.index)
			}
		})
	}
}

func TestStatementsScanNoTable(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for name, query := range sqlite.Statements() {
		args := make([]any, strings.Count(query, "?"))
		for line := range strings.Lines(plan(t, s, query, args)) {
			// The list that is bound is scanned, and so is the bite that is pruned.
			if strings.Contains(line, "SCAN") && !strings.Contains(line, "VIRTUAL TABLE") {
				t.Errorf("plan of %s has %q, want no scan", name, line)
			}
		}
	}
}
