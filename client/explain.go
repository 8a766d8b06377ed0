package client

import (
	"context"
	"net/http"
	"time"
)

// Visit is a visit of a link. A zero field is unknown, but a nil At means now.
type Visit struct {
	Headers map[string]string `json:"headers,omitempty"` // rules ask about User-Agent, Accept-Language and Referer
	IP      string            `json:"ip,omitempty"`
	Country string            `json:"country,omitempty"` // empty: the country of IP
	At      *time.Time        `json:"at,omitempty"`
	Path    string            `json:"path,omitempty"`  // after the code, with its slash
	Query   string            `json:"query,omitempty"` // without the question mark
}

// Explanation is the target of a visit and the reasons.
type Explanation struct {
	State    string       `json:"state"`    // of the link at the time of the visit; only live links redirect
	Rule     *int         `json:"rule"`     // index of the rule that applies; nil: the target is the URL of the link
	Variant  *int         `json:"variant"`  // index of the target in the split of the rule; nil without a split
	Drawn    bool         `json:"drawn"`    // the split is drawn anew for each visit
	Location string       `json:"location"` // where the visit leads
	Rules    []RuleResult `json:"rules"`    // what each rule said
}

// RuleResult is what a rule said to a visit.
type RuleResult struct {
	Applies bool   `json:"applies"` // the rule picks the target
	Failed  string `json:"failed"`  // the first condition that does not hold, such as if.country; empty if all hold
	Unknown bool   `json:"unknown"` // the condition does not hold because the visit does not say its fact
}

// Explain returns which rule of a link applies to a visit, and why. It counts no click.
func (c *Client) Explain(ctx context.Context, code string, v Visit) (Explanation, error) {
	var e Explanation
	texts := []namedText{{"ip", v.IP}, {"country", v.Country}, {"path", v.Path}, {"query", v.Query}}
	for name, value := range v.Headers {
		texts = append(texts, namedText{"headers", name}, namedText{"headers", value})
	}
	if p := invalidTexts(texts); p != nil {
		return e, p
	}
	err := c.call(ctx, request{method: http.MethodPost, domain: c.onHost, path: linkPath(code) + "/explain", body: v, repeatable: true}, &e)
	return e, err
}
