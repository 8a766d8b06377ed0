//go:build unix

package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/internal/testenv/audit"
	"github.com/terse/terse/store"
)

const (
	// askEvery is the interval between two calls of a kind.
	askEvery = 50 * time.Millisecond

	// slowPhases is how long the shard is slow, as a multiple of the settling time. It is
	// long enough for the shard's breaker to open and close several times.
	slowPhases = 2

	// failsWithin is the longest time of a call that fails because of a slow shard.
	failsWithin = 2 * time.Second

	// mayFailElsewhere is the part of the calls on other shards that may fail.
	mayFailElsewhere = 0.01
)

// phase is the result of the calls in a span of time.
type phase struct {
	began   time.Time
	slowest time.Duration // slowest call

	lists, listsFailed, listsLacking int
}

// slowShard lets the commits of one shard hang, and compares the calls to each shard before,
// during and after that.
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
	slow := s.ask("while commits of s1 hung", slowPhases*s.o.settle)
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
		s.r.check(part <= mayFailElsewhere, kinds[op]+" on s2 that failed from then on", "1 %", "%.1f %% of %d", 100*part, done+len(failed))
	}
	s.r.check(float64(slow.listsFailed) <= mayFailElsewhere*float64(slow.lists), "lists that failed while commits hung", "1 %", "%d of %d", slow.listsFailed, slow.lists)
	s.r.check(slow.slowest <= failsWithin, "slowest call while commits hung", failsWithin.String(), "%v", slow.slowest.Round(time.Millisecond))
	return s.checkLog()
}

// ask starts 20 creates with an alias, 20 creates without one, 20 edits and 10 lists a
// second, without waiting for responses. The aliases and edits alternate between the
// shards. It returns when all calls have ended.
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
	s.reportPhase(name, p)
	return p
}

// reportPhase reports the calls of a phase by shard. Call it when the phase ends.
func (s *scene) reportPhase(name string, p phase) {
	for _, op := range []string{"create", "edit"} {
		for shard := range len(s.state.Shards) {
			done, failed := s.a.Since(p.began, op, shard)
			s.r.add(fmt.Sprintf("%s: %s on s%d", name, kinds[op], shard+1), "%d done, %d failed", done, len(failed))
		}
	}
	done, failed := s.a.Since(p.began, "create", audit.AnyShard)
	s.r.add(name+": creates without an alias", "%d done, %d failed", done, len(failed))
	s.r.add(name+": lists", "%d sent, %d failed, %d without one of the shards", p.lists, p.listsFailed, p.listsLacking)
	s.r.add(name+": slowest call", "%v", p.slowest.Round(time.Millisecond))
}

// hangCommits makes the commits of a shard wait for a standby that does not exist. heal
// restores the setting.
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
	return func() error { return set(before) }, set("missing")
}

// awaitAliases waits until creates with an alias succeed on every shard.
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
		s.r.check(back <= backWithin, "time until creates on every shard after the repair", "within 30 s", "%v", back.Round(time.Millisecond))
	}
	return err
}
