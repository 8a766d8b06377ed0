package main

import (
	"context"

	terseclient "github.com/terse/terse/client"
)

type linksDisable struct {
	clientFlags
	linkArg
	Reason    string `required:"" help:"The reason. The owner sees it."`
	IfVersion int64  `placeholder:"N" help:"Disable only if the link has this version. Default: any version."`
	JSON      bool   `name:"json" help:"Print the link as JSON."`
}

// Run disables a link.
func (c *linksDisable) Run(ctx context.Context, out output) error {
	return changeLink(&c.clientFlags, &c.linkArg, out, c.JSON, func(api *terseclient.Client, code string) (terseclient.Link, error) {
		return api.Disable(ctx, code, c.Reason, c.IfVersion)
	})
}

type linksEnable struct {
	clientFlags
	linkArg
	Reason    string `help:"The reason, for the history."`
	IfVersion int64  `placeholder:"N" help:"Enable only if the link has this version. Its owner can change a disabled link. Default: any version."`
	JSON      bool   `name:"json" help:"Print the link as JSON."`
}

// Run enables a link.
func (c *linksEnable) Run(ctx context.Context, out output) error {
	return changeLink(&c.clientFlags, &c.linkArg, out, c.JSON, func(api *terseclient.Client, code string) (terseclient.Link, error) {
		return api.Enable(ctx, code, c.Reason, c.IfVersion)
	})
}

type linksRollback struct {
	clientFlags
	linkArg
	Version int64 `arg:"" help:"The version to restore the target from, as terse links history shows it."`
	JSON    bool  `name:"json" help:"Print the link as JSON."`
}

// Run restores the target of an earlier version.
func (c *linksRollback) Run(ctx context.Context, out output) error {
	return changeLink(&c.clientFlags, &c.linkArg, out, c.JSON, func(api *terseclient.Client, code string) (terseclient.Link, error) {
		return api.RollBack(ctx, code, c.Version)
	})
}

// changeLink runs change and prints the changed link.
func changeLink(f *clientFlags, a *linkArg, out output, asJSON bool, change func(*terseclient.Client, string) (terseclient.Link, error)) error {
	api, code, err := a.open(f, out)
	if err != nil {
		return err
	}
	defer api.Close()
	l, err := change(api, code)
	if err != nil {
		return err
	}
	return printChanged(out, api.ShortURL(code), &l, asJSON)
}
