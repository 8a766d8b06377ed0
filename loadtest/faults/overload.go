//go:build unix

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/deploy/stack/topology"
)

const (
	// overloadBy is how many times as many come as lead to the best goodput.
	overloadBy = 4

	// keptGoodput is the part of the best goodput that must remain.
	keptGoodput = 0.9

	// refusedWithin is how long the node may take to refuse what makes room for redirects.
	refusedWithin = 5 * time.Millisecond

	// tellingRefusals are enough that none of three answers to them, of which each is as
	// likely, is a quarter or less by chance.
	tellingRefusals = 1000

	// normalWithin is how soon after the overload all must be as before.
	normalWithin = 10 * time.Second

	// connections are more than a load balancer keeps to one node.
	connections = 1000

	// The ramp goes up by steps from a rate that any machine bears, until the goodput
	// has not grown for some of them.
	firstRate, rampBy, growth, plateau = 1000, 1.3, 1.05, 3

	// overloads is how often the best rate and the overload come by turns: both meet
	// what else the machine does.
	overloads = 3

	// looks is how often a second is looked at whether all is as before.
	looks = 2
)

// oneNode is where overload is shown: a node that runs on one core, so that another is
// left to the databases and to those who ask, on a machine with two.
var oneNode = topology.Options{Shards: 1, Nodes: 1, NodeProcs: 1, Settings: map[string]string{
	"log_level": "info", "access_log_sample": "0.02", "cache_size": "16", "drain_delay": "0s",
}}

// overload asks a node four times as much as it can do.
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
	usual := c.come(s.ctx, k.whole/2, s.o.settle)
	before, err := s.readRefusals()
	if err != nil {
		return err
	}
	var best, over visits
	for range overloads {
		best.add(c.come(s.ctx, k.best, s.o.settle))
		s.log("%.0f come each second, four times as many as at best", overloadBy*k.best)
		over.add(c.come(s.ctx, overloadBy*k.best, s.o.settle))
	}
	back, then := s.awaitUsual(c, k.whole/2, usual)
	after, err := s.readRefusals()
	if err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.tellKnee(c, k)
	s.r.tell("when half of that comes", "%s", served(usual))
	s.holdGoodput(best, over)
	s.holdOrder(c, k, over)
	s.holdRefusals(over, after[len(before):])
	s.r.hold(back <= normalWithin, "the same after the overload", fmt.Sprintf("normal within %v", normalWithin), "normal after %v; %s", back.Round(time.Millisecond), served(then))
	return nil
}

// knee is what the ramp has shown.
type knee struct {
	whole float64   // the highest rate of which nothing is refused or late
	best  float64   // the rate at which most redirects are answered in time
	shed  []float64 // the first rate of which some of a kind is refused; 0 for none
}

// someShed is the part of a kind from which on it counts as refused.
const someShed = 0.02

// alike is how far the refused parts of two kinds may differ and count as one: of few
// requests, on a machine that does other work, neither part is sharp.
const alike = 0.1

// ramp lets more and more come, and returns what that has shown.
func (s *scene) ramp(c *crowd) (knee, error) {
	k := knee{shed: make([]float64, len(c.kinds))}
	most, whole := 0.0, true
	for rate, flat := float64(firstRate), 0; flat < plateau; rate *= rampBy {
		v := c.come(s.ctx, rate, s.o.settle/2)
		if err := s.ctx.Err(); err != nil {
			return k, err
		}
		if whole = whole && v.part(everyKind, good) >= 1-someShed; whole {
			k.whole = rate
		}
		for i := range c.kinds {
			if k.shed[i] == 0 && v.part(only(i), refused) >= someShed {
				k.shed[i] = rate
			}
		}
		flat++
		if g := v.goodput(); g > growth*most {
			most, k.best, flat = g, rate, 0
		}
		s.log("of %.0f each second %.0f redirects are answered in time", rate, v.goodput())
	}
	return k, nil
}

// awaitUsual lets as many come as before the overload, and returns when a second began
// in which all were served as then, and what was met from there on.
func (s *scene) awaitUsual(c *crowd, rate float64, usual visits) (time.Duration, visits) {
	slow := max(2*usual.took(redirectKinds, good, 0.99), slo)
	began := time.Now()
	since := began
	var after visits
	for since.Sub(began) <= normalWithin && after.span < s.o.settle && s.ctx.Err() == nil {
		v := c.come(s.ctx, rate, time.Second/looks)
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
	return fmt.Sprintf("%.2f %% of all are done; a redirect takes %v in the median, %v at the 99th percentile",
		100*v.part(everyKind, good), v.took(redirectKinds, good, 0.5), v.took(redirectKinds, good, 0.99))
}

// slo is the objective for redirects at the nodes.
const slo = 25 * time.Millisecond

func (s *scene) tellKnee(c *crowd, k knee) {
	var mix []string
	for _, kind := range c.kinds {
		mix = append(mix, fmt.Sprintf("%d %% %s", kind.share, kind.name))
	}
	s.r.tell("a node on one core is asked", "by %d connections for %s", len(c.wires), strings.Join(mix, ", "))
	s.r.tell("all is done up to", "%.0f/s", k.whole)
}

func (s *scene) holdGoodput(best, over visits) {
	tell := func(v visits) string {
		return fmt.Sprintf("%.0f/s of %.0f/s that came and %.0f/s that found a connection; %v in the median, %v at the 99th percentile",
			v.goodput(), float64(v.came)/v.span.Seconds(), float64(len(v.sent))/v.span.Seconds(),
			v.took(redirectKinds, good, 0.5), v.took(redirectKinds, good, 0.99))
	}
	s.r.tell("redirects in time at best", "%s", tell(best))
	s.r.hold(over.goodput() >= keptGoodput*best.goodput(), "redirects in time when four times as many come",
		fmt.Sprintf("%.0f %% of the best", 100*keptGoodput), "%.0f %%: %s", 100*over.goodput()/best.goodput(), tell(over))
	s.r.hold(len(best.failed)+len(over.failed) == 0, "wrong answers", "0", "%d %q",
		len(best.failed)+len(over.failed), slices.Concat(best.failed, over.failed)[:min(3, len(best.failed)+len(over.failed))])
}

func (s *scene) holdOrder(c *crowd, k knee, over visits) {
	for i := range slices.Backward(c.kinds) {
		from := "never"
		if k.shed[i] > 0 {
			from = fmt.Sprintf("from %.0f/s on", k.shed[i])
		}
		s.r.tell(c.kinds[i].name+" refused", "%.1f %%, %s", 100*over.part(only(i), refused), from)
	}
	ordered := over.part(only(hot), refused) == 0
	for i := cold; i < lists; i++ {
		ordered = ordered && over.part(only(i), refused) <= over.part(only(i+1), refused)+alike &&
			(k.shed[i] == 0 || k.shed[i+1] > 0 && k.shed[i+1] <= k.shed[i])
	}
	s.r.hold(ordered, "refused in order", "lists, then creates, then redirects that need the database; never cached ones",
		"%v", map[bool]string{true: "yes", false: "no"}[ordered])
}

// holdRefusals holds how long the node takes to refuse. Of redirects a few are left that
// wait for Redis first: those that come when the database has just run out of room.
func (s *scene) holdRefusals(over visits, all []refusal) {
	tell := func(took []time.Duration) string {
		return fmt.Sprintf("%v in the median, %v at the 95th and %v at the 99th percentile, %v at most, of %d in its log",
			percentile(took, 0.5), percentile(took, 0.95), percentile(took, 0.99), percentile(took, 1), len(took))
	}
	others := timesOf(all, false)
	s.r.hold(len(others) > 0 && percentile(others, 0.99) <= refusedWithin, "time of the node to refuse lists and creates",
		fmt.Sprintf("%v at the 99th percentile", refusedWithin), "%s", tell(others))
	if redirects := timesOf(all, true); len(redirects) > 0 {
		s.r.hold(percentile(redirects, 0.95) <= refusedWithin, "the same of redirects",
			fmt.Sprintf("%v at the 95th percentile", refusedWithin), "%s", tell(redirects))
	}
	s.r.tell("the same of all, as clients see it", "%v in the median, %v at the 99th percentile: all wait for the same core",
		over.took(everyKind, refused, 0.5), over.took(everyKind, refused, 0.99))
	after := map[uint8]int{}
	for _, v := range over.sent {
		if v.outcome == refused {
			after[v.retryAfter]++
		}
	}
	total := after[1] + after[2] + after[3]
	least := min(after[1], after[2], after[3])
	even := least > total/4 || total < tellingRefusals
	s.r.hold(total == over.count(everyKind, refused) && even, "Retry-After", "1, 2 or 3 seconds, alike often", "%d, %d and %d times", after[1], after[2], after[3])
}

// readRefusals returns how long the node took to refuse what it refused, as its log has it.
func (s *scene) readRefusals() ([]refusal, error) {
	log, err := os.ReadFile(s.state.Nodes[0].Log)
	if err != nil {
		return nil, err
	}
	return refusals(log)
}
