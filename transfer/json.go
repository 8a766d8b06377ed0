package transfer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// documents reads the records of JSON documents, one after the other: the objects
// at a path, those of an array, or documents that are records themselves.
type documents[T any] struct {
	lines  *lineCounter
	dec    *json.Decoder
	path   []string // members that lead to the array or object of records
	open   []json.Delim
	keyed  bool  // the records stand in an object, by names of no interest
	start  int64 // of the last record that was read
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
			err = fmt.Errorf("line %d: no valid JSON: %w", d.lines.at(d.dec.InputOffset()), err)
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

// next returns the text of the next record.
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

// enter goes to the records of the next document, or returns it when it is one.
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
		return nil, errors.New("must be objects or arrays of them")
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
			return nil, fmt.Errorf("%q must hold links", key)
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

// leave goes behind what is open, and passes over what else is there.
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

// noEOF tells a document that is cut off from the end of the last one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// lineCounter remembers where lines end in what was read, until they are asked for.
type lineCounter struct {
	r    io.Reader
	read int64
	ends []int64 // offsets of line ends behind the last place that was asked for
	line int     // of that place
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

// at returns the line of an offset, which must not be before the last one.
func (c *lineCounter) at(offset int64) int {
	passed := 0
	for passed < len(c.ends) && c.ends[passed] < offset {
		passed++
	}
	c.line += passed
	c.ends = append(c.ends[:0], c.ends[passed:]...)
	return c.line
}
