// Package inorder runs jobs in parallel and delivers their results in the order of the jobs.
package inorder

import (
	"context"
	"errors"
	"io"
	"sync"
)

// Run runs jobs in several workers and commits their results in the order of the jobs.
// It keeps about four jobs per worker in memory. next returns io.EOF after the last job, and
// may still be running when Run returns.
//
// Run stops at the first error of next, do or commit, in the order of the jobs, and
// returns it. The results of all earlier jobs are then committed.
func Run[Job, Result any](ctx context.Context, workers int,
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
