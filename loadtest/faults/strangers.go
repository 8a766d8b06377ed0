//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/terse/terse/internal/testenv/audit"
)

const (
	// redirectRate is the number of cached redirects a second: far fewer than a node can serve.
	redirectRate = 500

	// redirectConnections is the number of connections for these redirects.
	redirectConnections = 16

	// redirectLinks is the number of links that are visited. Each leaves the node's memory
	// after ten seconds. With so few, nearly all visits find their link there.
	redirectLinks = 10

	// strangerRounds is how often the redirects run alone and beside the strangers, so that
	// other work on the machine affects both.
	strangerRounds = 6

	// strangersAim is the aim for the 99th percentile beside strangers as a multiple of the one
	// alone.
	strangersAim = 1.2
)

// strangers sends cached redirects to a node, alone and beside strangers who use all the node
// that they can.
func (s *scene) strangers() error {
	host := strings.TrimPrefix(s.state.Nodes[0].URL, "http://")
	codes := make([]newLink, redirectLinks)
	for i := range codes {
		codes[i] = newLink{hotCode(i), audit.TargetOf(hotCode(i))}
	}
	if err := s.create(s.state.APIKey, codes); err != nil {
		return err
	}
	reader, err := s.newReader()
	if err != nil {
		return err
	}
	c := newCrowd(host, redirectConnections, []kind{{"cached redirects", 1, func() question {
		code := hotCode(rand.IntN(redirectLinks)) //nolint:gosec // not a secret
		return question{fmt.Appendf(nil, "GET /%s HTTP/1.1\r\nHost: %s\r\n\r\n", code, host), "302", audit.TargetOf(code)}
	}}})
	defer c.close()
	before, err := s.connectionsOf(c)
	if err != nil {
		return err
	}
	var alone, beside rounds
	seen := counts{}
	for range strangerRounds {
		if err := s.measure(&alone, c); err != nil {
			return err
		}
		g, err := s.arrive(host, reader)
		if err != nil {
			return err
		}
		err = s.measure(&beside, c)
		seen.add(g.leave())
		if err != nil {
			return err
		}
		s.log("so far, cached redirects alone: %s; beside strangers: %s", &alone, &beside)
		if _, err := s.await(backWithin, "the node to close the connections of the strangers", func() (bool, error) {
			open, err := s.metric(s.state.Nodes[0], "terse_http_connections", "")
			return open <= before, err
		}); err != nil {
			return err
		}
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.reportStrangers(&alone, &beside, seen)
	return nil
}

// rounds are the results of one crowd in several spans of time.
type rounds struct {
	visits []visits
	work   time.Duration // processor time of the node
}

// measure runs the crowd once.
func (s *scene) measure(r *rounds, c *crowd) error {
	const metric = "process_cpu_seconds_total"
	before, err := s.metric(s.state.Nodes[0], metric, "")
	if err != nil {
		return err
	}
	r.visits = append(r.visits, c.run(s.ctx, redirectRate, s.o.settle))
	after, err := s.metric(s.state.Nodes[0], metric, "")
	r.work += time.Duration((after - before) * float64(time.Second))
	return err
}

// String describes the times of the redirects and the work of the node.
func (r *rounds) String() string {
	var span time.Duration
	for _, v := range r.visits {
		span += v.span
	}
	return fmt.Sprintf("median %v, 99th percentile %v; the node uses %.0f %% of a core", r.took(0.5), r.took(0.99), 100*r.work.Seconds()/span.Seconds())
}

// took returns the median over the rounds of a percentile of the good visits' times.
func (r *rounds) took(p float64) time.Duration {
	var took []time.Duration
	for _, v := range r.visits {
		took = append(took, v.took(everyKind, good, p))
	}
	slices.Sort(took)
	return percentile(took, 0.5)
}

// connectionsOf runs a crowd until its links are in the node's memory. It returns how many
// connections the node has open then, with a few for others.
func (s *scene) connectionsOf(c *crowd) (float64, error) {
	c.run(s.ctx, redirectRate, s.o.settle)
	open, err := s.metric(s.state.Nodes[0], "terse_http_connections", "")
	return max(open, redirectConnections) + redirectConnections, err
}

func (s *scene) reportStrangers(alone, beside *rounds, seen counts) {
	s.r.add("strangers on a node with one core", "%d QR codes a second, %d slow bodies, %d slow readers of lists, %d idle connections, %d floods of %d reports a second",
		drawingRate, slowBodies, slowLists, idleConnections, reportFloods, reportRate)
	s.r.add(fmt.Sprintf("%d cached redirects a second, alone", redirectRate), "%s", alone)
	s.r.add("the same beside strangers", "%s", beside)
	ratio := func(p float64) float64 { return float64(beside.took(p)) / float64(max(alone.took(p), 1)) }
	s.r.add("beside strangers against alone", "median %.2f, 99th percentile %.2f; aim %.1f", ratio(0.5), ratio(0.99), strangersAim)
	var sent, succeeded, failed, wrongs int
	for _, v := range slices.Concat(alone.visits, beside.visits) {
		sent, succeeded = sent+len(v.sent), succeeded+v.count(everyKind, good)
		failed, wrongs = failed+v.count(everyKind, refused, wrong), wrongs+len(v.failed)
	}
	s.r.check(failed == 0 && succeeded > 0, "failed redirects", "0", "%d of %d, and %d later than %v", failed, sent, sent-succeeded-failed, patience)
	for _, want := range []string{"QR code 200", "body unfinished", "list 200", "idle open", "report 200", "report 429"} {
		s.r.check(seen[want] > 0, "strangers: "+want, "at least 1", "%d", seen[want])
		delete(seen, want)
	}
	for _, other := range seen.names() {
		s.r.add("strangers: "+other, "%d", seen[other])
	}
}
