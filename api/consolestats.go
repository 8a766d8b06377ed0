package api

import (
	"maps"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

const (
	groupStatsRoute = web.ConsolePath + "stats"
	tagsScreen      = web.ConsolePath + "tags"

	tagPage = 100 // tags in a page of the list
)

// countedSet returns the links that the parameters of a page of statistics select. An administrator
// without parameters gets all links of the server. The error names every invalid parameter.
func (a *API) countedSet(c echo.Context, s *session) (*store.Share, web.StatsGroup, error) {
	p := c.QueryParams()
	set := web.StatsGroup{Tag: p.Get("tag"), Domain: p.Get("domain"), Owner: p.Get("owner"), Admin: s.Require(store.ScopeAdmin) == nil}
	in := links.ClickSet{Owner: ownerParam(set.Owner), Domain: set.Domain, Tag: set.Tag}
	if in.Owner == nil && set.Admin {
		in.Owner = new(links.AllOwners)
	}
	kind, key, err := a.opts.Links.Stored(&s.Caller, in)
	if set.Admin && set.Owner == "" && store.IsInvalid(err) {
		err = &store.FieldError{Field: "owner", Reason: "is required with a tag or a domain"}
	}
	if err == nil || store.IsInvalid(err) {
		err = store.JoinFound(err, store.CheckText("tag", set.Tag, store.MaxTagLen), store.CheckText("domain", set.Domain, 260), store.CheckText("owner", set.Owner, store.MaxWorkspaceLen))
	}
	return &store.Share{Kind: kind, Key: key}, set, err
}

// groupStatsScreen shows the statistics of several links together.
func (a *API) groupStatsScreen(c echo.Context, s *session) error {
	share, set, invalid := a.countedSet(c, s)
	if invalid != nil && !store.IsInvalid(invalid) {
		return invalid
	}
	v, q, err := a.newStats(c, share)
	if err != nil {
		return err
	}
	v.Set = &set
	if v.Subject.Kind == web.SubjectOwner {
		v.Subject.Name = shownOwner(share.Key)
	}
	if invalid != nil {
		if v.Errors == nil {
			v.Errors = map[string]string{}
		}
		maps.Copy(v.Errors, fieldErrors(invalid))
		v.Subject = web.Subject{}
	}
	status := http.StatusUnprocessableEntity
	if v.Errors == nil {
		status = http.StatusOK
		if err := a.fillStats(c, share, &v, &q); err != nil {
			return err
		}
	}
	a.pages.GroupStats(c.Response(), status, s.viewer(), v)
	return nil
}

// groupStatsTotal answers the totals of the statistics of several links as JSON.
func (a *API) groupStatsTotal(c echo.Context, s *session) error {
	share, _, err := a.countedSet(c, s)
	if err != nil {
		return ofQuery(err)
	}
	q, err := a.totalQuery(c)
	if err != nil {
		return err
	}
	return a.writeTotal(c, share, &q)
}

// shownOwner returns the owner of links for people.
func shownOwner(owner string) string {
	if owner == "" {
		return anonymousOwner
	}
	return owner
}

// tagsScreen shows the tags of a workspace.
func (a *API) tagsScreen(c echo.Context, s *session) error {
	p := c.QueryParams()
	v := web.TagList{Owner: p.Get("owner"), Workspace: s.Owner(), Continued: p.Get("after") != ""}
	owner := ownerParam(v.Owner)
	if owner != nil {
		v.Workspace = shownOwner(*owner)
	}
	page, err := a.opts.Links.ListTags(c.Request().Context(), &s.Caller, owner, p.Get("after"), tagPage)
	if err == nil || store.IsInvalid(err) {
		err = store.JoinFound(err, store.CheckText("owner", v.Owner, store.MaxWorkspaceLen), store.CheckText("after", p.Get("after"), store.MaxTagLen))
	}
	if store.IsInvalid(err) {
		v.Errors = fieldErrors(err)
		a.pages.TagList(c.Response(), http.StatusUnprocessableEntity, s.viewer(), v)
		return nil
	}
	if err != nil {
		return err
	}
	v.Unavailable = len(page.Unavailable) > 0
	named := "" // the pages of an administrator show all workspaces unless they name one
	if s.Require(store.ScopeAdmin) == nil {
		named = v.Workspace
	}
	for _, t := range page.Tags {
		v.Tags = append(v.Tags, web.NewTagRow(t.Name, named, int64(t.Links), t.Links == store.MaxTagLinks))
	}
	if page.Next != "" {
		q := url.Values{"after": {page.Next}}
		if v.Owner != "" {
			q.Set("owner", v.Owner)
		}
		v.Next = tagsScreen + "?" + q.Encode()
	}
	a.pages.TagList(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}
