package postgres_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/postgres"
	"github.com/terse/terse/store/storetest"
)

const (
	// manyRows is the number of rows of links and of reservations in TestPlans.
	manyRows = 1_000_000

	// someRows is the number of rows of every other table. Even the smallest index has more
	// blocks than a statement may read.
	someRows = 200_000

	// perBucket is the number of rows with the same bucket.
	perBucket = manyRows/store.Buckets + 1

	// months is the number of partitions of click_days.
	months = 84

	// owners is the number of owners of links.
	owners = 100
)

// fillShard fills every table that grows. The buckets do not match the codes, because no
// statement looks up these rows by their codes.
func fillShard(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	sizes := strings.NewReplacer("@manyRows", strconv.Itoa(manyRows), "@someRows", strconv.Itoa(someRows),
		"@perBucket", strconv.Itoa(perBucket), "@owners", strconv.Itoa(owners), "@months", strconv.Itoa(months))
	for _, sql := range []string{
		`SET session_replication_role = replica`, // no triggers
		`SET maintenance_work_mem = '256MB'`,
		`ALTER TABLE links SET UNLOGGED`, `ALTER TABLE reservations SET UNLOGGED`, `ALTER TABLE link_history SET UNLOGGED`,
		`ALTER TABLE link_tags SET UNLOGGED`, `ALTER TABLE click_totals SET UNLOGGED`, `ALTER TABLE click_batches SET UNLOGGED`, `ALTER TABLE reports SET UNLOGGED`,
		`CREATE TEMPORARY TABLE many AS SELECT n, n / @perBucket AS bucket, 'fill' || n AS code,
			'2026-01-01'::timestamptz + n * interval '1 s' AS at FROM generate_series(1, @manyRows) AS n`,
		`CREATE TEMPORARY TABLE few AS SELECT * FROM many LIMIT @someRows`,
		`INSERT INTO links (created_at, version, bucket, code, target, owner)
			SELECT at, 1, bucket, code, 'https://example.com/' || n / 10, 'owner' || n % @owners FROM many`,
		`INSERT INTO reservations SELECT now() - n * interval '0.1 s', bucket, 'owner', code, '', code FROM many`,
		`INSERT INTO link_history (replaced_at, version, bucket, code, target)
			SELECT at, 1 + n % 5, bucket, 'fill' || n / 5, 'https://example.com/' FROM few`,
		`INSERT INTO link_tags SELECT bucket, at, 'owner1', 'tag', code FROM few`,
		`INSERT INTO click_totals SELECT 1, now(), bucket, code, 0 FROM few`,
		`SELECT click_days_add_month(('2020-01-01'::date + n * interval '1 month')::date) FROM generate_series(0, @months - 1) AS n`,
		`INSERT INTO click_days SELECT ('2020-01-01'::date + n % @months * interval '1 month' + n % 28 * interval '1 day')::date, bucket, 0, code, '' FROM few`,
		`INSERT INTO click_days SELECT '2020-01-01'::date + n, -1, 1, 'owner' || o, ''
			FROM generate_series(0, @months * 30) AS n, generate_series(1, 10) AS o`,
		`INSERT INTO click_batches (id, size, days) OVERRIDING SYSTEM VALUE SELECT 1000000000 + n, 1, '\x01' FROM few`,
		`INSERT INTO click_flushes SELECT code, 1, now() - n * interval '0.1 s' FROM few`,
		`INSERT INTO api_keys (created_at, bucket, id, name, hash, scopes) SELECT now(), bucket, code, '', code::bytea, '{}' FROM few`,
		`INSERT INTO blocked_hosts SELECT now(), bucket, n || '.example', '', '' FROM few`,
		`INSERT INTO domains SELECT now(), now(), now(), 1, bucket, 1, 0, 0, 0, 0, false, code, '', '', '', '', '' FROM few`,
		`INSERT INTO domain_hosts SELECT now(), now(), bucket, n || '.example', 'fill' || n / 2, '' FROM few`,
		`INSERT INTO reports SELECT now(), now() - n * interval '1 s', bucket, 'rep_' || n, code, '', '', '' FROM few`,
		`INSERT INTO reports SELECT now(), NULL, bucket, 'rep_open_' || n, code, '', '', '' FROM few WHERE n <= 1000`,
		`INSERT INTO scans SELECT now(), code, '', '' FROM few`,
		`INSERT INTO certificate_files SELECT now() - n * interval '1 s', 'certificates/' || code, nullif('value', repeat('value', n % 2))::bytea FROM few`,
		`INSERT INTO certificate_locks SELECT now() + n * interval '1 s', code, 'holder' FROM few`,
		`INSERT INTO outbox (edited_at, due, bucket, audience, code) SELECT now(), now() + interval '1 h', bucket, 1, code FROM few`,
		`SET session_replication_role = DEFAULT`,
		`VACUUM ANALYZE`,
	} {
		exec(t, conn, sizes.Replace(sql))
	}
}

// explained is one statement in a report of auto_explain.
type explained struct {
	Query string `json:"Query Text"`
	Plan  node
	text  string
}

// node is a step of a plan.
type node struct {
	Type  string  `json:"Node Type"`
	Hit   int     `json:"Shared Hit Blocks"`
	Read  int     `json:"Shared Read Blocks"`
	Rows  float64 `json:"Actual Rows"`
	Steps []node  `json:"Plans"`
}

// cost returns how many blocks the node reads with its children, and how many rows come
// from array arguments.
func (n *node) cost() (blocks, rows int) {
	if blocks = n.Hit + n.Read; n.Type == "Function Scan" {
		rows = int(n.Rows)
	}
	for i := range n.Steps {
		b, r := n.Steps[i].cost()
		blocks = max(blocks, b) // the sum of a node may not include all its children
		rows = max(rows, r)
	}
	return blocks, rows
}

// allowance returns how many blocks a statement may read that takes or returns a number
// of rows. It does not depend on the size of the tables.
func allowance(query string, rows int) int {
	switch {
	case strings.Contains(query, "FROM api_keys k JOIN buckets") && strings.Contains(query, "ORDER BY k.created_at, k.id"):
		return 1 << 30 // ListKeys returns all keys
	case strings.Contains(query, "click_days_drop_month("):
		return 1000 // reads and changes the catalog
	case strings.Contains(query, "DELETE FROM click_days"):
		return 300 + 10*months // a search in each month
	case strings.Contains(query, "strpos("):
		return 1 << 30 // a search reads the links of its owner until the page is full
	case strings.Contains(query, "WITH RECURSIVE owners"):
		return 100 * (owners + 10) // Changes reads the newest links of each owner
	}
	return 300 + 30*rows
}

// TestPlans runs every statement on tables of many rows, with custom and with generic
// plans. It compares the numbers of blocks that Postgres reads, which do not depend on
// the load of the machine.
func TestPlans(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newClusterWith(t, 0, map[string]string{
		"logging_collector": "on", "log_destination": "jsonlog", "log_directory": "plans", "log_min_messages": "log",
		"shared_buffers": "128MB", "autovacuum": "off",
	})
	database := c.database(t)
	conn := c.connect(t, database)
	fillShard(t, conn)
	for name, value := range map[string]string{
		"session_preload_libraries": "auto_explain", "auto_explain.log_min_duration": "0", "auto_explain.log_format": "json",
		"auto_explain.log_analyze": "on", "auto_explain.log_buffers": "on", "auto_explain.log_timing": "off",
		"auto_explain.log_nested_statements": "on", // statements in triggers
	} {
		exec(t, conn, fmt.Sprintf("ALTER DATABASE %s SET %s = '%s'", database, name, value))
	}
	var sent traced
	for _, mode := range []string{"custom", "generic"} {
		dsn := c.DSN(database) + "&plan_cache_mode=force_" + mode + "_plan"
		s := openStore(t, postgres.Options{Primary: dsn, Tracer: &sent, ProbeEvery: time.Hour, MaxLag: 3 * time.Hour, CallTimeout: 10 * time.Minute, ReadTimeout: 10 * time.Minute})
		callEverything(t, s, mode)
	}
	marker := c.connect(t, database)
	exec(t, marker, "SELECT 'all is explained'")
	var plans []explained
	eventually(t, "the log has all plans", func() (err error) {
		if plans, err = readPlans(filepath.Join(c.Primary().DataDir(), "plans")); err == nil &&
			!slices.ContainsFunc(plans, func(p explained) bool { return strings.Contains(p.Query, "'all is explained'") }) {
			err = errors.New("it does not end yet")
		}
		return err
	})
	known := map[string]bool{}
	for _, p := range plans {
		known[p.Query] = true
		blocks, rows := p.Plan.cost()
		if most := allowance(p.Query, max(rows, int(p.Plan.Rows))); blocks > most {
			t.Errorf("a statement reads %d blocks, want at most %d:\n%s", blocks, most, p.text)
		}
	}
	for sql := range sent.all {
		if !known[sql] && !strings.HasPrefix(sql, "EXPLAIN") {
			t.Errorf("a statement was sent, but the log has no plan of it: %s", sql)
		}
	}
	for _, sql := range storetest.Statements(t, ".") {
		if !slices.ContainsFunc(plans, func(p explained) bool { return strings.Contains(p.Query, sql) }) && !strings.HasPrefix(sql, "EXPLAIN") {
			t.Errorf("no call of this test sends a statement of the package, so add one to callEverything: %s", sql)
		}
	}
}

// TestPlansOfEmptyTables checks that a connection which planned its statements on empty
// tables reads no whole table later. The statistics of Postgres still describe empty tables
// then.
func TestPlansOfEmptyTables(t *testing.T) {
	t.Parallel()
	c := newClusterWith(t, 0, map[string]string{"autovacuum": "off"})
	database := c.database(t)
	conn := c.connect(t, database)
	exec(t, conn, `VACUUM ANALYZE`)
	const scans = `SELECT coalesce(sum(seq_scan), 0), coalesce(sum(idx_scan), 0) FROM pg_stat_user_tables WHERE relname IN ('links', 'reservations')`
	var before, whole, byIndex int
	must(t, conn.QueryRow(t.Context(), scans).Scan(&before, &byIndex))

	s := openStore(t, postgres.Options{Primary: c.DSN(database)})
	now := time.Now().UTC().Truncate(time.Microsecond)
	const creates = 20 // a plan for any arguments is made after five
	for i := range creates {
		l := link(fmt.Sprint("planned", i))
		l.RequestID = fmt.Sprint("key", i)
		_, _, err := s.CreateOnce(t.Context(), l, store.Reservation{Owner: l.Owner, Key: l.RequestID, Code: l.Code, CreatedAt: now})
		must(t, err)
		_, err = s.Get(t.Context(), l.Code)
		must(t, err)
	}
	must(t, s.Close()) // which makes its connections report what they read
	eventually(t, "the reads are counted", func() error {
		other := c.connect(t, database)
		must(t, other.QueryRow(t.Context(), scans).Scan(&whole, &byIndex))
		if byIndex < creates {
			return fmt.Errorf("%d reads by an index are counted, want at least %d", byIndex, creates)
		}
		return nil
	})
	if whole != before {
		t.Errorf("%d reads of a whole table, want none", whole-before)
	}
}

// traced is a tracer that collects every statement. Safe for concurrent use.
type traced struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *traced) add(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]bool{}
	}
	s.all[sql] = true
}

// TraceQueryStart implements pgx.QueryTracer.
func (s *traced) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if verb, _, _ := strings.Cut(strings.TrimSpace(data.SQL), " "); verb != "begin" && verb != "commit" {
		s.add(data.SQL)
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (*traced) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (s *traced) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		s.add(q.SQL)
	}
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (*traced) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (*traced) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// readPlans reads the plans that auto_explain has logged.
func readPlans(folder string) (plans []explained, err error) {
	err = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var line struct{ Message string }
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue // an incomplete line, which is read again later
			}
			_, text, found := strings.Cut(line.Message, "plan:\n")
			if !found {
				continue
			}
			p := explained{text: text}
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				return fmt.Errorf("plan %s: %w", text, err)
			}
			plans = append(plans, p)
		}
		return lines.Err()
	})
	return plans, err
}
