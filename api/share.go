package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
)

// Paths of calls that share statistics, in the syntax of OpenAPI.
const (
	linkSharePath  = linkPath + "/share"
	statsSharePath = apiPath + "stats/share"
)

// ShareSettings are the members of both calls that share statistics. It is exported because huma only
// reads exported embedded structs.
type ShareSettings struct {
	ExpiresAt optional[time.Time] `json:"expires_at,omitzero" required:"false" doc:"The page answers 404 from this time on. The default is never."`
	Password  optional[string]    `json:"password,omitzero" required:"false" writeOnly:"true" doc:"Every visitor of the page must enter this password; 1 to 72 bytes. The default is no password."`
}

// share returns the settings for package links.
func (in *ShareSettings) share() links.Share {
	return links.Share{ExpiresAt: in.ExpiresAt.value, Password: in.Password.pointer(), Err: in.check()}
}

// check rejects values that a client must not send, see LinkSettings.check.
func (in *ShareSettings) check() error {
	if in.ExpiresAt.given() && in.ExpiresAt.value.IsZero() {
		return &store.FieldError{Field: "expires_at", Reason: "must be in the years 2000 to 9999, or null"}
	}
	return nil
}

type shareLinkInputBody struct{ ShareSettings }

type shareStatsInputBody struct {
	Owner  optional[string] `json:"owner,omitzero" required:"false" nullable:"false" doc:"Whose links: the id of a workspace or of an API key, * for all links, or anonymous for links without a key. The default is your own links. Needs an admin key for the links of others." example:"key_7k3x0q9p2m4a"`
	Domain optional[string] `json:"domain,omitzero" required:"false" nullable:"false" maxLength:"260" doc:"Only links on the domain with this host. Cannot be combined with tag."`
	Tag    optional[string] `json:"tag,omitzero" required:"false" nullable:"false" doc:"Only links with this tag." example:"spring"`
	ShareSettings
}

// set returns the links for package links.
func (in *shareStatsInputBody) set() links.ClickSet {
	set := links.ClickSet{Domain: in.Domain.value, Tag: in.Tag.value}
	switch {
	case in.Owner.value == anonymousOwner:
		set.Owner = new("")
	case in.Owner.given() && in.Owner.value != "":
		set.Owner = &in.Owner.value
	}
	return set
}

// shareBody is a shared page.
type shareBody struct {
	ID                string     `json:"id" doc:"Id of the key of the page. terse key list shows it, and terse key revoke ends the page." example:"key_7k3x0q9p2m4a"`
	URL               string     `json:"url" doc:"The address of the page. It is not shown again." example:"https://sho.rt/~/s/tk_…"`
	ExpiresAt         *time.Time `json:"expires_at" doc:"The page answers 404 from this time on; null means never."`
	PasswordProtected bool       `json:"password_protected" doc:"Whether visitors must enter a password."`
}

type shareOutput struct {
	Location string `header:"Location" doc:"The address of the page."`
	RateHeaders
	Body shareBody
}

// registerShares registers the calls that share statistics.
func (a *API) registerShares(h huma.API) {
	counting := precheck{may: a.may(links.Counting), writes: true}
	link := withOptionalBody[shareLinkInputBody](a.schemas, operation("Statistics", "shareLinkStats", http.MethodPost, linkSharePath,
		"Share a page with the statistics of a link", keyed, 401, 403, 404, 408, 410, 413, 415, 422))
	link.DefaultStatus = http.StatusCreated
	huma.Register(h, a.withPrecheck(counting, link), a.shareLink)
	set := withOptionalBody[shareStatsInputBody](a.schemas, operation("Statistics", "shareStats", http.MethodPost, statsSharePath,
		"Share a page with the statistics of several links together", keyed, 401, 403, 408, 413, 415, 422))
	set.DefaultStatus = http.StatusCreated
	huma.Register(h, a.withPrecheck(counting, set), a.shareStats)
}

// shareLink shares the statistics of a link. The precheck has charged the caller.
func (a *API) shareLink(ctx context.Context, in *CodeParam) (*shareOutput, error) {
	key, err := a.keyFor(ctx, links.Counting, in)
	if err != nil {
		return a.shareOrProblem(ctx, store.Key{}, "", err)
	}
	body, wrong := decodeOptional(ctx, a.schemas, func(*shareLinkInputBody) error { return nil })
	if wrong != nil && !store.IsInvalid(wrong) {
		return a.shareOrProblem(ctx, store.Key{}, "", wrong)
	}
	share := body.share()
	share.Err = store.JoinInvalid(wrong, share.Err)
	k, token, err := a.opts.Links.ShareLink(ctx, &callerOf(ctx).Caller, key, share)
	return a.shareOrProblem(ctx, k, token, err)
}

// shareStats shares the statistics of several links. The precheck has charged the caller.
func (a *API) shareStats(ctx context.Context, _ *struct{}) (*shareOutput, error) {
	body, wrong := decodeOptional(ctx, a.schemas, func(*shareStatsInputBody) error { return nil })
	if wrong != nil && !store.IsInvalid(wrong) {
		return a.shareOrProblem(ctx, store.Key{}, "", wrong)
	}
	share := body.share()
	share.Err = store.JoinInvalid(wrong, share.Err)
	k, token, err := a.opts.Links.ShareSet(ctx, &callerOf(ctx).Caller, body.set(), share)
	return a.shareOrProblem(ctx, k, token, err)
}

// shareOrProblem returns the answer with a shared page, or the problem for err.
func (a *API) shareOrProblem(ctx context.Context, k store.Key, token string, err error) (*shareOutput, error) {
	headers := chargeOf(ctx).headers
	if err != nil {
		return nil, withLimits(headers, a.problem(ctx, err))
	}
	out := &shareOutput{Location: a.opts.BaseURL + sharePath(token), RateHeaders: headers}
	out.Body = shareBody{ID: k.ID, URL: out.Location, ExpiresAt: timeOrNull(k.ExpiresAt), PasswordProtected: k.Share.PasswordHash != ""}
	return out, nil
}
