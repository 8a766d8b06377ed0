//go:build unix

package main

import (
	"fmt"
	"time"

	"github.com/terse/terse/internal/testenv/audit"
)

// clicksWithin is the longest time until the last clicks are in the database.
const clicksWithin = 20 * time.Second

// backInUse is the number of redirects after which a node counts as used by nginx again.
const backInUse = 20

// rolling restarts all nodes, one after another, several times.
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
	s.r.add("requests", "%d in %v, %d/s", done+failed, took.Round(time.Second), int(float64(done+failed)/took.Seconds()))
	s.r.add("restarts", "%d nodes, %d times each", len(s.state.Nodes), s.o.rounds)
	s.r.check(failed == 0, "failed requests", "0", "%d %q", failed, s.a.Failures(3))
	s.reportLatency(began)
	if err := s.checkClicks(0, 0); err != nil {
		return err
	}
	return s.checkLog()
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
			if _, err := s.await(backWithin, "redirects of "+node.Name, func() (bool, error) {
				n, err := s.metric(node, "terse_http_requests_total", `route="/:code"`)
				return n >= backInUse, err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// reportLatency reports the latency of redirects and creates since a moment.
func (s *scene) reportLatency(since time.Time) {
	for _, op := range []string{"redirect", "create"} {
		took := s.a.Took(since, op)
		if len(took) == 0 {
			continue
		}
		at := func(p float64) time.Duration {
			return took[min(len(took)-1, int(float64(len(took))*p))].Round(100 * time.Microsecond)
		}
		s.r.add("latency of a "+op, "median %v, 99th percentile %v, maximum %v", at(0.5), at(0.99), at(1))
	}
}

// checkClicks compares the counted clicks with the answered visits. A killed node may lose
// clicks, and another node may count a retried visit again. No other click may be lost or
// counted twice.
func (s *scene) checkClicks(mayLose, mayRepeat int64) error {
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
	s.r.check(lost <= mayLose, "clicks lost", most(mayLose, "clicks of a killed node since its last flush"), "%d of %d", lost, visits)
	s.r.check(twice <= mayRepeat, "clicks counted twice", most(mayRepeat, "visits that nginx retried"), "%d of %d", twice, visits)
	return nil
}

// most returns the text of a limit and its reason.
func most(n int64, why string) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("at most %d: %s", n, why)
}

// checkLog compares all databases and all nodes with the log of acknowledged writes.
func (s *scene) checkLog() error {
	report, err := s.a.Audit(s.ctx, s.nodes()...)
	if err != nil {
		return err
	}
	s.r.add("links in the databases", "%d", report.Links)
	s.r.check(report.Lost == 0, "acknowledged creates and edits lost", "0", "%d", report.Lost)
	s.r.check(len(report.Broken) == 0, "wrong answers", "0", "%d of %d %q", len(report.Broken), report.Outcomes, report.Broken[:min(5, len(report.Broken))])
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
