package api

import (
	"context"
	"time"

	"github.com/terse/terse/store"
)

type blockInputBody struct {
	Host   string `json:"host" minLength:"1" maxLength:"1024" doc:"Blocks the host and its subdomains. Write = before the host to block only the host itself." example:"evil.example"`
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"A note for other administrators." example:"phishing"`
}

// check returns the errors of all values.
func (in *blockInputBody) check() error {
	_, err := store.ParseHostPattern(in.Host)
	return store.JoinInvalid(err, store.CheckText("reason", in.Reason, store.MaxBlockReasonLen))
}

// blockedBody is a blocked host as the API shows it.
type blockedBody struct {
	Host      string    `json:"host" doc:"The normalized host in lower-case ASCII." example:"evil.example"`
	Reason    string    `json:"reason" doc:"A note for other administrators."`
	BlockedBy string    `json:"blocked_by" doc:"Id of the API key; empty if it was blocked on the command line."`
	BlockedAt time.Time `json:"blocked_at" doc:"When the host was blocked."`
}

func newBlockedBody(h *store.BlockedHost) blockedBody {
	return blockedBody{Host: h.Pattern.String(), Reason: h.Reason, BlockedBy: h.By, BlockedAt: h.BlockedAt}
}

type blockedOutput struct {
	Body blockedBody
}

// blockHost adds a host to the blocklist of the database.
func (a *API) blockHost(ctx context.Context, _ *struct{}) (*blockedOutput, error) {
	in, err := decodeChecked(ctx, a.schemas, (*blockInputBody).check)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	h, err := a.opts.Abuse.BlockHost(ctx, callerOf(ctx), in.Host, in.Reason)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return &blockedOutput{Body: newBlockedBody(&h)}, nil
}

type unblockInput struct {
	Host string `path:"host" maxLength:"1024" doc:"The blocked host, with = before it if it was blocked with =." example:"evil.example"`
}

// unblockHost removes a host from the blocklist of the database.
func (a *API) unblockHost(ctx context.Context, in *unblockInput) (*struct{}, error) {
	if err := a.opts.Abuse.UnblockHost(ctx, callerOf(ctx), in.Host); err != nil {
		return nil, a.problem(ctx, err)
	}
	return nil, nil
}

type blocklistInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Maximum number of hosts in the page."`
	Cursor string `query:"cursor" doc:"next_cursor of the previous page."`
}

type blocklistOutput struct {
	Body struct {
		Hosts      []blockedBody `json:"hosts" nullable:"false" doc:"The blocked hosts of the page."`
		NextCursor string        `json:"next_cursor" doc:"Empty on the last page."`
	}
}

// listBlocked lists the blocklist of the database, sorted by host.
func (a *API) listBlocked(ctx context.Context, in *blocklistInput) (*blocklistOutput, error) {
	hosts, next, err := a.opts.Abuse.BlockedHosts(ctx, callerOf(ctx), in.Cursor, in.Limit)
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	out := &blocklistOutput{}
	out.Body.NextCursor = next
	out.Body.Hosts = make([]blockedBody, len(hosts))
	for i := range hosts {
		out.Body.Hosts[i] = newBlockedBody(&hosts[i])
	}
	return out, nil
}
