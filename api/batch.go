package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// maxBatch is the most links of a batch.
const maxBatch = 1000

type createBatchInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"As for a single create. The key and the position in the batch identify each link."`
	DryRunParam
}

type createBatchInputBody struct {
	Links []batchLink `json:"links" minItems:"1" maxItems:"1000" nullable:"false" doc:"1 to 1000 links. At most 20 may have a password."`
}

// DryRunParam is a parameter of the routes that take a list of links. It is exported because huma
// only reads exported embedded structs.
type DryRunParam struct {
	DryRun bool `query:"dry_run" doc:"Only check the links, and create none. The results have the statuses that a real call would have now, and no links. The call counts against the limit of creates like a real one."`
}

// batchLink is one link of a batch.
type batchLink struct {
	CreateInput
	IdempotencyKey optional[string] `json:"idempotency_key,omitzero" required:"false" minLength:"1" maxLength:"255" doc:"The Idempotency-Key of this link, as in a single create. It does not depend on the position in the batch. You can use it to send only the failed links again."`
}

// batchResult is the result of one item: a link, or the problem that a single create would
// return.
type batchResult struct {
	Status int              `json:"status" doc:"As for a single create: 201, 200 for a reused link, or the status of the error." example:"201"`
	Link   *linkBody        `json:"link,omitempty"`
	Error  *huma.ErrorModel `json:"error,omitempty"`
}

type createBatchOutput struct {
	RateHeaders
	Body struct {
		Results []batchResult `json:"results" nullable:"false" doc:"One result for each link, in the same order."`
	}
}

// createBatch creates the links of a batch. The precheck has charged the caller.
func (a *API) createBatch(ctx context.Context, in *createBatchInput) (*createBatchOutput, error) {
	charged := chargeOf(ctx)
	items, err := decodeList[createBatchInputBody](bodyOf(ctx))
	if err != nil {
		return nil, withLimits(charged.headers, a.problem(ctx, err))
	}
	drafts := make([]links.Draft, len(items))
	keys := make([]bool, len(items)) // whether the item has its own key
	for i, item := range items {
		if i >= charged.taken.Allowed {
			drafts[i].Err = tooMany(createsUsedUp, charged.taken, RateHeaders{})
			continue
		}
		link, err := decode[batchLink](a.schemas, item)
		keys[i] = link.IdempotencyKey.value != ""
		drafts[i] = link.draft(link.IdempotencyKey.value, keys[i] || in.IdempotencyKey != "")
		drafts[i].Err = store.JoinInvalid(err, drafts[i].Err)
	}
	results, err := a.opts.Links.Create(ctx, &callerOf(ctx).Caller, links.Batch{Key: in.IdempotencyKey, Drafts: drafts, DryRun: in.DryRun})
	if err != nil {
		return nil, withLimits(charged.headers, a.problem(ctx, err))
	}
	for i := range results {
		if keys[i] && errors.Is(results[i].Err, links.ErrOtherRequest) {
			results[i].Err = invalidKey("body.idempotency_key")
		}
	}
	out := &createBatchOutput{RateHeaders: charged.headers}
	out.Body.Results = a.batchResults(ctx, results, in.DryRun)
	return out, nil
}

// batchResults returns the results of all items. The results of a dry run have no links.
func (a *API) batchResults(ctx context.Context, results []links.Result, dryRun bool) []batchResult {
	all := make([]batchResult, len(results))
	for i := range results {
		all[i] = a.batchResult(ctx, &results[i])
		if dryRun {
			all[i].Link = nil
		}
	}
	return all
}

// batchResult returns the result of one item.
func (a *API) batchResult(ctx context.Context, r *links.Result) batchResult {
	if r.Err != nil {
		p := a.problem(ctx, r.Err)
		p.shorten()
		return batchResult{Status: p.Status, Error: &p.ErrorModel}
	}
	body := a.linkBody(&r.Link)
	if r.Found {
		return batchResult{Status: http.StatusOK, Link: &body}
	}
	return batchResult{Status: http.StatusCreated, Link: &body}
}
