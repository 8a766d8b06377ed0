package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/terse/terse/store"
)

// SQLSTATE codes, from appendix A of the Postgres manual.
const (
	codeReadOnly         = "25006"
	codeUniqueViolation  = "23505"
	codeSerialization    = "40001"
	codeDeadlock         = "40P01"
	codeUndefinedTable   = "42P01"
	codeUndefinedColumn  = "42703"
	codeCannotConnectNow = "57P03"
)

// undone is the cause of a failure that certainly changed nothing: no connection was
// available, or a connection broke during a read.
type undone struct{ error }

func (e undone) Unwrap() error { return e.error }

// translate turns errors of pgx and of the breaker into errors of the store. It returns other
// errors unchanged. Only this file inspects errors of pgx.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrNotFound
	case sqlState(err) == codeUniqueViolation:
		return store.ErrExists
	case outage(err), repeatable(err), noSchema(err), errors.Is(err, circuitbreaker.ErrOpen):
		return unavailable(err)
	}
	return err
}

// unavailable wraps err in store.ErrUnavailable.
func unavailable(err error) error {
	return fmt.Errorf("%w: %w", store.ErrUnavailable, unended(err))
}

// unended returns err without context errors in its chain, because the deadline was the
// server's and not the caller's.
func unended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New(err.Error())
	}
	return err
}

// outage reports whether err means that the server could not answer. A cancelled caller
// says nothing about the server.
func outage(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[undone](err); ok {
		return true
	}
	if state := sqlState(err); state != "" {
		return outageState(state)
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, puddle.ErrClosedPool) || pgconn.Timeout(err)
}

// outageState reports whether a SQLSTATE means an outage: connections (08), resources
// (53), operator intervention (57) or the system around Postgres (58). Read-only (25006)
// is not an outage, because such a server still answers reads.
func outageState(state string) bool {
	switch state[:2] {
	case "08", "53", "57", "58":
		return true
	}
	return false
}

// noSchema reports whether err means that a table or a column does not exist yet.
func noSchema(err error) bool {
	state := sqlState(err)
	return state == codeUndefinedTable || state == codeUndefinedColumn
}

// demoted reports whether err means that the connections of a pool are broken, or lead to a
// server with another role than before.
func demoted(err error) bool {
	switch state := sqlState(err); {
	case state == codeReadOnly, strings.HasPrefix(state, "57P"), strings.HasPrefix(state, "08"):
		return true
	case state != "":
		return false
	}
	return outage(err) && !errors.Is(err, context.DeadlineExceeded)
}

// repeatable reports whether a call that failed with err certainly changed nothing and
// may succeed when repeated.
func repeatable(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}
	state := sqlState(err)
	switch state {
	case codeReadOnly, codeCannotConnectNow, codeSerialization, codeDeadlock:
		return true
	}
	if _, ok := errors.AsType[undone](err); ok {
		return state == "" || outageState(state)
	}
	return state == "" && pgconn.SafeToRetry(err)
}

// sqlState returns the SQLSTATE of the Postgres error in err, or "".
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}
