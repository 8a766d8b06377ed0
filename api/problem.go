package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/domains"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// problem is an error answer by RFC 9457. The same kind of error always has the
// same type.
type problem struct {
	huma.ErrorModel
	retryAfter time.Duration // for 429 and 503; 0 sends no Retry-After
	limits     RateHeaders   // of the failed request; the zero value sends no headers
}

// statusClientLeft is the status in logs and metrics when the client did not wait for the
// answer. nginx uses the same number. It does not count as a failure of the server. A client
// that closes only its sending side receives this status, because net/http cancels its
// request too.
const statusClientLeft = 499

// retryUnavailable is the Retry-After of a request that failed because the store was
// unavailable.
const retryUnavailable = time.Second

// kind is a kind of problem. Its type is "urn:terse:problem:" and its name.
type kind struct {
	status      int
	name, title string
	means       string // for the documentation
}

// kinds are all kinds of problems, by status.
var kinds = []kind{
	{http.StatusBadRequest, "unreadable", "The request cannot be read", "The request cannot be read, such as broken JSON."},
	{http.StatusUnauthorized, "unauthorized", "A valid API key is required", "The call needs a valid API key."},
	{http.StatusForbidden, "forbidden", "This is not allowed", "The API key lacks the scope."},
	{http.StatusNotFound, "not-found", "No such link", "There is no such object, or it belongs to another owner."},
	{http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed", "The address does not support the method. See Allow."},
	{http.StatusRequestTimeout, "timeout", "The request took too long", "The request arrived too slowly."},
	{http.StatusConflict, "conflict", "Already in use", "The alias or the host is taken, the domain has links, or the member cannot be changed."},
	{http.StatusGone, "gone", "It is gone", "The link was deleted, has expired or is used up, or the domain was removed."},
	{http.StatusPreconditionFailed, "version", "The version does not match", "If-Match names another version. Read the link or the domain again."},
	{http.StatusRequestEntityTooLarge, "too-large", "The request is too large", "The body is over 1 MiB, or a form is over 64 KiB."},
	{http.StatusUnsupportedMediaType, "media-type", "The body has the wrong media type", "The body has no Content-Type: application/json."},
	{http.StatusRequestURITooLong, "address-too-long", "The address is too long", "The target of a link with the path of the visit is too long."},
	{http.StatusMisdirectedRequest, "unknown-host", "No links under this host", "The host of the request belongs to no active domain."},
	{http.StatusUnprocessableEntity, "invalid", "The request is not valid", "Some fields or parameters are invalid. The errors name each of them and the reason."},
	{http.StatusTooEarly, "too-early", "The link cannot be prefetched", "A prefetch of a link with a click limit."},
	{http.StatusTooManyRequests, "rate-limited", "Too many requests", "A limit is used up. Try again after the seconds in Retry-After."},
	{http.StatusUnavailableForLegalReasons, "disabled", "The link was disabled", "The link was taken down because of abuse."},
	{statusClientLeft, "client-left", "The client disconnected", "The client disconnected before the answer was ready."},
	{http.StatusInternalServerError, "internal", "Internal error", "A bug. The log of the server has the cause under the request's id."},
	{http.StatusServiceUnavailable, "unavailable", "Temporarily unavailable", "The server cannot answer now. Try again after the seconds in Retry-After."},
}

// kindOf returns the kind of the problem for a status.
func kindOf(status int) kind {
	for _, k := range kinds {
		if k.status == status {
			return k
		}
	}
	return kind{status, "other", http.StatusText(status), "An error without a type of its own."}
}

// uri returns the type of the problem.
func (k *kind) uri() string { return "urn:terse:problem:" + k.name }

// newProblem returns the problem for a status. detail explains this occurrence to the
// client.
func newProblem(status int, detail string) *problem {
	p := &problem{ErrorModel: huma.ErrorModel{Status: status, Detail: detail}}
	p.classify()
	return p
}

// classify sets the type and the title by the status.
func (p *problem) classify() {
	k := kindOf(p.Status)
	p.Type, p.Title = k.uri(), k.title
}

// invalid returns a 422 that names every invalid field.
func invalid(fields ...*store.FieldError) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "Some fields are invalid. See errors.")
	for _, f := range fields {
		p.Errors = append(p.Errors, &huma.ErrorDetail{Location: "body." + f.Field, Message: f.Reason})
	}
	return p
}

// pageProblem is problem for a route that returns pages. Its fields are parameters of the query,
// not members of a body.
func (a *API) pageProblem(ctx context.Context, err error) *problem {
	return a.problem(ctx, ofQuery(err))
}

// ofQuery returns the 422 for a *store.FieldError or a store.InvalidError that is about parameters
// of the query. It returns other errors unchanged.
func ofQuery(err error) error {
	if !store.IsInvalid(err) {
		return err
	}
	wrong, _ := errors.AsType[store.InvalidError](store.JoinInvalid(err))
	p := newProblem(http.StatusUnprocessableEntity, "A parameter is invalid. See errors.")
	for _, f := range wrong {
		p.Errors = append(p.Errors, &huma.ErrorDetail{Location: "query." + f.Field, Message: f.Reason})
	}
	return p
}

// invalidKey returns the 422 of an idempotency key that was used before with another body.
// location names the key.
func invalidKey(location string) *problem {
	p := invalid(&store.FieldError{Reason: "was used before with another body"})
	p.Errors[0].Location = location
	return p
}

// Bounds of a problem.
const (
	maxErrors   = 20  // field errors
	maxErrorLen = 256 // bytes of each text
)

// shorten bounds the size of a problem. It also removes the sent values, because a value
// may be a password.
func (p *problem) shorten() {
	if n := len(p.Errors); n > maxErrors {
		p.Errors = p.Errors[:maxErrors:maxErrors]
		p.Detail += fmt.Sprintf(" Only %d of %d errors are listed.", maxErrors, n)
	}
	for i, e := range p.Errors {
		p.Errors[i] = &huma.ErrorDetail{Location: cut(e.Location), Message: cut(e.Message)}
	}
	p.Detail = cut(p.Detail)
}

// cut shortens s to maxErrorLen bytes. "…" marks a shortened text.
func cut(s string) string {
	if len(s) <= maxErrorLen {
		return s
	}
	return strings.ToValidUTF8(s[:maxErrorLen], "") + "…"
}

// tooMany returns a 429 with the limit and with the time of the next attempt.
func tooMany(detail string, r ratelimit.Result, limits RateHeaders) *problem {
	p := newProblem(http.StatusTooManyRequests, detail)
	p.retryAfter, p.limits = r.RetryAfter, limits
	return p
}

// problem returns the answer for an error. Only this function maps errors of links and of the
// store to HTTP statuses. It logs unknown errors and answers 500 without the cause.
func (a *API) problem(ctx context.Context, err error) *problem {
	var (
		known  *problem
		fields store.InvalidError
		field  *store.FieldError
		lacks  *links.ScopeError

		claimed *domains.ClaimedError
		inUse   *domains.InUseError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, links.ErrNoKey):
		return newProblem(http.StatusUnauthorized, "Send an API key as Authorization: Bearer tk_…")
	case errors.As(err, &lacks):
		return newProblem(http.StatusForbidden, "The API key lacks the scope "+string(lacks.Scope)+".")
	case errors.Is(err, links.ErrOtherRequest):
		return invalidKey("header.Idempotency-Key")
	case errors.As(err, &fields):
		return invalid(fields...)
	case errors.As(err, &field):
		return invalid(field)
	case errors.As(err, &claimed):
		return newProblem(http.StatusConflict, describeClaim(claimed))
	case errors.As(err, &inUse):
		return newProblem(http.StatusConflict, "The domain has links. Delete them, or send force=true: then they no longer redirect.")
	case errors.Is(err, domains.ErrUnknown):
		return newProblem(http.StatusNotFound, "There is no such domain.")
	case errors.Is(err, domains.ErrRemoved):
		return newProblem(http.StatusGone, "The domain was removed. Add it again to get it back with its links.")
	case errors.Is(err, domains.ErrChanged):
		return newProblem(http.StatusPreconditionFailed, "The domain has changed since you read it. Read it again.")
	case errors.Is(err, store.ErrNotFound):
		return newProblem(http.StatusNotFound, "There is no such link.")
	case errors.Is(err, store.ErrExists):
		return newProblem(http.StatusConflict, "This alias is taken. Choose another.")
	case errors.Is(err, store.ErrGone):
		return newProblem(http.StatusGone, "This link was deleted.")
	case errors.Is(err, store.ErrVersion):
		return newProblem(http.StatusPreconditionFailed, "The link has changed since you read it. Read it again.")
	case errors.Is(err, context.Canceled):
		return newProblem(statusClientLeft, "The client disconnected before the answer was ready.")
	case errors.Is(err, store.ErrShed):
		if a.busy.due(a.opts.Clock.Now()) {
			a.opts.Logger.WarnContext(ctx, "server is overloaded, rejecting requests", "err", err)
		}
		return busy()
	case errors.Is(err, store.ErrFull): // lasts until an administrator makes room
		return unavailable()
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		if a.outage.due(a.opts.Clock.Now()) {
			a.opts.Logger.WarnContext(ctx, "store is unavailable", "err", err)
		}
		return unavailable()
	}
	a.opts.Logger.ErrorContext(ctx, "request failed", "err", err)
	return newProblem(http.StatusInternalServerError, "Something went wrong on our side.")
}

// describeClaim explains why a host cannot be claimed, and what to do.
func describeClaim(e *domains.ClaimedError) string {
	if e.TXT == nil {
		return "Your domain " + e.Own + " has the host " + e.Host + "."
	}
	return "Another owner has the host " + e.Host + ". If it is yours, set the TXT record " + e.TXT.Name + " to " + e.TXT.Value + ", and try again."
}

// unavailable returns the 503 for a failure of the store.
func unavailable() *problem {
	p := newProblem(http.StatusServiceUnavailable, "The service is unavailable. Try again in a moment.")
	p.retryAfter = retryUnavailable
	return p
}

// busy returns the 503 for a request that was shed. Retry-After is a random 1 to 3 seconds,
// so that rejected clients do not all retry at the same time.
func busy() *problem {
	p := newProblem(http.StatusServiceUnavailable, "The server is overloaded. Try again in a few seconds.")
	p.retryAfter = time.Duration(1+rand.IntN(3)) * time.Second //nolint:gosec // jitter
	return p
}

// seldom limits a log message to one a second, for an outage that fails every request.
// Safe for concurrent use.
type seldom struct{ last atomic.Int64 }

func (s *seldom) due(now time.Time) bool {
	last := s.last.Load()
	return now.Unix() != last && s.last.CompareAndSwap(last, now.Unix())
}

// GetHeaders makes huma send the headers of the problem.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	p.setHeaders(h)
	return h
}

func (p *problem) setHeaders(h http.Header) {
	p.limits.set(h)
	if p.retryAfter > 0 {
		h.Set("Retry-After", retryAfter(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="terse"`)
	}
}

// write sends the problem as problem+json.
func (p *problem) write(w http.ResponseWriter) error {
	p.setHeaders(w.Header())
	p.Instance = instanceOf(w.Header().Get(requestIDHeader))
	p.shorten()
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(&p.ErrorModel)
}

// tidyProblem is a huma transformer. It gives errors of huma the type of a problem, and the
// headers of the rate limit that counted the request.
func tidyProblem(c huma.Context, _ string, v any) (any, error) {
	var p *problem
	switch e := v.(type) {
	case *problem:
		p = e
	case *huma.ErrorModel:
		p = &problem{ErrorModel: *e, limits: chargeOf(c.Context()).headers}
		p.classify()
		for name, values := range p.GetHeaders() {
			c.SetHeader(name, values[0])
		}
	default:
		return v, nil
	}
	p.Instance = instanceOf(RequestID(c.Context()))
	p.shorten()
	return &p.ErrorModel, nil
}
