//go:build unix

package main

import (
	"time"

	"github.com/terse/terse/internal/testenv/audit"
)

// fault is a part that is killed, and its recovery.
type fault struct {
	part, name string
	heal       []string            // pairs of a verb and a part
	staleFor   time.Duration       // how long nodes may serve cached links without an invalidation
	mayFail    map[string]struct{} // kinds of requests that may fail
}

// Values of mayFail.
var (
	nothing = map[string]struct{}{}
	writes  = map[string]struct{}{"create": {}, "edit": {}}
)

// kinds are the names of the kinds of requests in reports.
var kinds = map[string]string{
	"redirect": "redirects", "fresh": "redirects of a link just created", "edited": "redirects of a link just edited",
	"create": "creates", "edit": "edits",
}

// faults are the faults of the scenario kills, in order.
var faults = []fault{
	// nginx retries requests to the killed node: creates have an Idempotency-Key, edits If-Match.
	{part: "node1", name: "a node", heal: []string{"start", "node1"}, staleFor: editSeenWithin, mayFail: nothing},
	{part: "s1-b", name: "a replica", heal: []string{"start", "s1-b"}, staleFor: editSeenWithin, mayFail: writes},
	{part: "redis", name: "Redis", heal: []string{"start", "redis"}, staleFor: audit.KeptFor, mayFail: nothing},
	{part: "s2-a", name: "a primary", heal: []string{"promote", "s2-b", "rejoin", "s2-a"}, staleFor: editSeenWithin, mayFail: writes},
}

// kills kills one part after another under load, and restarts each part.
func (s *scene) kills() error {
	if err := s.prepare(); err != nil {
		return err
	}
	began := time.Now()
	s.begin()
	err := s.settle()
	for _, f := range faults {
		if err == nil {
			err = s.fault(f)
		}
	}
	s.end()
	if err != nil {
		return err
	}
	done, failed := s.total()
	took := time.Since(began)
	s.r.add("requests", "%d in %v, %d/s", done+failed, took.Round(time.Second), int(float64(done+failed)/took.Seconds()))
	s.r.check(s.redirectsFailed() == 0, "failed redirects", "0", "%d", s.redirectsFailed())
	s.reportLatency(began)
	if err := s.checkClicks(s.unflushed, resentVisits); err != nil {
		return err
	}
	return s.checkLog()
}

// fault kills a part, brings it back, and reports the effects.
func (s *scene) fault(f fault) error {
	before := s.a.Counts()
	s.log("killing %s", f.part)
	s.a.Keep(f.staleFor)
	if err := s.noteUnflushed(f.part); err != nil {
		return err
	}
	began := time.Now()
	if err := s.t.Do(s.ctx, "kill", f.part); err != nil {
		return err
	}
	if err := s.settle(); err != nil {
		return err
	}
	for i := 0; i < len(f.heal); i += 2 {
		s.log("%s %s", f.heal[i], f.heal[i+1])
		if err := s.t.Do(s.ctx, f.heal[i], f.heal[i+1]); err != nil {
			return err
		}
		if i == 0 { // the first step brings writes back, the other steps redundancy
			back, err := s.awaitCreates()
			if err != nil {
				return err
			}
			s.r.check(back <= backWithin, f.name+" killed: time until creates on every shard", "within 30 s", "%v", back.Round(time.Millisecond))
		}
	}
	healed := time.Now()
	if err := s.settle(); err != nil {
		return err
	}
	s.reportFault(f, before, began, healed)
	if f.staleFor > editSeenWithin { // wait until every node has reloaded its cached links
		time.Sleep(f.staleFor)
		s.a.Keep(editSeenWithin)
	}
	return nil
}

// flushSpan is how long a click may be in a node's memory: a node flushes every second,
// and a flush takes part of the next second.
const flushSpan = 1500 * time.Millisecond

// resentVisits is the number of visits in flight through a killed node. nginx retries them on
// another node, although the killed node may have counted them.
const resentVisits = 64

// noteUnflushed adds the number of clicks that a node may lose when it is killed.
func (s *scene) noteUnflushed(part string) error {
	for _, node := range s.state.Nodes {
		if node.Name != part {
			continue
		}
		before, err := s.metric(node, "terse_clicks_recorded_total", "")
		if err != nil {
			return err
		}
		time.Sleep(flushSpan)
		after, err := s.metric(node, "terse_clicks_recorded_total", "")
		if err != nil {
			return err
		}
		s.unflushed += int64(after - before)
	}
	return nil
}

// awaitCreates waits until creates succeed on every shard.
func (s *scene) awaitCreates() (time.Duration, error) {
	since := time.Now()
	return s.await(backWithin, "creates on every shard", func() (bool, error) {
		for shard := range s.state.Shards {
			if done, _ := s.a.Since(since, "create", shard); done < backInUse {
				return false, nil
			}
		}
		return true, nil
	})
}

func (s *scene) reportFault(f fault, before map[string]audit.Count, began, healed time.Time) {
	after := s.a.Counts()
	for _, op := range []string{"redirect", "fresh", "edited", "create", "edit"} {
		what := kinds[op]
		done, failed := after[op].Done-before[op].Done, after[op].Failed-before[op].Failed
		promise := "no failures"
		_, may := f.mayFail[op]
		if may {
			promise = ""
		}
		s.r.check(may || failed == 0, f.name+" killed: "+what, promise, "%d, %d failed", done+failed, failed)
	}
	s.r.add(f.name+" killed: down for", "%v", healed.Sub(began).Round(time.Millisecond))
}

func (s *scene) redirectsFailed() (n int) {
	counts := s.a.Counts()
	for _, op := range []string{"redirect", "fresh", "edited"} {
		n += counts[op].Failed
	}
	return n
}
