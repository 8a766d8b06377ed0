// Package postgres stores links, API keys, clicks, idempotency keys, leases of node
// ids and copies of certificate files in one shard: a primary and its streaming replicas. It
// writes links only to buckets that the shard owns.
//
// It does not route: store/shard reads from here which shard owns which bucket. It does
// not change the schema: store/postgres/schema does.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/terse/terse/store"
	"github.com/terse/terse/store/batch"
)

// Store keeps links in one shard. Safe for concurrent use.
type Store struct {
	opts     Options
	metrics  *metrics
	opened   time.Time
	began    time.Time // with a monotonic reading, unlike opened
	primary  *server
	replicas []*server
	buckets  atomic.Pointer[bucketMap] // nil until the first reading
	history  history
	branches *branches
	clock    clock
	written  *written
	turn     atomic.Uint64 // chooses the first replica to read
	creates  *creates
	imports  *batch.Group[store.Link, store.Link]
	confirms *batch.Group[string, stored]

	folds      sync.Mutex     // held by a fold and by a sweep of this process
	writes     sync.WaitGroup // running writes; their callers may have left
	background sync.WaitGroup // the probes
	stop       context.CancelFunc
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Keys      = (*Store)(nil)
	_ store.ClickSink = (*Store)(nil)
	_ store.Outbox    = (*Store)(nil)
	_ store.History   = (*Store)(nil)
	_ store.Tags      = (*Store)(nil)
	_ store.Archive   = (*Store)(nil)

	_ store.BlocklistSource = (*Store)(nil)
	_ store.DomainsSource   = (*Store)(nil)
	_ store.Reports         = (*Store)(nil)
	_ store.ReportCounter   = (*Store)(nil)
	_ store.Scanned         = (*Store)(nil)
	_ store.Certificates    = (*Store)(nil)
	_ store.ClickDays       = (*Store)(nil)
	_ store.ClickFolder     = (*Store)(nil)
)

// Open returns a Store that probes its servers until Close. The end of ctx does not
// affect the Store. Open fails only for invalid options. While a shard is unreachable,
// calls return store.ErrUnavailable.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &Store{opts: opts, metrics: newMetrics(opts.Name), opened: opts.Now(), began: time.Now(), branches: newBranches(), written: newWritten(opts.Now), stop: stop}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: shard %s: %w", opts.Name, err), s.Close())
	}
	return s, nil
}

// open makes the servers and groups, and starts the probes.
func (s *Store) open(ctx context.Context) (err error) {
	if s.primary, err = s.openServer(ctx, primaryName, s.opts.Primary, redirects, reads, writes, lists, counting, control, delivering, folding); err != nil {
		return err
	}
	for i, dsn := range s.opts.Replicas {
		replica, err := s.openServer(ctx, fmt.Sprintf("replica-%d", i+1), dsn, redirects, control)
		if err != nil {
			return err
		}
		s.replicas = append(s.replicas, replica)
	}
	if s.creates, err = newCreates(s); err != nil {
		return err
	}
	if s.imports, err = newImports(s); err != nil {
		return err
	}
	if s.confirms, err = newConfirms(s); err != nil {
		return err
	}
	s.metrics.whole(s)
	if err := s.metrics.register(s.opts.Registerer); err != nil {
		return err
	}
	s.background.Go(func() { s.survey(ctx) })
	s.background.Go(func() { s.watch(ctx, s.primary) })
	for _, replica := range s.replicas {
		s.background.Go(func() { s.watch(ctx, replica) })
	}
	return nil
}

func (s *Store) openServer(ctx context.Context, name, dsn string, asked ...role) (*server, error) {
	server, err := newServer(ctx, name, dsn, s, asked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := s.openCold(server); err != nil {
		server.close()
		return nil, err
	}
	return server, nil
}

// Close waits for running calls and closes all connections.
func (s *Store) Close() error {
	s.stop()
	s.background.Wait()
	if s.creates != nil {
		s.creates.close()
	}
	if s.imports != nil {
		s.imports.Close()
	}
	s.writes.Wait()
	if s.confirms != nil { // running writes may need it
		s.confirms.Close()
	}
	for _, replica := range s.replicas {
		replica.close()
	}
	if s.primary != nil {
		s.primary.close()
	}
	return nil
}
