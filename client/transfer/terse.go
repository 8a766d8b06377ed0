package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/terse/terse/client"
)

// openTerse reads the output of a Writer and files written by hand: one JSON object a
// line, or CSV with any of the columns. Only the url column is required.
func openTerse(r *bufio.Reader) (Reader, error) {
	if isJSON(r) {
		return &lineReader{r: r}, nil
	}
	t, err := openTable(r, "url")
	if err != nil {
		return nil, err
	}
	for name := range maps.Keys(t.columns) {
		if !slices.Contains(linkColumns, name) && !slices.Contains(archiveColumns, name) && name != "alias" {
			return nil, fmt.Errorf("unknown column %q; the columns are %s", name, strings.Join(linkColumns, ", "))
		}
	}
	return tableReader{t, readRow}, nil
}

// readRow reads a row of Terse's CSV format.
func readRow(t *table) (Record, error) {
	var (
		record Record
		l      = &record.Link
		errs   []error
	)
	l.Code, l.URL, l.Title = t.cell("code", "alias"), t.cell("url"), t.cell("title")
	l.ForwardQuery, l.PasswordHash, l.DisabledReason = t.cell("forward_query"), t.cell("password_hash"), t.cell("disabled_reason")
	if owner, ok := t.columns["owner"]; ok && owner < len(t.row) {
		id := strings.Clone(t.row[owner])
		l.Owner = &id
	}
	number := func(column string) int64 {
		n, err := readNumber(column, t.cell(column))
		errs = append(errs, err)
		return n
	}
	l.Status, l.Version = int(number("status")), number("version")
	l.MaxClicks, l.UsedClicks = client.Count(number("max_clicks")), client.Count(number("used_clicks"))
	l.Clicks = client.Count(number("clicks"))
	var err error
	l.Tags, err = readTags("tags", t.cell("tags"))
	errs = append(errs, err)
	for _, moment := range []struct {
		column string
		at     **time.Time
	}{
		{"starts_at", &l.StartsAt},
		{"expires_at", &l.ExpiresAt},
		{"disabled_at", &l.DisabledAt},
		{"deleted_at", &l.DeletedAt},
		{"last_click_at", &l.LastClickAt},
		{"created_at", &l.CreatedAt},
		{"updated_at", &l.UpdatedAt},
	} {
		*moment.at, err = readTime(moment.column, t.cell(moment.column))
		errs = append(errs, err)
	}
	lost, err := readBool("password_protected", t.cell("password_protected"))
	record.PasswordLost = lost && l.PasswordHash == ""
	record.Disabled = t.cell("state") == "disabled" || l.DisabledAt != nil || l.DisabledReason != ""
	return record, errors.Join(append(errs, err)...)
}

// lineReader reads one JSON object from each line.
type lineReader struct {
	r    *bufio.Reader
	line int
}

// ownLine has the fields of both kinds of JSON lines that a Writer writes.
type ownLine struct {
	client.ArchivedLink

	Alias             string `json:"alias"`
	ShortURL          string `json:"short_url"`
	State             string `json:"state"`
	PasswordProtected bool   `json:"password_protected"`
}

// Next implements Reader.
func (l *lineReader) Next() (Record, error) {
	for {
		line, err := l.read()
		if err != nil {
			return Record{}, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var in ownLine
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			return Record{}, l.wrong(err)
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return Record{}, &RowError{Line: l.line, Reason: "must be one JSON object"}
		}
		if in.Code == "" {
			in.Code = in.Alias
		}
		return Record{
			Line: l.line, Link: in.ArchivedLink,
			PasswordLost: in.PasswordProtected && in.PasswordHash == "",
			Disabled:     in.State == "disabled" || in.DisabledAt != nil || in.DisabledReason != "",
		}, nil
	}
}

// wrong converts a decoding error to a *RowError.
func (l *lineReader) wrong(err error) error {
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return &RowError{Line: l.line, Field: strings.TrimPrefix(mismatch.Field, "ArchivedLink."), Reason: "has the wrong type"}
	}
	return &RowError{Line: l.line, Reason: "must be a JSON object of a link: " + strings.TrimPrefix(err.Error(), "json: ")}
}

// read returns the next line. A line over maxRowLen is skipped and returns a *RowError.
func (l *lineReader) read() ([]byte, error) {
	l.line++
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if len(line) <= maxRowLen {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && (!errors.Is(err, io.EOF) || len(line) == 0):
			return nil, err
		case len(line) > maxRowLen:
			return nil, &RowError{Line: l.line, Reason: fmt.Sprintf("must be at most %d bytes long", maxRowLen)}
		default:
			return line, nil
		}
	}
}

// linkColumns are the CSV columns of an owner's export. archiveColumns are the CSV
// columns of an administrator's export.
var (
	linkColumns = []string{
		"code", "short_url", "url", "title", "tags", "status", "forward_query", "state", "starts_at", "expires_at",
		"max_clicks", "used_clicks", "password_protected", "disabled_reason", "clicks", "last_click_at",
		"created_at", "updated_at", "version",
	}
	archiveColumns = []string{
		"code", "url", "owner", "title", "tags", "status", "forward_query", "starts_at", "expires_at",
		"max_clicks", "used_clicks", "password_hash", "disabled_at", "disabled_reason", "deleted_at", "clicks", "last_click_at",
		"created_at", "updated_at", "version",
	}
)

// linkCells returns the cells of linkColumns.
func linkCells(l *client.Link) []string {
	return []string{
		l.Code, l.ShortURL, l.URL, l.Title, writeTags(l.Tags), strconv.Itoa(l.Status), l.ForwardQuery, l.State,
		writeTime(l.StartsAt), writeTime(l.ExpiresAt), cell(l.MaxClicks), cell(l.UsedClicks),
		strconv.FormatBool(l.PasswordProtected), l.DisabledReason, cell(l.Clicks), writeTime(l.LastClickAt),
		writeTime(&l.CreatedAt), writeTime(&l.UpdatedAt), cell(l.Version),
	}
}

// archiveCells returns the cells of archiveColumns.
func archiveCells(l *client.ArchivedLink) []string {
	owner := ""
	if l.Owner != nil {
		owner = *l.Owner
	}
	return []string{
		l.Code, l.URL, owner, l.Title, writeTags(l.Tags), strconv.Itoa(l.Status), l.ForwardQuery,
		writeTime(l.StartsAt), writeTime(l.ExpiresAt), cell(l.MaxClicks), cell(l.UsedClicks), l.PasswordHash,
		writeTime(l.DisabledAt), l.DisabledReason, writeTime(l.DeletedAt), cell(l.Clicks), writeTime(l.LastClickAt),
		writeTime(l.CreatedAt), writeTime(l.UpdatedAt), cell(l.Version),
	}
}

func cell[N ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }
