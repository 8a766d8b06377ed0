package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	terseclient "github.com/terse/terse/client"
)

type expandCommand struct {
	clientFlags
	Link string `arg:"" name:"code" help:"A code, or a short URL of this or any other server."`
	JSON bool   `name:"json" help:"Print a JSON object with the short URL and the target."`
}

// Help is shown below the command's purpose.
func (*expandCommand) Help() string {
	return `It counts no click. Only the owner can expand a link with a password or a click limit: give the code, not the URL, and
set TERSE_API_KEY. The key is never sent to another server.`
}

// Run prints the target of the link.
func (c *expandCommand) Run(ctx context.Context, out output) error {
	api, err := c.open()
	if err != nil {
		return err
	}
	defer api.Close()
	short := c.Link
	isCode := !strings.Contains(short, "/")
	if isCode {
		short = api.ShortURL(short)
	}
	target, err := api.Expand(ctx, short)
	if isCode && c.APIKey != "" && errors.Is(err, terseclient.ErrTargetHidden) {
		var l terseclient.Link
		l, err = api.Get(ctx, c.Link)
		target = l.URL
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Link, err)
	}
	if !c.JSON {
		_, err = fmt.Fprintln(out.stdout, target)
		return err
	}
	enc := json.NewEncoder(out.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(map[string]string{"short_url": short, "url": target})
}
