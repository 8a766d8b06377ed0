package api

import (
	"context"
	"fmt"
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// archivePath is the path of exports and imports.
const archivePath = "/api/v1/archive"

// archivedLink is a link with every field, as exports and imports use it. An export has
// every member. In an import only the code and the target are required.
type archivedLink struct {
	Code           string       `json:"code" doc:"The code or alias." example:"spring"`
	Domain         string       `json:"domain" required:"false" maxLength:"260" doc:"The primary host of the domain of the link; empty for the default domain of the server. An import takes any host of a domain." example:""`
	URL            string       `json:"url" doc:"The target; empty for a deleted link." example:"https://example.com/a/long/path?with=query"`
	RenamedTo      string       `json:"renamed_to" required:"false" doc:"The code to which the link redirects because of a rename; empty for other links. Its url is then the short URL of this code; an import replaces it by the one of the importing server." example:""`
	Owner          *string      `json:"owner,omitempty" doc:"Id of the API key that owns the link; empty for an anonymous link. The default is your key." example:"key_2vj6r3h4kq5w"`
	Title          string       `json:"title" required:"false" doc:"Shown in lists and on the preview page." example:"Spring catalogue"`
	Tags           []string     `json:"tags" required:"false" nullable:"false" doc:"The tags of the link." example:"[\"print\",\"2026\"]"`
	Status         int          `json:"status" required:"false" enum:"0,301,302,307,308" doc:"Status of the redirect; 0 means 302." example:"302"`
	ForwardQuery   string       `json:"forward_query" required:"false" enum:"off,append,override" doc:"What happens to the query of a visit: it is dropped, added, or replaces parameters with the same name." example:"off"`
	ForwardPath    string       `json:"forward_path" required:"false" enum:"off,append" doc:"What happens to the path of a visit after the code: a visit with such a path finds no link, or the path is added to the target." example:"off"`
	StartsAt       *time.Time   `json:"starts_at" required:"false" doc:"The link answers 404 before this time; null means no start."`
	ExpiresAt      *time.Time   `json:"expires_at" required:"false" doc:"May be in the past." example:"2027-06-01T00:00:00Z"`
	MaxClicks      int64        `json:"max_clicks" required:"false" doc:"0 means any number." example:"0"`
	UsedClicks     int64        `json:"used_clicks" required:"false" doc:"Redirects counted against max_clicks." example:"0"`
	Rules          []rules.Rule `json:"rules" required:"false" nullable:"false" maxItems:"16" doc:"Other targets for some visits, in order."`
	Confirm        bool         `json:"confirm" required:"false" doc:"Whether visitors have to press Continue."`
	NoVisitors     bool         `json:"no_visitors" required:"false" doc:"Whether statistics leave out the visitors of the link."`
	PasswordHash   string       `json:"password_hash" required:"false" doc:"A bcrypt hash; empty when the link has no password." example:""`
	DisabledAt     *time.Time   `json:"disabled_at" required:"false" doc:"When it was disabled because of abuse."`
	DisabledReason string       `json:"disabled_reason" required:"false" doc:"Why the link was disabled; empty if it is not disabled." example:""`
	DeletedAt      *time.Time   `json:"deleted_at" required:"false" doc:"When it was deleted; not before created_at. A deleted link does not redirect, and its code never goes to another owner. It keeps only code, owner, status, created_at, updated_at and version. Its url is empty."`
	Clicks         int64        `json:"clicks" required:"false" doc:"Total number of redirects of people." example:"17"`
	Robots         int64        `json:"robots" required:"false" doc:"Total number of other redirects." example:"3"`
	LastClickAt    *time.Time   `json:"last_click_at" required:"false" doc:"The default is created_at if there are clicks." example:"2026-05-01T12:00:00.123456Z"`
	CreatedAt      *time.Time   `json:"created_at" required:"false" doc:"The default is now; for a deleted link, deleted_at." example:"2026-03-01T08:30:00.5Z"`
	UpdatedAt      *time.Time   `json:"updated_at" required:"false" doc:"The default is created_at; for a deleted link, deleted_at." example:"2026-03-02T08:30:00Z"`
	Version        int64        `json:"version" required:"false" minimum:"0" maximum:"1000000000" doc:"0 means 1." example:"2"`
}

// archived returns l as exports show it. It returns store.ErrUnavailable if its domain is not in
// memory.
func (a *API) archived(l *store.Link) (archivedLink, error) {
	domain := ""
	if l.DomainID() != "" {
		if domain = a.opts.Links.HostOf(l.Code); domain == "" {
			return archivedLink{}, fmt.Errorf("%w: the domain %s is not known yet", store.ErrUnavailable, l.DomainID())
		}
	}
	ruled, err := rules.Decode(l.Rules)
	if err != nil {
		return archivedLink{}, fmt.Errorf("%w: rules of %q: %w", store.ErrUnavailable, l.Code, err)
	}
	if ruled == nil {
		ruled = []rules.Rule{}
	}
	tags := l.Tags
	if tags == nil {
		tags = []string{}
	}
	return archivedLink{
		Code: l.BareCode(), Domain: domain, URL: l.URL, RenamedTo: a.opts.Links.RenamedTo(l), Owner: &l.Owner, Title: l.Title, Tags: tags,
		Status: l.Status, ForwardQuery: forwardNames[l.ForwardQuery], ForwardPath: pathForwardName(l.ForwardPath),
		StartsAt: timeOrNull(l.StartsAt), ExpiresAt: timeOrNull(l.ExpiresAt),
		MaxClicks: l.MaxClicks, UsedClicks: l.UsedClicks, Rules: ruled, Confirm: l.Confirm, NoVisitors: l.NoVisitors, PasswordHash: l.PasswordHash,
		DisabledAt: timeOrNull(l.DisabledAt), DisabledReason: l.DisabledReason, DeletedAt: timeOrNull(l.DeletedAt),
		Clicks: l.Clicks, Robots: l.Robots, LastClickAt: timeOrNull(l.LastClickAt),
		CreatedAt: &l.CreatedAt, UpdatedAt: &l.UpdatedAt, Version: l.Version,
	}, nil
}

type exportInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"500" doc:"Maximum number of links in the page. A page of long links has fewer: it ends after about 1 MB." example:"100"`
	Cursor string `query:"cursor" doc:"next_cursor of the previous page."`
}

type exportOutput struct {
	Body struct {
		Links      []archivedLink `json:"links" nullable:"false" doc:"The links of the page."`
		NextCursor string         `json:"next_cursor" doc:"Empty on the last page." example:"spring"`
	}
}

// exportLinks returns a page of the links of all owners.
func (a *API) exportLinks(ctx context.Context, in *exportInput) (*exportOutput, error) {
	links, next, err := a.opts.Links.Export(ctx, &callerOf(ctx).Caller, in.Cursor, in.Limit)
	if err != nil {
		return nil, a.pageProblem(ctx, err)
	}
	out := &exportOutput{}
	out.Body.NextCursor = next
	out.Body.Links = make([]archivedLink, len(links))
	for i := range links {
		if out.Body.Links[i], err = a.archived(&links[i]); err != nil {
			return nil, a.problem(ctx, err)
		}
	}
	return out, nil
}

type importInput struct {
	DryRunParam
}

type importInputBody struct {
	Links []archivedLink `json:"links" minItems:"1" maxItems:"1000" nullable:"false" doc:"1 to 1000 links."`
}

type importOutput struct {
	Body struct {
		Results []batchResult `json:"results" nullable:"false" doc:"One result for each link, in the same order. status is 201 for a new link, 200 for a link that was imported before, or the status of an error."`
	}
}

// importLinks imports links with every field. Only administrators may call it: it sets
// fields that owners cannot set, such as dates, counts, hashes and owners.
func (a *API) importLinks(ctx context.Context, in *importInput) (*importOutput, error) {
	items, err := decodeList[importInputBody](bodyOf(ctx))
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	all := make([]links.Archived, len(items))
	for i, item := range items {
		link, err := decode[archivedLink](a.schemas, item)
		all[i] = link.archived()
		all[i].Err = err
	}
	results, err := a.opts.Links.Import(ctx, &callerOf(ctx).Caller, all, in.DryRun)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &importOutput{}
	out.Body.Results = a.batchResults(ctx, results, in.DryRun)
	return out, nil
}

// archived returns the link for package links.
func (in *archivedLink) archived() links.Archived {
	return links.Archived{
		Link: store.Link{
			Code: in.Code, URL: in.URL, Title: in.Title, Tags: in.Tags,
			Status: in.Status, ForwardQuery: parseForward(in.ForwardQuery), ForwardPath: in.ForwardPath == pathForwardName(true),
			StartsAt: timeOrZero(in.StartsAt), ExpiresAt: timeOrZero(in.ExpiresAt),
			MaxClicks: in.MaxClicks, UsedClicks: in.UsedClicks, Confirm: in.Confirm, NoVisitors: in.NoVisitors, PasswordHash: in.PasswordHash,
			DisabledAt: timeOrZero(in.DisabledAt), DisabledReason: in.DisabledReason, DeletedAt: timeOrZero(in.DeletedAt),
			Clicks: in.Clicks, Robots: in.Robots, Version: in.Version,
		},
		Domain: in.Domain, Owner: in.Owner, CreatedAt: in.CreatedAt, UpdatedAt: in.UpdatedAt, LastClickAt: in.LastClickAt,
		RenamedTo: in.RenamedTo, Rules: in.Rules,
	}
}

// timeOrZero returns the time in UTC and microseconds, or the zero time for nil.
func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return micros(*t)
}
