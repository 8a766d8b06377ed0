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

// undone is why nothing was done: no connection was to be had, or one broke during
// a read.
type undone struct{ error }

func (e undone) Unwrap() error { return e.error }

// translate turns errors of pgx and of the breaker into those of the store, and
// leaves others as they are. Nothing outside of this file looks into them.
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

// unavailable makes err one of the store's.
func unavailable(err error) error {
	return fmt.Errorf("%w: %w", store.ErrUnavailable, unended(err))
}

// unended returns err without what would make it look like the end of a caller's
// context: the deadline was the server's.
func unended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New(err.Error())
	}
	return err
}

// outage reports whether err says that the server could not answer, rather than
// what the answer is. A caller who left says nothing about the server.
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

// outageState reports whether a SQLSTATE tells of an outage: connections (08),
// resources (53), an operator's intervention (57) and the system around Postgres
// (58). A server that refuses writes (25006) answers reads all the same.
func outageState(state string) bool {
	switch state[:2] {
	case "08", "53", "57", "58":
		return true
	}
	return false
}

// noSchema reports whether err says that the schema is not there yet.
func noSchema(err error) bool {
	state := sqlState(err)
	return state == codeUndefinedTable || state == codeUndefinedColumn
}

// demoted reports whether err says that the connections of a pool lead to a
// server that is no longer what it was.
func demoted(err error) bool {
	switch state := sqlState(err); {
	case state == codeReadOnly, strings.HasPrefix(state, "57P"), strings.HasPrefix(state, "08"):
		return true
	case state != "":
		return false
	}
	return outage(err) && !errors.Is(err, context.DeadlineExceeded)
}

// repeatable reports whether what failed with err is certain not to have been
// done and may go better the next time.
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

// sqlState returns the SQLSTATE of Postgres' error in err, or "".
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}
