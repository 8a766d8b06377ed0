package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

type createLinkInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"A unique text that you choose. A repeated create with the same key and body returns the same link, for at least 24 hours."`
}

type createLinkOutput struct {
	Status   int
	Location string `header:"Location" doc:"The short URL."`
	ETag     string `header:"ETag" doc:"The version of the link, in quotes."`
	RateHeaders
	Body linkBody
}

// createLink creates a link. The precheck has charged the caller.
func (a *API) createLink(ctx context.Context, in *createLinkInput) (*createLinkOutput, error) {
	headers := chargeOf(ctx).headers
	link, wrong := decode[CreateInput](a.schemas, bodyOf(ctx))
	draft := link.draft(in.IdempotencyKey, in.IdempotencyKey != "")
	draft.Err = store.JoinInvalid(wrong, draft.Err)
	r := a.create(ctx, callerOf(ctx), draft)
	if r.Err != nil {
		return nil, withLimits(headers, a.problem(ctx, r.Err))
	}
	out := &createLinkOutput{
		Status:      http.StatusCreated,
		Location:    a.shortURL(r.Link.Code),
		ETag:        etag(r.Link.Version),
		RateHeaders: headers,
		Body:        a.linkBody(&r.Link),
	}
	if r.Found {
		out.Status = http.StatusOK
	}
	return out, nil
}

// create creates one link: a batch of one.
func (a *API) create(ctx context.Context, who *caller, d links.Draft) links.Result {
	results, err := a.opts.Links.Create(ctx, &who.Caller, links.Batch{Drafts: []links.Draft{d}})
	if err != nil {
		return links.Result{Err: err}
	}
	return results[0]
}

// draft returns the link that in describes. key is its own idempotency key; it may be empty.
// keyed reports whether the create has any idempotency key.
func (in *CreateInput) draft(key string, keyed bool) links.Draft {
	d := links.Draft{URL: in.URL, Settings: in.settings(), Reuse: in.Reuse, Key: key, Err: in.check()}
	if in.Domain.given() {
		d.Domain = &in.Domain.value
	}
	if in.Alias.given() {
		d.Alias = &in.Alias.value
	}
	if keyed {
		var err error
		if d.Request, err = json.Marshal(in); err != nil {
			d.Err = fmt.Errorf("text of the request: %w", err)
		}
	}
	return d
}
