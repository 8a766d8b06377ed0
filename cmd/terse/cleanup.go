package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// cleanup closes what was opened, last first.
type cleanup struct{ steps []cleanupStep }

// cleanupStep closes one thing within its own time, so that clients who are slow to
// leave take nothing from the clicks that are still to be flushed.
type cleanupStep struct {
	name   string
	within time.Duration
	close  func(context.Context) error
}

// closeTimeout is how long a part may take to close once nobody uses it.
const closeTimeout = 5 * time.Second

// lateGrace is how much longer than its context a step is waited for, so that it
// can say itself what it has not done.
const lateGrace = 200 * time.Millisecond

// push adds what was just opened.
func (c *cleanup) push(name string, within time.Duration, step func(context.Context) error) {
	c.steps = append(c.steps, cleanupStep{name, within, step})
}

// close runs every step, also after one failed, and joins what went wrong.
func (c *cleanup) close(ctx context.Context) error {
	var problems []error
	for _, step := range slices.Backward(c.steps) {
		if err := step.run(ctx); err != nil {
			problems = append(problems, fmt.Errorf("close %s: %w", step.name, err))
		}
	}
	return errors.Join(problems...)
}

// run returns when the step is done or its time is over, whether it heeds that or
// not.
func (s *cleanupStep) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.within)
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
	case <-time.After(lateGrace):
		return fmt.Errorf("left open: %w", ctx.Err())
	}
}
