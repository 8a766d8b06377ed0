package client

import (
	"context"
	"net/http"
)

// KeyedLink is a link of a batch. The Key is its Idempotency-Key: the same key and link
// give the same link for a day, in whichever batch they stand.
type KeyedLink struct {
	NewLink
	Key string `json:"idempotency_key,omitempty"`
}

// CreateBatch creates 1 to 1000 links, each with a Key. It returns a *Problem for each
// link that the server rejects and nil for the others, in their order. Links that the
// server could not create at the moment are sent again; those that remain when the
// Patience is over are problems with the status 503.
func (c *Client) CreateBatch(ctx context.Context, links []KeyedLink) ([]*Problem, error) {
	return c.inBatches(ctx, batchPath, len(links), func(rest []int) any { return batchOf(links, rest) })
}

// batchOf returns the body of a batch of the links with these indexes.
func batchOf[T any](links []T, indexes []int) any {
	chosen := make([]T, len(indexes))
	for n, i := range indexes {
		chosen[n] = links[i]
	}
	return struct {
		Links []T `json:"links"`
	}{chosen}
}

// inBatches sends n items, and sends those again that the server could not take at the
// moment. body returns the body for some of them. To send an item twice must do no more
// than once.
func (c *Client) inBatches(ctx context.Context, path string, n int, body func(rest []int) any) ([]*Problem, error) {
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
				problems[i] = &Problem{Status: http.StatusBadGateway, Title: "The server did not answer for this link"}
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
			b = backoff{patience: c.opts.Patience} // it goes forward
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
