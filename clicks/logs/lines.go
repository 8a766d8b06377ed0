package logs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
)

const (
	// maxLine is the longest line in bytes. No server writes longer ones.
	maxLine = 1 << 20

	// headLen is the number of bytes at the start of a log that identify it.
	headLen = 4 << 10
)

// lines reads a log line by line. It decompresses gzip.
type lines struct {
	r    *bufio.Reader
	end  int64  // offset after the latest line
	head []byte // the first headLen bytes, or the whole log
}

// line is one line of a log.
type line struct {
	text       []byte // without its line break, and valid until the next line is read
	start, end int64  // offsets in the decompressed log, the line break included
	tooLong    bool   // text is only its start
	open       bool   // the log ends without a line break
}

func newLines(r io.Reader) (*lines, error) {
	packed := bufio.NewReader(r)
	magic, err := packed.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r = packed
	if string(magic) == "\x1f\x8b" {
		if r, err = gzip.NewReader(packed); err != nil {
			return nil, err
		}
	}
	l := &lines{r: bufio.NewReaderSize(r, maxLine)}
	head, err := l.r.Peek(headLen)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	l.head = bytes.Clone(head)
	return l, nil
}

// next returns the next line, and io.EOF after the last one. After another error, the line before
// the error is not complete and is not returned.
func (l *lines) next() (line, error) {
	next := line{start: l.end}
	part, err := l.r.ReadSlice('\n')
	l.end += int64(len(part))
	next.text = part
	for errors.Is(err, bufio.ErrBufferFull) {
		next.tooLong, next.text = true, nil // the next read overwrites it
		part, err = l.r.ReadSlice('\n')
		l.end += int64(len(part))
	}
	switch {
	case errors.Is(err, io.EOF) && l.end > next.start:
		next.open = true
	case err != nil:
		return line{}, err
	}
	next.end = l.end
	next.text = bytes.TrimSuffix(bytes.TrimSuffix(next.text, []byte("\n")), []byte("\r"))
	return next, nil
}
