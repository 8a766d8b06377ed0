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
	"github.com/terse/terse/store"
)

// problem is an error answer by RFC 9457. Its type is stable: the same for
// every occurrence of the same kind.
type problem struct {
	huma.ErrorModel
	retryAfter time.Duration // for 429 and 503; 0 for none
	limits     RateHeaders   // of the request that failed; zero for none
}

// statusClientLeft is what the log and the metrics have of a request whose client did not
// wait for the answer, as those of nginx do. It is no failure of ours. A client that closes
// its sending side alone does read it: net/http cannot tell it from one that left.
const statusClientLeft = 499

// retryUnavailable is when a client may try again what the store could not do.
const retryUnavailable = time.Second

// kinds names the problem of each status. The type of a problem is
// "urn:terse:problem:" and this name.
func kind(status int) (name, title string) {
	switch status {
	case http.StatusBadRequest:
		return "unreadable", "The request cannot be read"
	case http.StatusUnauthorized:
		return "unauthorized", "A valid API key is needed"
	case http.StatusForbidden:
		return "forbidden", "This is not allowed"
	case http.StatusNotFound:
		return "not-found", "No such link"
	case http.StatusMethodNotAllowed:
		return "method-not-allowed", "Method not allowed"
	case http.StatusRequestTimeout:
		return "timeout", "The request took too long"
	case http.StatusConflict:
		return "conflict", "The alias is taken"
	case http.StatusGone:
		return "gone", "The link is gone"
	case http.StatusPreconditionFailed:
		return "version", "The link has another version"
	case http.StatusRequestEntityTooLarge:
		return "too-large", "The request is too large"
	case http.StatusUnsupportedMediaType:
		return "media-type", "The body has the wrong media type"
	case http.StatusUnprocessableEntity:
		return "invalid", "The request is not valid"
	case http.StatusTooEarly:
		return "too-early", "The link cannot be loaded ahead"
	case http.StatusTooManyRequests:
		return "rate-limited", "Too many requests"
	case http.StatusUnavailableForLegalReasons:
		return "disabled", "The link was disabled"
	case statusClientLeft:
		return "client-left", "The client left"
	case http.StatusServiceUnavailable:
		return "unavailable", "Temporarily unavailable"
	case http.StatusInternalServerError:
		return "internal", "Internal error"
	}
	return "other", http.StatusText(status)
}

// newProblem returns the problem of a status with what is particular to this
// occurrence.
func newProblem(status int, detail string) *problem {
	p := &problem{ErrorModel: huma.ErrorModel{Status: status, Detail: detail}}
	p.classify()
	return p
}

// classify fills what follows from the status.
func (p *problem) classify() {
	name, title := kind(p.Status)
	p.Type, p.Title = "urn:terse:problem:"+name, title
}

// invalid returns a 422 that names every field that is wrong.
func invalid(fields ...*store.FieldError) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "See errors for the fields that must change.")
	for _, f := range fields {
		p.Errors = append(p.Errors, &huma.ErrorDetail{Location: "body." + f.Field, Message: f.Reason})
	}
	return p
}

// joinInvalid joins what several checks found wrong with one input. It returns
// nil when they found nothing, and any error of another kind as it is.
func joinInvalid(errs ...error) error {
	var all store.InvalidError
	for _, err := range errs {
		var (
			fields store.InvalidError
			field  *store.FieldError
		)
		switch {
		case err == nil:
		case errors.As(err, &fields):
			all = append(all, fields...)
		case errors.As(err, &field):
			all = append(all, field)
		default:
			return err
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// What a problem tells of one request at most.
const (
	maxErrors   = 20  // fields that it names
	maxErrorLen = 256 // bytes of each text
)

// shorten keeps a problem small, whatever was sent, and drops what was sent: it may be a
// password.
func (p *problem) shorten() {
	if n := len(p.Errors); n > maxErrors {
		p.Errors = p.Errors[:maxErrors:maxErrors]
		p.Detail += fmt.Sprintf(" Only %d of %d errors are named.", maxErrors, n)
	}
	for i, e := range p.Errors {
		p.Errors[i] = &huma.ErrorDetail{Location: cut(e.Location), Message: cut(e.Message)}
	}
	p.Detail = cut(p.Detail)
}

// cut returns s, or its begin when it is longer than a text of a problem may be.
func cut(s string) string {
	if len(s) <= maxErrorLen {
		return s
	}
	return strings.ToValidUTF8(s[:maxErrorLen], "") + "…"
}

// tooMany returns a 429 that says when to come back, and what the limit is.
func tooMany(detail string, r ratelimit.Result, limits RateHeaders) *problem {
	p := newProblem(http.StatusTooManyRequests, detail)
	p.retryAfter, p.limits = r.RetryAfter, limits
	return p
}

// problem turns any error into the answer for it: the only place that knows
// both the domain's errors and HTTP's. What it does not know is logged here, and
// the client learns nothing of it.
func (a *API) problem(ctx context.Context, err error) *problem {
	var (
		known  *problem
		fields store.InvalidError
		field  *store.FieldError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &fields):
		return invalid(fields...)
	case errors.As(err, &field):
		return invalid(field)
	case errors.Is(err, store.ErrNotFound):
		return newProblem(http.StatusNotFound, "There is no such link.")
	case errors.Is(err, store.ErrExists):
		return newProblem(http.StatusConflict, "This alias is taken. Choose another.")
	case errors.Is(err, store.ErrGone):
		return newProblem(http.StatusGone, "This link was deleted.")
	case errors.Is(err, store.ErrVersion):
		return newProblem(http.StatusPreconditionFailed, "The link was changed since it was read. Read it again.")
	case errors.Is(err, context.Canceled):
		return newProblem(statusClientLeft, "The client left before there was an answer.")
	case errors.Is(err, store.ErrShed):
		if a.busy.due(a.opts.Now()) {
			a.opts.Logger.WarnContext(ctx, "more is asked than can be done, shedding", "err", err)
		}
		return busy()
	case errors.Is(err, store.ErrFull): // until an administrator makes room
		return unavailable()
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		if a.outage.due(a.opts.Now()) {
			a.opts.Logger.WarnContext(ctx, "store is unavailable", "err", err)
		}
		return unavailable()
	}
	a.opts.Logger.ErrorContext(ctx, "request failed", "err", err)
	return newProblem(http.StatusInternalServerError, "Something went wrong on our side.")
}

// unavailable returns the 503 of what passes by itself.
func unavailable() *problem {
	p := newProblem(http.StatusServiceUnavailable, "Please try again in a moment.")
	p.retryAfter = retryUnavailable
	return p
}

// busy returns the 503 of what was shed. Clients are told to come back in one to three
// seconds, so that those who were refused together do not come back together.
func busy() *problem {
	p := newProblem(http.StatusServiceUnavailable, "There is more to do than can be done. Please try again in a moment.")
	p.retryAfter = time.Duration(1+rand.IntN(3)) * time.Second //nolint:gosec // jitter
	return p
}

// seldom lets one thing a second through: the log of an outage that fails every
// request. Safe for concurrent use.
type seldom struct{ last atomic.Int64 }

func (s *seldom) due(now time.Time) bool {
	last := s.last.Load()
	return now.Unix() != last && s.last.CompareAndSwap(last, now.Unix())
}

// GetHeaders makes huma send the headers that belong to the problem.
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

// tidyProblem is a huma transformer: it gives huma's own errors the types of ours, and
// the headers of a limit that the request was charged to.
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
