package client

import (
	"context"
	"net/http"
	"net/url"
)

// KeyedLink is one link of a batch. Key is its Idempotency-Key: for a day, creates with
// the same key and link return the same link, in any batch.
type KeyedLink struct {
	NewLink
	Key string `json:"idempotency_key,omitempty"`
}

// Result is the result of one link of a batch.
type Result struct {
	Link    Link
	Problem *Problem // why the link was rejected; nil for success
}

// CreateBatch creates 1 to 1000 links, each with a Key. There is one result for each link, in
// order. CreateBatch retries links with status 429 or 503. When none of them gets another
// result within Options.Patience, it returns the last Problem of each.
func (c *Client) CreateBatch(ctx context.Context, links []KeyedLink) ([]Result, error) {
	return sendBatch(ctx, c, request{path: batchPath}, links)
}

// dryRun is the query of a call that only checks links.
var dryRun = url.Values{"dry_run": {"true"}}

// CheckBatch returns the results that CreateBatch would have now, without links. It creates
// nothing.
func (c *Client) CheckBatch(ctx context.Context, links []KeyedLink) ([]Result, error) {
	return sendBatch(ctx, c, request{path: batchPath, query: dryRun}, links)
}

// textHolder is a link to send.
type textHolder interface{ texts() []namedText }

// sendBatch sends links to the path of r and retries the links with status 429 or 503. A retry of
// a link must be safe.
func sendBatch[T any, P interface {
	*T
	textHolder
}](ctx context.Context, c *Client, r request, links []T) ([]Result, error) {
	results := make([]Result, len(links))
	var rest []int
	for i := range links {
		if results[i].Problem = invalidTexts(P(&links[i]).texts()); results[i].Problem == nil {
			rest = append(rest, i)
		}
	}
	b := backoff{patience: c.opts.Patience}
	for len(rest) > 0 {
		chosen := make([]T, len(rest))
		for at, i := range rest {
			chosen[at] = links[i]
		}
		r.method, r.repeatable = http.MethodPost, true
		r.body = struct {
			Links []T `json:"links"`
		}{chosen}
		var answer struct {
			Results []struct {
				Link  Link     `json:"link"`
				Error *Problem `json:"error"`
			} `json:"results"`
		}
		if err := c.call(ctx, r, &answer); err != nil {
			return nil, err
		}
		var again []int
		var last *Problem
		for at, i := range rest {
			if at >= len(answer.Results) {
				results[i].Problem = &Problem{Status: http.StatusBadGateway, Title: "The server returned no result for this link"}
				continue
			}
			results[i] = Result{answer.Results[at].Link, answer.Results[at].Error}
			if p := results[i].Problem; p != nil && (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests) {
				again, last = append(again, i), p
			}
		}
		if len(again) == 0 {
			break
		}
		if len(again) < len(rest) {
			b = backoff{patience: c.opts.Patience} // some items have a result: start with full patience
		}
		wait, ok := b.next(last, true)
		if !ok {
			break
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		rest = again
	}
	return results, nil
}
