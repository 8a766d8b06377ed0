//go:build unix

package main

import (
	"fmt"
	"time"

	"github.com/terse/terse/loadtest/audit"
)

// clicksWithin is how long the last clicks may take to the database.
const clicksWithin = 20 * time.Second

// takenBack is how many redirects a node has answered once nginx sends it some again.
const takenBack = 20

// rolling restarts all nodes, one after the other, again and again.
func (s *scene) rolling() error {
	if err := s.prepare(); err != nil {
		return err
	}
	began := time.Now()
	s.begin()
	err := s.restarts()
	for err == nil {
		if done, failed := s.total(); done+failed >= s.o.requests {
			break
		}
		err = s.settle()
	}
	s.end()
	if err != nil {
		return err
	}
	done, failed := s.total()
	took := time.Since(began)
	s.r.tell("requests", "%d in %v, %d/s", done+failed, took.Round(time.Second), int(float64(done+failed)/took.Seconds()))
	s.r.tell("restarts", "%d nodes, %d times each", len(s.state.Nodes), s.o.rounds)
	s.r.hold(failed == 0, "failed requests", "0", "%d %q", failed, s.a.Failures(3))
	s.tellLatency(began)
	if err := s.holdClicks(0, 0); err != nil {
		return err
	}
	return s.holdLog()
}

func (s *scene) restarts() error {
	if err := s.settle(); err != nil {
		return err
	}
	for round := range s.o.rounds {
		for _, node := range s.state.Nodes {
			s.log("round %d: restarting %s", round+1, node.Name)
			if err := s.t.Do(s.ctx, "restart", node.Name); err != nil {
				return err
			}
			if _, err := s.await(backWithin, node.Name+" to be asked again", func() (bool, error) {
				n, err := s.metric(node, "terse_http_requests_total", `route="/:code"`)
				return n >= takenBack, err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellLatency tells how long redirects and creates took since a moment.
func (s *scene) tellLatency(since time.Time) {
	for _, op := range []string{"redirect", "create"} {
		took := s.a.Took(since, op)
		if len(took) == 0 {
			continue
		}
		at := func(p float64) time.Duration {
			return took[min(len(took)-1, int(float64(len(took))*p))].Round(100 * time.Microsecond)
		}
		s.r.tell("time of a "+op, "%v in the median, %v at the 99th percentile, %v at most", at(0.5), at(0.99), at(1))
	}
}

// holdClicks holds what the databases have counted to what was answered. A killed
// node may take clicks along, and its last visits may be sent to another that counts them
// again; of others none is lost, and none is counted twice.
func (s *scene) holdClicks(mayLose, mayRepeat int64) error {
	visits, failed := s.visits()
	var counted int64
	_, err := s.await(clicksWithin, "the last clicks", func() (_ bool, err error) {
		counted, err = s.a.Clicks(s.ctx)
		return counted >= visits-mayLose && err == nil, err
	})
	if counted == 0 && err != nil {
		return err
	}
	select {
	case <-time.After(2 * flushSpan):
	case <-s.ctx.Done():
	}
	if counted, err = s.a.Clicks(s.ctx); err != nil {
		return err
	}
	lost, twice := max(0, visits-counted), max(0, counted-visits-failed)
	s.r.hold(lost <= mayLose, "clicks lost", most(mayLose, "those of a killed node since its last flush"), "%d of %d", lost, visits)
	s.r.hold(twice <= mayRepeat, "clicks counted twice", most(mayRepeat, "visits that nginx sent on"), "%d of %d", twice, visits)
	return nil
}

// most says how many of something there may be.
func most(n int64, why string) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%d at most: %s", n, why)
}

// holdLog holds all databases and all nodes to the log.
func (s *scene) holdLog() error {
	report, err := s.a.Audit(s.ctx, s.nodes()...)
	if err != nil {
		return err
	}
	s.r.tell("links in the databases", "%d", report.Links)
	s.r.hold(report.Lost == 0, "acknowledged creates and edits lost", "0", "%d", report.Lost)
	s.r.hold(len(report.Broken) == 0, "wrong answers", "0 in all", "%d of %d %q", len(report.Broken), report.Outcomes, report.Broken[:min(5, len(report.Broken))])
	return nil
}

// node is one of the nodes behind nginx.
type node struct{ url string }

// URL returns the address of the public listener.
func (n node) URL() string { return n.url }

func (s *scene) nodes() (all []audit.Node) {
	for _, n := range s.t.State().Nodes {
		if n.Pid != 0 {
			all = append(all, node{n.URL})
		}
	}
	return all
}
