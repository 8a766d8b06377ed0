package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/terse/terse/store"
)

const selectDomain = `SELECT id, host, owner, shared, state, robots, root_url, root_status, not_found_url, not_found_status,
	ended_url, ended_status, created_at, updated_at, verified_at, version, apple_app_site_association, assetlinks FROM domains `

const insertDomain = `INSERT INTO domains (id, host, owner, shared, state, robots, root_url, root_status, not_found_url, not_found_status,
	ended_url, ended_status, created_at, updated_at, verified_at, version, apple_app_site_association, assetlinks)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) ON CONFLICT DO NOTHING`

const updateDomain = `UPDATE domains SET host = ?2, owner = ?3, shared = ?4, state = ?5, robots = ?6, root_url = ?7, root_status = ?8,
	not_found_url = ?9, not_found_status = ?10, ended_url = ?11, ended_status = ?12, created_at = ?13, updated_at = ?14,
	verified_at = ?15, version = ?16, apple_app_site_association = ?17, assetlinks = ?18 WHERE id = ?1 AND version = ?16 - 1`

const selectHost = `SELECT host, domain_id, owner, claimed_at, verified_at FROM domain_hosts `

// AddDomain implements store.Domains.
func (s *Store) AddDomain(ctx context.Context, d store.Domain) (store.Domain, error) {
	d.Version = 1
	return change(ctx, s, "add domain", d.ID, func(ctx context.Context, tx tx) (store.Domain, error) {
		added, err := tx.changes(ctx, insertDomain, domainValues(&d)...)
		if err == nil && !added {
			err = store.ErrExists
		}
		if err != nil {
			return store.Domain{}, err
		}
		return storedDomain(ctx, tx, d.ID)
	})
}

// UpdateDomain implements store.Domains.
func (s *Store) UpdateDomain(ctx context.Context, d store.Domain) (store.Domain, error) {
	d.Version++
	return change(ctx, s, "update domain", d.ID, func(ctx context.Context, tx tx) (store.Domain, error) {
		updated, err := tx.changes(ctx, updateDomain, domainValues(&d)...)
		if err != nil {
			return store.Domain{}, err
		}
		stored, err := storedDomain(ctx, tx, d.ID)
		if err == nil && !updated {
			return store.Domain{}, store.ErrVersion
		}
		return stored, err
	})
}

// domainValues returns the values of a domain in the order of insertDomain.
func domainValues(d *store.Domain) []any {
	return []any{
		d.ID, d.Host, d.Owner, d.Shared, d.State, d.Robots, d.Root.URL, d.Root.Status, d.NotFound.URL, d.NotFound.Status,
		d.Ended.URL, d.Ended.Status, micros(d.CreatedAt), micros(d.UpdatedAt), micros(d.VerifiedAt), d.Version,
		d.AppleAssociation, d.AssetLinks,
	}
}

// storedDomain returns a domain as the transaction sees it.
func storedDomain(ctx context.Context, tx tx, id string) (store.Domain, error) {
	return found(scanDomain(tx.QueryRowContext(ctx, selectDomain+`WHERE id = ?`, id)))
}

// found returns store.ErrNotFound if there was no row.
func found[T any](v T, err error) (T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	return v, err
}

// Domain implements store.Domains.
func (s *Store) Domain(ctx context.Context, id string) (store.Domain, error) {
	d, err := found(scanDomain(s.lists.QueryRowContext(ctx, selectDomain+`WHERE id = ?`, id)))
	return d, wrap(err, "domain", id)
}

// ListDomains implements store.Domains.
func (s *Store) ListDomains(ctx context.Context, after string, limit int) ([]store.Domain, error) {
	all, err := collect(ctx, s, scanDomain, selectDomain+`WHERE id > ? ORDER BY id LIMIT ?`, after, max(limit, 1))
	return all, wrap(err, "domains", "")
}

// scanDomain reads the columns of selectDomain.
func scanDomain(row scanner) (store.Domain, error) {
	var (
		d                          store.Domain
		created, updated, verified int64
	)
	err := row.Scan(&d.ID, &d.Host, &d.Owner, &d.Shared, &d.State, &d.Robots, &d.Root.URL, &d.Root.Status, &d.NotFound.URL, &d.NotFound.Status,
		&d.Ended.URL, &d.Ended.Status, &created, &updated, &verified, &d.Version, &d.AppleAssociation, &d.AssetLinks)
	if err != nil {
		return store.Domain{}, err
	}
	d.CreatedAt, d.UpdatedAt, d.VerifiedAt = moment(created), moment(updated), moment(verified)
	return d, nil
}

// ClaimHost implements store.Domains.
func (s *Store) ClaimHost(ctx context.Context, h store.DomainHost) (store.DomainHost, error) {
	return change(ctx, s, "claim host", h.Host, func(ctx context.Context, tx tx) (store.DomainHost, error) {
		_, err := tx.ExecContext(ctx, `INSERT INTO domain_hosts (host, domain_id, owner, claimed_at, verified_at)
			VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, h.Host, h.DomainID, h.Owner, micros(h.ClaimedAt), micros(h.VerifiedAt))
		if err != nil {
			return store.DomainHost{}, err
		}
		return scanHost(tx.QueryRowContext(ctx, selectHost+`WHERE host = ?`, h.Host))
	})
}

// UpdateHost implements store.Domains.
func (s *Store) UpdateHost(ctx context.Context, from string, h store.DomainHost) error {
	return s.changeHost(ctx, "update host", h.Host, `UPDATE domain_hosts SET domain_id = ?, owner = ?, claimed_at = ?, verified_at = ?
		WHERE host = ? AND domain_id = ?`, h.DomainID, h.Owner, micros(h.ClaimedAt), micros(h.VerifiedAt), h.Host, from)
}

// ReleaseHost implements store.Domains.
func (s *Store) ReleaseHost(ctx context.Context, host, domainID string) error {
	return s.changeHost(ctx, "release host", host, `DELETE FROM domain_hosts WHERE host = ? AND domain_id = ?`, host, domainID)
}

// changeHost runs a statement and returns store.ErrNotFound if it changed nothing.
func (s *Store) changeHost(ctx context.Context, op, host, statement string, args ...any) error {
	_, err := change(ctx, s, op, host, func(ctx context.Context, tx tx) (none, error) {
		changed, err := tx.changes(ctx, statement, args...)
		if err == nil && !changed {
			err = store.ErrNotFound
		}
		return none{}, err
	})
	return err
}

// Host implements store.Domains.
func (s *Store) Host(ctx context.Context, host string) (store.DomainHost, error) {
	h, err := found(scanHost(s.lists.QueryRowContext(ctx, selectHost+`WHERE host = ?`, host)))
	return h, wrap(err, "host", host)
}

// HostsOf implements store.Domains.
func (s *Store) HostsOf(ctx context.Context, domainID string) ([]store.DomainHost, error) {
	all, err := collect(ctx, s, scanHost, selectHost+`WHERE domain_id = ? ORDER BY host`, domainID)
	return all, wrap(err, "hosts of domain", domainID)
}

// ListHosts implements store.Domains.
func (s *Store) ListHosts(ctx context.Context, after string, limit int) ([]store.DomainHost, error) {
	all, err := collect(ctx, s, scanHost, selectHost+`WHERE host > ? ORDER BY host LIMIT ?`, after, max(limit, 1))
	return all, wrap(err, "hosts", "")
}

// scanHost reads the columns of selectHost.
func scanHost(row scanner) (store.DomainHost, error) {
	var (
		h                 store.DomainHost
		claimed, verified int64
	)
	if err := row.Scan(&h.Host, &h.DomainID, &h.Owner, &claimed, &verified); err != nil {
		return store.DomainHost{}, err
	}
	h.ClaimedAt, h.VerifiedAt = moment(claimed), moment(verified)
	return h, nil
}

// collect returns all rows of a query.
func collect[T any](ctx context.Context, s *Store, scan func(scanner) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := s.lists.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// DomainsVersion implements store.DomainsSource.
func (s *Store) DomainsVersion(ctx context.Context) (version int64, err error) {
	err = s.lists.QueryRowContext(ctx, `SELECT version FROM domains_version`).Scan(&version)
	return version, wrap(err, "version of the domains", "")
}
