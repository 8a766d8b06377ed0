package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// cleanup closes the opened parts, the last one first.
type cleanup struct{ steps []cleanupStep }

// cleanupStep closes one thing. Each step has its own timeout, so that slow clients do not
// use up the time for flushing clicks.
type cleanupStep struct {
	name    string
	timeout time.Duration
	close   func(context.Context) error
}

// closeTimeout is how long an unused part may take to close.
const closeTimeout = 5 * time.Second

// reportGrace is the extra time for a step to return its own error after its timeout.
const reportGrace = 200 * time.Millisecond

// push adds a step. Steps run in reverse order.
func (c *cleanup) push(name string, timeout time.Duration, step func(context.Context) error) {
	c.steps = append(c.steps, cleanupStep{name, timeout, step})
}

// close runs every step, even after a step failed, and joins their errors.
func (c *cleanup) close(ctx context.Context) error {
	var problems []error
	for _, step := range slices.Backward(c.steps) {
		if err := step.run(ctx); err != nil {
			problems = append(problems, fmt.Errorf("close %s: %w", step.name, err))
		}
	}
	return errors.Join(problems...)
}

// run returns when the step ends, or reportGrace after its timeout. It does not wait for a
// step that ignores its context.
func (s *cleanupStep) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.close(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(reportGrace):
		return fmt.Errorf("did not close in time: %w", ctx.Err())
	}
}
