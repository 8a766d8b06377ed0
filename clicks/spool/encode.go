package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/terse/terse/clicks/day"
	"github.com/terse/terse/store"
)

// format is the version of the files. A new version needs a new number, and old files must stay
// readable for a week.
const format = 1

// header is the first line of a file. One line of JSON for each batch follows, and the SHA-256 of all
// lines before it is the last line.
type header struct {
	Format  int       `json:"format"`
	Shard   string    `json:"shard"`
	Cut     time.Time `json:"cut"`
	Batches int       `json:"batches"`
	Clicks  int64     `json:"clicks"`
}

// line is one batch.
type line struct {
	Recorder string  `json:"recorder"`
	Seq      int64   `json:"seq"`
	Counts   []count `json:"counts"`
	Days     []byte  `json:"days,omitempty"` // by store.PackClickDays
}

// count is a store.ClickCount.
type count struct {
	Code   string `json:"code"`
	N      int64  `json:"n,omitempty"`
	Robots int64  `json:"robots,omitempty"`
	Last   int64  `json:"last,omitempty"` // Unix microseconds; 0 without clicks of people
}

// encode returns the content of the file.
func (f *File) encode(batches []store.ClickBatch) ([]byte, error) {
	var content bytes.Buffer
	lines := json.NewEncoder(&content)
	if err := lines.Encode(header{Format: format, Shard: f.Shard, Cut: f.Cut, Batches: f.Batches, Clicks: f.Clicks}); err != nil {
		return nil, err
	}
	for i := range batches {
		b := &batches[i]
		l := line{Recorder: b.Recorder, Seq: b.Seq, Counts: make([]count, len(b.Counts))}
		for n, c := range b.Counts {
			l.Counts[n] = count{Code: c.Code, N: c.N, Robots: c.Robots}
			if c.N > 0 {
				l.Counts[n].Last = c.Last.UnixMicro()
			}
		}
		var err error
		if l.Days, _, err = store.PackClickDays(b.Days); err != nil {
			return nil, err
		}
		if err := lines.Encode(l); err != nil {
			return nil, err
		}
	}
	content.WriteString(checksum(content.Bytes()) + "\n")
	return content.Bytes(), nil
}

// decode returns the batches of a file, or an error that wraps ErrDamaged.
func (f *File) decode(content []byte) ([]store.ClickBatch, error) {
	lines := bytes.Split(content, []byte("\n"))
	if len(lines) != f.Batches+3 { // the header, the checksum, and nothing after the last line break
		return nil, fmt.Errorf("%w: it has %d lines, want %d", ErrDamaged, len(lines), f.Batches+3)
	}
	sum := lines[f.Batches+1]
	body := content[:len(content)-len(sum)-len("\n")]
	if len(lines[f.Batches+2]) > 0 || string(sum) != checksum(body) {
		return nil, fmt.Errorf("%w: the checksum is wrong", ErrDamaged)
	}
	if _, err := f.decodeHeader(lines[0]); err != nil {
		return nil, err
	}
	batches := make([]store.ClickBatch, f.Batches)
	for i, l := range lines[1 : f.Batches+1] {
		b, err := decodeBatch(l)
		if err != nil {
			return nil, fmt.Errorf("%w: batch %d: %w", ErrDamaged, i, err)
		}
		if i == 0 && f.name != nameOf(b) || i > 0 && (b.Recorder != batches[i-1].Recorder || b.Seq <= batches[i-1].Seq) {
			return nil, fmt.Errorf("%w: batch %d has a wrong number", ErrDamaged, i)
		}
		batches[i] = b
	}
	if got := clicksIn(batches); got != f.Clicks {
		return nil, fmt.Errorf("%w: it has %d clicks, want %d", ErrDamaged, got, f.Clicks)
	}
	return batches, nil
}

func (f *File) decodeHeader(line []byte) (h header, err error) {
	if err := json.Unmarshal(line, &h); err != nil {
		return h, fmt.Errorf("%w: header: %w", ErrDamaged, err)
	}
	if h.Format != format || h.Batches < 1 || h.Clicks < 0 {
		return h, fmt.Errorf("%w: format %d with %d batches and %d clicks is unknown", ErrDamaged, h.Format, h.Batches, h.Clicks)
	}
	return h, nil
}

// decodeBatch returns the batch of a line. It checks everything that the store and a fold demand, so
// that no file blocks the files after it.
func decodeBatch(text []byte) (b store.ClickBatch, err error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return b, err
	}
	b = store.ClickBatch{Recorder: l.Recorder, Seq: l.Seq, Counts: make([]store.ClickCount, len(l.Counts))}
	for i, c := range l.Counts {
		if !store.ValidKey(c.Code) || c.N < 0 || c.Robots < 0 || c.N+c.Robots < 1 {
			return b, fmt.Errorf("count %d of link %q is invalid", i, c.Code)
		}
		b.Counts[i] = store.ClickCount{Code: c.Code, N: c.N, Robots: c.Robots}
		if c.N > 0 {
			b.Counts[i].Last = time.UnixMicro(c.Last).UTC()
		}
	}
	if b.Days, err = store.UnpackClickDays(l.Days); err != nil {
		return b, err
	}
	for i := range b.Days {
		if err := b.Days[i].ValidateAdded(); err != nil {
			return b, err
		}
		if _, err := day.Parse(b.Days[i].Data); err != nil {
			return b, fmt.Errorf("day %d of link %q: %w", b.Days[i].Day, b.Days[i].Key, err)
		}
	}
	return b, nil
}

// nameOf returns the name of a file with the first batch b.
func nameOf(b store.ClickBatch) string { return fmt.Sprintf("%s.%019d.clicks", b.Recorder, b.Seq) }

func checksum(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// clicksIn returns the number of clicks of all batches.
func clicksIn(batches []store.ClickBatch) (n int64) {
	for i := range batches {
		n += batches[i].Clicks()
	}
	return n
}
