package main

import (
	"context"
	"errors"
	"fmt"

	terseclient "github.com/terse/terse/client"
)

type expandCommand struct {
	clientFlags
	Link string `arg:"" name:"code" help:"A code, or a short URL of this or any other server."`
	JSON bool   `name:"json" help:"Print a JSON object with the short URL and the target."`
}

// Help is shown below the command's purpose.
func (*expandCommand) Help() string {
	return `It takes a short URL as people paste it: with or without https://, with a final / or +. It counts no click.

Only the owner can expand a link with a password or a click limit, with an API key. The key is never sent to another server.`
}

// Run prints the target of the link.
func (c *expandCommand) Run(ctx context.Context, out output) error {
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	short, err := api.ParseShort(c.Link)
	if err != nil {
		return settingsError{err}
	}
	target, err := api.Expand(ctx, short.URL)
	if short.Code != "" && c.APIKey != "" && errors.Is(err, terseclient.ErrNoRedirect) {
		l, getErr := api.OnDomain(short.Domain).Get(ctx, short.Code)
		if short.Domain == "" || getErr == nil { // else the short URL may be of another server
			target, err = l.URL, getErr
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", short.URL, err)
	}
	if !c.JSON {
		_, err = fmt.Fprintln(out.stdout, target)
		return err
	}
	return printJSON(out.stdout, map[string]string{"short_url": short.URL, "url": target})
}
