package audit

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/store"
)

// Row is a link in a database.
type Row struct {
	Code, Target string
	Version      int64
}

// Report is the result of an audit.
type Report struct {
	Links    int      // in the databases
	Outcomes int      // requests since the start
	Lost     int      // acknowledged writes that the databases lack
	Broken   []string // broken promises since the start
}

// Audit compares all databases and the nodes with the log. It returns an error if it
// cannot read a database.
func (a *Auditor) Audit(ctx context.Context, nodes ...Node) (Report, error) {
	rows, err := a.Rows(ctx)
	if err != nil {
		return Report{}, err
	}
	a.mu.Lock()
	links, unknown := maps.Clone(a.links), maps.Clone(a.unknown)
	a.mu.Unlock()
	r := Report{Links: len(rows)}
	for code, h := range links {
		row, there := rows[code]
		_, fits := h.fits(row.Target, row.Version)
		if row.Version < h.newest() {
			r.Lost++
		}
		if there && !fits || row.Version < h.newest() {
			a.Broken("%s is %+v in the database, want version %d or later of %s", code, row, h.newest(), a.describe(h))
		}
	}
	for code, row := range rows {
		if links[code] != nil {
			continue
		}
		if !unknown[row.Target] {
			a.Broken("%s to %s is in the database, but was not requested, or is there twice", code, row.Target)
		}
		delete(unknown, row.Target)
		a.log(code, &attempt{node: nodes[0], target: row.Target, version: row.Version, acknowledged: time.Now()})
	}
	a.visitAll(ctx, nodes, slices.Collect(maps.Keys(rows)))
	a.mu.Lock()
	defer a.mu.Unlock()
	r.Outcomes, r.Broken = len(a.outcomes), slices.Clone(a.faults)
	return r, nil
}

// Rows returns the links of all shards by code, without those of canaries.
func (a *Auditor) Rows(ctx context.Context) (map[string]Row, error) {
	all := map[string]Row{}
	for i, dsn := range a.opts.DSNs {
		rows, err := query(ctx, dsn, pgx.RowToStructByPos[Row], `SELECT code, target, version FROM links
			JOIN buckets USING (bucket) WHERE state = 'owned' AND deleted_at IS NULL AND owner <> $1`, store.CanaryOwner)
		if err != nil {
			return nil, fmt.Errorf("links of shard %d: %w", i+1, err)
		}
		for _, r := range rows {
			if twice, ok := all[r.Code]; ok {
				a.Broken("two databases have %s: %+v and %+v", r.Code, r, twice)
			}
			all[r.Code] = r
		}
	}
	return all, nil
}

// Clicks returns how many clicks the databases have counted.
func (a *Auditor) Clicks(ctx context.Context) (sum int64, err error) {
	for i, dsn := range a.opts.DSNs {
		counted, err := query(ctx, dsn, pgx.RowTo[int64], `SELECT coalesce(sum(total), 0)::bigint FROM click_totals`)
		if err != nil {
			return 0, fmt.Errorf("clicks of shard %d: %w", i+1, err)
		}
		sum += counted[0]
	}
	return sum, nil
}

func query[T any](ctx context.Context, dsn string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

// finally is how long a link may be unavailable after the load, for example because its server
// has just ended.
const finally = 30 * time.Second

// visitAll visits all links through all nodes. In the end, each visit must redirect.
func (a *Auditor) visitAll(ctx context.Context, nodes []Node, links []string) {
	var group errgroup.Group
	group.SetLimit(8)
	for _, node := range nodes {
		for _, code := range links {
			group.Go(func() error {
				status := a.Visit(ctx, "audit", node, code)
				for began := time.Now(); status == http.StatusServiceUnavailable && time.Since(began) < finally && ctx.Err() == nil; {
					time.Sleep(100 * time.Millisecond)
					status = a.Visit(ctx, "audit", node, code)
				}
				if status != http.StatusFound {
					a.Broken("in the end, the visit of %s through %s = %d, want 302", code, node.URL(), status)
				}
				return nil
			})
		}
	}
	_ = group.Wait()
}
