package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// phase is how far the life of a process has come.
type phase int32

const (
	starting phase = iota
	serving
	draining
)

// Health tells a load balancer whether it may send requests here. The zero value
// is that of a process which is starting. Safe for concurrent use.
type Health struct {
	phase atomic.Int32

	mu     sync.Mutex
	checks []healthCheck
}

// healthCheck is what a process needs before it can give any answer.
type healthCheck struct {
	name  string
	check func() error
}

// What the checks of the phases say.
var (
	errStarting = errors.New("the process is starting")
	errDraining = errors.New("the process is stopping")
)

// Require adds something without which no request can be answered. It is not for
// what some of them can do without, such as one of several databases: all
// processes would be taken out of service at once. check must be quick and safe
// for concurrent use.
func (h *Health) Require(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, healthCheck{name, check})
}

// Started says that requests are answered from now on.
func (h *Health) Started() { h.phase.CompareAndSwap(int32(starting), int32(serving)) }

// Drain says that no more requests are to be sent.
func (h *Health) Drain() { h.phase.Store(int32(draining)) }

// Ready reports whether all checks pass.
func (h *Health) Ready() bool {
	return !slices.ContainsFunc(h.all(), func(c healthCheck) bool { return c.check() != nil })
}

// all returns the checks, those of the phases first.
func (h *Health) all() []healthCheck {
	during := func(p phase, err error) func() error {
		return func() error {
			if phase(h.phase.Load()) == p {
				return err
			}
			return nil
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]healthCheck{
		{"started", during(starting, errStarting)},
		{"not-draining", during(draining, errDraining)},
	}, h.checks...)
}

// ready answers 200 when all checks pass and else 503, with a line for each.
func (h *Health) ready(w http.ResponseWriter, _ *http.Request) {
	status, body := http.StatusOK, strings.Builder{}
	for _, c := range h.all() {
		if err := c.check(); err != nil {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&body, "[-] %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Fprintf(&body, "[+] %s: ok\n", c.name)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprint(w, body.String())
}
