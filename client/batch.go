package client

import (
	"context"
	"net/http"
)

// KeyedLink is one link of a batch. Key is its Idempotency-Key: for a day, creates with
// the same key and link return the same link, in any batch.
type KeyedLink struct {
	NewLink
	Key string `json:"idempotency_key,omitempty"`
}

// CreateBatch creates 1 to 1000 links, each with a Key. The result has one entry for each
// link, in order: nil for a created link, a *Problem for a rejected one. CreateBatch
// retries links with status 429 or 503. When none of them gets another result within
// Options.Patience, it returns the last *Problem of each.
func (c *Client) CreateBatch(ctx context.Context, links []KeyedLink) ([]*Problem, error) {
	return c.sendBatch(ctx, batchPath, len(links), func(rest []int) any { return batchOf(links, rest) })
}

// batchOf returns the request body for the links with the given indexes.
func batchOf[T any](links []T, indexes []int) any {
	chosen := make([]T, len(indexes))
	for n, i := range indexes {
		chosen[n] = links[i]
	}
	return struct {
		Links []T `json:"links"`
	}{chosen}
}

// sendBatch sends n items and retries the items with status 429 or 503. body returns the
// request body for the items with the given indexes. A retry of an item must be safe.
func (c *Client) sendBatch(ctx context.Context, path string, n int, body func(rest []int) any) ([]*Problem, error) {
	problems := make([]*Problem, n)
	rest := make([]int, n)
	for i := range rest {
		rest[i] = i
	}
	b := backoff{patience: c.opts.Patience}
	for {
		var answer struct {
			Results []struct {
				Error *Problem `json:"error"`
			} `json:"results"`
		}
		err := c.call(ctx, request{method: http.MethodPost, path: path, body: body(rest), repeatable: true}, &answer)
		if err != nil {
			return nil, err
		}
		var again []int
		var last *Problem
		for at, i := range rest {
			switch {
			case at >= len(answer.Results):
				problems[i] = &Problem{Status: http.StatusBadGateway, Title: "The server returned no result for this link"}
			case answer.Results[at].Error == nil:
				problems[i] = nil
			default:
				problems[i] = answer.Results[at].Error
				if s := problems[i].Status; s == http.StatusServiceUnavailable || s == http.StatusTooManyRequests {
					again, last = append(again, i), problems[i]
				}
			}
		}
		if len(again) == 0 {
			return problems, nil
		}
		if len(again) < len(rest) {
			b = backoff{patience: c.opts.Patience} // some items have a result: start with full patience
		}
		wait, ok := b.next(last, true)
		if !ok {
			return problems, nil
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		rest = again
	}
}
