package country

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxFile is the largest file, in bytes. The file is in memory.
const maxFile = 1 << 30

// settledAfter is how long after a change a file counts as settled: later, the same modification time
// and size mean the same content.
const settledAfter = 5 * time.Second

// sampled is how many networks of a file are searched for a country.
const sampled = 10_000

// paths are the places of the country code in a record: in files of MaxMind and DB-IP, of
// ip-location-db, and of IPinfo.
var paths = [][]any{{"country", "iso_code"}, {"country_code"}, {"country"}}

// CheckFile returns the problem of a file in the MaxMind DB format. It returns nil for an empty
// path.
func CheckFile(path string) error {
	if path == "" {
		return nil
	}
	_, err := open(path)
	return err
}

// refresh reads the file if it has changed.
func (f *Finder) refresh() error {
	info, err := os.Stat(f.opts.File)
	if err != nil {
		return fmt.Errorf("country: %w", err)
	}
	if f.seen != nil && os.SameFile(f.seen, info) && f.seen.ModTime().Equal(info.ModTime()) && f.seen.Size() == info.Size() {
		return f.bad
	}
	db, err := open(f.opts.File)
	f.bad = err
	if f.seen = info; time.Since(info.ModTime()) < settledAfter {
		f.seen = nil // the file may still be written
	}
	if err != nil {
		return err
	}
	f.db.Store(db)
	f.metrics.built.Set(float64(db.Metadata.BuildEpoch))
	return nil
}

// open reads a file into memory. It does not map the file: if another program truncates a mapped
// file, this process crashes.
func open(path string) (*maxminddb.Reader, error) {
	content, err := readAll(path)
	if err != nil {
		return nil, fmt.Errorf("country: %w", err)
	}
	db, err := maxminddb.OpenBytes(content)
	if err == nil {
		err = check(db)
	}
	if err != nil {
		return nil, fmt.Errorf("country: %s: %w", path, err)
	}
	return db, nil
}

func readAll(path string) (content []byte, err error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // an error after reading does not matter
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if content, err = io.ReadAll(io.LimitReader(file, maxFile+1)); err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return content, nil
}

// check returns an error if a file has no countries.
func check(db *maxminddb.Reader) error {
	n := 0
	for network := range db.Networks() {
		if err := network.Err(); err != nil {
			return err
		}
		if codeOf(network) != "" {
			return nil
		}
		if n++; n == sampled {
			break
		}
	}
	return errors.New("has no countries")
}

// lookUp returns the code of an address, or an empty text.
func lookUp(db *maxminddb.Reader, addr netip.Addr) string {
	found := db.Lookup(addr)
	if !found.Found() {
		return ""
	}
	return codeOf(found)
}

// codeOf returns the code in a record. A record of another form has no code.
func codeOf(record maxminddb.Result) string {
	for _, path := range paths {
		var code string
		if err := record.DecodePath(&code, path...); err == nil && code != "" {
			if code = valid(code); code != "" {
				return code
			}
		}
	}
	return ""
}
