package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/terse/terse/client"
	"github.com/terse/terse/client/transfer"
	"github.com/terse/terse/links"
	"github.com/terse/terse/store"
	"github.com/terse/terse/web"
)

const (
	importScreen = web.ConsolePath + "import"
	importRoute  = importScreen + "/rows"

	maxImportBytes = 512 << 10 // in Base64, the second form has it as well
	maxImportRows  = maxBatch
	maxImportCols  = 100 // each is a choice for each field
	previewedRows  = 5
)

// importFields are the fields of a link that a column of a spreadsheet can be, in the order of the form.
var importFields = []string{
	"url", "code", "short_url", "domain", "title", "tags", "starts_at", "expires_at", "max_clicks", "status", "forward_query", "forward_path",
	"confirm", "no_visitors", "rules",
}

// uploads reports whether the form of a route is multipart/form-data.
func uploads(route string) bool { return route == importScreen || route == importRoute }

// readUpload reads a form with a file. The name of the file is in the field "name". The caller calls free when it no longer
// uses the form, also after an error.
func (a *API) readUpload(c echo.Context) (form url.Values, free func(), err error) {
	kind, params, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	if err != nil || kind != echo.MIMEMultipartForm {
		return nil, func() {}, newProblem(http.StatusUnsupportedMediaType, "Send the form as "+echo.MIMEMultipartForm+".")
	}
	body, free, err := a.readAll(c, a.newCaller(a.clientAddr(c.Request()), nil), MaxBodyLen)
	if tooLong, is := errors.AsType[*problem](err); is && tooLong.Status == http.StatusRequestEntityTooLarge {
		return nil, free, newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The file must be at most %d KiB.", maxImportBytes>>10))
	}
	if err != nil {
		return nil, free, err
	}
	form, err = parseUpload(body, params["boundary"])
	return form, free, err
}

func parseUpload(body []byte, boundary string) (url.Values, error) {
	broken := newProblem(http.StatusBadRequest, "The form is not correctly encoded.")
	form := url.Values{}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for n := 0; ; n++ {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return form, nil
		}
		if err != nil || part.FormName() == "" {
			return nil, broken
		}
		if n == maxFields {
			return nil, newProblem(http.StatusUnprocessableEntity, fmt.Sprintf("The form has more than %d fields.", maxFields))
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, broken
		}
		form.Add(part.FormName(), string(value))
		if part.FormName() == "file" {
			form.Add("name", part.FileName())
		}
	}
}

// importScreen shows the form to upload a spreadsheet.
func (a *API) importScreen(c echo.Context, s *session) error {
	if err := a.opts.Links.May(&s.Caller, links.Creating); err != nil {
		return err
	}
	a.showImport(c, s, http.StatusOK, web.Import{Encoding: "utf-8"})
	return nil
}

func (a *API) showImport(c echo.Context, s *session, status int, v web.Import) {
	v.MaxRows, v.MaxBytes = maxImportRows, maxImportBytes
	a.pages.Import(c.Response(), status, s.viewer(), v)
}

// previewImport shows the first rows of a spreadsheet, and asks which column is which field.
func (a *API) previewImport(c echo.Context, s *session) error {
	if err := a.opts.Links.May(&s.Caller, links.Creating); err != nil {
		return err
	}
	text, err := importText(s.form.Get("file"), s.form.Get("encoding"))
	var v web.ImportColumns
	if err == nil {
		v, err = importColumns(text, nil)
	}
	if err != nil {
		a.showImport(c, s, http.StatusUnprocessableEntity, web.Import{Encoding: s.form.Get("encoding"), Errors: fieldErrors(err)})
		return nil
	}
	v.Name = s.form.Get("name")
	a.pages.ImportColumns(c.Response(), http.StatusOK, s.viewer(), v)
	return nil
}

// importText returns a file in UTF-8. An error is a *store.FieldError.
func importText(file, encoding string) ([]byte, error) {
	refuse := func(reason string) ([]byte, error) { return nil, &store.FieldError{Field: "file", Reason: reason} }
	switch {
	case file == "":
		return refuse("must not be empty")
	case len(file) > maxImportBytes:
		return refuse(fmt.Sprintf("must be at most %d KiB", maxImportBytes>>10))
	case strings.HasPrefix(file, "PK\x03\x04"):
		return refuse("is a workbook. Save it as CSV")
	}
	if !slices.Contains(web.ImportEncodings(), encoding) {
		return nil, &store.FieldError{Field: "encoding", Reason: "must be one of the encodings in the list"}
	}
	r, err := transfer.NewTextReader(strings.NewReader(file), encoding)
	var text []byte
	if err == nil {
		text, err = io.ReadAll(r)
	}
	switch {
	case err != nil || !utf8.Valid(text):
		return refuse("does not have the chosen encoding. Choose another one, or save the file as UTF-8")
	case bytes.IndexByte(text, 0) >= 0:
		return refuse("contains NUL bytes. Choose another encoding, or save the file as UTF-8")
	case len(text) > maxImportBytes:
		return refuse(fmt.Sprintf("must be at most %d KiB in UTF-8", maxImportBytes>>10))
	}
	return text, nil
}

// importColumns returns the first rows of a spreadsheet. chosen are the columns of the fields; nil: those
// that their names suggest. An error is a *store.FieldError.
func importColumns(text []byte, chosen map[string]string) (web.ImportColumns, error) {
	refuse := func(format string, values ...any) (web.ImportColumns, error) {
		return web.ImportColumns{}, &store.FieldError{Field: "file", Reason: fmt.Sprintf(format, values...)}
	}
	all, err := transfer.ReadPreview(bytes.NewReader(text), maxImportRows+1)
	switch {
	case errors.Is(err, transfer.ErrNoLinks):
		return refuse("cannot be used: %s", strings.TrimPrefix(err.Error(), transfer.ErrNoLinks.Error()+": "))
	case err != nil:
		return refuse("cannot be read: %s", err)
	case len(all.Columns) > maxImportCols:
		return refuse("must have at most %d columns", maxImportCols)
	case len(all.Rows) == 0:
		return refuse("has no rows below the names of the columns")
	case len(all.Rows) > maxImportRows:
		return refuse("must have at most %d rows", maxImportRows)
	}
	if chosen == nil {
		chosen = transfer.GuessColumns(all.Columns)
	}
	v := web.ImportColumns{
		Data: base64.StdEncoding.EncodeToString(text), Columns: all.Columns, Rows: all.Rows[:min(previewedRows, len(all.Rows))], Total: len(all.Rows),
	}
	for _, name := range importFields {
		v.Fields = append(v.Fields, web.ImportField{Name: name, Column: chosen[name]})
	}
	return v, nil
}

// importRows creates the links of a spreadsheet, and reports each row.
func (a *API) importRows(c echo.Context, s *session) error {
	if err := a.opts.Links.May(&s.Caller, links.Creating); err != nil {
		return err
	}
	f := s.form
	data, err := base64.StdEncoding.DecodeString(f.Get("data"))
	if err != nil {
		return newProblem(http.StatusBadRequest, "The form is not correctly encoded.")
	}
	columns := map[string]string{"alias": ""} // a second name of code, which is one of the fields
	for _, name := range importFields {
		columns[name] = f.Get("map_" + name)
	}
	var v web.ImportColumns
	text, err := importText(string(data), "utf-8")
	if err == nil {
		v, err = importColumns(text, columns)
	}
	if err != nil {
		a.showImport(c, s, http.StatusUnprocessableEntity, web.Import{Encoding: "utf-8", Errors: fieldErrors(err)})
		return nil
	}
	v.Name = f.Get("name")
	unfit := false
	for i := range v.Fields {
		switch field := &v.Fields[i]; {
		case field.Column != "" && !slices.Contains(v.Columns, field.Column):
			field.Error = "must be a column of the file"
		case field.Column == "" && field.Name == "url":
			field.Error = "is required: choose the column with the targets"
		}
		unfit = unfit || v.Fields[i].Error != ""
	}
	var rows []importRow
	if !unfit {
		if rows, err = readImport(text, columns, s.Key.ID); err != nil {
			v.General, unfit = "The file cannot be used: "+err.Error()+".", true
		}
	}
	if unfit {
		a.pages.ImportColumns(c.Response(), http.StatusUnprocessableEntity, s.viewer(), v)
		return nil
	}
	from, err := strconv.Atoi(cmp.Or(f.Get("from"), "0"))
	if err != nil || from < 0 || from > len(rows) {
		return newProblem(http.StatusBadRequest, "The form is not correctly encoded.")
	}
	report, limited, err := a.createRows(c.Request().Context(), s, rows[from:])
	if err != nil {
		return err
	}
	if report.Name = v.Name; limited >= 0 {
		report.Rest = &web.ImportRest{From: from + limited, Data: v.Data, Fields: v.Fields}
	}
	a.pages.ImportReport(c.Response(), http.StatusOK, s.viewer(), report)
	return nil
}

// importRow is one row of a spreadsheet.
type importRow struct {
	line    int
	item    []byte // the create as the API takes it, with a key; nil if err is set
	warning string
	err     *store.FieldError
}

// readImport reads all rows. The idempotency key of each create depends on the session, the file, the columns and the
// number of the row: a file that is sent twice makes no second link.
func readImport(text []byte, columns map[string]string, session string) (rows []importRow, err error) {
	r, err := transfer.Open(bytes.NewReader(text), transfer.ReadOptions{Source: "terse", Columns: columns})
	if err != nil {
		return nil, err
	}
	whole, err := json.Marshal([]any{session, columns, text})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(whole)
	for {
		record, err := r.Next()
		broken, unreadable := errors.AsType[*transfer.RowError](err)
		switch {
		case errors.Is(err, io.EOF):
			return rows, nil
		case unreadable:
			rows = append(rows, importRow{line: broken.Line, err: &store.FieldError{Field: broken.Field, Reason: broken.Reason}})
		case err != nil:
			return nil, err
		default:
			row := importRow{line: record.Line, err: unimportable(&record)}
			for _, w := range record.Warnings {
				row.warning = strings.TrimPrefix(row.warning+"; "+w.String(), "; ")
			}
			if row.item, err = json.Marshal(client.KeyedLink{NewLink: record.NewLink(), Key: fmt.Sprintf("import %x %d", sum[:16], len(rows))}); err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		if len(rows) > maxImportRows {
			return nil, fmt.Errorf("it has more than %d rows", maxImportRows)
		}
	}
}

// unimportable returns why an exported link must not become a new link: it would work in another way than
// before. It returns nil if it may.
func unimportable(r *transfer.Record) *store.FieldError {
	switch {
	case r.PasswordLost, r.Link.PasswordHash != "":
		return &store.FieldError{Field: "password", Reason: "is not in the file, so that everybody could open the link"}
	case r.Link.DeletedAt != nil:
		return &store.FieldError{Field: "deleted_at", Reason: "the link was deleted"}
	case r.Disabled:
		return &store.FieldError{Field: "state", Reason: "the link was taken down"}
	case r.Link.MaxClicks > 0 && r.Link.UsedClicks > 0:
		return &store.FieldError{Field: "used_clicks", Reason: "some clicks of the limit are used, and would be free again"}
	}
	return nil
}

// createRows creates the links of rows. The limit of creates counts each row. limited is the first row that it rejects, or
// -1.
func (a *API) createRows(ctx context.Context, s *session, rows []importRow) (report web.ImportReport, limited int, err error) {
	report.Rows, limited = len(rows), -1
	var drafts []links.Draft
	var of []int // rows of the drafts
	for i := range rows {
		if rows[i].err == nil {
			link, err := decode[batchLink](a.schemas, rows[i].item)
			d := link.draft(link.IdempotencyKey.value, true)
			d.Err = store.JoinInvalid(err, d.Err)
			drafts, of = append(drafts, d), append(of, i)
		}
	}
	taken, limits := a.takeCreates(ctx, s.caller, len(drafts))
	if taken.Allowed < len(drafts) {
		limited = of[taken.Allowed]
	}
	for i := taken.Allowed; i < len(drafts); i++ {
		drafts[i].Err = tooMany(createsUsedUp, taken, limits)
	}
	results, err := a.opts.Links.Create(ctx, &s.Caller, links.Batch{Drafts: drafts})
	if err != nil {
		return report, limited, err
	}
	made := make(map[int]*links.Result, len(results))
	for i := range results {
		made[of[i]] = &results[i]
	}
	for i := range rows {
		switch result := made[i]; {
		case result == nil:
			report.Faults = append(report.Faults, web.ImportFault{Line: rows[i].line, Field: rows[i].err.Field, Reason: rows[i].err.Reason})
			report.Rejected++
		case result.Err != nil:
			report.Faults = append(report.Faults, a.importFaults(ctx, rows[i].line, result.Err)...)
			report.Rejected++
		default:
			report.Made = append(report.Made, web.ImportedRow{Line: rows[i].line, Link: a.row(&result.Link), Warning: rows[i].warning})
		}
	}
	return report, limited, nil
}

// importFaults returns the reasons why a create failed.
func (a *API) importFaults(ctx context.Context, line int, err error) (faults []web.ImportFault) {
	p := a.problem(ctx, err)
	p.shorten()
	for _, e := range p.Errors {
		faults = append(faults, web.ImportFault{Line: line, Field: strings.TrimPrefix(e.Location, "body."), Reason: e.Message})
	}
	switch {
	case len(faults) > 0:
	case p.Status == http.StatusConflict:
		faults = []web.ImportFault{{Line: line, Field: "alias", Reason: "is taken"}}
	default:
		faults = []web.ImportFault{{Line: line, Reason: p.Detail}}
	}
	return faults
}
