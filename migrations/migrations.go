// Package migrations holds the schemas of the databases that keep links, as
// numbered steps up and down. It runs nothing: the adapters do that.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql
var sqliteFiles embed.FS

// SQLite returns the steps of the embedded database, in the directory ".",
// named NUMBER_NAME.up.sql and NUMBER_NAME.down.sql.
func SQLite() fs.FS { return sub(sqliteFiles, "sqlite") }

// sub returns a directory that is known to be embedded.
func sub(files fs.FS, dir string) fs.FS {
	under, err := fs.Sub(files, dir)
	if err != nil {
		panic("migrations: " + err.Error())
	}
	return under
}
