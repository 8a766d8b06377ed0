package sqlite

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// ErrOtherLog is the error of Open for a write-ahead log that belongs to another database
// file, for example because a backup was copied over the file after a crash. SQLite would
// apply the log to the copy.
var ErrOtherLog = errors.New("the write-ahead log belongs to another database")

// A mark shows which write-ahead log belongs to which database file. It is stored in the row
// of log_mark, so it may have two versions: one in the file, and a newer one in the log. Readers
// see the newer version, and copies contain it.
//
// The version in the log names the two ids that the file may have: the id after the last
// checkpoint and the id before it. Between checkpoints, the version in the log has a third id.
// So the log does not accept a copy that was made between checkpoints.
type mark struct {
	id     [markIDSize]byte // random; zero in a file without a mark
	base   [markIDSize]byte // id of the file after the latest checkpoint
	before [markIDSize]byte // id of the file before that checkpoint
}

const (
	markMagic  = "terse wal mark 1"
	markIDSize = 16
	markSize   = len(markMagic) + 3*markIDSize

	markVersion = 13 // the migration that adds the table of the mark
)

func newMarkID() (id [markIDSize]byte) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

func (m mark) encode() []byte {
	return bytes.Join([][]byte{[]byte(markMagic), m.id[:], m.base[:], m.before[:]}, nil)
}

// parseMark returns false for a row without a mark.
func parseMark(b []byte) (m mark, ok bool) {
	rest, ok := bytes.CutPrefix(b, []byte(markMagic))
	if !ok || len(b) != markSize {
		return mark{}, false
	}
	copy(m.id[:], rest)
	copy(m.base[:], rest[markIDSize:])
	copy(m.before[:], rest[2*markIDSize:])
	return m, true
}

// accepts reports whether the log may belong to a file with the given mark.
func (m mark) accepts(file mark) bool { return file.id == m.base || file.id == m.before }

// markPrefix is the beginning of the row's cell in the page of log_mark: the size of the
// record, the row id, and the header of a record of NULL and a BLOB of markSize bytes. No
// table with text of users has records of this form.
var markPrefix = append([]byte{byte(4 + markSize), 1, 4, 0, 0x81, 0x0c}, markMagic...)

// markInPage returns the mark in a page of log_mark. It returns false for other pages. The
// layout is in section 1.6 of https://www.sqlite.org/fileformat2.html.
func markInPage(page []byte) (m mark, ok bool) {
	const leafOfTable, pointers = 0x0d, 8
	if page[0] != leafOfTable || binary.BigEndian.Uint16(page[3:]) != 1 {
		return mark{}, false
	}
	cell := page[min(int(binary.BigEndian.Uint16(page[pointers:])), len(page)):]
	if !bytes.HasPrefix(cell, markPrefix) {
		return mark{}, false
	}
	start := len(markPrefix) - len(markMagic)
	if len(cell) < start+markSize {
		return mark{}, false
	}
	return parseMark(cell[start : start+markSize])
}

// readMark returns the mark that a connection sees. It returns false for a database of an old
// schema, which has no table of marks.
func readMark(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
},
) (m mark, table bool, err error) {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil || version < markVersion {
		return mark{}, false, err
	}
	var row []byte
	if err := db.QueryRowContext(ctx, `SELECT mark FROM log_mark WHERE id = 1`).Scan(&row); err != nil {
		return mark{}, false, err
	}
	m, _ = parseMark(row)
	return m, true, nil
}

// markInFile returns the mark in a database file, and ignores the log. During a checkpoint, and
// after an interrupted one, the file may be a mix of old and new pages. markInFile may then
// return an error.
func markInFile(ctx context.Context, file string) (mark, error) {
	db, err := openHandle(file, withoutLog)
	if err != nil {
		return mark{}, err
	}
	m, _, err := readMark(ctx, db)
	return m, errors.Join(err, db.Close())
}

// checkLog returns ErrOtherLog when the write-ahead log cannot belong to the database file.
// It accepts a log without a mark, and a file that an interrupted checkpoint left unreadable.
// The caller must have locked the folder.
func (f *files) checkLog(ctx context.Context) error {
	if _, err := os.Stat(f.database); err != nil || !f.hasLog() {
		return nil //nolint:nilerr // version reports it
	}
	release, err := f.keepOpen(ctx)
	if err != nil {
		return err
	}
	defer release()
	logged, found, err := lastMark(f.log())
	if err != nil || !found {
		return err
	}
	stored, err := markInFile(ctx, f.database)
	if err != nil || logged.accepts(stored) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %s is not the log of %s. Perhaps a copy replaced the database after a crash. "+
		"To use the copy, put it in place with: terse restore COPY. To use the database from before the crash, put its file back", ErrOtherLog, f.log(), f.database)
}

// keepOpen opens the database for reading until release is called. Without it, a command in
// another process might close the last connection, and SQLite would then move the log into the
// file. It ignores a database that cannot be read.
func (f *files) keepOpen(ctx context.Context) (release func(), err error) {
	db, err := openHandle(f.database, readOnly)
	if err != nil {
		return nil, err
	}
	reader, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	_, _, _ = readMark(ctx, reader) // the first query opens the file
	return func() { _ = errors.Join(reader.Rollback(), db.Close()) }, nil
}
