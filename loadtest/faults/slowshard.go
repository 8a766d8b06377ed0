//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/loadtest/audit"
	"github.com/terse/terse/store"
)

const (
	// askEvery is the pause between two calls of a kind: 20 a second.
	askEvery = 50 * time.Millisecond

	// slowPhases is how many times the settling time the shard is slow. It spans several
	// rounds of its breaker.
	slowPhases = 2

	// failsWithin is how soon a call ends that fails because of a slow shard.
	failsWithin = 2 * time.Second

	// mayFailElsewhere is the part of calls that may fail on other shards.
	mayFailElsewhere = 0.01
)

// phase is the outcome of the calls in a span of time.
type phase struct {
	began   time.Time
	slowest time.Duration // of all calls

	lists, listsFailed, listsLacking int
}

// slowShard lets the commits of one shard hang, and compares the calls that each shard
// answers before, during and after that.
func (s *scene) slowShard() (err error) {
	if err := s.prepare(); err != nil {
		return err
	}
	s.ask("before", s.o.settle)
	s.log("the commits of s1 hang")
	heal, err := s.hangCommits(s.state.Shards[0].DSN)
	if err != nil {
		return err
	}
	slow := s.ask("while commits of s1 hang", slowPhases*s.o.settle)
	s.log("the commits of s1 continue")
	if err := heal(); err != nil {
		return err
	}
	if err := s.awaitAliases(); err != nil {
		return err
	}
	s.ask("afterwards", s.o.settle)
	for _, op := range []string{"create", "edit"} {
		done, failed := s.a.Since(slow.began, op, 1)
		part := float64(len(failed)) / float64(max(1, done+len(failed)))
		s.r.hold(part <= mayFailElsewhere, kinds[op]+" on s2 that fail from then on", "1 %", "%.1f %% of %d", 100*part, done+len(failed))
	}
	s.r.hold(float64(slow.listsFailed) <= mayFailElsewhere*float64(slow.lists), "lists that fail while commits hang", "1 %", "%d of %d", slow.listsFailed, slow.lists)
	s.r.hold(slow.slowest <= failsWithin, "the slowest call while commits hang", failsWithin.String(), "%v", slow.slowest.Round(time.Millisecond))
	return s.holdLog()
}

// ask asks for 20 creates of an alias, 20 creates without one, 20 edits and 10 lists a
// second, however long the answers take. Half of the aliases and edits are for each of two
// shards. It returns once all are answered.
func (s *scene) ask(name string, span time.Duration) (p phase) {
	p.began = time.Now()
	var (
		mu  sync.Mutex
		all sync.WaitGroup
	)
	call := func(do func()) {
		all.Go(func() {
			began := time.Now()
			do()
			mu.Lock()
			defer mu.Unlock()
			p.slowest = max(p.slowest, time.Since(began))
		})
	}
	owned := make([][]string, len(s.state.Shards))
	for _, code := range s.owned {
		shard := s.owner[store.BucketOf(code)]
		owned[shard] = append(owned[shard], code)
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for n := 0; time.Since(p.began) < span && s.ctx.Err() == nil; n++ {
		<-tick.C
		shard := n % len(owned)
		call(func() { s.a.Create(s.ctx, s.front, s.aliasOn(shard), s.a.Authorization()...) })
		call(func() { s.a.Create(s.ctx, s.front, "", s.a.Authorization()...) })
		if some := owned[shard]; len(some) > 0 {
			call(func() { s.a.Edit(s.ctx, s.front, some[n/len(owned)%len(some)]) })
		}
		if shard > 0 {
			continue
		}
		call(func() {
			got, err := s.a.Send(s.ctx, http.MethodGet, s.front.URL()+"/api/v1/links?limit=5", nil, s.a.Authorization()...)
			mu.Lock()
			defer mu.Unlock()
			p.lists++
			switch {
			case err != nil || got.Status != http.StatusOK:
				p.listsFailed++
			case len(got.UnavailableShards) > 0:
				p.listsLacking++
			}
		})
	}
	all.Wait()
	s.tellPhase(name, p)
	return p
}

// tellPhase adds the calls of a phase that has just ended to the report, by shard.
func (s *scene) tellPhase(name string, p phase) {
	for _, op := range []string{"create", "edit"} {
		for shard := range len(s.state.Shards) {
			done, failed := s.a.Since(p.began, op, shard)
			s.r.tell(fmt.Sprintf("%s: %s on s%d", name, kinds[op], shard+1), "%d done, %d failed", done, len(failed))
		}
	}
	done, failed := s.a.Since(p.began, "create", audit.AnyShard)
	s.r.tell(name+": creates without an alias", "%d done, %d failed", done, len(failed))
	s.r.tell(name+": lists", "%d sent, %d failed, %d lacked a shard", p.lists, p.listsFailed, p.listsLacking)
	s.r.tell(name+": the slowest call", "%v", p.slowest.Round(time.Millisecond))
}

// hangCommits makes the commits of a shard wait for a standby that does not exist, until
// heal is called.
func (s *scene) hangCommits(dsn string) (heal func() error, err error) {
	var before string
	set := func(value string) error {
		conn, err := pgx.Connect(s.ctx, dsn)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(context.WithoutCancel(s.ctx)) }()
		if before == "" {
			if err := conn.QueryRow(s.ctx, "SELECT current_setting('synchronous_standby_names')").Scan(&before); err != nil {
				return err
			}
		}
		for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '" + value + "'", "SELECT pg_reload_conf()"} {
			if _, err := conn.Exec(s.ctx, sql); err != nil {
				return err
			}
		}
		return nil
	}
	return func() error { return set(before) }, set("nobody")
}

// awaitAliases waits until aliases can be created on every shard.
func (s *scene) awaitAliases() error {
	back, err := s.await(backWithin, "creates on every shard", func() (bool, error) {
		for shard := range s.state.Shards {
			if s.a.Create(s.ctx, s.front, s.aliasOn(shard), s.a.Authorization()...) == "" {
				return false, nil
			}
		}
		return true, nil
	})
	if err == nil {
		s.r.hold(back <= backWithin, "creates on every shard once commits continue", "within 30 s", "%v", back.Round(time.Millisecond))
	}
	return err
}
