package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/terse/terse/store"
)

// domainColumns are the columns of a domain in the order of scanDomain.
const domainColumns = `d.id, d.host, d.owner, d.shared, d.state, d.robots, d.root_url, d.root_status, d.not_found_url, d.not_found_status,
	d.ended_url, d.ended_status, d.created_at, d.updated_at, d.verified_at, d.version, d.apple_app_site_association, d.assetlinks`

const insertDomain = `INSERT INTO domains (id, host, owner, shared, state, robots, root_url, root_status, not_found_url, not_found_status,
		ended_url, ended_status, created_at, updated_at, verified_at, version, apple_app_site_association, assetlinks, bucket)
	SELECT $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $1
	FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' ON CONFLICT (id) DO NOTHING`

const updateDomain = `UPDATE domains d SET host = $4, owner = $5, shared = $6, state = $7, robots = $8, root_url = $9, root_status = $10,
		not_found_url = $11, not_found_status = $12, ended_url = $13, ended_status = $14, created_at = $15, updated_at = $16,
		verified_at = $17, version = $18, apple_app_site_association = $19, assetlinks = $20
	FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' AND d.bucket = b.bucket AND d.id = $3 AND d.version = $18 - 1`

// selectDomain returns no row if the shard does not own the bucket, and NULL if there is no domain.
const selectDomain = `SELECT ` + domainColumns + ` FROM buckets b LEFT JOIN domains d ON d.id = $2 WHERE b.bucket = $1 AND b.state = 'owned'`

const selectDomains = `SELECT ` + domainColumns + ` FROM domains d JOIN buckets b ON b.bucket = d.bucket AND b.state = 'owned'
	WHERE d.id > $1 ORDER BY d.id LIMIT $2`

// hostColumns are the columns of a claim in the order of scanHost.
const hostColumns = `h.host, h.domain_id, h.owner, h.claimed_at, h.verified_at`

const claimHost = `INSERT INTO domain_hosts (host, domain_id, owner, claimed_at, verified_at, bucket)
	SELECT $3, $4, $5, $6, $7, $1 FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' ON CONFLICT (host) DO NOTHING`

const updateHost = `UPDATE domain_hosts h SET domain_id = $4, owner = $5, claimed_at = $6, verified_at = $7
	FROM buckets b WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' AND h.bucket = b.bucket AND h.host = $3 AND h.domain_id = $8`

const releaseHost = `DELETE FROM domain_hosts h USING buckets b
	WHERE b.bucket = $1 AND b.epoch = $2 AND b.state = 'owned' AND h.bucket = b.bucket AND h.host = $3 AND h.domain_id = $4`

// selectHost returns rows like selectDomain.
const selectHost = `SELECT ` + hostColumns + ` FROM buckets b LEFT JOIN domain_hosts h ON h.host = $2 WHERE b.bucket = $1 AND b.state = 'owned'`

const selectHostsOf = `SELECT ` + hostColumns + ` FROM domain_hosts h JOIN buckets b ON b.bucket = h.bucket AND b.state = 'owned'
	WHERE h.domain_id = $1 ORDER BY h.host`

const selectHosts = `SELECT ` + hostColumns + ` FROM domain_hosts h JOIN buckets b ON b.bucket = h.bucket AND b.state = 'owned'
	WHERE h.host > $1 ORDER BY h.host LIMIT $2`

// selectDomainsVersion adds two numbers that only grow, so that the sum changes with each.
const selectDomainsVersion = `SELECT v.version + s.map_version FROM domains_version v, shard s`

// AddDomain implements store.Domains.
func (s *Store) AddDomain(ctx context.Context, d store.Domain) (store.Domain, error) {
	d = domainAsStored(d, 1)
	added, err := s.writeDomain(ctx, insertDomain, &d)
	if err == nil && !added {
		err = store.ErrExists
	}
	return domainOr(d, wrap(err, "add domain", d.ID))
}

// UpdateDomain implements store.Domains.
func (s *Store) UpdateDomain(ctx context.Context, d store.Domain) (store.Domain, error) {
	d = domainAsStored(d, d.Version+1)
	updated, err := s.writeDomain(ctx, updateDomain, &d)
	if err == nil && !updated {
		if _, err = s.Domain(ctx, d.ID); err == nil {
			err = store.ErrVersion
		}
	}
	return domainOr(d, wrap(err, "update domain", d.ID))
}

// domainAsStored returns d with a version, and with its times as the database returns them.
func domainAsStored(d store.Domain, version int64) store.Domain {
	d.CreatedAt, d.UpdatedAt, d.VerifiedAt, d.Version = micros(d.CreatedAt), micros(d.UpdatedAt), micros(d.VerifiedAt), version
	return d
}

// domainOr returns d, or no domain if there is an error.
func domainOr(d store.Domain, err error) (store.Domain, error) {
	if err != nil {
		return store.Domain{}, err
	}
	return d, nil
}

// writeDomain runs a statement with the values of d. changed reports whether it changed a row.
func (s *Store) writeDomain(ctx context.Context, statement string, d *store.Domain) (changed bool, err error) {
	if !keepable(d.ID, d.Host, d.Owner, d.Root.URL, d.NotFound.URL, d.Ended.URL, d.AppleAssociation, d.AssetLinks) {
		return false, errText
	}
	n, err := s.execOwned(ctx, store.BucketOf(d.ID), statement, d.ID, d.Host, d.Owner, d.Shared, d.State, d.Robots,
		d.Root.URL, d.Root.Status, d.NotFound.URL, d.NotFound.Status, d.Ended.URL, d.Ended.Status,
		d.CreatedAt, d.UpdatedAt, orNull(d.VerifiedAt, time.Time{}), d.Version,
		orNull(d.AppleAssociation, ""), orNull(d.AssetLinks, ""))
	return n > 0, err
}

// Domain implements store.Domains.
func (s *Store) Domain(ctx context.Context, id string) (d store.Domain, err error) {
	if !keepable(id) {
		return d, wrap(store.ErrNotFound, "domain", id)
	}
	err = s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) (err error) {
		d, err = scanDomain(conn.QueryRow(ctx, selectDomain, store.BucketOf(id), id))
		return joined(err, d.ID)
	})
	return d, wrap(err, "domain", id)
}

// joined returns the error of a read with an outer join: store.ErrMoved if there is no row, and
// store.ErrNotFound if the row has no key.
func joined(err error, key string) error {
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrMoved
	case err == nil && key == "":
		return store.ErrNotFound
	}
	return err
}

// ListDomains implements store.Domains.
func (s *Store) ListDomains(ctx context.Context, after string, limit int) ([]store.Domain, error) {
	all, err := collect(ctx, s, scanDomain, selectDomains, after, max(limit, 1))
	return all, wrap(err, "domains", "")
}

// scanDomain reads domainColumns. The ID is empty if an outer join found no domain.
func scanDomain(row pgx.Row) (store.Domain, error) {
	var (
		d                              store.Domain
		shared                         *bool
		state, robots                  *uint8
		rootStatus, notFound, endedNum int64
	)
	err := row.Scan(text(&d.ID), text(&d.Host), text(&d.Owner), &shared, &state, &robots,
		text(&d.Root.URL), number(&rootStatus), text(&d.NotFound.URL), number(&notFound), text(&d.Ended.URL), number(&endedNum),
		at(&d.CreatedAt), at(&d.UpdatedAt), at(&d.VerifiedAt), number(&d.Version),
		text(&d.AppleAssociation), text(&d.AssetLinks))
	if err != nil || d.ID == "" {
		return store.Domain{}, err
	}
	d.Shared, d.State, d.Robots = *shared, store.DomainState(*state), store.RobotsPolicy(*robots)
	d.Root.Status, d.NotFound.Status, d.Ended.Status = int(rootStatus), int(notFound), int(endedNum)
	return domainAsStored(d, d.Version), nil
}

// claimAttempts is how often ClaimHost tries again because another call released the host in the
// meantime.
const claimAttempts = 3

// ClaimHost implements store.Domains.
func (s *Store) ClaimHost(ctx context.Context, h store.DomainHost) (store.DomainHost, error) {
	if !keepable(h.Host, h.DomainID, h.Owner) {
		return store.DomainHost{}, wrap(errText, "claim host", h.Host)
	}
	h.ClaimedAt, h.VerifiedAt = micros(h.ClaimedAt), micros(h.VerifiedAt)
	for range claimAttempts {
		added, err := s.execOwned(ctx, store.BucketOf(h.Host), claimHost, h.Host, h.DomainID, h.Owner, h.ClaimedAt, orNull(h.VerifiedAt, time.Time{}))
		switch {
		case err != nil:
			return store.DomainHost{}, wrap(err, "claim host", h.Host)
		case added > 0:
			return h, nil
		}
		standing, err := s.Host(ctx, h.Host)
		if !errors.Is(err, store.ErrNotFound) {
			return standing, wrap(err, "claim host", h.Host)
		}
	}
	return store.DomainHost{}, wrap(fmt.Errorf("%w: it is claimed and released all the time", store.ErrUnavailable), "claim host", h.Host)
}

// UpdateHost implements store.Domains.
func (s *Store) UpdateHost(ctx context.Context, from string, h store.DomainHost) error {
	if !keepable(h.DomainID, h.Owner) {
		return wrap(errText, "update host", h.Host)
	}
	return s.changeHost(ctx, "update host", h.Host, updateHost, h.DomainID, h.Owner, micros(h.ClaimedAt), orNull(micros(h.VerifiedAt), time.Time{}), from)
}

// ReleaseHost implements store.Domains.
func (s *Store) ReleaseHost(ctx context.Context, host, domainID string) error {
	return s.changeHost(ctx, "release host", host, releaseHost, domainID)
}

// changeHost runs a statement and returns store.ErrNotFound if it changed nothing. The third
// argument of the statement is the host, after its bucket and epoch.
func (s *Store) changeHost(ctx context.Context, op, host, statement string, args ...any) error {
	if !keepable(host) {
		return wrap(store.ErrNotFound, op, host)
	}
	changed, err := s.execOwned(ctx, store.BucketOf(host), statement, append([]any{host}, args...)...)
	if err == nil && changed == 0 {
		err = store.ErrNotFound
	}
	return wrap(err, op, host)
}

// Host implements store.Domains.
func (s *Store) Host(ctx context.Context, host string) (h store.DomainHost, err error) {
	if !keepable(host) {
		return h, wrap(store.ErrNotFound, "host", host)
	}
	err = s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) (err error) {
		h, err = scanHost(conn.QueryRow(ctx, selectHost, store.BucketOf(host), host))
		return joined(err, h.Host)
	})
	return h, wrap(err, "host", host)
}

// HostsOf implements store.Domains.
func (s *Store) HostsOf(ctx context.Context, domainID string) ([]store.DomainHost, error) {
	all, err := collect(ctx, s, scanHost, selectHostsOf, domainID)
	return all, wrap(err, "hosts of domain", domainID)
}

// ListHosts implements store.Domains.
func (s *Store) ListHosts(ctx context.Context, after string, limit int) ([]store.DomainHost, error) {
	all, err := collect(ctx, s, scanHost, selectHosts, after, max(limit, 1))
	return all, wrap(err, "hosts", "")
}

// scanHost reads hostColumns. The Host is empty if an outer join found no claim.
func scanHost(row pgx.Row) (store.DomainHost, error) {
	var h store.DomainHost
	err := row.Scan(text(&h.Host), text(&h.DomainID), text(&h.Owner), at(&h.ClaimedAt), at(&h.VerifiedAt))
	h.ClaimedAt, h.VerifiedAt = h.ClaimedAt.UTC(), h.VerifiedAt.UTC()
	return h, err
}

// collect returns all rows of a query of the primary.
func collect[T any](ctx context.Context, s *Store, scan func(pgx.Row) (T, error), query string, args ...any) (all []T, err error) {
	err = s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return scan(row) })
		return err
	})
	return all, err
}

// DomainsVersion implements store.DomainsSource.
func (s *Store) DomainsVersion(ctx context.Context) (version int64, err error) {
	err = s.primary.read(ctx, reads, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, selectDomainsVersion).Scan(&version)
	})
	return version, wrap(err, "version of the domains", "")
}
