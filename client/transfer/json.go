package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// object is the members of a JSON object. It implements fields. The name of a member of a
// member is a path such as meta.maxvisits.
type object struct {
	texts map[string]string   // numbers and flags as they are written
	lists map[string][]string // arrays of texts, or of objects with a name
	odd   map[string]string   // the path of each member with another value: a number, a flag, an array, an object
	names []string            // of the members, as they are written
	seen  map[string]bool     // members, by fieldName
	null  map[string]bool     // members that are null
	raw   map[string]string   // JSON of the members that are not null, without those of other members
}

// readObject reads an object. It rejects what a decoder would change silently: text that is not
// UTF-8, half a surrogate pair, and two members of the same name.
func readObject(raw []byte) (*object, error) {
	if err := checkJSON(raw); err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || members == nil {
		return nil, wrong("", oneObject)
	}
	o := &object{texts: map[string]string{}, lists: map[string][]string{}, odd: map[string]string{}, seen: map[string]bool{}, null: map[string]bool{}, raw: map[string]string{}}
	return o, o.add("", members)
}

const oneObject = "must be one JSON object of a link"

// checkJSON returns a *RowError for JSON that a decoder would change silently (RFC 7493).
func checkJSON(raw []byte) error {
	_, err := jsontext.NewDecoder(bytes.NewReader(raw)).ReadValue()
	if err == nil {
		return nil
	}
	field, reason := "", strings.TrimPrefix(err.Error(), "jsontext: ")
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		field = strings.ReplaceAll(strings.TrimPrefix(string(syntactic.JSONPointer), "/"), "/", ".")
		reason = syntactic.Err.Error()
	}
	switch {
	case strings.Contains(reason, "UTF-8"):
		reason = notUTF8
	case strings.Contains(reason, "surrogate"):
		reason = "has half of a surrogate pair, which is no character"
	case strings.Contains(reason, "duplicate"):
		reason = "appears twice"
	case field == "":
		reason = oneObject + ": " + reason
	}
	return wrong(field, reason)
}

// add adds the members of an object. prefix is its path.
func (o *object) add(prefix string, members map[string]json.RawMessage) error {
	for name, raw := range members {
		path := prefix + name
		key := fieldName(path)
		if o.seen[key] {
			return wrong(path, "appears twice")
		}
		o.seen[key] = true
		if prefix == "" {
			o.names = append(o.names, name)
			if string(raw) != "null" {
				o.raw[key] = string(raw)
			}
		}
		var value any
		dec := json.NewDecoder(strings.NewReader(string(raw)))
		dec.UseNumber()
		if err := dec.Decode(&value); err != nil {
			return wrong(path, "is invalid JSON")
		}
		switch value := value.(type) {
		case nil:
			o.null[key] = true
		case string:
			o.texts[key] = value
		case json.Number:
			o.texts[key], o.odd[key] = value.String(), path
		case bool:
			o.texts[key], o.odd[key] = fmt.Sprint(value), path
		case []any:
			o.odd[key] = path
			o.lists[key] = listOf(value)
		case map[string]any:
			if len(value) > 0 {
				o.odd[key] = path
			}
			var inner map[string]json.RawMessage
			if err := json.Unmarshal(raw, &inner); err != nil {
				return wrong(path, "is invalid JSON")
			}
			if err := o.add(path+".", inner); err != nil {
				return err
			}
		}
	}
	return nil
}

// listOf returns the texts of an array, and the names of its objects. It returns nil if another
// item is in the array.
func listOf(values []any) []string {
	list := make([]string, 0, len(values))
	for _, value := range values {
		if named, ok := value.(map[string]any); ok {
			value = named["name"]
		}
		text, ok := value.(string)
		if !ok {
			return nil
		}
		list = append(list, text)
	}
	return list
}

// text implements fields.
func (o *object) text(names ...string) string {
	for _, name := range names {
		if text := o.texts[fieldName(name)]; text != "" {
			return text
		}
	}
	return ""
}

// json implements fields.
func (o *object) json(name string) string { return o.raw[fieldName(name)] }

// list implements fields.
func (o *object) list(names ...string) ([]string, string) {
	for _, name := range names {
		key := fieldName(name)
		switch list, ok := o.lists[key]; {
		case ok && list == nil:
			return nil, "they are no list of texts"
		case len(list) > 0:
			return list, ""
		case o.texts[key] != "":
			return readTags(o.texts[key])
		}
	}
	return nil, ""
}

// wrongType implements fields.
func (o *object) wrongType(names ...string) string {
	for _, name := range names {
		if path, ok := o.odd[fieldName(name)]; ok && o.lists[fieldName(name)] == nil {
			return path
		}
	}
	return ""
}

// documents reads records from JSON documents, one document after another. The records are the
// objects at a path, the objects of an array, or whole documents.
type documents struct {
	lines  *lineCounter
	dec    *json.Decoder
	path   []string // members on the way to the array or object of records
	open   []json.Delim
	keyed  bool     // the records are members of an object; their names are ignored
	start  int64    // offset of the last record
	seen   []string // names of members of the documents
	record func(f fields) (Record, error)
	failed error
}

func openDocuments(r *bufio.Reader, record func(f fields) (Record, error), path ...string) *documents {
	lines := &lineCounter{r: r, line: 1}
	return &documents{lines: lines, dec: json.NewDecoder(lines), path: path, record: record}
}

func (d *documents) describe() string {
	if len(d.seen) == 0 {
		return "it is JSON without objects"
	}
	return "it is JSON with the members " + quotedList(d.seen)
}

// Next implements Reader.
func (d *documents) Next() (Record, error) {
	if d.failed != nil {
		return Record{}, d.failed
	}
	raw, err := d.next()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = fmt.Errorf("line %d: invalid JSON: %w", d.lines.at(d.dec.InputOffset()), err)
		}
		d.failed = err
		return Record{}, err
	}
	line := d.lines.at(d.start)
	in, err := readObject(raw)
	if err != nil {
		return Record{}, rowError(line, err)
	}
	record, err := d.record(in)
	record.Line = line
	return record, rowError(line, err)
}

// next returns the JSON of the next record.
func (d *documents) next() (json.RawMessage, error) {
	for {
		if len(d.open) == 0 {
			raw, err := d.enter()
			if err != nil || raw != nil {
				return raw, err
			}
			continue
		}
		if d.dec.More() {
			if d.keyed {
				if _, err := d.dec.Token(); err != nil {
					return nil, err
				}
			}
			var raw json.RawMessage
			err := d.dec.Decode(&raw)
			d.start = d.dec.InputOffset() - int64(len(raw))
			return raw, noEOF(err)
		}
		if err := d.leave(); err != nil {
			return nil, err
		}
	}
}

// enter opens the next document and moves to its records. When the document is a
// record itself, enter returns it.
func (d *documents) enter() (json.RawMessage, error) {
	first, err := d.dec.Token()
	if err != nil {
		return nil, err
	}
	switch first {
	case json.Delim('['):
		d.open, d.keyed = append(d.open, ']'), false
		return nil, nil
	case json.Delim('{'):
	default:
		return nil, errors.New("must be a JSON object or an array of objects")
	}
	d.start = d.dec.InputOffset() - 1
	var members []string // name and value, one after the other
	for step := 0; d.dec.More(); {
		key, err := d.dec.Token()
		if err != nil {
			return nil, noEOF(err)
		}
		name, _ := key.(string)
		if step == 0 && len(d.seen) < 40 && !slices.Contains(d.seen, name) {
			d.seen = append(d.seen, name)
		}
		if step >= len(d.path) || name != d.path[step] {
			var raw json.RawMessage
			if err := d.dec.Decode(&raw); err != nil {
				return nil, noEOF(err)
			}
			if step == 0 {
				quoted, err := json.Marshal(name)
				if err != nil {
					return nil, err
				}
				members = append(members, string(quoted)+":"+string(raw))
			}
			continue
		}
		step++
		d.open = append(d.open, '}')
		value, err := d.dec.Token()
		switch {
		case err != nil:
			return nil, noEOF(err)
		case value == json.Delim('[') && step == len(d.path):
			d.open, d.keyed = append(d.open, ']'), false
			return nil, nil
		case value == json.Delim('{') && step == len(d.path):
			d.open, d.keyed = append(d.open, '}'), true
			return nil, nil
		case value != json.Delim('{'):
			return nil, fmt.Errorf("%q must contain links", key)
		}
	}
	if len(d.open) > 0 {
		d.open = append(d.open, '}')
		return nil, d.leave()
	}
	if _, err := d.dec.Token(); err != nil {
		return nil, noEOF(err)
	}
	return json.RawMessage("{" + strings.Join(members, ",") + "}"), nil
}

// leave reads to the end of the document and ignores the rest of its content.
func (d *documents) leave() error {
	for len(d.open) > 0 {
		for d.dec.More() {
			if d.open[len(d.open)-1] == '}' {
				if _, err := d.dec.Token(); err != nil {
					return noEOF(err)
				}
			}
			var ignored json.RawMessage
			if err := d.dec.Decode(&ignored); err != nil {
				return noEOF(err)
			}
		}
		if _, err := d.dec.Token(); err != nil {
			return noEOF(err)
		}
		d.open = d.open[:len(d.open)-1]
	}
	return nil
}

// noEOF replaces io.EOF inside a document, so that a truncated document is an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lineCounter converts byte offsets to line numbers while it reads.
type lineCounter struct {
	r    io.Reader
	read int64
	ends []int64 // offsets of line ends after the last requested offset
	line int     // line of that offset
}

// Read implements io.Reader.
func (c *lineCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			c.ends = append(c.ends, c.read+int64(i))
		}
	}
	c.read += int64(n)
	return n, err
}

// at returns the line of an offset. Offsets must not decrease between calls.
func (c *lineCounter) at(offset int64) int {
	passed := 0
	for passed < len(c.ends) && c.ends[passed] < offset {
		passed++
	}
	c.line += passed
	c.ends = append(c.ends[:0], c.ends[passed:]...)
	return c.line
}
