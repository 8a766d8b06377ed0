package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	terseclient "github.com/terse/terse/client"
)

type linksHistory struct {
	clientFlags
	linkArg
	Limit int  `default:"50" placeholder:"N" help:"Most changes to show. 0 shows all. Default: 50."`
	JSON  bool `name:"json" help:"Print each change as a line of JSON."`
}

// Run shows the changes of a link, newest first.
func (c *linksHistory) Run(ctx context.Context, out output) error {
	api, code, err := c.linkArg.open(&c.clientFlags, out)
	if err != nil {
		return err
	}
	defer api.Close()
	table := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	show := func(e *terseclient.HistoryEntry) error { return printChange(table, e) }
	if c.JSON {
		show = func(e *terseclient.HistoryEntry) error { return printJSON(out.stdout, e) }
	} else {
		fmt.Fprintln(table, "VERSION\tAT\tACTION\tBY\tFIELD\tBEFORE\tAFTER")
	}
	const pageSize = 200
	cursor, shown := "", 0
	for {
		limit := pageSize
		if c.Limit > 0 {
			limit = min(pageSize, c.Limit-shown)
		}
		page, err := api.History(ctx, code, limit, cursor)
		if err != nil {
			return err
		}
		for i := range page.Entries {
			if err := show(&page.Entries[i]); err != nil {
				return err
			}
		}
		shown += len(page.Entries)
		if cursor = page.NextCursor; cursor == "" || c.Limit > 0 && shown >= c.Limit {
			return table.Flush()
		}
	}
}

// printChange prints a row for each changed field.
func printChange(table *tabwriter.Writer, e *terseclient.HistoryEntry) error {
	action := e.Action
	if e.Note != "" {
		action += " (" + e.Note + ")"
	}
	changes := e.Changes
	if len(changes) == 0 {
		changes = []terseclient.HistoryChange{{}}
	}
	for _, c := range changes {
		if _, err := fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Version, e.At.Format(time.RFC3339), action, e.Actor,
			cmp.Or(c.Field, "-"), shownValue(c.Before), shownValue(c.After)); err != nil {
			return err
		}
	}
	return nil
}

// shownValue formats a value of a link's field for people.
func shownValue(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case string:
		return cmp.Or(v, "-")
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
