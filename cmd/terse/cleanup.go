package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// cleanup closes what was opened, last first.
type cleanup struct{ steps []cleanupStep }

type cleanupStep struct {
	name  string
	close func(context.Context) error
}

// push adds what was just opened.
func (c *cleanup) push(name string, step func(context.Context) error) {
	c.steps = append(c.steps, cleanupStep{name, step})
}

// close runs every step, also after one failed, and joins what went wrong.
func (c *cleanup) close(ctx context.Context) error {
	var problems []error
	for _, step := range slices.Backward(c.steps) {
		if err := step.close(ctx); err != nil {
			problems = append(problems, fmt.Errorf("close %s: %w", step.name, err))
		}
	}
	return errors.Join(problems...)
}
