package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	terseclient "github.com/terse/terse/client"
)

type linksShare struct {
	clientFlags

	Link         string `arg:"" optional:"" name:"code" help:"The code of the link, or its short URL."`
	Domain       string `placeholder:"HOST" help:"The domain of the link. Without a link: share the statistics of all your links on this domain."`
	Tag          string `placeholder:"TAG" help:"Share the statistics of all your links with this tag."`
	All          bool   `help:"Share the statistics of all your links."`
	Expires      string `placeholder:"WHEN" help:"End of the page: a time from now such as 30d, or a date such as 2027-01-31. Default: never."`
	PasswordFile string `placeholder:"FILE" help:"File with a password for the page. - reads standard input. Default: no password."`
}

// Help is shown below the command's purpose.
func (*linksShare) Help() string {
	return `Everybody with the address can open the page. The page shows only statistics of the chosen links. The address is not shown again.

    terse links share spring --expires 30d
    terse links share --tag campaign

To end the page, an administrator runs terse key revoke with the id that this command prints.`
}

// checkChoice returns an error unless the arguments choose one link, or one set of links.
func (c *linksShare) checkChoice() error {
	switch {
	case c.Link != "" && (c.Tag != "" || c.All):
		return errors.New("name a link, or --tag or --all, not both")
	case c.All && (c.Tag != "" || c.Domain != ""):
		return errors.New("--all: cannot be combined with --tag or --domain")
	case c.Tag != "" && c.Domain != "":
		return errors.New("--tag: cannot be combined with --domain: statistics are stored by tag and by domain, not by both")
	case c.Link == "" && c.Tag == "" && c.Domain == "" && !c.All:
		return errors.New("name a link, or choose several links with --tag, --domain or --all")
	}
	return nil
}

// Run shares the statistics of a link, or of several links together. Only the address goes to stdout.
func (c *linksShare) Run(ctx context.Context, out output) error {
	var settings terseclient.ShareSettings
	var problems []error
	err := c.checkChoice()
	if err != nil {
		problems = append(problems, err)
	}
	if settings.ExpiresAt, err = parseExpiry(c.Expires, time.Now().UTC()); err != nil {
		problems = append(problems, err)
	}
	if c.PasswordFile != "" {
		if settings.Password, err = readPassword(c.PasswordFile, out.stdin); err != nil {
			problems = append(problems, fmt.Errorf("--password-file: %w", err))
		}
	}
	if problems != nil {
		return settingsError{errors.Join(problems...)}
	}
	made, what, err := c.share(ctx, settings, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stderr, "Everybody with this address can see the statistics of %s. Its key is %s.\n", what, made.ID)
	_, err = fmt.Fprintln(out.stdout, made.URL)
	return err
}

// share makes the page, and returns what it shows.
func (c *linksShare) share(ctx context.Context, settings terseclient.ShareSettings, out output) (made terseclient.Share, what string, err error) {
	if c.Link != "" {
		link := linkArg{Link: c.Link, Domain: c.Domain}
		api, code, err := link.open(&c.clientFlags, out)
		if err != nil {
			return made, "", err
		}
		defer api.Close()
		made, err = api.ShareLink(ctx, code, settings)
		return made, api.ShortURL(code), err
	}
	api, err := c.open(out)
	if err != nil {
		return made, "", err
	}
	defer api.Close()
	made, err = api.ShareStats(ctx, terseclient.StatsSet{Tag: c.Tag, Domain: c.Domain}, settings)
	switch {
	case c.Tag != "":
		what = fmt.Sprintf("your links with the tag %q", c.Tag)
	case c.Domain != "":
		what = "your links on " + c.Domain
	default:
		what = "all your links"
	}
	return made, what, err
}
