package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/api/overload"
	"github.com/terse/terse/client"
	"github.com/terse/terse/client/transfer"
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
	file, err := a.beginExport(c)
	for err == nil && c.Request().Method != http.MethodHead {
		if err = file.add(page.Links...); err != nil || page.Next.IsZero() {
			break
		}
		q.Cursor = page.Next.String()
		page, err = a.exportedPage(c, s, q)
	}
	a.abortOn(c, err)
	return nil
}

// abortOn closes the connection of an export that failed after it began, so that the client does not take a part
// for the whole file.
func (a *API) abortOn(c echo.Context, err error) {
	if err != nil {
		a.opts.Logger.WarnContext(a.identified(c), "export of links failed", "err", err)
		panic(http.ErrAbortHandler)
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
	file, err := a.beginExport(c)
	if err == nil {
		err = file.add(selected...)
	}
	a.abortOn(c, err)
	return nil
}

// exportFile writes a file with the columns of "terse links export". Not safe for concurrent use.
type exportFile struct {
	*transfer.Writer

	api  *API
	text []byte // of the latest link
}

// beginExport begins the answer with a CSV file.
func (a *API) beginExport(c echo.Context) (*exportFile, error) {
	h := c.Response().Header()
	h.Set("Content-Type", csvType+"; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="links.csv"`)
	h.Set("X-Content-Type-Options", "nosniff")
	c.Response().WriteHeader(http.StatusOK)
	w, err := transfer.NewWriter(c.Response(), transfer.WriteOptions{Format: "csv"})
	if err != nil {
		return nil, err
	}
	return &exportFile{Writer: w, api: a}, w.Begin()
}

// add writes links as the API shows them. An error may be in a later Flush.
func (f *exportFile) add(all ...store.Link) error {
	for i := range all {
		body := f.api.linkBody(&all[i])
		f.text = appendLink(f.text[:0], &body)
		var l client.Link
		if err := json.Unmarshal(f.text, &l); err != nil {
			return fmt.Errorf("export link %q: %w", body.Code, err)
		}
		if err := f.Write(&l); err != nil {
			return err
		}
	}
	return f.Flush()
}
