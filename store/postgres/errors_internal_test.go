package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/terse/terse/store"
)

func TestErrors(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	state := func(code string) error { return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code}) }
	for _, tt := range []struct {
		name       string
		err        error
		want       error // nil: the error itself
		outage     bool
		repeatable bool
		demoted    bool
	}{
		{"no rows", pgx.ErrNoRows, store.ErrNotFound, false, false, false},
		{"unique violation", state("23505"), store.ErrExists, false, false, false},
		{"bad data", state("22021"), nil, false, false, false},
		{"syntax", state("42601"), nil, false, false, false},
		{"no table", state("42P01"), store.ErrUnavailable, false, false, false},
		{"no column", state("42703"), store.ErrUnavailable, false, false, false},
		{"serialization", state("40001"), store.ErrUnavailable, false, true, false},
		{"deadlock", state("40P01"), store.ErrUnavailable, false, true, false},
		{"read-only", state("25006"), store.ErrUnavailable, false, true, true},
		{"shut down during the call", state("57P01"), store.ErrUnavailable, true, false, true},
		{"crash during the call", state("57P02"), store.ErrUnavailable, true, false, true},
		{"starting", state("57P03"), store.ErrUnavailable, true, true, true},
		{"canceled by an operator", state("57014"), store.ErrUnavailable, true, false, false},
		{"connection failure", state("08006"), store.ErrUnavailable, true, false, true},
		{"too many connections", state("53300"), store.ErrUnavailable, true, false, false},
		{"disk error", state("58030"), store.ErrUnavailable, true, false, false},
		{"refused", undone{refused}, store.ErrUnavailable, true, true, true},
		{"password", undone{state("28P01")}, store.ErrUnavailable, true, false, false},
		{"starting when connected", undone{state("57P03")}, store.ErrUnavailable, true, true, true},
		{"no connection in time", undone{context.DeadlineExceeded}, store.ErrUnavailable, true, false, false},
		{"broken after sending", io.ErrUnexpectedEOF, store.ErrUnavailable, true, false, true},
		{"broken during a read", undone{io.ErrUnexpectedEOF}, store.ErrUnavailable, true, true, true},
		{"reset after sending", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, store.ErrUnavailable, true, false, true},
		{"out of time", context.DeadlineExceeded, store.ErrUnavailable, true, false, false},
		{"caller left", context.Canceled, context.Canceled, false, false, false},
		{"caller left in the queue", undone{context.Canceled}, context.Canceled, false, false, false},
		{"breaker", circuitbreaker.ErrOpen, store.ErrUnavailable, false, false, false},
		{"other", errors.ErrUnsupported, nil, false, false, false},
	} {
		want := tt.want
		if want == nil {
			want = tt.err
		}
		got := translate(tt.err)
		if !errors.Is(got, want) || (tt.want == nil && got != tt.err) { //nolint:errorlint // the error itself
			t.Errorf("translate(%s) = %v, want %v", tt.name, got, want)
		}
		if errors.Is(got, store.ErrUnavailable) && errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("translate(%s) = %v, which looks like the end of the caller's context", tt.name, got)
		}
		if got := outage(tt.err); got != tt.outage {
			t.Errorf("outage(%s) = %v, want %v", tt.name, got, tt.outage)
		}
		if got := repeatable(tt.err); got != tt.repeatable {
			t.Errorf("repeatable(%s) = %v, want %v", tt.name, got, tt.repeatable)
		}
		if got := demoted(tt.err); got != tt.demoted {
			t.Errorf("demoted(%s) = %v, want %v", tt.name, got, tt.demoted)
		}
	}
	if err := translate(nil); err != nil {
		t.Errorf("translate(nil) = %v, want nil", err)
	}
}
