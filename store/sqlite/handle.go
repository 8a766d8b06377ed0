package sqlite

import (
	"database/sql"
	"net/url"
	"path/filepath"
)

// access is the purpose of a handle.
type access int

const (
	reading    access = iota // many read-only connections
	writing                  // one connection; each transaction takes the write lock at once
	readOnly                 // one read-only connection that changes no settings of the file
	withoutLog               // like readOnly; ignores the write-ahead log and all locks
	migrating                // like writing; the file may be empty
	copying                  // one connection to a new copy, without a log; what it writes is not durable
)

// busyTimeout is how long a connection waits for a writer in another process, in
// milliseconds.
const busyTimeout = "busy_timeout(5000)"

// openHandle returns a handle of an existing database file. It does not open the file yet,
// and no use of the handle creates it.
func openHandle(file string, as access) (*sql.DB, error) {
	// Large sorts stay in memory, because a container may have no /tmp.
	query := url.Values{"mode": {"rw"}, "_pragma": {busyTimeout, "temp_store(MEMORY)"}}
	conns := 1
	switch as {
	case readOnly:
		query.Set("mode", "ro")
	case withoutLog:
		query.Set("mode", "ro")
		query.Set("immutable", "1")
	case reading:
		query.Set("mode", "ro")
		query.Add("_pragma", "query_only(1)")
		query.Add("_pragma", "cache_size(-8192)")
		conns = readers()
	case copying:
		query.Add("_pragma", "journal_mode(MEMORY)")
		query.Add("_pragma", "synchronous(OFF)")
	case writing, migrating:
		query.Set("_txlock", "immediate")
		query.Add("_pragma", "journal_mode(WAL)")
		query.Add("_pragma", "synchronous(FULL)")
		query.Add("_pragma", "foreign_keys(1)")
		query.Add("_pragma", "cache_size(-8192)")
		query.Add("_pragma", "journal_size_limit(67108864)")
	}
	if as == writing {
		query.Add("_pragma", "wal_autocheckpoint(0)") // see checkpointer
	}
	absolute, err := filepath.Abs(file) // SQLite would read a relative path as a host name
	if err != nil {
		return nil, err
	}
	path := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", path.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}
