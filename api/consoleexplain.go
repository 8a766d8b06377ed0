package api

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// explainScreen shows which rule of a link applies to a visit, and why. The visit is in the query. It
// counts no click.
func (a *API) explainScreen(c echo.Context, s *session) error {
	l, err := a.linkOfPath(c, s)
	if err != nil {
		return err
	}
	p := c.QueryParams()
	v := web.Explain{
		LinkRow: a.row(&l), Agent: p.Get("user_agent"), Language: p.Get("accept_language"), Referrer: p.Get("referer"), IP: p.Get("ip"), Country: p.Get("country"),
		At: p.Get("at"), Query: p.Get("query"),
	}
	at, wrongTime := formMoment(p, "at")
	visit := explainInputBody{
		Headers: map[string]string{"User-Agent": v.Agent, "Accept-Language": v.Language, "Referer": v.Referrer},
		IP:      v.IP, Country: v.Country, Query: v.Query,
	}
	var tooLong []error
	for field, text := range map[string]string{"user_agent": v.Agent, "accept_language": v.Language, "referer": v.Referrer, "query": v.Query} {
		tooLong = append(tooLong, store.CheckText(field, text, store.MaxURLLen))
	}
	client, err := visit.check()
	if err := store.JoinInvalid(append(tooLong, err, wrongTime)...); err != nil {
		v.Errors = fieldErrors(err)
		a.pages.Explain(c.Response(), http.StatusUnprocessableEntity, s.viewer(), v)
		return nil
	}
	if at.IsZero() {
		at = a.now()
	}
	ruled, err := previewRules(l.Rules)
	if err != nil {
		return err
	}
	result, err := a.explain(&l, &visit, client, at)
	if err != nil {
		return err
	}
	v.Result = &web.ExplainResult{State: result.State, URL: result.Location, Drawn: result.Drawn}
	if result.Rule != nil {
		v.Result.Rule = strconv.Itoa(*result.Rule + 1)
	}
	for i, r := range result.Rules {
		v.Result.Rules = append(v.Result.Rules, web.ExplainRule{Number: i + 1, When: ruled[i].When, Applies: r.Applies, Failed: r.Failed, Unknown: r.Unknown})
	}
	a.pages.Explain(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}
