package sqlite

import (
	"context"
	"time"

	"github.com/terse/terse/store"
)

const putCertificateFile = `INSERT INTO certificate_files AS f (key, modified_at, value) VALUES (?1, ?2, ?3)
	ON CONFLICT (key) DO UPDATE SET modified_at = excluded.modified_at, value = excluded.value
	WHERE f.modified_at < excluded.modified_at OR f.modified_at = excluded.modified_at AND f.value IS NULL`

const pruneCertificateFiles = `DELETE FROM certificate_files WHERE value IS NULL AND modified_at < ?`

const selectCertificateFiles = `SELECT key, value IS NULL, modified_at FROM certificate_files
	WHERE key > ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2 ORDER BY key LIMIT ?3`

const lockCertificate = `INSERT INTO certificate_locks AS l (name, holder, held_until) VALUES (?1, ?2, ?3)
	ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
	WHERE l.holder = excluded.holder OR l.held_until <= ?4`

// PutCertificateFile implements store.Certificates.
func (s *Store) PutCertificateFile(ctx context.Context, f store.CertificateFile) error {
	_, err := change(ctx, s, "put certificate file", f.Key, func(ctx context.Context, tx tx) (none, error) {
		return none{}, tx.atomically(ctx, func() error {
			old := s.opts.Now().Add(-store.CertificateTombstoneTTL)
			if _, err := tx.ExecContext(ctx, pruneCertificateFiles, micros(old)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, putCertificateFile, f.Key, micros(f.ModifiedAt), f.Value)
			return err
		})
	})
	return err
}

// CertificateFile implements store.Certificates.
func (s *Store) CertificateFile(ctx context.Context, key string) (store.CertificateFile, error) {
	f := store.CertificateFile{Key: key}
	var deleted bool
	var at int64
	err := s.lists.QueryRowContext(ctx, `SELECT value, value IS NULL, modified_at FROM certificate_files WHERE key = ?`, key).
		Scan(&f.Value, &deleted, &at)
	if err == nil && !deleted && f.Value == nil {
		f.Value = []byte{} // the driver returns nil for an empty value too
	}
	f.ModifiedAt = moment(at)
	return f, wrap(err, "certificate file", key)
}

// CertificateFiles implements store.Certificates.
func (s *Store) CertificateFiles(ctx context.Context, prefix, after string, limit int) ([]store.CertificateFile, error) {
	rows, err := s.lists.QueryContext(ctx, selectCertificateFiles, after, prefix, max(limit, 1))
	if err != nil {
		return nil, wrap(err, "certificate files", prefix)
	}
	defer rows.Close()
	var all []store.CertificateFile
	for rows.Next() {
		var f store.CertificateFile
		var deleted bool
		var at int64
		if err := rows.Scan(&f.Key, &deleted, &at); err != nil {
			return nil, wrap(err, "certificate files", prefix)
		}
		if !deleted {
			f.Value = []byte{}
		}
		f.ModifiedAt = moment(at)
		all = append(all, f)
	}
	return all, wrap(rows.Err(), "certificate files", prefix)
}

// LockCertificate implements store.Certificates. Locks end by the clock Options.Now.
func (s *Store) LockCertificate(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error) {
	return change(ctx, s, "lock certificate", name, func(ctx context.Context, tx tx) (held bool, err error) {
		now := s.opts.Now()
		err = tx.atomically(ctx, func() error {
			if _, err := tx.ExecContext(ctx, `DELETE FROM certificate_locks WHERE held_until <= ?`, micros(now)); err != nil {
				return err
			}
			held, err = tx.changes(ctx, lockCertificate, name, holder, micros(now.Add(ttl)), micros(now))
			return err
		})
		return held, err
	})
}

// RenewCertificateLock implements store.Certificates.
func (s *Store) RenewCertificateLock(ctx context.Context, name, holder string, ttl time.Duration) (held bool, err error) {
	return change(ctx, s, "renew certificate lock", name, func(ctx context.Context, tx tx) (bool, error) {
		return tx.changes(ctx, `UPDATE certificate_locks SET held_until = ? WHERE name = ? AND holder = ?`,
			micros(s.opts.Now().Add(ttl)), name, holder)
	})
}

// UnlockCertificate implements store.Certificates.
func (s *Store) UnlockCertificate(ctx context.Context, name, holder string) error {
	_, err := change(ctx, s, "unlock certificate", name, func(ctx context.Context, tx tx) (bool, error) {
		return tx.changes(ctx, `DELETE FROM certificate_locks WHERE name = ? AND holder = ?`, name, holder)
	})
	return err
}
