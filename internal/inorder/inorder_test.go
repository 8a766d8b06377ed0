package inorder_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/terse/terse/internal/inorder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// count returns a next function for the jobs 0 to n-1.
func count(n int) func() (int, error) {
	job := -1
	return func() (int, error) {
		if job++; job == n {
			return 0, io.EOF
		}
		return job, nil
	}
}

// TestOrder lets each job with an even number wait for the next one. The results still come in
// the order of the jobs.
func TestOrder(t *testing.T) {
	t.Parallel()
	const n = 100
	var done [n]chan struct{}
	for i := range done {
		done[i] = make(chan struct{})
	}
	var got []int
	err := inorder.Run(t.Context(), 2, count(n), func(_ context.Context, job int) (int, error) {
		defer close(done[job])
		if job%2 == 0 {
			<-done[job+1]
		}
		return job, nil
	}, func(r int) error {
		got = append(got, r)
		return nil
	})
	if err != nil || len(got) != n || !slices.IsSorted(got) {
		t.Errorf("Run() = %v, committed %v, want 0 to %d in order", err, got, n-1)
	}
}

// TestFirstErrorEndsRun checks that an error of next, do or commit ends Run, after the results of
// all earlier jobs were committed.
func TestFirstErrorEndsRun(t *testing.T) {
	t.Parallel()
	const bad = 20
	broken := errors.New("broken")
	fail := func(job int, here bool) error {
		if here && job == bad {
			return broken
		}
		return nil
	}
	for _, where := range []string{"next", "do", "commit"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			next := count(10 * bad)
			committed := 0
			err := inorder.Run(t.Context(), 4, func() (int, error) {
				job, err := next()
				return job, errors.Join(err, fail(job, where == "next"))
			}, func(_ context.Context, job int) (int, error) {
				return job, fail(job, where == "do")
			}, func(r int) error {
				if err := fail(r, where == "commit"); err != nil {
					return err
				}
				if r != committed {
					t.Errorf("result %d was committed after %d others", r, committed)
				}
				committed++
				return nil
			})
			if !errors.Is(err, broken) || committed != bad {
				t.Errorf("Run() = %v after %d results, want the error after %d", err, committed, bad)
			}
		})
	}
}

// TestCancel checks that Run ends with its context, and that the running jobs see the end.
func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := inorder.Run(ctx, 3, count(100), func(ctx context.Context, job int) (int, error) {
		if job == 5 {
			cancel()
		}
		if job >= 5 {
			<-ctx.Done()
		}
		return job, ctx.Err()
	}, func(int) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v, want context.Canceled", err)
	}
}
