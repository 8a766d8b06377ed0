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
	linkArg
	Expires      string `placeholder:"WHEN" help:"End of the page: a time from now such as 30d, or a date such as 2027-01-31. Default: never."`
	PasswordFile string `placeholder:"FILE" help:"File with a password for the page. - reads standard input. Default: no password."`
}

// Help is shown below the command's purpose.
func (*linksShare) Help() string {
	return `Everybody with the address can open the page. The page shows only the statistics of the link. The address is not shown again.

To end the page, an administrator runs terse key revoke with the id that this command prints.`
}

// Run shares the statistics of a link. Only the address goes to stdout.
func (c *linksShare) Run(ctx context.Context, out output) error {
	var settings terseclient.ShareSettings
	var problems []error
	var err error
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
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	made, err := api.ShareLink(ctx, code, settings)
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stderr, "Everybody with this address can see the statistics of %s. Its key is %s.\n", api.ShortURL(code), made.ID)
	_, err = fmt.Fprintln(out.stdout, made.URL)
	return err
}
