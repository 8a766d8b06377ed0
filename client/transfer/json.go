package transfer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// documents reads records from JSON documents, one document after another. The
// records are the objects at a path, the objects of an array, or whole documents.
type documents[T any] struct {
	lines  *lineCounter
	dec    *json.Decoder
	path   []string // members on the way to the array or object of records
	open   []json.Delim
	keyed  bool  // the records are members of an object; their names are ignored
	start  int64 // offset of the last record
	record func(in T) (Record, error)
	failed error
}

func openDocuments[T any](r *bufio.Reader, record func(in T) (Record, error), path ...string) *documents[T] {
	lines := &lineCounter{r: r, line: 1}
	return &documents[T]{lines: lines, dec: json.NewDecoder(lines), path: path, record: record}
}

// Next implements Reader.
func (d *documents[T]) Next() (Record, error) {
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
	var in T
	if err := json.Unmarshal(raw, &in); err != nil {
		field := ""
		if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			field = mismatch.Field
		}
		return Record{}, &RowError{Line: line, Field: field, Reason: "has the wrong type"}
	}
	record, err := d.record(in)
	record.Line = line
	return record, rowError(line, err)
}

// next returns the JSON of the next record.
func (d *documents[T]) next() (json.RawMessage, error) {
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
func (d *documents[T]) enter() (json.RawMessage, error) {
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
	members := map[string]json.RawMessage{}
	for step := 0; d.dec.More(); {
		key, err := d.dec.Token()
		if err != nil {
			return nil, noEOF(err)
		}
		if step >= len(d.path) || key != d.path[step] {
			var raw json.RawMessage
			if err := d.dec.Decode(&raw); err != nil {
				return nil, noEOF(err)
			}
			if step == 0 {
				members[key.(string)] = raw
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
	return json.Marshal(members)
}

// leave reads to the end of the document and ignores the rest of its content.
func (d *documents[T]) leave() error {
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
