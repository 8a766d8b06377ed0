//go:build unix

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/deploy/stack/topology"
)

const (
	// overloadBy is the overload as a multiple of the rate with the best goodput.
	overloadBy = 4

	// leastGoodput is the part of the best goodput that must remain in the overload.
	leastGoodput = 0.9

	// refusedWithin is the longest time of the node to reject a request.
	refusedWithin = 5 * time.Millisecond

	// minRefusals is the fewest rejections for the check of Retry-After. With so many,
	// each of three equally likely values has more than a quarter of them, except by a very
	// unlikely chance.
	minRefusals = 1000

	// normalWithin is the longest time to recover after the overload.
	normalWithin = 10 * time.Second

	// connections is more than a load balancer keeps to one node.
	connections = 1000

	// The ramp starts at firstRate and multiplies the rate by rampBy. It ends when the
	// goodput has not grown by growth for plateau steps.
	firstRate, rampBy, growth, plateau = 1000, 1.3, 1.05, 3

	// overloadRounds is how often the best rate and the overload alternate, so that other work
	// on the machine affects both.
	overloadRounds = 3

	// checksPerSecond is the number of checks per second for the recovery.
	checksPerSecond = 2
)

// oneNode is the topology of the scenarios overload and strangers. The node uses one core, so on a machine
// with two cores the databases and the crowd have the other one.
var oneNode = topology.Options{Shards: 1, Nodes: 1, NodeProcs: 1, Settings: map[string]string{
	"log_level": "info", "access_log_sample": "0.02", "cache_size": "16", "drain_delay": "0s",
}}

// overload sends a node four times the requests that it can serve.
func (s *scene) overload() error {
	c, err := s.newMix()
	if err != nil {
		return err
	}
	defer c.close()
	k, err := s.ramp(c)
	if err != nil {
		return err
	}
	usual := c.run(s.ctx, k.whole/2, s.o.settle)
	before, err := s.readRefusals()
	if err != nil {
		return err
	}
	var best, over visits
	for range overloadRounds {
		best.add(c.run(s.ctx, k.best, s.o.settle))
		s.log("%.0f requests a second, %d times the best rate", overloadBy*k.best, overloadBy)
		over.add(c.run(s.ctx, overloadBy*k.best, s.o.settle))
	}
	back, then := s.awaitUsual(c, k.whole/2, usual)
	after, err := s.readRefusals()
	if err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.reportKnee(c, k)
	s.r.add("at half of that rate", "%s", served(usual))
	s.checkGoodput(best, over)
	s.checkOrder(c, k, over)
	s.checkRefusals(over, after[len(before):])
	s.r.check(back <= normalWithin, "recovery after the overload", fmt.Sprintf("within %v", normalWithin), "after %v; %s", back.Round(time.Millisecond), served(then))
	return nil
}

// knee is the result of the ramp.
type knee struct {
	whole float64   // highest rate without rejected or late requests
	best  float64   // rate with the most redirects in time
	shed  []float64 // by kind: lowest rate with rejected requests; 0 for no such rate
}

// shedThreshold is the part of a kind's requests above which the kind counts as rejected.
const shedThreshold = 0.02

// shedTolerance is the tolerated difference between the rejected parts of two kinds. With few
// requests, on a machine with other work, these parts are not exact.
const shedTolerance = 0.1

// ramp raises the rate step by step and returns the knee.
func (s *scene) ramp(c *crowd) (knee, error) {
	k := knee{shed: make([]float64, len(c.kinds))}
	most, whole := 0.0, true
	for rate, flat := float64(firstRate), 0; flat < plateau; rate *= rampBy {
		v := c.run(s.ctx, rate, s.o.settle/2)
		if err := s.ctx.Err(); err != nil {
			return k, err
		}
		if whole = whole && v.part(everyKind, good) >= 1-shedThreshold; whole {
			k.whole = rate
		}
		for i := range c.kinds {
			if k.shed[i] == 0 && v.part(only(i), refused) >= shedThreshold {
				k.shed[i] = rate
			}
		}
		flat++
		if g := v.goodput(); g > growth*most {
			most, k.best, flat = g, rate, 0
		}
		s.log("rate %.0f/s: %.0f redirects a second in time", rate, v.goodput())
	}
	return k, nil
}

// awaitUsual runs the crowd at the rate from before the overload. It returns how long the
// node took until it served a whole second like before, and the visits since then.
func (s *scene) awaitUsual(c *crowd, rate float64, usual visits) (time.Duration, visits) {
	slow := max(2*usual.took(redirectKinds, good, 0.99), slo)
	began := time.Now()
	since := began
	var after visits
	for since.Sub(began) <= normalWithin && after.span < s.o.settle && s.ctx.Err() == nil {
		v := c.run(s.ctx, rate, time.Second/checksPerSecond)
		asBefore := v.part(everyKind, good) >= 0.999 && v.took(redirectKinds, good, 0.99) <= slow
		if !asBefore && after.span < time.Second {
			since, after = time.Now(), visits{}
			continue
		}
		after.add(v)
	}
	return since.Sub(began), after
}

func served(v visits) string {
	return fmt.Sprintf("%.2f %% of all requests succeeded; redirects: median %v, 99th percentile %v",
		100*v.part(everyKind, good), v.took(redirectKinds, good, 0.5), v.took(redirectKinds, good, 0.99))
}

// slo is the latency objective of the nodes for redirects.
const slo = 25 * time.Millisecond

func (s *scene) reportKnee(c *crowd, k knee) {
	var mix []string
	for _, kind := range c.kinds {
		mix = append(mix, fmt.Sprintf("%d %% %s", kind.weight, kind.name))
	}
	s.r.add("load on a node with one core", "%d connections: %s", len(c.connections), strings.Join(mix, ", "))
	s.r.add("highest rate without failures", "%.0f/s", k.whole)
}

func (s *scene) checkGoodput(best, over visits) {
	describe := func(v visits) string {
		return fmt.Sprintf("%.0f/s of %.0f/s visitors and %.0f/s with a connection; median %v, 99th percentile %v",
			v.goodput(), float64(v.visitors)/v.span.Seconds(), float64(len(v.sent))/v.span.Seconds(),
			v.took(redirectKinds, good, 0.5), v.took(redirectKinds, good, 0.99))
	}
	s.r.add("redirects in time at the best rate", "%s", describe(best))
	s.r.check(over.goodput() >= leastGoodput*best.goodput(), "redirects in time at four times the load",
		fmt.Sprintf("%.0f %% of the best rate", 100*leastGoodput), "%.0f %%: %s", 100*over.goodput()/best.goodput(), describe(over))
	s.r.check(len(best.failed)+len(over.failed) == 0, "wrong answers", "0", "%d %q",
		len(best.failed)+len(over.failed), slices.Concat(best.failed, over.failed)[:min(3, len(best.failed)+len(over.failed))])
}

func (s *scene) checkOrder(c *crowd, k knee, over visits) {
	for i := range slices.Backward(c.kinds) {
		from := "never"
		if k.shed[i] > 0 {
			from = fmt.Sprintf("from %.0f/s", k.shed[i])
		}
		s.r.add(c.kinds[i].name+" rejected", "%.1f %%, %s", 100*over.part(only(i), refused), from)
	}
	ordered := over.part(only(hot), refused) == 0
	for i := cold; i < lists; i++ {
		ordered = ordered && over.part(only(i), refused) <= over.part(only(i+1), refused)+shedTolerance &&
			(k.shed[i] == 0 || k.shed[i+1] > 0 && k.shed[i+1] <= k.shed[i])
	}
	s.r.check(ordered, "order of rejections", "lists, creates, redirects that need the database; never cached redirects",
		"%v", map[bool]string{true: "yes", false: "no"}[ordered])
}

// checkRefusals checks the time of the node to reject requests. Most requests find the queue
// of their class full, which takes no time. The others wait in the queue first.
func (s *scene) checkRefusals(over visits, all []refusal) {
	describe := func(took []time.Duration) string {
		return fmt.Sprintf("median %v, 95th percentile %v, 99th percentile %v, maximum %v, of %d in the log",
			percentile(took, 0.5), percentile(took, 0.95), percentile(took, 0.99), percentile(took, 1), len(took))
	}
	others := timesOf(all, false)
	s.r.check(len(others) > 0 && percentile(others, 0.99) <= refusedWithin, "time to reject lists and creates",
		fmt.Sprintf("%v at the 99th percentile", refusedWithin), "%s", describe(others))
	// Less time than the longest wait means that the queue was closed.
	redirects, wait := timesOf(all, true), overload.DefaultBounds[overload.Redirect].Wait
	s.r.add("time to reject redirects", "%s", describe(redirects))
	atOnce := slices.DeleteFunc(slices.Clone(redirects), func(took time.Duration) bool { return took >= wait })
	s.r.check(percentile(atOnce, 0.95) <= refusedWithin, "the same behind a closed queue",
		fmt.Sprintf("%v at the 95th percentile", refusedWithin), "%s", describe(atOnce))
	s.r.add("time to reject any request, at the client", "median %v, 99th percentile %v: all requests wait for the same core",
		over.took(everyKind, refused, 0.5), over.took(everyKind, refused, 0.99))
	after := map[uint8]int{}
	for _, v := range over.sent {
		if v.outcome == refused {
			after[v.retryAfter]++
		}
	}
	total := after[1] + after[2] + after[3]
	least := min(after[1], after[2], after[3])
	even := least > total/4 || total < minRefusals
	s.r.check(total == over.count(everyKind, refused) && even, "Retry-After", "1, 2 or 3 seconds, equally often", "%d, %d and %d times", after[1], after[2], after[3])
}

// readRefusals returns the rejected requests in the node's log.
func (s *scene) readRefusals() ([]refusal, error) {
	log, err := os.ReadFile(s.state.Nodes[0].Log)
	if err != nil {
		return nil, err
	}
	return refusals(log)
}
