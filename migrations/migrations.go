// Package migrations contains the database schemas of the link stores, as numbered
// steps up and down. It runs no step; the stores do.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed sqlite/*.sql
var sqliteFiles embed.FS

//go:embed postgres/*.sql
var postgresFiles embed.FS

// SQLite returns the steps of the embedded database. The files are in the directory
// ".", named NUMBER_NAME.up.sql and NUMBER_NAME.down.sql.
func SQLite() fs.FS { return sub(sqliteFiles, "sqlite") }

// Postgres returns the steps of one shard, with names like the steps of SQLite. During
// an update, servers of the old and the new version use the same schema. So a step
// adds what the new version needs, and removes only what the old version no longer
// uses, and locks at most one table that they write.
func Postgres() fs.FS { return sub(postgresFiles, "postgres") }

// sub returns an embedded directory. It panics when the directory is missing.
func sub(files fs.FS, dir string) fs.FS {
	under, err := fs.Sub(files, dir)
	if err != nil {
		panic("migrations: " + err.Error())
	}
	return under
}
