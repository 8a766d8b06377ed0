//go:build unix

package main

import (
	"time"

	"github.com/terse/terse/loadtest/audit"
)

// fault is one part that is killed and brought back.
type fault struct {
	part, name string
	heal       []string            // verbs and parts, in turn
	kept       time.Duration       // how long nodes may keep what they know meanwhile
	mayFail    map[string]struct{} // kinds of requests of which some may fail
}

// Requests of which some may fail.
var (
	nothing = map[string]struct{}{}
	writes  = map[string]struct{}{"create": {}, "edit": {}}
)

// kinds are those of requests, for people.
var kinds = map[string]string{
	"redirect": "redirects", "fresh": "redirects of a link just created", "edited": "redirects of a link just edited",
	"create": "creates", "edit": "edits",
}

// faults in the order in which they come, in one run.
var faults = []fault{
	// What was on its way to the node, nginx repeats: creates have an Idempotency-Key, edits If-Match.
	{part: "node1", name: "a node", heal: []string{"start", "node1"}, kept: toldWithin, mayFail: nothing},
	{part: "s1-b", name: "a replica", heal: []string{"start", "s1-b"}, kept: toldWithin, mayFail: writes},
	{part: "redis", name: "Redis", heal: []string{"start", "redis"}, kept: audit.KeptFor, mayFail: nothing},
	{part: "s2-a", name: "a primary", heal: []string{"promote", "s2-b", "rejoin", "s2-a"}, kept: toldWithin, mayFail: writes},
}

// kills kills one part after the other under load, and brings each back.
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
	s.r.tell("requests", "%d in %v, %d/s", done+failed, took.Round(time.Second), int(float64(done+failed)/took.Seconds()))
	s.r.hold(s.redirectsFailed() == 0, "failed redirects", "0", "%d", s.redirectsFailed())
	s.tellLatency(began)
	if err := s.holdClicks(s.unflushed, sentOn); err != nil {
		return err
	}
	return s.holdLog()
}

// fault kills a part, brings it back, and tells what that cost.
func (s *scene) fault(f fault) error {
	before := s.a.Counts()
	s.log("killing %s", f.part)
	s.a.Keep(f.kept)
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
		if i == 0 { // writes come back with the first: what follows is redundancy
			back, err := s.awaitCreates()
			if err != nil {
				return err
			}
			s.r.hold(back <= backWithin, f.name+" killed: creates on every shard after it was healed", "within 30 s", "%v", back.Round(time.Millisecond))
		}
	}
	healed := time.Now()
	if err := s.settle(); err != nil {
		return err
	}
	s.tellFault(f, before, began, healed)
	if f.kept > toldWithin { // until every node has asked again for what it kept
		time.Sleep(f.kept)
		s.a.Keep(toldWithin)
	}
	return nil
}

// flushSpan is how far back the clicks reach that a node may have in memory: it flushes
// each second, and a flush takes a part of the next.
const flushSpan = 1500 * time.Millisecond

// sentOn is how many visits may be on their way through a node that is killed: nginx sends
// them to another, though it may have counted them already.
const sentOn = 64

// noteUnflushed notes how many clicks a node takes along that is about to be killed.
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

// awaitCreates waits until links can be created on every shard.
func (s *scene) awaitCreates() (time.Duration, error) {
	since := time.Now()
	return s.await(backWithin, "creates on every shard", func() (bool, error) {
		for shard := range s.state.Shards {
			if done, _ := s.a.Since(since, "create", shard); done < takenBack {
				return false, nil
			}
		}
		return true, nil
	})
}

func (s *scene) tellFault(f fault, before map[string]audit.Count, began, healed time.Time) {
	after := s.a.Counts()
	for _, op := range []string{"redirect", "fresh", "edited", "create", "edit"} {
		what := kinds[op]
		done, failed := after[op].Done-before[op].Done, after[op].Failed-before[op].Failed
		promise := "0 fail"
		_, may := f.mayFail[op]
		if may {
			promise = ""
		}
		s.r.hold(may || failed == 0, f.name+" killed: "+what, promise, "%d, of which %d failed", done+failed, failed)
	}
	s.r.tell(f.name+" killed: away for", "%v", healed.Sub(began).Round(time.Millisecond))
}

func (s *scene) redirectsFailed() (n int) {
	counts := s.a.Counts()
	for _, op := range []string{"redirect", "fresh", "edited"} {
		n += counts[op].Failed
	}
	return n
}
