package web

import (
	"fmt"
	"net/http"
)

// Actions of Bulk.
const (
	BulkTag     = "tag"
	BulkUntag   = "untag"
	BulkExport  = "export" // the answer is a file
	BulkDelete  = "delete"
	BulkDisable = "disable"
)

// Bulk is the view model of an action on several links: the question before it, or its results. The
// form of the question posts action, link, reason and confirmed.
type Bulk struct {
	Action string
	Ask    bool // whether the page asks; else it shows results
	Rows   []BulkRow

	Reason string            // the visitor's input
	Errors map[string]string // one message for each invalid field
}

// BulkRow is one link of a Bulk.
type BulkRow struct {
	Ref   string // names the link in the form
	Path  string // of the link's page
	Name  string // the short URL without its scheme
	Error string // why the action failed; empty if it succeeded
}

// NeedsReason reports whether the action has a reason.
func (v Bulk) NeedsReason() bool { return v.Action == BulkDisable }

// Button returns the text of the button that confirms the action.
func (v Bulk) Button() string {
	if v.Action == BulkDisable {
		return "Disable"
	}
	return "Delete"
}

// Question returns the heading of the question.
func (v Bulk) Question() string { return fmt.Sprintf("%s %s?", v.Button(), countLinks(len(v.Rows))) }

// Summary returns the heading of the results.
func (v Bulk) Summary() string {
	failed := 0
	for _, r := range v.Rows {
		if r.Error != "" {
			failed++
		}
	}
	if failed == 0 {
		return "Done for " + countLinks(len(v.Rows))
	}
	return fmt.Sprintf("Done for %s, failed for %s", countLinks(len(v.Rows)-failed), countLinks(failed))
}

func countLinks(n int) string {
	if n == 1 {
		return "1 link"
	}
	return fmt.Sprintf("%d links", n)
}

// Bulk writes the question before an action on several links, or its results.
func (p *Pages) Bulk(w http.ResponseWriter, status int, who Viewer, v Bulk) {
	name := v.Summary()
	if v.Ask {
		name = v.Question()
	}
	p.console.bulk.write(w, status, p.screen(who, name, "", v))
}
