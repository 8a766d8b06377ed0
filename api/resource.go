package api

import (
	"time"

	"github.com/terse/terse/links"
	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

// LinkSettings are the members that a create and an edit share. It is exported because huma
// only reads exported embedded structs.
type LinkSettings struct {
	Title        optional[string]       `json:"title,omitzero" required:"false" doc:"Shown in lists and on the preview page; at most 500 characters." example:"Spring catalogue"`
	Tags         optional[[]string]     `json:"tags,omitzero" required:"false" doc:"At most 20 tags of 1 to 50 characters."`
	StartsAt     optional[time.Time]    `json:"starts_at,omitzero" required:"false" doc:"The link answers 404 before this time."`
	ExpiresAt    optional[time.Time]    `json:"expires_at,omitzero" required:"false" doc:"The link answers 410 from this time on."`
	MaxClicks    optional[int64]        `json:"max_clicks,omitzero" required:"false" doc:"The link answers 410 after this number of redirects; 0 means no limit."`
	Confirm      optional[bool]         `json:"confirm,omitzero" required:"false" doc:"If true, visitors get a page and have to press Continue. Only then the redirect counts, so that programs that open links use no click."`
	Rules        optional[[]rules.Rule] `json:"rules,omitzero" required:"false" doc:"Other targets for some visits: at most 16 rules in order. The first rule that applies picks the target; if none does, url is the target."`
	NoVisitors   optional[bool]         `json:"no_visitors,omitzero" required:"false" doc:"If true, statistics count the clicks of the link, but not its visitors."`
	Password     optional[string]       `json:"password,omitzero" required:"false" writeOnly:"true" doc:"Every visitor must enter this password; 1 to 72 bytes. null removes it."`
	Status       optional[int]          `json:"status,omitzero" required:"false" enum:"301,302,307,308" doc:"Status of the redirect. The default is 302."`
	ForwardQuery optional[string]       `json:"forward_query,omitzero" required:"false" enum:"off,append,override" doc:"What happens to the query of a visit. off (default): it is dropped. append: it is added to the query of the target. override: it is added, and replaces parameters of the target with the same name."`
	ForwardPath  optional[string]       `json:"forward_path,omitzero" required:"false" enum:"off,append" doc:"What happens to the path of a visit after the code, such as /a/b of /code/a/b. off (default): there is no link with such a path. append: it is added to the path of the target."`
}

// CreateInput is the body of a create. It is exported because huma only reads exported
// embedded structs.
type CreateInput struct {
	URL    string           `json:"url" doc:"The target: an absolute http or https URL of at most 8192 bytes." example:"https://example.com/a/long/path?with=query"`
	Domain optional[string] `json:"domain,omitzero" required:"false" maxLength:"260" doc:"A host of an active domain that is yours or shared. The default is the default domain of your API key, or else of this server."`
	Alias  optional[string] `json:"alias,omitzero" required:"false" doc:"A code that you choose: 1 to 64 characters of 0-9 A-Z a-z _ -. The default is a new random code." example:"spring"`
	Reuse  bool             `json:"reuse,omitempty" doc:"Needs an API key. If you have a link with the same target and settings, answer 200 with the newest one. Links on an unreachable shard are not found."`
	LinkSettings
}

// editInput is the body of an edit. Absent members stay unchanged.
type editInput struct {
	URL optional[string] `json:"url,omitzero" required:"false" doc:"The new target."`
	LinkSettings
	Alias    optional[string] `json:"alias,omitzero" required:"false" nullable:"false" doc:"Renames the link: its new code, 1 to 64 characters of 0-9 A-Z a-z _ -. The answer is the link with the new code." example:"summer"`
	OldAlias optional[string] `json:"old_alias,omitzero" required:"false" enum:"redirect,gone" doc:"Only with alias: what happens to the old code. redirect (default): it redirects to the new short URL. gone: it is deleted, and answers 410." example:"redirect"`
}

// rename returns the rename that the body asks for; nil for none.
func (in *editInput) rename() (*links.Rename, error) {
	switch {
	case in.Alias.null:
		return nil, &store.FieldError{Field: "alias", Reason: "must be a code"}
	case !in.Alias.set && in.OldAlias.set:
		return nil, &store.FieldError{Field: "old_alias", Reason: "needs the member alias"}
	case !in.Alias.set:
		return nil, nil
	case in.OldAlias.value == "gone":
		return &links.Rename{Alias: in.Alias.value, Old: links.OldGone}, nil
	}
	return &links.Rename{Alias: in.Alias.value}, nil
}

// settings returns the settings for package links. They share the values of s.
func (s *LinkSettings) settings() links.Settings {
	to := links.Settings{
		Title: s.Title.pointer(), Tags: s.Tags.pointer(), StartsAt: s.StartsAt.pointer(), ExpiresAt: s.ExpiresAt.pointer(),
		MaxClicks: s.MaxClicks.pointer(), Confirm: s.Confirm.pointer(), NoVisitors: s.NoVisitors.pointer(), Status: s.Status.pointer(), Rules: s.Rules.pointer(), Password: s.Password.pointer(),
	}
	if s.ForwardPath.set {
		to.ForwardPath = new(s.ForwardPath.value == pathForwardName(true))
	}
	if s.ForwardQuery.set {
		forward := parseForward(s.ForwardQuery.value)
		to.ForwardQuery = &forward
	}
	return to
}

// check rejects values that a client must not send. For example, the zero time of a link
// means no date, so a client must send null instead.
func (s *LinkSettings) check() error {
	var starts, expires, password error
	if s.StartsAt.given() && s.StartsAt.value.IsZero() {
		starts = &store.FieldError{Field: "starts_at", Reason: "must be in the years 2000 to 9999, or null"}
	}
	if s.ExpiresAt.given() && s.ExpiresAt.value.IsZero() {
		expires = &store.FieldError{Field: "expires_at", Reason: "must be in the years 2000 to 9999, or null"}
	}
	if s.Password.given() && s.Password.value == "" {
		password = links.CheckPassword("")
	}
	return store.JoinInvalid(starts, expires, password)
}

// forwardNames are the values of forward_query, by store.ForwardQuery.
var forwardNames = [...]string{
	store.ForwardOff:      "off",
	store.ForwardAppend:   "append",
	store.ForwardOverride: "override",
}

// pathForwardName returns the value of forward_path.
func pathForwardName(forwards bool) string {
	if forwards {
		return "append"
	}
	return "off"
}

// parseForward reads a forward_query that the schema has checked.
func parseForward(name string) store.ForwardQuery {
	for f, n := range forwardNames {
		if n == name {
			return store.ForwardQuery(f)
		}
	}
	return store.ForwardOff
}

// stateNames are the values of state, by store.State.
var stateNames = [...]string{
	store.Live:       "live",
	store.Deleted:    "deleted",
	store.Disabled:   "disabled",
	store.Expired:    "expired",
	store.UsedUp:     "used_up",
	store.NotStarted: "not_started",
}

// linkBody is a link as the API shows it. Every member is always present.
type linkBody struct {
	Code              string      `json:"code" doc:"The code or alias." example:"spring"`
	Domain            string      `json:"domain" doc:"The primary host of the domain of the link." example:"sho.rt"`
	ShortURL          string      `json:"short_url" doc:"The address that redirects." example:"https://sho.rt/spring"`
	URL               string      `json:"url" doc:"The target, as sent in Location."`
	Title             string      `json:"title" doc:"Shown in lists and on the preview page; may be empty."`
	Tags              []string    `json:"tags" nullable:"false" doc:"The tags of the link."`
	Status            int         `json:"status" doc:"Status of the redirect." example:"302"`
	ForwardQuery      string      `json:"forward_query" enum:"off,append,override" doc:"What happens to the query of a visit: it is dropped, added, or replaces parameters with the same name."`
	ForwardPath       string      `json:"forward_path" enum:"off,append" doc:"What happens to the path of a visit after the code: there is no link with such a path, or it is added to the path of the target."`
	Rules             storedRules `json:"rules" doc:"Other targets for some visits, in order."`
	State             string      `json:"state" enum:"live,disabled,expired,used_up,not_started" doc:"The state for visitors now. Only live links redirect."`
	StartsAt          *time.Time  `json:"starts_at" doc:"The link answers 404 before this time; null means no start."`
	ExpiresAt         *time.Time  `json:"expires_at" doc:"The link answers 410 from this time on; null means no end."`
	MaxClicks         int64       `json:"max_clicks" doc:"0 means no limit."`
	UsedClicks        int64       `json:"used_clicks" doc:"Redirects counted against max_clicks."`
	Confirm           bool        `json:"confirm" doc:"Whether visitors have to press Continue."`
	NoVisitors        bool        `json:"no_visitors" doc:"Whether statistics leave out the visitors of the link."`
	PasswordProtected bool        `json:"password_protected" doc:"Whether visitors must enter a password."`
	DisabledReason    string      `json:"disabled_reason" doc:"Why the link was disabled; empty if it is not disabled."`
	Owner             string      `json:"owner" doc:"Id of the API key that created the link; empty for an anonymous link." example:"key_7k3x0q9p2m4a"`
	Clicks            int64       `json:"clicks" doc:"Total number of redirects of people; may be about a second old."`
	Robots            int64       `json:"robots" doc:"Total number of other redirects: crawlers, previews, scanners, tools, prefetches and HEAD; may be about a second old."`
	LastClickAt       *time.Time  `json:"last_click_at" doc:"When the last redirect of a person was counted; null before the first."`
	CreatedAt         time.Time   `json:"created_at" doc:"When the link was created."`
	UpdatedAt         time.Time   `json:"updated_at" doc:"When the link was last changed."`
	Version           int64       `json:"version" doc:"Increases by one with every edit. The ETag is this number in quotes."`
}

// linkBody returns l as the API shows it.
func (a *API) linkBody(l *store.Link) linkBody {
	tags := l.Tags
	if tags == nil {
		tags = []string{}
	}
	return linkBody{
		Code:              l.BareCode(),
		Domain:            a.opts.Links.HostOf(l.Code),
		ShortURL:          a.shortURL(l.Code),
		URL:               l.URL,
		Title:             l.Title,
		Tags:              tags,
		Status:            l.Status,
		ForwardQuery:      forwardNames[l.ForwardQuery],
		ForwardPath:       pathForwardName(l.ForwardPath),
		Rules:             storedRules(l.Rules),
		State:             stateNames[l.State(a.now())],
		StartsAt:          timeOrNull(l.StartsAt),
		ExpiresAt:         timeOrNull(l.ExpiresAt),
		MaxClicks:         l.MaxClicks,
		UsedClicks:        l.UsedClicks,
		Confirm:           l.Confirm,
		NoVisitors:        l.NoVisitors,
		PasswordProtected: l.PasswordHash != "",
		DisabledReason:    l.DisabledReason,
		Owner:             l.Owner,
		Clicks:            l.Clicks,
		Robots:            l.Robots,
		LastClickAt:       timeOrNull(l.LastClickAt),
		CreatedAt:         l.CreatedAt,
		UpdatedAt:         l.UpdatedAt,
		Version:           l.Version,
	}
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
