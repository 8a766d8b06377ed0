package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store"
)

const (
	// batchParallel is how many links of a batch are created at once. The store
	// writes what arrives together in one transaction.
	batchParallel = 256

	// batchPasswords is how many links of a batch may have a password: hashing
	// one takes tens of milliseconds by design.
	batchPasswords = 20
)

type createBatchInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"As for a single create, for the link at each place of the batch."`
	Body           struct {
		Links []createInput `json:"links" minItems:"1" maxItems:"1000" nullable:"false" doc:"1 to 1000 links; at most 20 with a password."`
	}
}

// batchResult is what became of one item: a link, or the problem that a single
// create would have answered.
type batchResult struct {
	Status int              `json:"status" doc:"The status of a single create: 201, 200 when reused, or that of the error." example:"201"`
	Link   *linkBody        `json:"link,omitempty"`
	Error  *huma.ErrorModel `json:"error,omitempty"`
}

type createBatchOutput struct {
	RateHeaders
	Body struct {
		Results []batchResult `json:"results" nullable:"false" doc:"One result per item, in order."`
	}
}

func (a *API) createBatch(ctx context.Context, in *createBatchInput) (*createBatchOutput, error) {
	who := callerOf(ctx)
	if err := a.mayCreate(who); err != nil {
		return nil, err
	}
	links := in.Body.Links
	taken, headers := a.takeCreates(ctx, who, len(links))
	if taken.Allowed == 0 {
		return nil, within(headers, tooMany("The limit of creates is reached.", taken))
	}
	out := &createBatchOutput{RateHeaders: headers}
	out.Body.Results = a.createAll(ctx, who, links, in.IdempotencyKey, taken)
	return out, nil
}

// createAll creates the links side by side, except that items with the same
// alias go in order, so that the first of them wins.
func (a *API) createAll(ctx context.Context, who *caller, links []createInput, key string, taken ratelimit.Result) []batchResult {
	results := make([]batchResult, len(links))
	one := func(i int) {
		itemKey := ""
		if key != "" {
			itemKey = fmt.Sprintf("%s#%d", key, i)
		}
		results[i] = a.batchResult(a.create(ctx, who, &links[i], itemKey))
	}
	var (
		group     errgroup.Group
		later     []int
		passwords int
		aliases   = map[string]bool{}
	)
	group.SetLimit(batchParallel)
	for i := range links {
		alias := links[i].Alias.value
		if links[i].Password.value != "" {
			passwords++
		}
		switch {
		case i >= taken.Allowed:
			results[i] = a.batchResult(store.Link{}, false, tooMany("The limit of creates is reached.", taken))
		case links[i].Password.value != "" && passwords > batchPasswords:
			results[i] = a.batchResult(store.Link{}, false, invalid(&store.FieldError{
				Field: "password", Reason: fmt.Sprintf("may stand in at most %d links of a batch", batchPasswords),
			}))
		case alias != "" && aliases[alias]:
			later = append(later, i)
		default:
			aliases[alias] = true
			group.Go(func() error { one(i); return nil })
		}
	}
	_ = group.Wait() // every item has its own result
	for _, i := range later {
		one(i)
	}
	return results
}

func (a *API) batchResult(l store.Link, found bool, err error) batchResult {
	if err != nil {
		p := a.problem(err)
		return batchResult{Status: p.Status, Error: &p.ErrorModel}
	}
	body := a.linkBody(&l)
	if found {
		return batchResult{Status: http.StatusOK, Link: &body}
	}
	return batchResult{Status: http.StatusCreated, Link: &body}
}
