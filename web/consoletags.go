package web

import (
	"net/http"
	"net/url"
)

// TagList is the view model of the tags of a workspace. For administrators it has a form that sends owner by
// GET.
type TagList struct {
	Workspace   string // whose tags they are
	Owner       string // the visitor's input
	Tags        []TagRow
	Next        string            // address of the next page; empty on the last one
	Continued   bool              // whether this is not the first page
	Unavailable bool              // whether links are missing because a shard does not answer
	Errors      map[string]string // one message for each invalid field
}

// TagRow is one tag.
type TagRow struct {
	Name      string
	Links     int64
	More      bool   // whether there may be more links than Links
	LinksPath string // of the links with the tag
	StatsPath string // of their statistics
}

// NewTagRow returns a tag of a workspace. The pages of administrators need the name of the workspace;
// for other visitors it is empty.
func NewTagRow(tag, workspace string, links int64, more bool) TagRow {
	q := url.Values{"tag": {tag}}
	if workspace != "" {
		q.Set("owner", workspace)
	}
	return TagRow{Name: tag, Links: links, More: more, LinksPath: ConsolePath + "links?" + q.Encode(), StatsPath: ConsolePath + "stats?" + q.Encode()}
}

// TagList writes the tags of a workspace.
func (p *Pages) TagList(w http.ResponseWriter, status int, who Viewer, v TagList) {
	p.console.tags.write(w, status, p.screen(who, "Tags", "tags", v))
}

// GroupStats writes the statistics of several links together, which the visitor chooses, see StatsGroup.
func (p *Pages) GroupStats(w http.ResponseWriter, status int, who Viewer, v Stats) {
	p.console.groupStats.write(w, status, p.screen(who, "Statistics", "stats", statsView{v}))
}
