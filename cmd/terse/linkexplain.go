package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	terseclient "github.com/terse/terse/client"
)

type linksExplain struct {
	clientFlags
	linkArg
	UserAgent string `placeholder:"TEXT" help:"User-Agent of the visit. Default: none."`
	Language  string `placeholder:"TEXT" help:"Accept-Language of the visit, such as de-CH,de;q=0.9. Default: none."`
	Referrer  string `placeholder:"URL" help:"Page with the link. Default: none."`
	IP        string `name:"ip" placeholder:"ADDRESS" help:"Address of the visitor. Default: unknown."`
	Country   string `placeholder:"CODE" help:"Country of the visitor, such as DE. Default: the country of --ip."`
	At        string `placeholder:"TIME" help:"Time of the visit, such as 2027-01-31T12:00:00Z. Default: now."`
	Path      string `placeholder:"TEXT" help:"Path of the visit after the code, such as /a/b. Default: none."`
	Query     string `placeholder:"TEXT" help:"Query of the visit, such as ref=mail. Default: none."`
	JSON      bool   `name:"json" help:"Print the answer as JSON."`
}

// Help is shown below the command's purpose.
func (*linksExplain) Help() string {
	return `Describe a visit with the flags. The command prints its target, the rule that applies, and for each other rule the first condition that does not hold. It counts no click.

Example:

    terse links explain spring --country DE --language de --query ref=mail`
}

// Run prints the target of a visit and the reasons.
func (c *linksExplain) Run(ctx context.Context, out output) error {
	v := terseclient.Visit{IP: c.IP, Country: c.Country, Path: c.Path, Query: c.Query, Headers: map[string]string{}}
	for name, value := range map[string]string{"User-Agent": c.UserAgent, "Accept-Language": c.Language, "Referer": c.Referrer} {
		if value != "" {
			v.Headers[name] = value
		}
	}
	if c.At != "" {
		at, err := time.Parse(time.RFC3339, c.At)
		if err != nil {
			return settingsError{errors.New("--at: must be a time such as 2027-01-31T12:00:00Z")}
		}
		v.At = &at
	}
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	e, err := api.Explain(ctx, code, v)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(out.stdout, e)
	}
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "target\t%s\n", e.Location)
	if e.State != "live" {
		fmt.Fprintf(table, "state\t%s: the link does not redirect\n", e.State)
	}
	for i, r := range e.Rules {
		fmt.Fprintf(table, "rules[%d]\t%s\n", i, ruleText(&r, &e))
	}
	return table.Flush()
}

// ruleText says what a rule said to a visit.
func ruleText(r *terseclient.RuleResult, e *terseclient.Explanation) string {
	switch {
	case r.Applies && e.Drawn:
		return fmt.Sprintf("applies: split[%d], drawn anew for each visit", *e.Variant)
	case r.Applies && e.Variant != nil:
		return fmt.Sprintf("applies: split[%d]", *e.Variant)
	case r.Applies:
		return "applies"
	case r.Failed == "":
		return "holds, but an earlier rule applies"
	case r.Unknown:
		return r.Failed + " is unknown"
	}
	return r.Failed + " does not hold"
}
