package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

const (
	// maxBatch is the most links of a batch.
	maxBatch = 1000

	// batchParallel is how many links of a batch are created at the same time. The store
	// writes concurrent creates in one transaction.
	batchParallel = 256

	// batchPasswords is how many links of a batch may have a password. Hashing a password
	// takes tens of milliseconds.
	batchPasswords = 20
)

type createBatchInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"As for a single create. The key and the position in the batch identify each link."`
	Body           struct {
		Links []batchItem[batchLink] `json:"links" minItems:"1" maxItems:"1000" nullable:"false" doc:"1 to 1000 links. At most 20 may have a password."`
	}
}

// batchLink is one link of a batch.
type batchLink struct {
	CreateInput
	IdempotencyKey optional[string] `json:"idempotency_key,omitzero" required:"false" minLength:"1" maxLength:"255" doc:"The Idempotency-Key of this link, as in a single create. It does not depend on the position in the batch. You can use it to send only the failed links again."`
}

// batchItem is one link of a batch, with the members of T. Each item is validated alone:
// an invalid item does not affect the others. Invalid JSON rejects the whole batch.
type batchItem[T any] struct{ raw jsontext.Value }

// UnmarshalJSON keeps the raw item.
func (b *batchItem[T]) UnmarshalJSON(raw []byte) error {
	b.raw = bytes.Clone(raw)
	return nil
}

// Schema describes an item as a T.
func (batchItem[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// input validates and decodes the item, like the body of a single request.
func (b batchItem[T]) input(schemas huma.Registry) (T, error) {
	var (
		in     T
		parsed any
		found  huma.ValidateResult
	)
	if err := readJSON(b.raw, &parsed); err != nil {
		return in, newProblem(http.StatusBadRequest, err.Error())
	}
	huma.Validate(schemas, b.Schema(schemas), huma.NewPathBuffer([]byte("body"), len("body")), huma.ModeWriteToServer, parsed, &found)
	p := newProblem(http.StatusUnprocessableEntity, "Some fields are invalid. See errors.")
	for _, err := range found.Errors {
		if detail, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			p.Errors = append(p.Errors, detail)
		}
	}
	if len(found.Errors) > 0 {
		return in, p
	}
	if err := readJSON(b.raw, &in); err != nil {
		p.Errors = []*huma.ErrorDetail{{Location: "body", Message: err.Error()}}
		return in, p
	}
	return in, nil
}

// batchResult is the result of one item: a link, or the problem that a single create would
// return.
type batchResult struct {
	Status int              `json:"status" doc:"As for a single create: 201, 200 for a reused link, or the status of the error." example:"201"`
	Link   *linkBody        `json:"link,omitempty"`
	Error  *huma.ErrorModel `json:"error,omitempty"`
}

// undecided reports whether the item may become a link when the client sends it again.
func (r *batchResult) undecided() bool {
	return r.Status >= http.StatusInternalServerError || r.Status == statusClientLeft
}

type createBatchOutput struct {
	RateHeaders
	Body struct {
		Results []batchResult `json:"results" nullable:"false" doc:"One result for each link, in the same order."`
	}
}

// createBatch creates the links of a batch. The precheck has charged the caller.
func (a *API) createBatch(ctx context.Context, in *createBatchInput) (*createBatchOutput, error) {
	links, charged := in.Body.Links, chargeOf(ctx)
	if len(links) == 0 || len(links) > maxBatch {
		return nil, withLimits(charged.headers, badBatch())
	}
	out := &createBatchOutput{RateHeaders: charged.headers}
	batch := &batch{api: a, who: callerOf(ctx), key: in.IdempotencyKey, results: make([]batchResult, len(links))}
	batch.create(ctx, links, charged.taken)
	out.Body.Results = batch.results
	return out, nil
}

// batch is the state of a running batch.
type batch struct {
	api       *API
	who       *caller
	key       string // the Idempotency-Key; may be empty
	passwords int    // items with a password so far
	results   []batchResult
}

// create creates the links concurrently. Items with the same alias run in order, see turns.
func (b *batch) create(ctx context.Context, items []batchItem[batchLink], taken ratelimit.Result) {
	var group errgroup.Group
	group.SetLimit(batchParallel)
	turns := newTurns(b.results)
	for i, item := range items {
		if i >= taken.Allowed {
			b.fail(ctx, i, tooMany(createsUsedUp, taken, RateHeaders{}))
			continue
		}
		in, err := b.read(item)
		if err != nil {
			b.fail(ctx, i, err)
			continue
		}
		one := turns.next(in.Alias.value, i, func() { b.one(ctx, i, &in) })
		group.Go(func() error { one(); return nil })
	}
	_ = group.Wait() // every item has its own result
}

// turns makes the items of a batch with the same code run in order, so that the first of
// them becomes the link. Only one goroutine may call next.
type turns struct {
	results []batchResult
	last    map[string]turn // the last item with each code
}

// turn is the place of an item among those with its code.
type turn struct {
	item int
	done chan struct{} // closed when the item has its result
}

func newTurns(results []batchResult) *turns { return &turns{results, map[string]turn{}} }

// next returns a function that runs do for an item after the earlier items with its code.
// If an earlier item is undecided, the item gets the same result and do does not run. The
// caller starts the functions in the order of the items. code may be empty.
func (t *turns) next(code string, item int, do func()) func() {
	if code == "" {
		return do
	}
	before, repeated := t.last[code]
	own := turn{item, make(chan struct{})}
	t.last[code] = own
	return func() {
		defer close(own.done)
		if repeated {
			<-before.done
			if earlier := t.results[before.item]; earlier.undecided() {
				t.results[item] = earlier
				return
			}
		}
		do()
	}
}

// read decodes an item. It rejects passwords beyond batchPasswords.
func (b *batch) read(item batchItem[batchLink]) (batchLink, error) {
	in, err := item.input(b.api.schemas)
	if err != nil || !in.Password.given() {
		return in, err
	}
	if b.passwords++; b.passwords > batchPasswords {
		return in, &store.FieldError{Field: "password", Reason: fmt.Sprintf("may be set in at most %d links of a batch", batchPasswords)}
	}
	return in, nil
}

// one creates the link of an item.
func (b *batch) one(ctx context.Context, i int, in *batchLink) {
	key := in.IdempotencyKey.value
	if key == "" && b.key != "" {
		key = fmt.Sprintf("%s\x00%d", b.key, i) // a header cannot contain NUL
	}
	l, found, err := b.api.create(ctx, b.who, &in.CreateInput, key)
	b.results[i] = b.api.batchResult(ctx, &l, found, err)
}

func (b *batch) fail(ctx context.Context, i int, err error) {
	b.results[i] = b.api.batchResult(ctx, nil, false, err)
}

// batchResult returns the result of one item.
func (a *API) batchResult(ctx context.Context, l *store.Link, found bool, err error) batchResult {
	if err != nil {
		p := a.problem(ctx, err)
		p.shorten()
		return batchResult{Status: p.Status, Error: &p.ErrorModel}
	}
	body := a.linkBody(l)
	if found {
		return batchResult{Status: http.StatusOK, Link: &body}
	}
	return batchResult{Status: http.StatusCreated, Link: &body}
}
