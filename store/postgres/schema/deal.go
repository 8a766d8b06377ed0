package schema

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/terse/terse/store"
)

// nodes is how many node ids there are.
const nodes = 512

// deal runs the phases of the plan over the connections that have the locks of the run.
func (p plan) deal(ctx context.Context) error {
	for _, phase := range []struct {
		name   string
		shards []*shard
		do     func(context.Context, *shard) error
	}{
		{"announce the assignment", p.announce, p.announceOne},
		{"assign buckets and node ids", p.assign, p.assignOne},
		{"end the assignment", p.finish, finishOne},
		{"add the shard", p.added, p.addOne},
		{"assign node ids", p.dealt, func(ctx context.Context, s *shard) error { return p.dealNodes(ctx, s.conn, s.name) }},
	} {
		for _, s := range phase.shards {
			if err := phase.do(ctx, s); err != nil {
				return s.wrap(fmt.Errorf("%s: %w", phase.name, err))
			}
		}
	}
	return nil
}

func (p plan) announceOne(ctx context.Context, s *shard) error {
	return s.become(ctx, p.among, false)
}

func (p plan) addOne(ctx context.Context, s *shard) error {
	return s.become(ctx, p.among, true)
}

// become records in the database which shard it is. It fails if another run has done so.
func (s *shard) become(ctx context.Context, among []string, dealt bool) error {
	tag, err := s.conn.Exec(ctx, "INSERT INTO shard (name, dealt_among, dealt) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		s.name, among, dealt)
	if err == nil && tag.RowsAffected() == 0 {
		err = errors.New("another run has changed the shard: run the command again")
	}
	return err
}

// assignOne gives s its buckets and node ids, unless it has them.
func (p plan) assignOne(ctx context.Context, s *shard) error {
	return pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		from, to := p.cut(s.name, store.Buckets)
		_, err := tx.Exec(ctx, `
			INSERT INTO buckets (bucket, state, epoch)
			SELECT b, 'owned', 1 FROM generate_series($1::int, $2::int - 1) AS b
			ON CONFLICT DO NOTHING`, from, to)
		if err != nil {
			return err
		}
		return p.dealNodes(ctx, tx, s.name)
	})
}

// execer is a connection or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// dealNodes gives a shard its node ids, unless it has some. A shard has none if it was
// migrated down to a version without node ids and up again.
func (p plan) dealNodes(ctx context.Context, to execer, name string) error {
	from, end := p.cut(name, nodes)
	_, err := to.Exec(ctx, `
		INSERT INTO node_leases (node)
		SELECT n FROM generate_series($1::int, $2::int - 1) AS n
		WHERE NOT EXISTS (SELECT FROM node_leases)
		ON CONFLICT DO NOTHING`, from, end)
	return err
}

func finishOne(ctx context.Context, s *shard) error {
	_, err := s.conn.Exec(ctx, "UPDATE shard SET dealt = true WHERE NOT dealt")
	return err
}
