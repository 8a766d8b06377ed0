package main

import (
	"context"
	"errors"
	"io"
	"sync"
)

// inOrder lets several workers do jobs at once, and commits their results in the
// order of the jobs. No more jobs are under way, or wait to be committed, than
// workers times four, so that any number takes little memory. next returns io.EOF
// behind the last job; it may be under way still when inOrder returns. The first error of next, do or commit ends it all; what was
// done in order before it has been committed.
func inOrder[Job, Result any](ctx context.Context, workers int,
	next func() (Job, error), do func(ctx context.Context, job Job) (Result, error), commit func(r Result) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	type slot struct {
		job    Job
		result Result
		err    error
		done   chan struct{}
	}
	waiting, todo := make(chan *slot, workers*4), make(chan *slot)
	go func() {
		for {
			job, err := next()
			s := &slot{job: job, err: err, done: make(chan struct{})}
			if err != nil {
				close(s.done)
			}
			select {
			case waiting <- s:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
			select {
			case todo <- s:
			case <-ctx.Done():
				return
			}
		}
	}()
	for range workers {
		working.Go(func() {
			for {
				select {
				case s := <-todo:
					s.result, s.err = do(ctx, s.job)
					close(s.done)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	for {
		var s *slot
		select {
		case s = <-waiting:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case errors.Is(s.err, io.EOF):
			return nil
		case s.err != nil:
			return s.err
		}
		if err := commit(s.result); err != nil {
			return err
		}
	}
}
