package postgres

import "github.com/terse/terse/store"

// WalkIndexes is what precedes the query of a list in its transaction.
const WalkIndexes = walkIndexes

// CreatesWaiting reports how many creates wait for a flight.
func (s *Store) CreatesWaiting() int { return s.creates.group.Waiting() }

// ListQuery returns the query for q and its arguments.
func ListQuery(q store.Query) (query string, args []any) { return listQuery(q, q.Limit+1) }

// InsertLinks returns the statement that inserts links, of buckets with the epoch
// 1, and its arguments.
func InsertLinks(links ...store.Link) (query string, args []any) {
	var rows linkRows
	var known epochs
	for i := range links {
		rows.add(&links[i])
		known[store.BucketOf(links[i].Code)] = 1
	}
	return insertLinks, rows.args(&known)
}

// Statements returns the statements on one row, or on a few, by name.
func Statements() map[string]string {
	return map[string]string{
		"links": selectLinks, "stored": selectStored, "update": updateLink, "delete": deleteLink, "use": useLink,
		"reserve": upsertReservation, "prune reservations": pruneReservations,
		"add clicks": addClicks, "prune flushes": pruneFlushes,
		"insert key": insertKey, "key by hash": selectKeyByHash, "bucket of key": selectBucketOfKey, "revoke key": revokeKey, "use keys": useKeys,
		"changes": selectChanges, "revisions": selectRevisions, "prune reports": pruneReports,
		"acquire any": acquireAny, "acquire node": acquireNode, "renew node": renewNode, "release node": releaseNode,
	}
}

// Usable reports whether a server is one that is read.
func (s *Store) Usable(name string) bool {
	for _, server := range append([]*server{s.primary}, s.replicas...) {
		if server.name == name {
			l := server.view.get()
			return l.err == nil && !l.at.IsZero() && (server == s.primary || s.lagOf(l) <= s.opts.MaxLag)
		}
	}
	return false
}

// Unfit reports whether nothing is read from a replica, whatever its age.
func (s *Store) Unfit(name string) bool {
	for _, server := range s.replicas {
		if server.name == name {
			return server.view.get().unfit
		}
	}
	return false
}
