package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// creates gathers creates into batches.
type creates struct {
	group *batch.Group[creation, creation]
}

// creation is a link to create, with or without a reservation. As a result it is the
// created link and the valid reservation.
type creation struct {
	link     store.Link         // as a result: Version is 0 if no link was created
	reserved *store.Reservation // may be nil; as a result: the valid reservation
}

// reservationKey identifies a reservation.
type reservationKey struct{ owner, key string }

func keyOf(r *store.Reservation) reservationKey { return reservationKey{r.Owner, r.Key} }

const (
	// linger is how long a batch waits for the callers of the batch before it. It is
	// about the time of a commit on a disk that really writes.
	linger = time.Millisecond

	// secondBatch is how many creates must wait for a second batch to start while the
	// first one commits. A second batch of half as many would cost Postgres almost as
	// much.
	secondBatch = 16
)

// newCreates returns a group with one batch at a time, or two if enough creates wait. With a
// MaxBatch of 1 it has one batch for each connection.
func newCreates(s *Store) (*creates, error) {
	opts := batch.Options[creation, creation]{
		Run:         s.create,
		MaxBatch:    s.opts.MaxBatch,
		Parallel:    2,
		MinParallel: secondBatch,
		Linger:      linger,
		Timeout:     s.opts.CallTimeout,
		Wait:        s.opts.CallTimeout,
		Observe:     func(size int, _ time.Duration) { s.metrics.creates.Observe(float64(size)) },
	}
	if s.opts.MaxBatch == 1 {
		opts.Parallel, opts.MinParallel, opts.Linger = int(conns[writes]), 1, 0
	}
	group, err := batch.New(opts)
	if err != nil {
		return nil, err
	}
	s.metrics.waiting("creates", s.metrics.shard, group.Waiting)
	return &creates{group}, nil
}

// close waits for the accepted creates.
func (c *creates) close() { c.group.Close() }

// Create implements store.Store. A repeated create must have the owner of the link.
func (s *Store) Create(ctx context.Context, l store.Link) (store.Link, error) {
	created, err := s.createOne(ctx, creation{link: l})
	return created.link, err
}

// CreateOnce implements store.Store.
func (s *Store) CreateOnce(ctx context.Context, l store.Link, r store.Reservation) (store.Link, store.Reservation, error) {
	r.CreatedAt = micros(r.CreatedAt)
	created, err := s.createOne(ctx, creation{l, &r})
	if created.reserved == nil {
		return created.link, store.Reservation{}, err
	}
	return created.link, *created.reserved, err
}

// createOne creates a link in the next batch.
func (s *Store) createOne(ctx context.Context, c creation) (creation, error) {
	l := asStored(c.link)
	l.Version, l.UsedClicks, l.Clicks, l.Robots, l.LastClickAt, l.DeletedAt = 1, 0, 0, 0, time.Time{}, time.Time{}
	// One such text would fail the whole batch.
	if !keepable(l.Code, l.URL, l.Owner, l.Title, l.PasswordHash, l.DisabledReason, l.RequestID, l.Rules) || !keepable(l.Tags...) {
		return creation{}, wrap(errText, "create", l.Code)
	}
	c.link = l
	created, err := s.creates.group.Do(ctx, c)
	return created, wrap(err, "create", l.Code)
}

// AcceptsWrites reports whether a write would be sent to the primary now. It is false
// while the breaker for writes is open, and while one write tests the primary.
func (s *Store) AcceptsWrites() bool { return s.primary.lines[writes].accepts() }

// createBatch is the creates in one transaction.
type createBatch struct {
	creations []creation
	code      map[string]int         // index of the first creation of each code
	key       map[reservationKey]int // index of the first creation of each reservation

	stands   map[reservationKey]*store.Reservation
	inserted map[string]bool // codes
}

func newCreateBatch(creations []creation) *createBatch {
	f := &createBatch{creations: creations, code: make(map[string]int, len(creations)), inserted: make(map[string]bool, len(creations))}
	for i := range creations {
		c := &creations[i]
		if c.reserved != nil {
			if f.key == nil {
				f.key, f.stands = map[reservationKey]int{}, map[reservationKey]*store.Reservation{}
			}
			if _, again := f.key[keyOf(c.reserved)]; again {
				continue // the first creation of the key reserves
			}
			f.key[keyOf(c.reserved)] = i
		}
		if _, again := f.code[c.link.Code]; !again {
			f.code[c.link.Code] = i
		}
	}
	return f
}

// create runs one batch. In one transaction it makes the reservations and inserts the
// first link of each code. Then it answers the creates that inserted no link.
func (s *Store) create(ctx context.Context, creations []creation) []batch.Result[creation] {
	results := make([]batch.Result[creation], len(creations))
	f := newCreateBatch(creations)
	epochs, err := s.known(ctx)
	if err == nil {
		err = s.insert(ctx, epochs, f)
	}
	switch {
	case err != nil && len(creations) > 1 && refusesData(err):
		// A column rejects a value of one link. Create each link alone.
		for i := range creations {
			results[i] = s.create(ctx, creations[i:i+1])[0]
		}
		return results
	case err != nil:
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	var rest []int
	links := make([]store.Link, len(creations))
	judged := make([]batch.Result[store.Link], len(creations))
	for i := range creations {
		c := &creations[i]
		links[i] = c.link
		if c.reserved != nil {
			stands := f.stands[keyOf(c.reserved)]
			switch results[i].Value.reserved = stands; {
			case stands == nil:
				results[i].Err = store.ErrMoved
				continue
			case !c.reserved.Stands(*stands):
				continue
			}
		}
		if f.code[c.link.Code] == i && f.inserted[c.link.Code] {
			results[i].Value.link = c.link
		} else {
			rest = append(rest, i)
		}
	}
	s.judge(ctx, epochs, links, rest, judged)
	for _, i := range rest {
		results[i].Value.link, results[i].Err = judged[i].Value, judged[i].Err
	}
	return results
}

// judge answers the creates and imports that inserted no link. Some of them repeat an
// earlier one.
func (s *Store) judge(ctx context.Context, epochs *epochs, links []store.Link, rest []int, results []batch.Result[store.Link]) {
	if len(rest) == 0 {
		return
	}
	codes := make([]string, len(rest))
	for n, i := range rest {
		codes[n] = links[i].Code
	}
	stored, err := s.confirm(ctx, codes)
	for n, i := range rest {
		switch {
		case err != nil:
			results[i].Err = err
		case stored[n].epoch != epochs[store.BucketOf(codes[n])] || stored[n].link.Version == 0:
			results[i].Err = store.ErrMoved
		case links[i].Repeats(&stored[n].link):
			results[i].Value = stored[n].link
		default:
			results[i].Err = store.ErrExists
		}
	}
}

// newLinks are the columns of new links, in the order of linkRows.args.
const newLinks = `bucket, epoch, code, target, owner, created_at,
	updated_at, status, forward_query, title, tags, starts_at, expires_at,
	max_clicks, password_hash, disabled_at, disabled_reason, request_id, confirm, rules, no_visitors, forward_path, key_bucket, key_epoch, fingerprint`

// insertLinks skips a row if the shard does not own its bucket, if its code is taken, or
// if its reservation is not valid. The statement before it makes the reservations. A
// scalar subquery reads them, because Postgres may read all reservations for an EXISTS.
// An array of a sparse column ends with the last value that is not NULL. Rows are sorted,
// so that two batches cannot deadlock.
const insertLinks = `INSERT INTO links (created_at, version, bucket, code, target, owner,
		updated_at, status, forward_query, title, tags, starts_at, expires_at, max_clicks,
		password_hash, disabled_at, disabled_reason, request_id, confirm, rules, no_visitors, forward_path)
	SELECT n.created_at, 1, n.bucket, n.code, n.target, n.owner,
		n.updated_at, n.status, n.forward_query, n.title, n.tags::text[], n.starts_at, n.expires_at, n.max_clicks,
		n.password_hash, n.disabled_at, n.disabled_reason, n.request_id, n.confirm, n.rules, n.no_visitors, n.forward_path
	FROM (SELECT $1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[],
		$7::timestamptz[], $8::int[], $9::int[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[],
		$14::bigint[], $15::text[], $16::timestamptz[], $17::text[], $18::text[],
		$19::boolean[], $20::text[], $21::boolean[], $22::boolean[], $23::smallint[], $24::bigint[], $25::text[] ` + unseen + `) AS q (` + newLinks + `),
		unnest(` + newLinks + `) AS n (` + newLinks + `)
	WHERE n.epoch = (SELECT b.epoch FROM buckets b WHERE b.bucket = n.bucket AND b.state = 'owned')
		AND (n.key_bucket IS NULL
			OR n.key_epoch = (SELECT b.epoch FROM buckets b WHERE b.bucket = n.key_bucket AND b.state = 'owned')
			AND n.code = (SELECT r.code FROM reservations r WHERE r.bucket = n.key_bucket
				AND r.owner = n.owner AND r.key = n.request_id AND r.fingerprint = n.fingerprint))
	ORDER BY n.bucket, n.code COLLATE "C"
	ON CONFLICT DO NOTHING
	RETURNING code`

// insert makes the reservations and inserts the links of a batch. It records in f the valid
// reservations and the inserted codes.
func (s *Store) insert(ctx context.Context, epochs *epochs, f *createBatch) error {
	var rows linkRows
	var keys reservationRows
	buckets := make([]int, 0, 2*len(f.creations))
	for i := range f.creations {
		c := &f.creations[i]
		if c.reserved != nil && f.key[keyOf(c.reserved)] == i {
			keys.add(c.reserved)
		}
		if n, ok := f.code[c.link.Code]; ok && n == i {
			rows.add(c, epochs)
		}
	}
	buckets = append(append(buckets, rows.buckets...), keys.buckets...)
	return s.fenced(ctx, buckets, func(b *pgx.Batch) {
		clear(f.inserted)
		if len(keys.buckets) > 0 {
			clear(f.stands)
			b.Queue(upsertReservations, keys.args(epochs)...).Query(f.readStanding)
		}
		b.Queue(insertLinks, rows.args(epochs)...).Query(func(found pgx.Rows) error {
			var code string
			_, err := pgx.ForEachRow(found, []any{&code}, func() error {
				f.inserted[code] = true
				return nil
			})
			return err
		})
		if len(keys.buckets) > 0 {
			b.Queue(pruneReservations, store.ReservationTTL, 4*len(keys.buckets))
		}
	})
}

// readStanding reads the reservations that upsertReservations returns.
func (f *createBatch) readStanding(rows pgx.Rows) error {
	for rows.Next() {
		r, err := scanReservation(rows)
		if err != nil {
			return err
		}
		f.stands[keyOf(&r)] = &r
	}
	return rows.Err()
}

// refusesData reports whether Postgres rejected a value: data exceptions (22),
// constraints (23) and limits of the server (54).
func refusesData(err error) bool {
	state := sqlState(err)
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23") || strings.HasPrefix(state, "54")
}
