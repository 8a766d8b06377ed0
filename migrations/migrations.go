// Package migrations holds the schemas of the databases that keep links, as
// numbered steps up and down. It runs nothing: the adapters do that.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql
var sqliteFiles embed.FS

//go:embed postgres/*.sql
var postgresFiles embed.FS

// SQLite returns the steps of the embedded database, in the directory ".",
// named NUMBER_NAME.up.sql and NUMBER_NAME.down.sql.
func SQLite() fs.FS { return sub(sqliteFiles, "sqlite") }

// Postgres returns the steps of one shard, named as those of SQLite. Servers of
// the version before and of the version after a step work with it, since nodes
// are replaced one by one: a step adds what the next version needs, and takes
// away only what the version before no longer uses.
func Postgres() fs.FS { return sub(postgresFiles, "postgres") }

// sub returns a directory that is known to be embedded.
func sub(files fs.FS, dir string) fs.FS {
	under, err := fs.Sub(files, dir)
	if err != nil {
		panic("migrations: " + err.Error())
	}
	return under
}
