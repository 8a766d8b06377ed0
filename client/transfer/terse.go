package transfer

import (
	"bufio"
	"bytes"
	"cmp"
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
func openTerse(r *bufio.Reader, columns map[string]string) (Reader, error) {
	switch form, err := sniff(r); {
	case err != nil:
		return nil, err
	case form == formSQL:
		return nil, noLinks("it is SQL. Name the product that wrote it with --from")
	case form == formJSON && len(columns) > 0:
		return nil, errors.New("columns can be named for CSV only, and the file is JSON")
	case form == formJSON:
		return &lineReader{r: r}, nil
	}
	t, err := openTable(r)
	if err != nil {
		return nil, err
	}
	if err := t.rename(columns); err != nil {
		return nil, err
	}
	if !t.has("url") {
		return nil, noLinks("it needs the column url, and has the columns %s. If another product wrote the file, name it with --from, or name the column with --map url=COLUMN", t.found())
	}
	for i, name := range t.header {
		if !isOwnField(name) && len(columns) == 0 {
			return nil, noLinks("the column %q is unknown. The file has the columns %s; known are %s. If another product wrote the file, name it with --from, or name the columns with --map",
				name, t.found(), strings.Join(linkColumns, ", "))
		}
		if slices.Contains(t.twice, fieldName(name)) && isOwnField(name) {
			return nil, fmt.Errorf("the column %s appears twice (the second time as column %d)", name, i+1)
		}
	}
	ours := len(columns) == 0 || !slices.ContainsFunc(linkColumns, func(name string) bool { return !slices.Contains(t.header, name) })
	return tableReader{t, func(fields) (Record, error) {
		if ours {
			t.unescape()
		}
		return readOwn(t, func(name string) bool { i, ok := t.columns[fieldName(name)]; return ok && i < len(t.row) })
	}}, nil
}

// rename lets columns stand for fields. columns maps fields to names of columns.
func (t *table) rename(columns map[string]string) error {
	renamed := map[string]int{}
	for field, column := range columns {
		if !isOwnField(field) {
			return fmt.Errorf("there is no field %q to map; the fields are alias, %s", field, strings.Join(linkColumns, ", "))
		}
		if column == "" {
			continue
		}
		at, ok := t.columns[fieldName(column)]
		if !ok {
			return fmt.Errorf("there is no column %q for %s; the file has the columns %s", column, field, t.found())
		}
		if slices.Contains(t.twice, fieldName(column)) {
			return fmt.Errorf("the column %s appears twice", column)
		}
		renamed[fieldName(field)] = at
	}
	for field, column := range columns {
		if column == "" {
			delete(t.columns, fieldName(field))
		}
	}
	maps.Copy(t.columns, renamed)
	return nil
}

// isOwnField reports whether Terse has a field or column of this name.
func isOwnField(name string) bool {
	same := func(column string) bool { return fieldName(column) == fieldName(name) }
	return slices.ContainsFunc(linkColumns, same) || slices.ContainsFunc(archiveColumns, same) || same("alias") || same(escapedColumn)
}

// readOwn reads a link of Terse. has reports whether a field exists.
func readOwn(f fields, has func(name string) bool) (r Record, err error) {
	for _, name := range []string{"url", "code", "alias", "domain", "short_url", "password_hash", "owner", "renamed_to"} {
		if f.wrongType(name) != "" {
			return r, wrong(name, "has the wrong type")
		}
	}
	l := &r.Link
	l.Code, l.URL, l.Title = cmp.Or(f.text("code", "alias"), codeOf(f.text("short_url"))), f.text("url"), f.text("title")
	l.ForwardPath = f.text("forward_path")
	l.ForwardQuery, l.PasswordHash, l.DisabledReason = f.text("forward_query"), f.text("password_hash"), f.text("disabled_reason")
	l.RenamedTo, l.Domain = f.text("renamed_to"), f.text("domain")
	if has("owner") {
		owner := f.text("owner")
		l.Owner = &owner
	}
	l.Status, l.Version = int(r.number("status", f.text("status"))), r.number("version", f.text("version"))
	l.MaxClicks, l.UsedClicks = r.number("max_clicks", f.text("max_clicks")), r.number("used_clicks", f.text("used_clicks"))
	l.Clicks, l.Robots = r.number("clicks", f.text("clicks")), r.number("robots", f.text("robots"))
	l.Confirm = isTrue(f.text("confirm"))
	l.NoVisitors = isTrue(f.text("no_visitors"))
	r.Unlimited = l.MaxClicks == 0 && strings.TrimSpace(f.text("max_clicks")) == "0"
	r.Unconfirmed = !l.Confirm && !isNull(strings.TrimSpace(f.text("confirm")))
	r.CountsVisitors = !l.NoVisitors && !isNull(strings.TrimSpace(f.text("no_visitors")))
	r.setTags(f, "tags")
	r.setTime("starts_at", f.text("starts_at"), &l.StartsAt)
	r.setTime("expires_at", f.text("expires_at"), &l.ExpiresAt)
	r.setTime("last_click_at", f.text("last_click_at"), &l.LastClickAt)
	r.setTime("created_at", f.text("created_at"), &l.CreatedAt)
	r.setTime("updated_at", f.text("updated_at"), &l.UpdatedAt)
	for _, moment := range []struct {
		field string
		to    **time.Time
	}{{"disabled_at", &l.DisabledAt}, {"deleted_at", &l.DeletedAt}} {
		var ok bool
		if *moment.to, ok = readTime(f.text(moment.field)); !ok {
			return r, wrong(moment.field, "must be a time such as 2027-06-01T00:00:00Z")
		}
	}
	if l.Rules, err = readRules(f.json("rules")); err != nil {
		return r, err
	}
	r.PasswordLost = isTrue(f.text("password_protected")) && l.PasswordHash == ""
	r.Disabled = f.text("state") == "disabled" || l.DisabledAt != nil || l.DisabledReason != ""
	return r, nil
}

// lineReader reads one JSON object from each line.
type lineReader struct {
	r    *bufio.Reader
	line int
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
		record, err := l.record(line)
		record.Line = l.line
		return record, rowError(l.line, err)
	}
}

// record reads a line.
func (l *lineReader) record(line []byte) (Record, error) {
	o, err := readObject(bytes.TrimSpace(line))
	if err != nil {
		return Record{}, err
	}
	slices.Sort(o.names)
	for _, name := range o.names {
		if !isOwnField(name) || fieldName(name) == escapedColumn {
			return Record{}, wrong("", fmt.Sprintf(oneObject+": unknown field %q", name))
		}
	}
	return readOwn(o, func(name string) bool { return o.seen[fieldName(name)] && !o.null[fieldName(name)] })
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
		"code", "domain", "short_url", "url", "title", "tags", "status", "forward_query", "forward_path", "rules", "state", "starts_at", "expires_at",
		"max_clicks", "used_clicks", "confirm", "no_visitors", "password_protected", "disabled_reason", "owner", "clicks", "robots", "last_click_at",
		"created_at", "updated_at", "version",
	}
	archiveColumns = []string{
		"code", "domain", "url", "owner", "title", "tags", "status", "forward_query", "forward_path", "rules", "starts_at", "expires_at",
		"max_clicks", "used_clicks", "confirm", "no_visitors", "password_hash", "disabled_at", "disabled_reason", "deleted_at", "clicks", "robots", "last_click_at",
		"created_at", "updated_at", "version", "renamed_to",
	}
)

// linkCells returns the cells of linkColumns.
func linkCells(l *client.Link) []string {
	return []string{
		l.Code, l.Domain, l.ShortURL, l.URL, l.Title, writeTags(l.Tags), strconv.Itoa(l.Status), l.ForwardQuery, l.ForwardPath, writeRules(l.Rules), l.State,
		writeTime(l.StartsAt), writeTime(l.ExpiresAt), cell(l.MaxClicks), cell(l.UsedClicks),
		strconv.FormatBool(l.Confirm), strconv.FormatBool(l.NoVisitors), strconv.FormatBool(l.PasswordProtected), l.DisabledReason, l.Owner, cell(l.Clicks), cell(l.Robots), writeTime(l.LastClickAt),
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
		l.Code, l.Domain, l.URL, owner, l.Title, writeTags(l.Tags), strconv.Itoa(l.Status), l.ForwardQuery, l.ForwardPath, writeRules(l.Rules),
		writeTime(l.StartsAt), writeTime(l.ExpiresAt), cell(l.MaxClicks), cell(l.UsedClicks),
		strconv.FormatBool(l.Confirm), strconv.FormatBool(l.NoVisitors), l.PasswordHash,
		writeTime(l.DisabledAt), l.DisabledReason, writeTime(l.DeletedAt), cell(l.Clicks), cell(l.Robots), writeTime(l.LastClickAt),
		writeTime(l.CreatedAt), writeTime(l.UpdatedAt), cell(l.Version), l.RenamedTo,
	}
}

func cell[N ~int64](n N) string { return strconv.FormatInt(int64(n), 10) }
