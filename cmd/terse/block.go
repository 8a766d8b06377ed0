package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/terse/terse/store"
)

// blockPage is the number of hosts in one read.
const blockPage = 1000

type blockCommand struct {
	Add    blockAdd    `cmd:"" help:"Block hosts. New links to them are rejected; existing links are disabled."`
	Remove blockRemove `cmd:"" help:"Unblock hosts. Disabled links stay disabled."`
	List   blockList   `cmd:"" help:"List the hosts that this command and the API blocked."`
}

type blockAdd struct {
	dataFlags
	initFlag
	Reason string   `placeholder:"TEXT" help:"Note for other operators."`
	Host   []string `arg:"" help:"A host. Its subdomains are blocked too, unless the host begins with =."`
}

// Help is shown below the command's purpose.
func (*blockAdd) Help() string {
	return `Running servers apply a change within seconds:

    terse block add --reason phishing evil.example =pages.hoster.example`
}

// Run blocks the hosts. It blocks none of them when a host is invalid.
func (c *blockAdd) Run(ctx context.Context, out output) error {
	patterns, err := parsePatterns(c.Host)
	if err := errors.Join(err, store.CheckText("--reason", c.Reason, store.MaxBlockReasonLen)); err != nil {
		return settingsError{err}
	}
	if err := c.requireOrInit(ctx, &c.dataFlags); err != nil {
		return err
	}
	return withDatabase(ctx, &c.dataFlags, out, func(d administered) error {
		for _, p := range patterns {
			h := store.BlockedHost{Pattern: p, Reason: c.Reason, BlockedAt: time.Now().UTC().Truncate(time.Microsecond)}
			if err := d.BlockHost(ctx, h); err != nil {
				return fmt.Errorf("block %s: %w", p, err)
			}
			fmt.Fprintf(out.stdout, "Blocked %s.\n", p)
		}
		return nil
	})
}

type blockRemove struct {
	dataFlags
	Host []string `arg:"" help:"A host from the list, in any spelling."`
}

// Run unblocks the hosts.
func (c *blockRemove) Run(ctx context.Context, out output) error {
	patterns, err := parsePatterns(c.Host)
	if err != nil {
		return settingsError{err}
	}
	if err := c.requireDatabase(ctx); err != nil {
		return err
	}
	return withDatabase(ctx, &c.dataFlags, out, func(d administered) error {
		for _, p := range patterns {
			err := d.UnblockHost(ctx, p)
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("%s is not on the list. List the hosts with: terse block list", p)
			}
			if err != nil {
				return fmt.Errorf("unblock %s: %w", p, err)
			}
			fmt.Fprintf(out.stdout, "Unblocked %s.\n", p)
		}
		return nil
	})
}

type blockList struct{ dataFlags }

// Run lists the hosts as a table.
func (c *blockList) Run(ctx context.Context, out output) error {
	if err := c.requireDatabase(ctx); err != nil {
		return err
	}
	return withDatabase(ctx, &c.dataFlags, out, func(d administered) error {
		w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "HOST\tSINCE\tBY\tREASON")
		for after := ""; ; {
			page, err := d.BlockedHosts(ctx, after, blockPage)
			if err != nil {
				return fmt.Errorf("list blocked hosts: %w", err)
			}
			for _, h := range page {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.Pattern, shownTime(h.BlockedAt), h.By, h.Reason)
			}
			if len(page) < blockPage {
				return w.Flush()
			}
			after = page[len(page)-1].Pattern.String()
		}
	})
}

// parsePatterns parses hosts. Its error names every invalid host.
func parsePatterns(hosts []string) ([]store.HostPattern, error) {
	var patterns []store.HostPattern
	var problems []error
	for _, host := range hosts {
		p, err := store.ParseHostPattern(host)
		if err != nil {
			problems = append(problems, fmt.Errorf("%.100q: %w", host, err))
		}
		patterns = append(patterns, p)
	}
	return patterns, errors.Join(problems...)
}
