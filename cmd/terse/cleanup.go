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

// cleanupStep closes one thing within its own time, as far as that takes a context,
// so that clients who are slow to leave take nothing from the clicks that are
// still to be flushed.
type cleanupStep struct {
	name   string
	within time.Duration
	close  func(context.Context) error
}

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

func (s *cleanupStep) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	return s.close(ctx)
}
