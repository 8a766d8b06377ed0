package sqlite

import (
	"context"
	"database/sql"
	"runtime"

	"github.com/terse/terse/store"
)

// byCode selects one link.
const byCode = `WHERE l.code = ?`

// Resolve implements store.Store.
func (s *Store) Resolve(ctx context.Context, code string) (store.Link, error) {
	l, err := point(ctx, s.points, s.points.resolve, scanLink, code)
	return l, wrap(err, "resolve", code)
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, code string) (store.Link, error) {
	l, err := point(ctx, s.points, s.points.get, scanLink, code)
	return l, wrap(err, "get", code)
}

// Confirm implements store.Store. There is no other server, so every link that can be read
// is durable.
func (s *Store) Confirm(ctx context.Context, code string) (store.Link, error) {
	return s.Get(ctx, code)
}

// points runs queries for one row by its key, with its own handle.
type points struct {
	db    *sql.DB
	slots chan struct{} // one element for each running query

	resolve, get, keyByHash *sql.Stmt
}

func openPoints(ctx context.Context, file string) (*points, error) {
	db, err := openHandle(file, reading)
	if err != nil {
		return nil, err
	}
	p := &points{db: db, slots: make(chan struct{}, readers())}
	return p, prepare(ctx, db, []statement{
		{&p.resolve, linkWithoutTotals + byCode},
		{&p.get, linkWithTotals + byCode},
		{&p.keyByHash, selectKey + `WHERE hash = ?`},
	})
}

// readers is the number of concurrent queries of one kind.
func readers() int { return max(4, runtime.GOMAXPROCS(0)) }

// point reads one row. ctx can end the wait for a slot, but not the query. The query takes
// microseconds: watching ctx would double that, and an interrupted connection is lost.
func point[T any](ctx context.Context, p *points, stmt *sql.Stmt, scan func(scanner) (T, error), key any) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	defer func() { <-p.slots }()
	return scan(stmt.QueryRowContext(context.WithoutCancel(ctx), key))
}
