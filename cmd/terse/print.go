package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	terseclient "github.com/terse/terse/client"
)

// printJSON prints a value as a line of JSON.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printChanged prints a changed link. l is the zero Link if the key may not read it.
func printChanged(out output, shortURL string, l *terseclient.Link, asJSON bool) error {
	if l.Code == "" {
		_, err := fmt.Fprintf(out.stderr, "Changed %s. The API key lacks links:read, so the link is not shown.\n", shortURL)
		return err
	}
	return printLink(out.stdout, l, asJSON)
}

// printLink prints a link as a table of its properties, or as JSON.
func printLink(w io.Writer, l *terseclient.Link, asJSON bool) error {
	if asJSON {
		return printJSON(w, l)
	}
	limit := "none"
	if l.MaxClicks > 0 {
		limit = fmt.Sprintf("%d, %d used", l.MaxClicks, l.UsedClicks)
	}
	yesNo := map[bool]string{true: "yes", false: "no"}
	state := l.State
	if l.DisabledReason != "" {
		state += " (" + oneLine(l.DisabledReason) + ")"
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rules := "-"
	if len(l.Rules) > 0 {
		rules = fmt.Sprintf("%d, see --json", len(l.Rules))
	}
	for _, row := range [][2]string{
		{"short URL", l.ShortURL},
		{"target", l.URL},
		{"rules", rules},
		{"title", cmp.Or(oneLine(l.Title), "-")},
		{"tags", cmp.Or(strings.Join(l.Tags, ", "), "-")},
		{"state", state},
		{"starts", momentOr(l.StartsAt, "at once")},
		{"expires", momentOr(l.ExpiresAt, "never")},
		{"click limit", limit},
		{"confirm", yesNo[l.Confirm]},
		{"visitors", map[bool]string{false: "counted", true: "not counted"}[l.NoVisitors]},
		{"password", yesNo[l.PasswordProtected]},
		{"status", strconv.Itoa(l.Status)},
		{"forward query", l.ForwardQuery},
		{"forward path", l.ForwardPath},
		{"clicks", strconv.FormatInt(int64(l.Clicks), 10)},
		{"robots", strconv.FormatInt(int64(l.Robots), 10)},
		{"last click", momentOr(l.LastClickAt, "never")},
		{"created", l.CreatedAt.Format(time.RFC3339)},
		{"updated", l.UpdatedAt.Format(time.RFC3339)},
		{"version", strconv.FormatInt(l.Version, 10)},
	} {
		fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
	}
	return table.Flush()
}

func momentOr(at *time.Time, none string) string {
	if at == nil {
		return none
	}
	return at.Format(time.RFC3339)
}

// oneLine replaces line breaks, tabs and other control characters by spaces, so that text of
// strangers cannot change the table or the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
