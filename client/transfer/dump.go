package transfer

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// dump reads the rows of one table from a database dump of MySQL, MariaDB, Postgres or SQLite:
// from the statements INSERT, REPLACE and COPY.
type dump struct {
	r      *bufio.Reader
	line   int
	ahead  *token // a token that was read already
	layout *layout

	table    string              // end of the table's name, after a prefix
	fallback []string            // columns of the table, if the dump does not name them
	created  map[string][]string // columns of each table, from CREATE TABLE
	seen     []string            // names of tables with rows, at most 40

	// literal is whether a backslash in a string stands for itself, as in standard SQL.
	literal bool

	within  string   // the statement of the next row: "", "values" or "copy"
	current string   // table of the statement
	names   []string // columns of the statement; nil: unknown
}

// dumpRow is a row of a dump. It implements fields.
type dumpRow struct {
	values     map[string]string // by fieldName
	unreadable map[string]bool   // columns with an expression, by fieldName
}

func (d *dumpRow) text(names ...string) string {
	for _, name := range names {
		if value := d.values[fieldName(name)]; value != "" {
			return value
		}
	}
	return ""
}

func (d *dumpRow) json(name string) string { return jsonOf(d.text(name)) }

func (d *dumpRow) list(names ...string) ([]string, string) { return readTags(d.text(names...)) }

func (d *dumpRow) wrongType(names ...string) string {
	for _, name := range names {
		if d.unreadable[fieldName(name)] {
			return name
		}
	}
	return ""
}

func openDump(r *bufio.Reader, l *layout, table string, columns []string) *dump {
	return &dump{r: r, line: 1, layout: l, table: table, fallback: columns, created: map[string][]string{}}
}

func (d *dump) describe() string {
	if len(d.seen) == 0 {
		return "it is SQL without rows"
	}
	return fmt.Sprintf("it is SQL with rows of the tables %s; none has a name that ends in %s and columns for target and code", quotedList(d.seen), d.table)
}

// Next implements Reader.
func (d *dump) Next() (Record, error) {
	for d.within == "" {
		if err := d.statement(); err != nil {
			return Record{}, err
		}
		if d.within != "" && !d.wanted() {
			if err := d.leave(); err != nil {
				return Record{}, err
			}
		}
	}
	if d.within == "copy" {
		return d.copyRow()
	}
	line, values, unreadable, err := d.values()
	if err != nil {
		return Record{}, fmt.Errorf("line %d: invalid SQL: %w", d.line, noEOF(err))
	}
	return d.rowOf(line, values, unreadable)
}

// wanted reports whether the current statement has rows of the table.
func (d *dump) wanted() bool {
	if len(d.seen) < 40 && !slices.Contains(d.seen, d.current) {
		d.seen = append(d.seen, d.current)
	}
	if !strings.HasSuffix(strings.ToLower(d.current), d.table) {
		return false
	}
	if d.names == nil {
		d.names = d.created[d.current]
	}
	return d.names == nil || len(d.layout.missing(func(names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			return slices.ContainsFunc(d.names, func(column string) bool { return fieldName(column) == fieldName(name) })
		})
	})) == 0
}

// leave skips the current statement.
func (d *dump) leave() error {
	copying := d.within == "copy"
	d.within = ""
	if !copying {
		return d.skip()
	}
	for {
		line, err := d.rawLine()
		if err != nil || line == `\.` {
			return err
		}
	}
}

// rowOf returns the record of a row.
func (d *dump) rowOf(line int, values []string, unreadable []int) (Record, error) {
	names := d.names
	if names == nil && len(values) == len(d.fallback) {
		names = d.fallback
	}
	switch {
	case names == nil:
		return Record{}, &RowError{Line: line, Reason: fmt.Sprintf("has %d values, and the file has no CREATE TABLE before it that names the columns", len(values))}
	case len(values) != len(names):
		return Record{}, &RowError{Line: line, Reason: fmt.Sprintf("has %d values for %d columns", len(values), len(names))}
	}
	row := &dumpRow{values: make(map[string]string, len(values)), unreadable: map[string]bool{}}
	for i, name := range names {
		row.values[fieldName(name)] = values[i]
	}
	for _, i := range unreadable {
		row.unreadable[fieldName(names[i])] = true
	}
	record, err := d.layout.record(row)
	for _, i := range unreadable {
		record.warn(names[i], "was dropped: it is an expression")
	}
	record.Line = line
	return record, rowError(line, err)
}

// statement reads one statement. It stops before the first row of an INSERT, REPLACE or COPY,
// and skips any other statement.
func (d *dump) statement() error {
	t, err := d.token()
	if err != nil {
		return err
	}
	switch word := t.word(); {
	case t.kind == ';':
		return nil
	case strings.HasPrefix(word, `\`): // a command of psql
		return d.until("\n")
	case word == "insert" || word == "replace":
		return d.insert()
	case word == "copy":
		return d.copyFrom()
	case word == "create":
		return d.create()
	case word == "pragma": // SQLite
		d.literal = true
	case word == "set":
		return d.set()
	}
	return d.skip()
}

// set reads a SET statement. Postgres announces literal backslashes.
func (d *dump) set() error {
	for {
		t, err := d.token()
		if err != nil || t.kind == ';' {
			return err
		}
		if t.word() == "standard_conforming_strings" || strings.Contains(strings.ToLower(t.text), "no_backslash_escapes") {
			d.literal = true
		}
	}
}

// insert reads an INSERT or REPLACE up to its first row.
func (d *dump) insert() error {
	t, err := d.token()
	for err == nil && slices.Contains([]string{"into", "ignore", "low_priority", "delayed", "high_priority", "or", "replace", "only"}, t.word()) {
		t, err = d.token()
	}
	if err == nil {
		d.current, err = d.name(t)
	}
	d.names = nil
	if err == nil {
		t, err = d.token()
	}
	if err == nil && t.kind == '(' {
		if d.names, err = d.nameList(); err == nil {
			t, err = d.token()
		}
	}
	if err == nil && t.word() == "overriding" { // … {SYSTEM | USER} VALUE
		if _, err = d.token(); err == nil {
			if _, err = d.token(); err == nil {
				t, err = d.token()
			}
		}
	}
	if err != nil {
		return noEOF(err)
	}
	if word := t.word(); word != "values" && word != "value" {
		line := d.line
		if err := d.skip(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !d.wanted() {
			return nil
		}
		return &RowError{Line: line, Reason: fmt.Sprintf("invalid SQL: %q instead of VALUES", t.text)}
	}
	d.within = "values"
	return nil
}

// name returns the last part of a name such as a.b. first is its first token.
func (d *dump) name(first token) (string, error) {
	name := first.text
	for {
		t, err := d.token()
		if err != nil {
			return name, noEOF(err)
		}
		switch {
		case t.kind == word && strings.HasPrefix(t.text, "."):
			name += t.text
		case strings.HasSuffix(name, ".") && (t.kind == word || t.kind == quotedName || t.kind == quotedText):
			name = t.text
			continue
		default:
			d.ahead = &t
			if first.kind == word || strings.Contains(name, ".") {
				name = name[strings.LastIndexByte(name, '.')+1:]
			}
			return name, nil
		}
	}
}

// nameList reads the names of columns up to the closing bracket.
func (d *dump) nameList() ([]string, error) {
	names := []string{}
	for {
		t, err := d.token()
		switch {
		case err != nil:
			return nil, noEOF(err)
		case t.kind == ')':
			return names, nil
		case t.kind != ',':
			names = append(names, t.text)
		}
	}
}

// constraints are the first words of the parts of a CREATE TABLE that are no columns.
var constraints = []string{"primary", "key", "unique", "index", "constraint", "foreign", "fulltext", "spatial", "check", "exclude", "like", "period"}

// create reads the names of the columns from a CREATE TABLE.
func (d *dump) create() error {
	t, err := d.token()
	for err == nil && slices.Contains([]string{"temporary", "unlogged", "or", "replace"}, t.word()) {
		t, err = d.token()
	}
	if err != nil || t.word() != "table" {
		return d.skipFrom(t, err)
	}
	t, err = d.token()
	for err == nil && slices.Contains([]string{"if", "not", "exists"}, t.word()) {
		t, err = d.token()
	}
	if err != nil {
		return noEOF(err)
	}
	name, err := d.name(t)
	if err != nil {
		return err
	}
	if t, err = d.token(); err != nil || t.kind != '(' {
		return d.skipFrom(t, err)
	}
	var columns []string
	starts := true // of a part
	for depth := 1; depth > 0; {
		if t, err = d.token(); err != nil {
			return noEOF(err)
		}
		switch t.kind {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 1 {
				starts = true
				continue
			}
		case word, quotedName, quotedText:
			if starts && (t.kind != word || !slices.Contains(constraints, t.word())) {
				columns = append(columns, t.text)
			}
		}
		starts = false
	}
	d.created[name] = columns
	return d.skip()
}

// skipFrom reads to the end of the statement. t was read already.
func (d *dump) skipFrom(t token, err error) error {
	if err != nil || t.kind == ';' {
		return err
	}
	return d.skip()
}

// values reads one row and the separator after it. unreadable has the positions of values that
// are expressions.
func (d *dump) values() (line int, values []string, unreadable []int, err error) {
	t, err := d.token()
	if err != nil {
		return 0, nil, nil, err
	}
	if t.kind != '(' {
		return 0, nil, nil, fmt.Errorf("%q instead of a row", t.text)
	}
	line = d.line
	for t.kind != ')' {
		var parts []token
		if parts, t, err = d.value(); err != nil {
			return line, nil, nil, err
		}
		if len(parts) == 0 {
			return line, nil, nil, errors.New("a value is missing")
		}
		value, ok := valueOf(parts)
		if !ok {
			unreadable = append(unreadable, len(values))
		}
		values = append(values, value)
	}
	t, err = d.token()
	if err != nil && !errors.Is(err, io.EOF) {
		return line, nil, nil, err
	}
	if t.kind != ',' {
		d.within = ""
		if t.kind != ';' && err == nil { // such as ON DUPLICATE KEY UPDATE
			if err := d.skip(); err != nil && !errors.Is(err, io.EOF) {
				return line, nil, nil, err
			}
		}
	}
	return line, values, unreadable, nil
}

// maxParts is the most tokens of one value.
const maxParts = 1000

// value reads the tokens of one value, and the comma or bracket after it.
func (d *dump) value() (parts []token, end token, err error) {
	for depth := 0; ; {
		t, err := d.token()
		switch {
		case err != nil:
			return nil, t, err
		case depth == 0 && (t.kind == ',' || t.kind == ')'):
			return parts, t, nil
		case t.kind == ';' || len(parts) == maxParts:
			return nil, t, fmt.Errorf("%q inside of a row", t.text)
		case t.kind == '(':
			depth++
		case t.kind == ')':
			depth--
		}
		parts = append(parts, t)
	}
}

// valueOf returns the text of a value. ok is false for an expression.
func valueOf(parts []token) (text string, ok bool) {
	if first := parts[0].word(); len(parts) > 1 && (strings.HasPrefix(first, "_") || first == "n") {
		parts = parts[1:] // a character set
	}
	first := parts[0]
	if len(parts) > 1 && first.isText() && strings.HasPrefix(parts[1].text, "::") && parts[1].kind == word {
		return first.text, true // a type
	}
	if len(parts) == 2 && first.word() == "x" && parts[1].isText() {
		return unhex(parts[1].text)
	}
	if first.isText() { // texts in sequence are one text
		for _, t := range parts {
			if !t.isText() {
				return "", false
			}
			text += t.text
		}
		return text, true
	}
	if len(parts) > 1 || first.kind != word {
		return "", false
	}
	switch w := first.word(); {
	case w == "null":
		return "", true
	case strings.HasPrefix(w, "0x"):
		return unhex(w[2:])
	case w == "true" || w == "false" || strings.Trim(w, "+-.0123456789e") == "":
		return first.text, true
	}
	return "", false
}

func unhex(digits string) (string, bool) {
	text, err := hex.DecodeString(digits)
	return string(text), err == nil
}

// skip reads to the end of the statement.
func (d *dump) skip() error {
	for {
		t, err := d.token()
		if err != nil || t.kind == ';' {
			return err
		}
	}
}
