package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/terse/terse/clicks/visit"
	"github.com/terse/terse/links"
	"github.com/terse/terse/links/rules"
	"github.com/terse/terse/store"
)

type explainInput struct {
	CodeParam
}

// explainInputBody is a visit. A fact that it does not have is unknown.
type explainInputBody struct {
	Headers map[string]string   `json:"headers,omitempty" doc:"The headers of the visit. Rules ask about User-Agent, Accept-Language and Referer." example:"{\"Accept-Language\":\"de\"}"`
	IP      string              `json:"ip,omitempty" doc:"The address of the visitor." example:"192.0.2.7"`
	Country string              `json:"country,omitempty" doc:"The country of the visitor. The default is the country of ip." example:"DE"`
	At      optional[time.Time] `json:"at,omitzero" required:"false" doc:"The time of the visit. The default is now."`
	Path    string              `json:"path,omitempty" maxLength:"8192" doc:"The path of the visit after the code, as it is sent, with its slash: /a/b of /code/a/b."`
	Query   string              `json:"query,omitempty" maxLength:"8192" doc:"The query of the visit, without the question mark." example:"ref=mail"`
}

type explainOutput struct {
	Body explainBody
}

// explainBody is the target of a visit and the reasons.
type explainBody struct {
	State    string        `json:"state" enum:"live,disabled,expired,used_up,not_started" doc:"The state of the link at this time. Only live links redirect."`
	Rule     *int          `json:"rule" doc:"The index of the rule that applies; null if none does: the target is then the url of the link." example:"1"`
	Variant  *int          `json:"variant" doc:"The index of the target in the split of the rule; null without a split." example:"0"`
	Drawn    bool          `json:"drawn" doc:"Whether the split is drawn anew for each visit, so that another visit may get another target."`
	Location string        `json:"location" doc:"The target of the visit." example:"https://example.com/app"`
	Rules    []explainRule `json:"rules" nullable:"false" doc:"What each rule said to the visit, in order."`
}

// explainRule is what a rule said to a visit.
type explainRule struct {
	Applies bool   `json:"applies" doc:"Whether the rule picks the target."`
	Failed  string `json:"failed" doc:"The first condition that does not hold; empty if all hold. The rule then applies, or an earlier one does." example:"if.country"`
	Unknown bool   `json:"unknown" doc:"Whether the condition does not hold because the visit does not say its fact."`
}

// explainLink returns which rule of a link applies to a visit, and why. It counts no click.
func (a *API) explainLink(ctx context.Context, in *explainInput) (*explainOutput, error) {
	key, err := a.keyFor(ctx, links.Reading, &in.CodeParam)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	var client netip.Addr
	body, err := decodeOptional(ctx, a.schemas, func(in *explainInputBody) (err error) {
		client, err = in.check()
		return err
	})
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	l, err := a.opts.Links.Get(ctx, &callerOf(ctx).Caller, key)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	now := a.now()
	if body.At.given() {
		now = body.At.value
	}
	out := &explainOutput{}
	if out.Body, err = a.explain(&l, &body, client, now); err != nil {
		return nil, a.problem(ctx, err)
	}
	return out, nil
}

// check returns the address of the visitor, or every wrong member.
func (in *explainInputBody) check() (client netip.Addr, err error) {
	var bad store.InvalidError
	if in.IP != "" {
		if client, err = netip.ParseAddr(in.IP); err != nil || client.Zone() != "" {
			bad = append(bad, &store.FieldError{Field: "ip", Reason: "must be an IP address"})
		}
	}
	if in.Country != "" && !rules.IsCountry(in.Country) {
		bad = append(bad, &store.FieldError{Field: "country", Reason: "must be the code of a country with two letters (ISO 3166-1), such as DE"})
	}
	if strings.ContainsAny(in.Query, "#\r\n") {
		bad = append(bad, &store.FieldError{Field: "query", Reason: "must be the query of a URL"})
	}
	if len(bad) == 0 {
		return client, nil
	}
	return client, bad
}

// rest returns the path of the visit after the code, as store.CutPath returns it.
func (in *explainInputBody) rest(l *store.Link) (string, error) {
	if in.Path == "" {
		return "", nil
	}
	u, err := url.ParseRequestURI("/" + l.BareCode() + in.Path)
	if err != nil || in.Path[0] != '/' || strings.ContainsAny(in.Path, "?#") {
		return "", &store.FieldError{Field: "path", Reason: "must be the path of a URL, and begin with a slash"}
	}
	_, rest := store.CutPath(u)
	switch {
	case rest == "":
		return "", nil
	case !l.ForwardPath:
		return "", &store.FieldError{Field: "path", Reason: "must be empty, because the link does not forward paths: there is no link with this path"}
	case store.Climbs(rest):
		return "", &store.FieldError{Field: "path", Reason: "must not contain .. as a segment: there is no link with this path"}
	}
	return rest, nil
}

// explain returns the target of a visit of l and the reasons. It picks the target as redirects do.
func (a *API) explain(l *store.Link, in *explainInputBody, client netip.Addr, now time.Time) (explainBody, error) {
	body := explainBody{State: stateNames[l.State(now)], Rules: []explainRule{}}
	query, _ := visit.CutQR(strings.TrimPrefix(in.Query, "?"))
	rest, err := in.rest(l)
	if err != nil {
		return body, err
	}
	to := chosen{url: l.URL}
	set, err := a.chooser.rulesOf(l)
	if err != nil {
		return body, err
	}
	if set != nil {
		h := http.Header{}
		for name, value := range in.Headers {
			h.Set(name, value)
		}
		v := a.factsOf(h, l, set.Varies(), query, now)
		v.Address, v.Country = client, strings.ToUpper(in.Country)
		if v.Country == "" {
			v.Country = a.opts.Countries.Country("", client)
		}
		choice, results := set.Explain(&v)
		for _, r := range results {
			body.Rules = append(body.Rules, explainRule{r.Applies, r.Failed, r.Unknown})
		}
		to = chosenBy(l, choice)
		if choice.Rule >= 0 {
			body.Rule = &choice.Rule
		}
		if choice.Split {
			body.Variant, body.Drawn = &choice.Variant, choice.Drawn
		}
	}
	body.Location, err = forwarded(l, to.url, rest, query)
	return body, err
}
