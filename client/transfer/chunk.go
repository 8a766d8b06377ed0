package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
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

// chunk is the rows of one request.
type chunk struct {
	rows  []row
	after []*chunk      // earlier chunks that share a code with this chunk
	done  chan struct{} // closed after the response of the server
}

// await waits for the earlier chunks that share a code with this chunk. The first row of a
// code therefore becomes the link, even when the import is killed and repeated.
func (c *chunk) await(ctx context.Context) error {
	for _, earlier := range c.after {
		select {
		case <-earlier.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// rowSource numbers rows and divides them into chunks.
type rowSource struct {
	reader Reader
	number int64             // of the next row
	held   *row              // a row that was read already, for the next chunk; or nil
	failed error             // the error after the last row; io.EOF at the end of the file
	open   []*chunk          // chunks in order, without the finished ones at the front
	last   map[string]*chunk // the last open chunk with each code
}

func (s *rowSource) next() (row, error) {
	record, err := s.reader.Next()
	r := row{number: s.number, record: record}
	if err != nil && !errors.As(err, &r.err) {
		return row{}, err
	}
	s.number++
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
func (s *rowSource) chunk() (*chunk, error) {
	s.forget()
	c := &chunk{done: make(chan struct{})}
	size := 0
	for s.failed == nil && len(c.rows) < chunkRows {
		r, err := s.take()
		if err != nil {
			s.failed = err
			break
		}
		if size += r.size(); size > chunkBytes && len(c.rows) > 0 {
			s.held = &r
			break
		}
		c.rows = append(c.rows, r)
		l := &r.record.Link
		if l.Code == "" {
			continue
		}
		if earlier := s.last[l.Code]; earlier != nil && earlier != c && !slices.Contains(c.after, earlier) {
			c.after = append(c.after, earlier)
		}
		s.last[l.Code] = c
	}
	if len(c.rows) == 0 {
		return nil, s.failed
	}
	s.open = append(s.open, c)
	return c, nil
}

// forget removes finished chunks from the front of open.
func (s *rowSource) forget() {
	for len(s.open) > 0 {
		c := s.open[0]
		select {
		case <-c.done:
		default:
			return
		}
		for i := range c.rows {
			if code := c.rows[i].record.Link.Code; s.last[code] == c {
				delete(s.last, code)
			}
		}
		s.open = s.open[1:]
	}
}
