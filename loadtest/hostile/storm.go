package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/terse/terse/internal/testenv"
)

// connections is how many connections are open at the same time.
const connections = 32

// rounds is how often the same requests are sent, each time with other names. The first
// round creates the links that later rounds find. The server is measured after each of the
// last two rounds, and must not have grown.
const rounds = 3

// size is the size of a server.
type size struct {
	goroutines, series int
	rss                float64 // MiB
}

// report is the result of a storm.
type report struct {
	sent, reconnects int64
	took             time.Duration
	statuses         map[int]int64
	failed           []string // requests with a 5xx answer, and the answer
	before, after    size
}

// storm sends at least n requests: the same number in each round and on each connection.
func storm(ctx context.Context, node *testenv.Terse, n int, seed uint64) (*report, error) {
	r := &report{statuses: map[int]int64{}}
	began, each := time.Now(), (n+rounds*connections-1)/(rounds*connections)
	for round := range uint64(rounds) {
		if err := r.send(ctx, node.Addr(), each, seed, round); err != nil {
			return nil, err
		}
		now, err := settled(ctx, node)
		if err != nil {
			return nil, err
		}
		r.before, r.after = r.after, now
	}
	r.took = time.Since(began)
	return r, nil
}

// send sends n requests over each connection.
func (r *report) send(ctx context.Context, addr string, n int, seed, round uint64) error {
	var (
		mu      sync.Mutex
		workers sync.WaitGroup
		errs    []error
	)
	for w := range uint64(connections) {
		workers.Go(func() {
			c := &connection{addr: addr, maker: newMaker(seed, w, round), statuses: map[int]int64{}}
			defer c.close()
			var err error
			for i := 0; i < n && err == nil && ctx.Err() == nil; i++ {
				err = c.one(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			for status, count := range c.statuses {
				r.statuses[status] += count
			}
			r.sent += c.sent
			r.reconnects += c.reconnects
			r.failed = append(r.failed, c.failed...)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	workers.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// connection is one connection of the client.
type connection struct {
	addr             string
	maker            *maker
	conn             net.Conn
	reader           *bufio.Reader
	sent, reconnects int64
	statuses         map[int]int64
	failed           []string
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// answerTimeout is how long an answer may take.
const answerTimeout = 30 * time.Second

// one sends a request and reads its answer. A timeout is an error. A connection that the
// server closes is not.
func (c *connection) one(ctx context.Context) error {
	if c.conn == nil {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
		c.reconnects++
	}
	raw, head := c.maker.request()
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	c.sent++
	if _, err := c.conn.Write(raw); err != nil {
		c.close() // the server closed it after the previous answer
		return nil
	}
	request := &http.Request{Method: http.MethodGet}
	if head {
		request.Method = http.MethodHead
	}
	for {
		response, err := http.ReadResponse(c.reader, request)
		if err != nil {
			c.close()
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return fmt.Errorf("no answer to %.300q within %v", raw, answerTimeout)
			}
			c.statuses[0]++
			return nil
		}
		c.statuses[response.StatusCode]++
		if response.StatusCode >= 500 {
			c.failed = append(c.failed, fmt.Sprintf("%d to %.500q", response.StatusCode, raw))
		}
		if response.StatusCode == http.StatusContinue {
			continue
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || response.Close || response.StatusCode == http.StatusBadRequest {
			c.close()
		}
		return nil
	}
}

// settled measures an idle server, once two measurements in a row have the same number of
// goroutines and series.
func settled(ctx context.Context, node *testenv.Terse) (last size, err error) {
	for {
		now, err := measure(ctx, node.Admin())
		if err != nil || now == last || now.goroutines == last.goroutines && now.series == last.series {
			return now, err
		}
		last = now
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}

// measure reads the size of the server from its metrics.
func measure(ctx context.Context, admin testenv.Admin) (s size, err error) {
	status, page := admin.Ask(ctx, "/metrics")
	if status != http.StatusOK {
		return s, fmt.Errorf("metrics of the server: status %d", status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		return s, err
	}
	for name, family := range families {
		s.series += len(family.GetMetric())
		value := family.GetMetric()[0].GetGauge().GetValue()
		switch name {
		case "go_goroutines":
			s.goroutines = int(value)
		case "process_resident_memory_bytes":
			s.rss = value / (1 << 20)
		}
	}
	return s, nil
}

// goroutineTolerance is how much the number of goroutines of an idle server may vary.
const goroutineTolerance = 8

// err returns all failures of the storm.
func (r *report) err() error {
	var errs []error
	if len(r.failed) > 0 {
		errs = append(errs, fmt.Errorf("%d requests failed", len(r.failed)))
	}
	for _, f := range r.failed[:min(len(r.failed), 10)] {
		errs = append(errs, errors.New(f))
	}
	if r.after.goroutines > r.before.goroutines+goroutineTolerance {
		errs = append(errs, fmt.Errorf("goroutines grew from %d to %d", r.before.goroutines, r.after.goroutines))
	}
	if r.after.series > r.before.series {
		errs = append(errs, fmt.Errorf("series grew from %d to %d", r.before.series, r.after.series))
	}
	return errors.Join(errs...)
}

// print writes the report.
func (r *report) print(w io.Writer) {
	var statuses []string
	for _, status := range slices.Sorted(maps.Keys(r.statuses)) {
		name := fmt.Sprint(status)
		if status == 0 {
			name = "closed without an answer"
		}
		statuses = append(statuses, fmt.Sprintf("%s: %d", name, r.statuses[status]))
	}
	fmt.Fprintf(w, "%d requests over %d connections in %v, %.0f/s\n", r.sent, r.reconnects, r.took.Round(time.Millisecond), float64(r.sent)/r.took.Seconds())
	fmt.Fprintln(w, strings.Join(statuses, ", "))
	fmt.Fprintf(w, "goroutines %d, then %d; series %d, then %d; memory %.0f MiB, then %.0f MiB\n",
		r.before.goroutines, r.after.goroutines, r.before.series, r.after.series, r.before.rss, r.after.rss)
}
