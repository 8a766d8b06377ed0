package api

import (
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/internal/spreadsheet"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

// exportScreen is the address of a list as a CSV file.
const exportScreen = web.ConsolePath + "links.csv"

// exportPage is the number of links that are read at a time.
const exportPage = 500

// exportList answers all links that match the query as a CSV file, page by page. The file has the columns
// of "terse links export", so that "terse links import" reads it.
func (a *API) exportList(c echo.Context, s *session) error {
	q, err := listQuery(c.QueryParams(), s)
	if err != nil {
		return ofQuery(err)
	}
	q.Limit, q.Cursor = exportPage, ""
	page, err := a.exportedPage(c, s, q)
	if err != nil {
		return err
	}
	w := beginExport(c)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	for {
		for i := range page.Links {
			a.exportLink(w, &page.Links[i])
		}
		if w.Flush(); w.Error() != nil || page.Next.IsZero() {
			return nil // the client may have disconnected
		}
		q.Cursor = page.Next.String()
		if page, err = a.exportedPage(c, s, q); err != nil {
			a.opts.Logger.WarnContext(a.identified(c), "export of links failed", "err", err)
			panic(http.ErrAbortHandler) // the client must not take a part for the whole file
		}
	}
}

// exportedPage returns a page with the links of all shards. The time limit of a request and its place in
// overload protection are for one page, because a file may have any number of pages.
func (a *API) exportedPage(c echo.Context, s *session, q links.Query) (store.Page, error) {
	ctx, cancel := context.WithTimeout(c.Request().Context(), RequestTimeout)
	defer cancel()
	place, err := a.opts.Guard.Admit(ctx, overload.List, a.senderOf(c.Request()))
	if err != nil {
		return store.Page{}, err
	}
	defer place.Done()
	// The client has this time to read the page. Writers without deadlines are of tests.
	_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(2 * RequestTimeout))
	page, err := a.opts.Links.List(ctx, &s.Caller, q)
	if err == nil && len(page.Unavailable) > 0 {
		err = store.ErrUnavailable
	}
	return page, ofQuery(err)
}

// exportSelected answers the selected links as a CSV file.
func (a *API) exportSelected(c echo.Context, s *session, refs []string) error {
	selected := make([]store.Link, len(refs))
	for i, ref := range refs {
		host, code, _ := strings.Cut(ref, "/")
		key, err := a.keyOfRef(s, host, code)
		if err == nil {
			selected[i], err = a.opts.Links.Get(c.Request().Context(), &s.Caller, key)
		}
		if err != nil {
			return err
		}
	}
	w := beginExport(c)
	for i := range selected {
		a.exportLink(w, &selected[i])
	}
	w.Flush()
	return nil // the client may have disconnected
}

// exportColumns are the columns of the file. The last one names the cells of the row that
// spreadsheet.Escape has changed.
var exportColumns = []string{
	"code", "domain", "short_url", "url", "title", "tags", "status", "forward_query", "forward_path", "rules", "state", "starts_at", "expires_at",
	"max_clicks", "used_clicks", "confirm", "no_visitors", "password_protected", "disabled_reason", "owner", "clicks", "robots", "last_click_at",
	"created_at", "updated_at", "version", "escaped",
}

// beginExport begins the answer with a CSV file.
func beginExport(c echo.Context) *csv.Writer {
	h := c.Response().Header()
	h.Set("Content-Type", csvType+"; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="links.csv"`)
	h.Set("X-Content-Type-Options", "nosniff")
	c.Response().WriteHeader(http.StatusOK)
	w := csv.NewWriter(c.Response())
	_ = w.Write(exportColumns) // Error reports it
	return w
}

// exportLink writes the row of a link.
func (a *API) exportLink(w *csv.Writer, l *store.Link) {
	b := a.linkBody(l)
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	moment := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.Format(time.RFC3339Nano)
	}
	cells := []string{
		b.Code, b.Domain, b.ShortURL, b.URL, b.Title, tagsCell(b.Tags), strconv.Itoa(b.Status), b.ForwardQuery, b.ForwardPath, string(b.Rules), b.State,
		moment(b.StartsAt), moment(b.ExpiresAt), number(b.MaxClicks), number(b.UsedClicks), strconv.FormatBool(b.Confirm), strconv.FormatBool(b.NoVisitors),
		strconv.FormatBool(b.PasswordProtected), b.DisabledReason, b.Owner, number(b.Clicks), number(b.Robots), moment(b.LastClickAt),
		moment(&b.CreatedAt), moment(&b.UpdatedAt), number(b.Version),
	}
	var escaped []string
	for i, cell := range cells {
		if safe := spreadsheet.Escape(cell); safe != cell {
			cells[i] = safe
			escaped = append(escaped, exportColumns[i])
		}
	}
	_ = w.Write(append(cells, strings.Join(escaped, " "))) // Error reports it
}

// tagsCell returns tags separated by commas. A tag that has a separator is in quotes.
func tagsCell(tags []string) string {
	cells := make([]string, len(tags))
	for i, tag := range tags {
		if strings.ContainsAny(tag, `,;|"`) || strings.TrimSpace(tag) != tag {
			tag = `"` + strings.ReplaceAll(tag, `"`, `""`) + `"`
		}
		cells[i] = tag
	}
	return strings.Join(cells, ",")
}
