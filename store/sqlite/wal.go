package sqlite

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// Sizes and offsets in a write-ahead log, from section 4 of
// https://www.sqlite.org/fileformat2.html.
const (
	walHeaderSize  = 32
	walFrameSize   = 24         // of the header of a frame, which a page follows
	walMagic       = 0x377f0682 // the lowest bit is 1 when checksums use big-endian words
	walSalt        = 16         // offset in the header; in a frame it is 8
	walSaltSize    = 8
	walMaxPageSize = 65536
)

// lastMark returns the newest committed mark in a write-ahead log. found is false when no
// committed transaction in the log changed the mark. Like SQLite, lastMark ignores a transaction
// without a commit, and everything from the first invalid frame on.
func lastMark(path string) (last mark, found bool, err error) {
	file, err := os.Open(path) //nolint:gosec // in the operator's folder
	if errors.Is(err, fs.ErrNotExist) {
		return mark{}, false, nil
	}
	if err != nil {
		return mark{}, false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	frames, err := newWALReader(bufio.NewReaderSize(file, 1<<20))
	if err != nil {
		return mark{}, false, ignoreEnd(err)
	}
	var open mark // of the transaction that is not committed yet
	var changed bool
	for {
		page, commit, err := frames.next()
		if err != nil {
			return last, found, ignoreEnd(err)
		}
		if m, ok := markInPage(page); ok {
			open, changed = m, true
		}
		if commit && changed {
			last, found, changed = open, true, false
		}
	}
}

// ignoreEnd returns nil for the end of a log, else err.
func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// walReader reads the valid frames of a write-ahead log.
type walReader struct {
	from   io.Reader
	words  binary.ByteOrder // of the checksums
	salt   [walSaltSize]byte
	sum    [2]uint32
	header [walFrameSize]byte
	page   []byte
}

// newWALReader reads the header. It returns io.EOF for an invalid header.
func newWALReader(from io.Reader) (*walReader, error) {
	var header [walHeaderSize]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return nil, err
	}
	magic, pageSize := binary.BigEndian.Uint32(header[0:]), binary.BigEndian.Uint32(header[8:])
	if magic&^1 != walMagic || pageSize < headerSize || pageSize > walMaxPageSize || pageSize&(pageSize-1) != 0 {
		return nil, io.EOF
	}
	r := &walReader{from: from, words: binary.LittleEndian, salt: [walSaltSize]byte(header[walSalt:]), page: make([]byte, pageSize)}
	if magic&1 == 1 {
		r.words = binary.BigEndian
	}
	r.add(header[:24])
	if !r.matches(header[24:]) {
		return nil, io.EOF
	}
	return r, nil
}

// next returns the page of the next frame, and whether the frame commits a transaction. It
// returns io.EOF at the first invalid frame. The page is valid until the next call.
func (r *walReader) next() (page []byte, commit bool, err error) {
	if _, err := io.ReadFull(r.from, r.header[:]); err != nil {
		return nil, false, err
	}
	if _, err := io.ReadFull(r.from, r.page); err != nil {
		return nil, false, err
	}
	r.add(r.header[:8])
	r.add(r.page)
	if [walSaltSize]byte(r.header[8:]) != r.salt || !r.matches(r.header[16:]) {
		return nil, false, io.EOF
	}
	return r.page, binary.BigEndian.Uint32(r.header[4:]) != 0, nil
}

// add adds b to the checksum of the log.
func (r *walReader) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		r.sum[0] += r.words.Uint32(b) + r.sum[1]
		r.sum[1] += r.words.Uint32(b[4:]) + r.sum[0]
	}
}

// matches reports whether b begins with the checksum.
func (r *walReader) matches(b []byte) bool {
	return binary.BigEndian.Uint32(b) == r.sum[0] && binary.BigEndian.Uint32(b[4:]) == r.sum[1]
}
