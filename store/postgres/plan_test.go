package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
)

// filled are the links that TestPlans looks for others among.
const filled = 30_000

// fill stores links of one owner with many, tagged now and then, and of some with
// few.
func fill(tb testing.TB, conn *pgx.Conn) {
	tb.Helper()
	links := make([][]any, filled)
	for i := range links {
		code := fmt.Sprintf("c%d", i)
		owner, tags := "big", []string(nil)
		if i%3 == 0 {
			owner = fmt.Sprintf("small%d", i%100)
		}
		if i%10 == 1 {
			tags = []string{"tag", fmt.Sprintf("tag%d", i%50)}
		}
		links[i] = []any{
			epoch.Add(time.Duration(i) * time.Second), 1, store.BucketOf(code), code,
			fmt.Sprintf("https://example.com/%d", i%1000), owner, tags,
		}
	}
	columns := []string{"created_at", "version", "bucket", "code", "target", "owner", "tags"}
	if _, err := conn.CopyFrom(tb.Context(), pgx.Identifier{"links"}, columns, pgx.CopyFromRows(links)); err != nil {
		tb.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO click_totals SELECT 1, created_at, bucket, code FROM links`,
		`INSERT INTO click_flushes SELECT code, 1, now() FROM links LIMIT 5000`,
		`INSERT INTO link_history (replaced_at, version, bucket, code, target)
			SELECT '2026-01-01', n, bucket, code, target FROM links, generate_series(1, 5) AS n WHERE code < 'c2'`,
		`INSERT INTO reports SELECT now(), now(), bucket, 'rep_' || code, code, '', '', '' FROM links LIMIT 5000`,
		`INSERT INTO reservations SELECT now(), bucket, owner, code, '', code FROM links LIMIT 5000`,
		`INSERT INTO api_keys (created_at, bucket, id, name, hash, scopes) SELECT now(), bucket, code, '', code::bytea, '{}' FROM links LIMIT 5000`,
		`ANALYZE`,
	} {
		exec(tb, conn, sql)
	}
}

// plan is how Postgres ran a statement.
type plan struct {
	text   string
	blocks int // that it looked at
}

// explain runs a statement, with a plan for these arguments or for any, and
// undoes it.
func explain(t *testing.T, conn *pgx.Conn, mode, before, statement string, args []any) plan {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	places := make([]string, len(args))
	for i := range args {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	call := "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE p"
	if len(args) > 0 {
		call += "(" + strings.Join(places, ", ") + ")"
	}
	for _, sql := range []string{before, "SET LOCAL plan_cache_mode = force_" + mode + "_plan", "DEALLOCATE ALL", "PREPARE p AS " + statement} {
		if _, err := tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	var p plan
	args = append([]any{pgx.QueryExecModeSimpleProtocol}, args...)
	if err := tx.QueryRow(t.Context(), call, args...).Scan(&p.text); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	var roots []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal([]byte(p.text), &roots); err != nil || len(roots) != 1 {
		t.Fatalf("plan %s, %v, want one", p.text, err)
	}
	p.blocks = roots[0].Plan.Hit + roots[0].Plan.Read
	return p
}

func TestPlans(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	conn := c.connect(t, c.database(t))
	fill(t, conn)
	for _, mode := range []string{"custom", "generic"} {
		t.Run("lists/"+mode, func(t *testing.T) { planLists(t, conn, mode) })
		t.Run("statements/"+mode, func(t *testing.T) { planStatements(t, conn, mode) })
	}
	t.Run("create", func(t *testing.T) { planCreate(t, conn) })
}

// planLists allows some blocks for each link of a page, and one for each that a
// search has to look at.
func planLists(t *testing.T, conn *pgx.Conn, mode string) {
	middle := store.Cursor{CreatedAt: epoch.Add(filled / 2 * time.Second), Code: fmt.Sprintf("c%d", filled/2)}
	for _, tt := range []struct {
		name   string
		query  store.Query
		index  string
		blocks int
	}{
		{"plain", store.Query{}, "links_by_owner", 250},
		{"next page", store.Query{After: middle}, "links_by_owner", 250},
		{"search", store.Query{Search: "C1"}, "links_by_owner", 1000},
		{"search in vain", store.Query{Search: "nowhere"}, "links_by_owner", filled},
		{"target", store.Query{Target: "https://example.com/71"}, "links_by_target", 250},
		{"tag", store.Query{Tag: "tag"}, "link_tags_pkey", 350},
		{"tag, next page", store.Query{Tag: "tag", After: middle}, "link_tags_pkey", 350},
		{"tag and target", store.Query{Tag: "tag", Target: "https://example.com/71"}, "links_by_target", 250},
		{"tag and search", store.Query{Tag: "tag", Search: "example"}, "link_tags_pkey", 350},
	} {
		for _, owner := range []string{"big", "small9", "nobody"} {
			tt.query.Owner, tt.query.Limit = owner, 20
			query, args := postgres.ListQuery(tt.query)
			got := explain(t, conn, mode, postgres.WalkIndexes, query, args)
			if !strings.Contains(got.text, `"`+tt.index+`"`) || strings.Contains(got.text, "Seq Scan") || got.blocks > tt.blocks {
				t.Errorf("list of %s, %s, looks at %d blocks, want at most %d by %s:\n%s",
					owner, tt.name, got.blocks, tt.blocks, tt.index, got.text)
			}
		}
	}
}

// planStatements allows what a few look-ups by an index take.
func planStatements(t *testing.T, conn *pgx.Conn, mode string) {
	const code = "c5000"
	bucket := store.BucketOf(code)
	var codes []string
	var hashes [][]byte
	var buckets []int
	var clicks []int64
	var times []time.Time
	for i := range 20 {
		codes = append(codes, fmt.Sprintf("c%d", i))
		hashes = append(hashes, []byte(codes[i]))
		buckets, clicks, times = append(buckets, store.BucketOf(codes[i])), append(clicks, 1), append(times, epoch)
	}
	statements := postgres.Statements()
	for _, tt := range []struct {
		name   string
		args   []any
		blocks int
	}{
		{"stored", []any{buckets[:1], codes[:1]}, 20},
		{"stored", []any{buckets, codes}, 20 * len(codes)},
		{"update", []any{
			bucket, code, 1, 1, "https://example.com/", nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, epoch, nil, nil,
		}, 60},
		{"delete", []any{bucket, code, 1, 0, epoch, nil, nil}, 60},
		{"use", []any{bucket, code, 1, epoch}, 60},
		{"reserve", []any{bucket, 1, "owner", "key", "", epoch, code, epoch, ""}, 60},
		{"prune reservations", []any{store.ReservationTTL}, 60},
		{"links", []any{buckets[:1], codes[:1]}, 20},
		{"links", []any{buckets, codes}, 20 * len(codes)},
		{"add clicks", []any{"recorder", 1, buckets[:1], buckets[:1], codes[:1], clicks[:1], times[:1]}, 60},
		{"add clicks", []any{"recorder", 1, buckets, buckets, codes, clicks, times}, 30 * len(codes)},
		{"prune flushes", nil, 60},
		{"insert key", []any{bucket, 1, epoch, nil, nil, nil, "id", "", "", []byte("hash"), []string{}, ""}, 60},
		{"key by hash", []any{bucket, []byte(code)}, 20},
		{"bucket of key", []any{code}, 20},
		{"revoke key", []any{bucket, 1, code, epoch}, 60},
		{"use keys", []any{buckets[:1], clicks[:1], [][]byte{[]byte(code)}, times[:1]}, 60},
		{"use keys", []any{buckets, clicks, hashes, times}, 60 * len(codes)},
		{"changes", []any{epoch.Add((filled - 20) * time.Second), "", 20}, 10 * 101},
		{"changes", []any{epoch, "", 20}, 100 * 101}, // all of them wait
		{"revisions", []any{bucket, code, 1000, 20}, 60},
		{"prune reports", []any{store.ReportTTL}, 60},
	} {
		got := explain(t, conn, mode, "", statements[tt.name], tt.args)
		if strings.Contains(got.text, "Seq Scan") || got.blocks > tt.blocks {
			t.Errorf("%s looks at %d blocks, want at most %d:\n%s", tt.name, got.blocks, tt.blocks, got.text)
		}
	}
}

func planCreate(t *testing.T, conn *pgx.Conn) {
	for _, n := range []int{1, 256} {
		links := make([]store.Link, n)
		for i := range links {
			links[i] = newLink(fmt.Sprintf("new%d", i))
			links[i].Tags = []string{"tag"}
		}
		statement, args := postgres.InsertLinks(links...)
		rows, err := conn.Query(t.Context(), "EXPLAIN "+statement, args...)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if text := strings.Join(lines, "\n"); err != nil || strings.Contains(text, "Seq Scan") {
			t.Errorf("create of %d, %v, want no scan:\n%s", n, err, text)
		}
	}
}
