package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	terseclient "github.com/terse/terse/client"
)

type linksShow struct {
	clientFlags
	linkArg
	JSON bool `name:"json" help:"Print the link as JSON."`
}

// Run shows a link.
func (c *linksShow) Run(ctx context.Context, out output) error {
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	l, err := api.Get(ctx, code)
	if err != nil {
		return err
	}
	return printLink(out.stdout, &l, c.JSON)
}

type linksEdit struct {
	clientFlags
	linkArg

	URL          *string  `placeholder:"URL" help:"New target."`
	Title        *string  `help:"New title. An empty title removes it."`
	Tag          []string `sep:"none" help:"The new tags; they replace all tags. Repeat the flag for more tags. One empty tag removes all."`
	Starts       *string  `placeholder:"WHEN" help:"Start of the link: a time from now such as 30d, a date such as 2027-01-31, or now."`
	Expires      *string  `placeholder:"WHEN" help:"End of the link: a time from now such as 30d, a date such as 2027-01-31, or never."`
	MaxClicks    *int64   `placeholder:"N" help:"Number of redirects that the link serves; 0 for no limit."`
	Confirm      *bool    `negatable:"" help:"Ask visitors to press Continue."`
	NoVisitors   *bool    `negatable:"visitors" help:"Count the clicks of the link, but not its visitors. --visitors counts them again."`
	PasswordFile string   `placeholder:"FILE" help:"File with the new password. - reads standard input."`
	NoPassword   bool     `help:"Remove the password."`
	Status       *int     `placeholder:"CODE" help:"Status of the redirect: 301, 302, 307 or 308."`
	ForwardQuery *string  `placeholder:"HOW" help:"Use of a visit's query: off, append or override."`
	ForwardPath  *string  `placeholder:"HOW" help:"Use of the path of a visit after the code: off or append."`
	Rules        *string  `placeholder:"FILE" help:"File with a JSON list of rules, which replaces all rules of the link. - reads standard input, an empty name removes all rules."`
	Alias        *string  `placeholder:"CODE" help:"Rename the link: its new code."`
	OldAlias     *string  `placeholder:"HOW" help:"With --alias: the old code redirects to the new one (redirect), or is deleted (gone). Default: redirect."`

	IfVersion int64 `placeholder:"N" help:"Edit only if the link has this version. Default: any version."`
	JSON      bool  `name:"json" help:"Print the link as JSON."`
}

// Help is shown below the command's purpose.
func (*linksEdit) Help() string {
	return `Only the given properties change:

    terse links edit spring --url https://example.com/summer --expires never
    terse links edit spring --alias summer
    terse links edit spring --rules rules.json`
}

// changes returns the changes that the flags describe. Its error has every problem of the flags.
func (c *linksEdit) changes(stdin io.Reader) (terseclient.Changes, error) {
	changes := terseclient.Changes{
		URL: c.URL, Title: c.Title, MaxClicks: c.MaxClicks, Confirm: c.Confirm, NoVisitors: c.NoVisitors, Status: c.Status, ForwardQuery: c.ForwardQuery, ForwardPath: c.ForwardPath,
		Alias: c.Alias, OldAlias: c.OldAlias,
	}
	if c.URL != nil {
		changes.URL = new(withScheme(*c.URL))
	}
	if len(c.Tag) == 1 && c.Tag[0] == "" {
		changes.Tags = new([]string{})
	} else if c.Tag != nil {
		changes.Tags = &c.Tag
	}
	var problems []error
	if c.OldAlias != nil && c.Alias == nil {
		problems = append(problems, errors.New("--old-alias: works with --alias only"))
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	moment := func(name, none string, text *string) *time.Time {
		if text == nil || *text == none {
			return nil
		}
		at, err := parseMoment(name, *text, now)
		if err != nil {
			problems = append(problems, err)
		}
		return &at
	}
	changes.StartsAt, changes.ExpiresAt = moment("--starts", "now", c.Starts), moment("--expires", "never", c.Expires)
	if c.Starts != nil && changes.StartsAt == nil {
		changes.StartsAt = &time.Time{}
	}
	if c.Expires != nil && changes.ExpiresAt == nil {
		changes.ExpiresAt = &time.Time{}
	}
	switch {
	case c.NoPassword && c.PasswordFile != "":
		problems = append(problems, errors.New("--no-password: cannot be combined with --password-file"))
	case c.NoPassword:
		changes.Password = new("")
	case c.PasswordFile != "":
		password, err := readPassword(c.PasswordFile, stdin)
		if err != nil {
			problems = append(problems, fmt.Errorf("--password-file: %w", err))
		}
		changes.Password = &password
	}
	switch {
	case c.Rules == nil:
	case *c.Rules == "-" && c.PasswordFile == "-":
		problems = append(problems, errors.New("--rules: standard input is used for the password already"))
	default:
		rules, err := readRules(*c.Rules, stdin)
		if err != nil {
			problems = append(problems, err)
		}
		changes.Rules = &rules
	}
	return changes, errors.Join(problems...)
}

// Run edits a link.
func (c *linksEdit) Run(ctx context.Context, out output) error {
	changes, err := c.changes(out.stdin)
	if err != nil {
		return settingsError{err}
	}
	if changes == (terseclient.Changes{}) {
		return settingsError{errors.New("nothing to change: pass at least one of the flags of terse links edit --help")}
	}
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	l, err := api.Edit(ctx, code, changes, c.IfVersion)
	if err != nil {
		return err
	}
	if c.Alias != nil {
		code = *c.Alias
	}
	return printChanged(out, api.ShortURL(code), &l, c.JSON)
}

type linksDelete struct {
	clientFlags
	linkArg
	IfVersion int64 `placeholder:"N" help:"Delete only if the link has this version. Default: any version."`
}

// Run deletes a link.
func (c *linksDelete) Run(ctx context.Context, out output) error {
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	if err := api.Delete(ctx, code, c.IfVersion); err != nil {
		return err
	}
	fmt.Fprintf(out.stderr, "Deleted %s. Only its owner can create it again by the alias %s.\n", api.ShortURL(code), code)
	return nil
}
