//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/deploy/stack/topology"
	"github.com/terse/terse/internal/testenv/audit"
	"github.com/terse/terse/store"
)

const (
	// editSeenWithin is the longest time until nodes show an edit: one second, and one more
	// for a busy machine. It is far below the TTL of cached links.
	editSeenWithin = 2 * time.Second

	// backWithin is the longest time to recover after a repaired fault.
	backWithin = 30 * time.Second

	// ownedLinks is the number of links with an owner who edits them.
	ownedLinks = 100

	// seeders is the number of concurrent creates before the load.
	seeders = 16

	pollEvery = 20 * time.Millisecond
)

// scene is a running topology with an auditor.
type scene struct {
	ctx     context.Context //nolint:containedctx // the context of the scenario
	o       options
	r       *report
	stderr  io.Writer
	t       *topology.Topology
	state   topology.State
	a       *audit.Auditor
	front   audit.Balancer // nginx
	owner   [store.Buckets]int
	links   []string
	owned   []string
	stopped chan struct{}
	users   sync.WaitGroup
	load    *audit.Load[audit.Balancer]

	unflushed int64 // clicks that killed nodes may have lost
}

func newScene(ctx context.Context, o options, r *report, stderr io.Writer, at topology.Options) (*scene, error) {
	at.Binary, at.Settings = o.binary, maps.Clone(at.Settings)
	if at.Settings == nil {
		at.Settings = map[string]string{}
	}
	maps.Copy(at.Settings, o.settings)
	t, err := topology.Start(ctx, at)
	if err != nil {
		return nil, err
	}
	s := &scene{ctx: ctx, o: o, r: r, stderr: stderr, t: t, state: t.State(), stopped: make(chan struct{})}
	s.front = audit.Balancer(s.state.Nginx)
	return s, nil
}

func (s *scene) close() error {
	if s.a != nil {
		s.a.Close()
	}
	return s.t.Close()
}

// prepare creates the auditor and the links.
func (s *scene) prepare() error {
	opts := audit.Options{ShardOf: func(code string) int { return s.owner[store.BucketOf(code)] }, Token: s.state.APIKey, Connections: 4 * s.o.visitors}
	for i, shard := range s.state.Shards {
		opts.DSNs = append(opts.DSNs, shard.DSN)
		if err := s.learnBuckets(i, shard.DSN); err != nil {
			return err
		}
	}
	var err error
	if s.a, err = audit.New(opts); err != nil {
		return err
	}
	s.a.Keep(editSeenWithin)
	s.log("creating %d links", s.o.links+ownedLinks)
	if s.links, err = s.seed(s.o.links); err != nil {
		return err
	}
	s.owned, err = s.seed(ownedLinks, s.a.Authorization()...)
	return err
}

func (s *scene) learnBuckets(shard int, dsn string) error {
	conn, err := pgx.Connect(s.ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(s.ctx)) }()
	rows, err := conn.Query(s.ctx, "SELECT bucket FROM buckets WHERE state = 'owned'")
	if err != nil {
		return err
	}
	buckets, err := pgx.CollectRows(rows, pgx.RowTo[int])
	for _, b := range buckets {
		s.owner[b] = shard
	}
	return err
}

func (s *scene) seed(n int, header ...string) ([]string, error) {
	codes := make([]string, n)
	var group errgroup.Group
	group.SetLimit(seeders)
	for i := range codes {
		group.Go(func() error {
			codes[i] = s.a.Create(s.ctx, s.front, "", header...)
			if codes[i] == "" {
				return errors.New("a create failed")
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %q", err, s.a.Failures(5))
	}
	return codes, nil
}

// begin starts the load: visitors without pauses, creates that are visited at once, and
// owners who edit their links and visit them.
func (s *scene) begin() {
	for range s.o.visitors {
		s.users.Go(func() {
			for s.running() {
				s.a.Visit(s.ctx, "redirect", s.front, s.links[rand.IntN(len(s.links))]) //nolint:gosec // not a secret
			}
		})
	}
	s.load = audit.NewLoad(s.ctx, s.a, []audit.Balancer{s.front})
	s.load.Repeatable = true
	for shard := range s.state.Shards {
		s.load.Creates(func() string { return s.aliasOn(shard) })
	}
	s.load.Creates(nil)
	s.load.Edits(s.owned)
}

// end stops the load and waits for every response.
func (s *scene) end() {
	close(s.stopped)
	s.users.Wait()
	s.load.Stop()
}

func (s *scene) running() bool {
	select {
	case <-s.stopped:
		return false
	case <-s.ctx.Done():
		return false
	default:
		return true
	}
}

// aliasOn returns a new alias of a shard.
func (s *scene) aliasOn(shard int) string {
	for {
		if alias := store.NewKeyID(); s.owner[store.BucketOf(alias)] == shard {
			return alias
		}
	}
}

func (s *scene) log(format string, args ...any) {
	fmt.Fprintf(s.stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// await polls until done returns true, and returns how long that took.
func (s *scene) await(within time.Duration, what string, done func() (bool, error)) (time.Duration, error) {
	began := time.Now()
	for {
		ok, err := done()
		switch {
		case ok:
			return time.Since(began), nil
		case s.ctx.Err() != nil:
			return 0, fmt.Errorf("the time limit ended while waiting for %s", what)
		case time.Since(began) > within:
			return 0, errors.Join(fmt.Errorf("waited %v for %s", within, what), err)
		}
		time.Sleep(pollEvery)
	}
}

// settle lets the load run for the settling time.
func (s *scene) settle() error {
	select {
	case <-time.After(s.o.settle):
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// metric returns the sum of a metric's series on a node whose labels match a pattern. It
// returns 0 when no series matches.
func (s *scene) metric(node topology.NodeState, name, labels string) (sum float64, err error) {
	request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, node.Admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{(.*)\})? (\S+)$`).FindAllSubmatch(body, -1) {
		if ok, err := regexp.Match(labels, m[1]); err != nil || !ok {
			continue
		}
		value, err := strconv.ParseFloat(string(m[2]), 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

// total returns the number of successful and failed requests of all kinds.
func (s *scene) total() (done, failed int) {
	for _, c := range s.a.Counts() {
		done += c.Done
		failed += c.Failed
	}
	return done, failed
}

// visits returns the number of successful and failed redirects.
func (s *scene) visits() (n, failed int64) {
	counts := s.a.Counts()
	for _, op := range []string{"redirect", "fresh", "edited", "audit"} {
		n, failed = n+int64(counts[op].Done), failed+int64(counts[op].Failed)
	}
	return n, failed
}
