package sqlite

import (
	"database/sql"
	"net/url"
	"path/filepath"
)

// access is what a handle may do with the file.
type access int

const (
	reading   access = iota // any number of connections, which never write
	writing                 // one connection; transactions begin as writers
	inspect                 // one connection that changes nothing, not even settings
	migrating               // as writing, also in a file that is empty yet
)

// busyTimeout is how long a connection waits for one of another process that
// writes, in milliseconds.
const busyTimeout = "busy_timeout(5000)"

// openHandle returns a handle on the database file, without touching it yet.
// The file is never made by it.
func openHandle(file string, as access) (*sql.DB, error) {
	// Sorts that do not fit the cache stay in memory: a container may have no /tmp.
	query := url.Values{"mode": {"rw"}, "_pragma": {busyTimeout, "temp_store(MEMORY)"}}
	conns := 1
	switch as {
	case inspect:
		query.Set("mode", "ro")
	case reading:
		query.Set("mode", "ro")
		query.Add("_pragma", "query_only(1)")
		query.Add("_pragma", "cache_size(-8192)")
		conns = readers()
	case writing, migrating:
		query.Set("_txlock", "immediate")
		query.Add("_pragma", "journal_mode(WAL)")
		query.Add("_pragma", "synchronous(FULL)")
		query.Add("_pragma", "foreign_keys(1)")
		query.Add("_pragma", "cache_size(-8192)")
		query.Add("_pragma", "journal_size_limit(67108864)")
	}
	absolute, err := filepath.Abs(file) // a relative path would be read as a host
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
