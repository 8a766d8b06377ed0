package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// creates gathers creates into flights.
type creates struct {
	group *batch.Group[store.Link, store.Link]
}

const (
	// lingerFor is how long a flight waits for the callers of the one before: about
	// what a commit takes on a disk that keeps its promises.
	lingerFor = time.Millisecond

	// beside is with how many creates a second flight leaves while the first one waits
	// for its commit. Half as many cost Postgres almost as much.
	beside = 16
)

// newCreates returns a group with a flight at a time, or two when enough creates
// wait, or, when nothing may travel together, as many as there are connections.
func newCreates(s *Store) (*creates, error) {
	opts := batch.Options[store.Link, store.Link]{
		Run:      s.create,
		MaxBatch: s.opts.MaxBatch,
		Flights:  2,
		Beside:   beside,
		Linger:   lingerFor,
		Timeout:  s.opts.WriteTimeout,
		Observe:  func(size int, _ time.Duration) { s.metrics.creates.Observe(float64(size)) },
	}
	if s.opts.MaxBatch == 1 {
		opts.Flights, opts.Beside, opts.Linger = int(conns[calls]), 1, 0
	}
	group, err := batch.New(opts)
	if err != nil {
		return nil, err
	}
	s.metrics.waiting("creates", s.metrics.shard, group.Waiting)
	return &creates{group}, nil
}

// close returns when the creates that were accepted have their answers.
func (c *creates) close() { c.group.Close() }

// Create implements store.Store. Only the owner of a link repeats its create.
func (s *Store) Create(ctx context.Context, l store.Link) (store.Link, error) {
	l = asStored(l)
	l.Version, l.UsedClicks, l.Clicks, l.LastClickAt, l.DeletedAt = 1, 0, 0, time.Time{}, time.Time{}
	// A flight with such a text would fail as a whole.
	if !keepable(l.Code, l.URL, l.Owner, l.Title, l.PasswordHash, l.DisabledReason, l.RequestID) || !keepable(l.Tags...) {
		return store.Link{}, wrap(errText, "create", l.Code)
	}
	created, err := s.creates.group.Do(ctx, l)
	return created, wrap(err, "create", l.Code)
}

// create answers the creates of one flight. It inserts the first of each code, all
// in one statement, and judges those that were not inserted.
func (s *Store) create(ctx context.Context, links []store.Link) []batch.Result[store.Link] {
	results := make([]batch.Result[store.Link], len(links))
	first := make(map[string]int, len(links))
	for i := range links {
		if _, ok := first[links[i].Code]; !ok {
			first[links[i].Code] = i
		}
	}
	epochs, err := s.known(ctx)
	var inserted map[string]bool
	if err == nil {
		inserted, err = s.insert(ctx, epochs, links, first)
	}
	switch {
	case err != nil && len(links) > 1 && refusesData(err):
		// One of them holds what a column cannot: the others are good.
		for i := range links {
			results[i] = s.create(ctx, links[i:i+1])[0]
		}
		return results
	case err != nil:
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	var rest []int
	for i, l := range links {
		if first[l.Code] == i && inserted[l.Code] {
			results[i].Value = l
		} else {
			rest = append(rest, i)
		}
	}
	s.judge(ctx, epochs, links, rest, results)
	return results
}

// judge answers the creates that inserted nothing.
func (s *Store) judge(ctx context.Context, epochs *epochs, links []store.Link, rest []int, results []batch.Result[store.Link]) {
	if len(rest) == 0 {
		return
	}
	codes := make([]string, len(rest))
	for n, i := range rest {
		codes[n] = links[i].Code
	}
	stored, err := s.lookUp(ctx, codes)
	for n, i := range rest {
		switch {
		case err != nil:
			results[i].Err = err
		case stored[n].epoch != epochs[store.BucketOf(codes[n])] || stored[n].link.Version == 0:
			results[i].Err = store.ErrMoved
		case repeats(&links[i], &stored[n].link):
			results[i].Value = stored[n].link
		default:
			results[i].Err = store.ErrExists
		}
	}
}

// repeats reports whether l is the create that made the stored link.
func repeats(l, stored *store.Link) bool {
	return l.RequestID != "" && l.RequestID == stored.RequestID && l.Owner == stored.Owner
}

// newLinks are the columns of new links in the order of linkRows.args.
const newLinks = `bucket, epoch, code, target, owner, created_at,
	updated_at, status, forward_query, title, tags, starts_at, expires_at,
	max_clicks, password_hash, disabled_at, disabled_reason, request_id`

// insertLinks leaves out the rows whose bucket is not owned and those whose code
// is taken. Arrays of columns that few links have end with the last one that
// does. The order keeps two flights from waiting for each other.
const insertLinks = `INSERT INTO links (created_at, version, bucket, code, target, owner,
		updated_at, status, forward_query, title, tags, starts_at, expires_at, max_clicks,
		password_hash, disabled_at, disabled_reason, request_id)
	SELECT n.created_at, 1, n.bucket, n.code, n.target, n.owner,
		n.updated_at, n.status, n.forward_query, n.title, n.tags::text[], n.starts_at, n.expires_at, n.max_clicks,
		n.password_hash, n.disabled_at, n.disabled_reason, n.request_id
	FROM (SELECT $1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
		$7::timestamptz[], $8::int[], $9::int[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[],
		$14::bigint[], $15::text[], $16::timestamptz[], $17::text[], $18::text[] ` + unseen + `) AS q (` + newLinks + `),
		unnest(` + newLinks + `) AS n (` + newLinks + `)
	WHERE n.epoch = (SELECT b.epoch FROM buckets b WHERE b.bucket = n.bucket AND b.state = 'owned')
	ORDER BY n.bucket, n.code COLLATE "C"
	ON CONFLICT DO NOTHING
	RETURNING code`

// insert inserts the links that first names and returns the codes of those that
// it did insert.
func (s *Store) insert(ctx context.Context, epochs *epochs, links []store.Link, first map[string]int) (map[string]bool, error) {
	var rows linkRows
	for i := range links {
		if first[links[i].Code] == i {
			rows.add(&links[i])
		}
	}
	inserted := make(map[string]bool, len(first))
	err := s.fenced(ctx, rows.buckets, func(b *pgx.Batch) {
		clear(inserted)
		b.Queue(insertLinks, rows.args(epochs)...).Query(func(found pgx.Rows) error {
			var code string
			_, err := pgx.ForEachRow(found, []any{&code}, func() error {
				inserted[code] = true
				return nil
			})
			return err
		})
	})
	return inserted, err
}

// refusesData reports whether Postgres refused a value: data exceptions (22),
// constraints (23) and limits of the server (54).
func refusesData(err error) bool {
	state := sqlState(err)
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") || strings.HasPrefix(state, "54")
}
