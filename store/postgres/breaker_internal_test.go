package postgres

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestRetries checks the limits of retries for each kind of error and for attempts of any
// duration.
func TestRetries(t *testing.T) {
	t.Parallel()
	conflict := &pgconn.PgError{Code: codeSerialization} // repeatable, but not an outage
	lost := undone{errors.New("no connection")}
	for _, tt := range []struct {
		name    string
		err     error
		took    time.Duration // duration of each attempt
		want    int           // attempts that reach the server
		refused int           // attempts rejected by the open breaker
	}{
		{"a repeatable error", conflict, 0, attempts, 0},
		{"slow attempts", conflict, 400 * time.Millisecond, 3, 0},
		{"an attempt beyond the budget", conflict, 2 * retryFor, 1, 0},
		{"outages, until the breaker opens", lost, 0, breakAfter, 1},
		{"a write that may have been done", &pgconn.PgError{Code: "57P01"}, 0, 1, 0},
		{"an answer", &pgconn.PgError{Code: codeUniqueViolation}, 0, 1, 0},
		{"success", nil, 0, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				open := prometheus.NewGauge(prometheus.GaugeOpts{Name: "breaker_open", Help: "Whether it is."})
				retried := prometheus.NewCounter(prometheus.CounterOpts{Name: "retries_total", Help: "How many there were."})
				line := newLine(open, retried)
				var began []time.Time
				err := line.run(t.Context(), func() error {
					began = append(began, time.Now())
					time.Sleep(tt.took)
					return tt.err
				})
				if repeats := testutil.ToFloat64(retried); len(began) != tt.want || repeats != float64(tt.want-1+tt.refused) {
					t.Errorf("%d attempts, %v retries counted, want %d attempts and %d rejected ones", len(began), repeats, tt.want, tt.refused)
				}
				want, wantOpen := tt.err, 0.0
				if tt.refused > 0 {
					want, wantOpen = circuitbreaker.ErrOpen, 1
				}
				if got := testutil.ToFloat64(open); got != wantOpen {
					t.Errorf("the breaker is open: %v, want %v", got, wantOpen)
				}
				if !errors.Is(err, want) {
					t.Errorf("Run() = %v, want %v", err, want)
				}
				wantGaps(t, began, tt.took)
			})
		})
	}
}

// TestPanicReleasesTheBreaker checks that a call that panics does not block the calls after
// it, when it is the one call that a half-open breaker lets through.
func TestPanicReleasesTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := newTestLine()
		line.breaker.Open()
		time.Sleep(2 * breakDelay)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("run() does not pass the panic on")
				}
			}()
			_ = line.run(t.Context(), func() error { panic("in a call") })
		}()
		if !line.breaker.IsOpen() {
			t.Error("the breaker is not open after a panic")
		}
		time.Sleep(2 * breakDelay)
		if err := line.run(t.Context(), func() error { return nil }); err != nil {
			t.Errorf("run() = %v, want nil", err)
		}
	})
}

// TestAnswerLetsReadsRetry checks which roles retry at once after a server has answered a
// call. Commits may still hang.
func TestAnswerLetsReadsRetry(t *testing.T) {
	t.Parallel()
	s := &server{}
	for r := range roles {
		pool, err := newPool(t.Context(), "postgres://127.0.0.1:1/links", r, nil, nil) // never connects
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		s.pools[r], s.lines[r] = pool, newTestLine()
		s.lines[r].breaker.Open()
	}
	s.answered()
	for r := range roles {
		want := r == redirects || r == reads || r == lists
		if got := s.lines[r].breaker.IsHalfOpen(); got != want {
			t.Errorf("%s may retry at once: %v, want %v", roleNames[r], got, want)
		}
	}
}

func newTestLine() line {
	return newLine(prometheus.NewGauge(prometheus.GaugeOpts{Name: "breaker_open", Help: "Open."}), prometheus.NewCounter(prometheus.CounterOpts{Name: "retries_total", Help: "Retries."}))
}

// wantGaps checks that each pause is twice the pause before, except for jitter, and that
// no attempt begins after retryFor.
func wantGaps(t *testing.T, began []time.Time, took time.Duration) {
	t.Helper()
	want := firstDelay
	for i := 1; i < len(began); i++ {
		gap := (began[i].Sub(began[i-1]) - took).Seconds()
		if least, most := want.Seconds()*(1-jitter), want.Seconds()*(1+jitter); gap < least || gap > most {
			t.Errorf("pause before attempt %d = %v s, want %v to %v", i+1, gap, least, most)
		}
		want = min(2*want, longestGap)
	}
	if last := began[len(began)-1].Sub(began[0]); last > retryFor {
		t.Errorf("the last attempt began after %v, want at most %v", last, retryFor)
	}
}
