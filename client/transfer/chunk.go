package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// row is one row of the source.
type row struct {
	number int64 // from 0
	record Record
	err    *RowError // why the row cannot be read, or nil
}

// size returns an upper bound for the bytes of the row in a request. A row that cannot be
// encoded gets a request of its own.
func (r *row) size() int {
	encoded, err := json.Marshal(&r.record.Link)
	if err != nil {
		return chunkBytes
	}
	return len(encoded) + keySize
}

// keySize is an upper bound for the bytes of an Idempotency-Key in a request.
const keySize = 100

// The limits of one request.
const (
	chunkRows  = 200
	chunkBytes = 256 << 10
)

// rowSource numbers rows and divides them into chunks: the rows of one request.
type rowSource struct {
	reader Reader
	number int64            // of the next row
	held   *row             // a row that was read already, for the next chunk; or nil
	failed error            // the error after the last row; io.EOF at the end of the file
	domain string           // of all rows; empty: the rows have their own
	codes  map[linkName]int // the first line with each code
}

// linkName is a code on a domain.
type linkName struct{ domain, code string }

// next returns the next row. The first row with a code counts. The others have an error, no
// matter how the rows are sent or whether the import was interrupted in between.
func (s *rowSource) next() (row, error) {
	record, err := s.reader.Next()
	r := row{number: s.number, record: record}
	if err != nil && !errors.As(err, &r.err) {
		return row{}, err
	}
	s.number++
	link := &r.record.Link
	if s.domain != "" {
		link.Domain = s.domain
	}
	name := linkName{strings.ToLower(link.Domain), link.Code}
	if r.err != nil || name.code == "" {
		return r, nil
	}
	if line, ok := s.codes[name]; ok {
		r.err = &RowError{Line: record.Line, Field: "code", Reason: fmt.Sprintf("is the code of line %d already", line)}
		return r, nil
	}
	s.codes[name] = record.Line
	return r, nil
}

// take returns the held row, or else the next one.
func (s *rowSource) take() (row, error) {
	if s.held == nil {
		return s.next()
	}
	r := *s.held
	s.held = nil
	return r, nil
}

// chunk returns the next rows, or io.EOF after the last one. A row over chunkBytes is a chunk
// of its own.
func (s *rowSource) chunk() ([]row, error) {
	var rows []row
	size := 0
	for s.failed == nil && len(rows) < chunkRows {
		r, err := s.take()
		if err != nil {
			s.failed = err
			break
		}
		if size += r.size(); size > chunkBytes && len(rows) > 0 {
			s.held = &r
			break
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, s.failed
	}
	return rows, nil
}
